//! /dev: the nodes and links that runtime-spec wants in every container, and the config's own.

use super::Builder;
use super::mounts::clean;
use crate::program::Op;
use crate::spec;
use std::collections::BTreeMap;

const S_IFMT: u32 = 0o170000;
const S_IFCHR: u32 = 0o020000;
const S_IFBLK: u32 = 0o060000;
const S_IFIFO: u32 = 0o010000;

/// The default devices of runtime-spec (config-linux.md): path, major, minor.
pub const DEFAULT: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// The links of runtime-spec, and ptmx.
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
];

/// Adds the operations. A /dev that the config binds from somewhere else is left as it is, as every runtime does.
pub fn build(builder: &mut Builder<'_>, listed: &[spec::Device]) {
    if builder.foreign_dev {
        return;
    }
    let on_dev = builder.has_dev;
    let mut nodes: Vec<Op> = Vec::with_capacity(listed.len() + DEFAULT.len());
    let mut places: BTreeMap<String, (u32, u32, u32)> = BTreeMap::new();
    for (i, device) in listed.iter().enumerate() {
        let Some(op) = node(builder, i, device) else { continue };
        let Op::Device { path, mode, major, minor, .. } = &op else { continue };
        // The multiplexer is the container's own devpts', wherever a privileged container's list has it from.
        if path == "/dev/ptmx" {
            continue;
        }
        let identity = (mode & S_IFMT, *major, *minor);
        match places.insert(path.clone(), identity) {
            None => nodes.push(op),
            Some(before) if before == identity => {}
            Some(_) => {
                let message = format!("device \"{path}\" is listed twice, as different devices");
                builder.findings.invalid(&format!("/linux/devices/{i}/path"), message);
            }
        }
    }
    for (path, major, minor) in DEFAULT {
        if !places.contains_key(path) {
            let mode = S_IFCHR | 0o666;
            nodes.push(Op::Device { path: path.into(), mode, major, minor, uid: 0, gid: 0, on_dev });
        }
    }
    builder.program.extend(nodes);
    for (target, path) in LINKS {
        builder.program.push(Op::Symlink { target: target.into(), path: path.into(), on_dev });
    }
}

fn node(builder: &mut Builder<'_>, index: usize, device: &spec::Device) -> Option<Op> {
    let pointer = format!("/linux/devices/{index}");
    let kind = match device.r#type.as_str() {
        "c" | "u" => S_IFCHR,
        "b" => S_IFBLK,
        "p" => S_IFIFO,
        other => {
            let message = format!("device \"{}\": type \"{other}\" is none of c, b, u, p", device.path);
            builder.findings.invalid(&format!("{pointer}/type"), message);
            return None;
        }
    };
    let wrong = match clean(&device.path).as_str() {
        _ if !device.path.starts_with('/') => Some("is not absolute"),
        "/" | "/dev" => Some("is a directory"),
        path if path.len() > 4095 => Some("is too long"),
        _ => None,
    };
    if let Some(wrong) = wrong {
        builder.findings.invalid(&format!("{pointer}/path"), format!("device path \"{}\" {wrong}", device.path));
        return None;
    }
    let number = |n: i64, limit: i64| u32::try_from(n).ok().filter(|_| n < limit);
    // Linux has 12 bits for the major and 20 for the minor number.
    let (major, minor) = if kind == S_IFIFO {
        (0, 0)
    } else {
        match (number(device.major, 1 << 12), number(device.minor, 1 << 20)) {
            (Some(major), Some(minor)) => (major, minor),
            _ => {
                let number = format!("{}:{}", device.major, device.minor);
                let message = format!("device \"{}\": number {number} is out of range", device.path);
                builder.findings.invalid(&pointer, message);
                return None;
            }
        }
    };
    let path = clean(&device.path);
    let on_dev = builder.has_dev && path.starts_with("/dev/");
    let mode = kind | (device.file_mode.unwrap_or(0o666) & 0o7777);
    let (uid, gid) = (device.uid.unwrap_or(0), device.gid.unwrap_or(0));
    Some(Op::Device { path, mode, major, minor, uid, gid, on_dev })
}
