//! Mounts: what of the host is bound, which filesystems are mounted, and the root filesystem.

use super::enforcement::Enforcement;
use super::judge::{Judge, switch_off};
use super::rule::Rule;
use super::sensitive::{self, below};
use crate::plan::{Scratch, Source, clean};
use crate::spec::{Mount, Spec};

/// Filesystems that a configuration may mount anew. Others show the kernel (debugfs, tracefs, securityfs, bpf) or a disk,
/// and are parsed or served by the kernel for whoever can mount them.
const ORDINARY: [&str; 9] = ["cgroup", "cgroup2", "devpts", "hugetlbfs", "mqueue", "overlay", "proc", "sysfs", "tmpfs"];

/// Where programs write that expect a root filesystem to be writable, with the mode: anybody may make files in the
/// temporary directories, and the process, whose they are, in /run, where images have directories for their servers.
const SCRATCH: [(&str, u32); 3] = [("/run", 0o755), ("/tmp", 0o1777), ("/var/tmp", 0o1777)];
/// Bytes of each: 64 MiB.
const SCRATCH_SIZE: u64 = 64 << 20;

/// The source of a bind, looked at after it was opened: what it is, whatever the path said.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// What was opened.
    pub source: &'a Source,
    /// A path of [`sensitive::WHOLES`] that is the same object, though the way there is another.
    pub same_as: Option<&'static str>,
}

pub(super) fn judge(judge: &mut Judge<'_>) {
    let mounts = judge.spec.mounts.clone();
    for (i, mount) in mounts.iter().enumerate() {
        let pointer = format!("/mounts/{i}");
        propagation(judge, mount, &pointer);
        if is_remount(mount) {
            remount(judge, &mounts, i, &pointer);
        } else if is_bind(mount) {
            source(judge, mount, &pointer);
            attributes(judge, mount, i, &pointer);
        } else {
            filesystem(judge, mount, &pointer);
        }
    }
    let root = judge.spec.linux.as_ref().map_or("", |linux| linux.rootfs_propagation.as_str()).to_string();
    if matches!(root.as_str(), "shared" | "rshared") {
        refuse_shared(judge, "/linux/rootfsPropagation", &format!("the root filesystem is to be {root}"));
    }
    root_filesystem(judge);
}

/// What the opened sources turned out to be. Said of a path only that its spelling did not tell.
pub(super) fn opened(judge: &mut Judge<'_>, bundle: &str, sources: &[Seen<'_>]) {
    let root = judge.spec.root.as_ref().map_or(String::new(), |root| root.path.clone());
    let path = clean(&if root.starts_with('/') { root.clone() } else { format!("{bundle}/{root}") });
    if let Some(seen) = sources.iter().find(|seen| seen.source.path == path) {
        let places = [Some(seen.source.real_path.as_str()), seen.same_as].into_iter().flatten();
        if let Some((place, why)) = places.filter_map(|place| Some((place, sensitive::whole(place)?))).next() {
            let cause = format!("the root filesystem \"{root}\" is \"{place}\" ({why})");
            let allow =
                format!("give the container a root filesystem of its own, or {}", switch_off(Rule::SensitiveBinds));
            judge.refuse(Rule::SensitiveBinds, "/root/path", cause, allow);
        }
    }
    let mounts = judge.spec.mounts.clone();
    for (i, mount) in mounts.iter().enumerate() {
        opened_layers(judge, mount, &format!("/mounts/{i}"), sources);
    }
    for (i, mount) in mounts.iter().enumerate().filter(|(_, mount)| is_bind(mount) && !is_remount(mount)) {
        let path =
            if mount.source.starts_with('/') { mount.source.clone() } else { format!("{bundle}/{}", mount.source) };
        let Some(seen) = sources.iter().find(|seen| seen.source.path == path) else { continue };
        let told = mount.source.starts_with('/') && look(judge.enforcement, &path, mount).is_some();
        if told || is_hosts_shm(judge, mount) {
            continue;
        }
        let places = [Some(seen.source.real_path.as_str()), seen.same_as].into_iter().flatten();
        let found = places.filter_map(|place| Some((place, look(judge.enforcement, place, mount)?))).next();
        if let Some((place, why)) = found {
            let cause = format!("the bind of \"{}\" on \"{}\" is \"{place}\" ({why})", mount.source, mount.destination);
            refuse_source(judge, &format!("/mounts/{i}/source"), cause, place);
        }
    }
}

/// The same for the layers of an overlay.
fn opened_layers(judge: &mut Judge<'_>, mount: &Mount, pointer: &str, sources: &[Seen<'_>]) {
    for Layer { path, writable } in layers(mount) {
        let Some(seen) = sources.iter().find(|seen| seen.source.path == path) else { continue };
        let bind = as_bind(mount, writable);
        let places = [Some(seen.source.real_path.as_str()), seen.same_as].into_iter().flatten();
        let found = places.filter_map(|place| Some((place, look(judge.enforcement, place, &bind)?))).next();
        if let Some((place, why)) = found {
            let on = &mount.destination;
            let cause = format!("the layer \"{path}\" of the overlay on \"{on}\" is \"{place}\" ({why})");
            refuse_source(judge, &format!("{pointer}/options"), cause, place);
        }
    }
}

/// Whether a mount is a bind, as the plan sees it.
pub(super) fn is_bind(mount: &Mount) -> bool {
    mount.r#type == "bind" || mount.options.iter().any(|option| option == "bind" || option == "rbind")
}

fn propagation(judge: &mut Judge<'_>, mount: &Mount, pointer: &str) {
    if let Some(option) = mount.options.iter().find(|option| matches!(option.as_str(), "shared" | "rshared")) {
        let cause = format!("the mount on \"{}\" is to be {option}", mount.destination);
        refuse_shared(judge, &format!("{pointer}/options"), &cause);
    }
}

fn refuse_shared(judge: &mut Judge<'_>, pointer: &str, cause: &str) {
    let cause = format!("{cause}: what is mounted inside would appear on the host");
    let allow = format!("use rslave or rprivate (HostToContainer, None), or {}", switch_off(Rule::SharedPropagation));
    judge.refuse(Rule::SharedPropagation, pointer, cause, allow);
}

/// Why a host path must not be bound, unless the policy lets it.
fn look(enforcement: &Enforcement, path: &str, mount: &Mount) -> Option<sensitive::Why> {
    let path = clean(path);
    let spelt = |allowed: &String| below(&path, allowed).or_else(|| below(&path, &sensitive::behind_link(allowed)?));
    if enforcement.binds_allow.keys().any(|allowed| spelt(allowed).is_some()) {
        return None;
    }
    sensitive::find(&path, surely_read_only(mount))
}

/// Whether the options say so, and none says otherwise.
pub(super) fn surely_read_only(mount: &Mount) -> bool {
    let has = |words: [&str; 2]| mount.options.iter().any(|option| words.contains(&option.as_str()));
    has(["ro", "rro"]) && !has(["rw", "rrw"])
}

/// Whether an entry changes a mount that an earlier one made.
pub(super) fn is_remount(mount: &Mount) -> bool {
    mount.options.iter().any(|option| option == "remount")
}

/// A later entry must not loosen what was mounted. Which mount it leads to, links of the image and what came with a bind
/// say, so it loosens none.
fn remount(judge: &mut Judge<'_>, mounts: &[Mount], index: usize, pointer: &str) {
    let Some(entry) = mounts.get(index) else { return };
    let place = clean(&entry.destination);
    let held = |m: &&Mount| !is_remount(m) && below(&clean(&m.destination), &place).is_some();
    let kernels = mounts.iter().filter(held).any(|m| matches!(m.r#type.as_str(), "sysfs" | "cgroup" | "cgroup2"));
    let rule = if kernels { Rule::ReadOnlySys } else { Rule::BindAttributes };
    let listed = |option: &String| matches!(option.as_str(), "rw" | "rrw" | "suid" | "rsuid" | "dev" | "rdev");
    let loosening: Vec<String> = entry.options.iter().filter(|option| listed(option)).cloned().collect();
    let before = format!("a remount of {place} with {}", loosening.join(","));
    if !loosening.is_empty()
        && judge.narrows(rule, &format!("{pointer}/options"), &before, "nosuid")
        && let Some(mount) = judge.spec.mounts.get_mut(index)
    {
        // Still a remount: one of nothing fails, and must not succeed now.
        mount.options.retain(|option| !listed(option) && option != "nosuid");
        mount.options.push("nosuid".into());
    }
}

fn source(judge: &mut Judge<'_>, mount: &Mount, pointer: &str) {
    // A relative path is the bundle's, which is looked at when it is open.
    if !mount.source.starts_with('/') || is_hosts_shm(judge, mount) {
        return;
    }
    if let Some(why) = look(judge.enforcement, &mount.source, mount) {
        let cause = format!("the bind of \"{}\" on \"{}\" ({why})", mount.source, mount.destination);
        refuse_source(judge, &format!("{pointer}/source"), cause, &mount.source);
    }
}

/// The shared memory of the host's IPC namespace, which has a rule of its own.
fn is_hosts_shm(judge: &Judge<'_>, mount: &Mount) -> bool {
    let own = judge.spec.linux.as_ref().is_some_and(|linux| linux.namespaces.iter().any(|ns| ns.r#type == "ipc"));
    !own && clean(&mount.source) == "/dev/shm" && clean(&mount.destination) == "/dev/shm"
}

fn refuse_source(judge: &mut Judge<'_>, pointer: &str, cause: String, path: &str) {
    let allow = match clean(path).as_str() {
        // Nothing of the host would be left to protect: the policy does not take it as a path.
        "/" => format!("bind what is needed of it, or {}", switch_off(Rule::SensitiveBinds)),
        path => {
            format!("`allow = [\"{path}\"]` under [binds] or in an exemption of /etc/casemate/policy.toml allows it")
        }
    };
    judge.refuse(Rule::SensitiveBinds, pointer, cause, allow);
}

fn attributes(judge: &mut Judge<'_>, mount: &Mount, index: usize, pointer: &str) {
    let recursive = mount.options.iter().any(|option| option == "rbind");
    let has = |word: &str| {
        mount.options.iter().any(|option| option.strip_prefix('r').is_some_and(|rest| rest == word))
            || (!recursive && mount.options.iter().any(|option| option == word))
    };
    // A device that the policy lets through is of no use on a mount without devices.
    let device = below(&clean(&mount.source), "/dev").is_some();
    let wanted = ["nosuid", "nodev"].into_iter().filter(|word| !(device && *word == "nodev"));
    let wanted: Vec<&str> = wanted.filter(|word| !has(word)).collect();
    let contrary = mount.options.iter().any(|option| is_contrary(option, device));
    // Read-only, but for what is mounted below the source.
    let shallow = recursive && surely_read_only(mount) && !mount.options.iter().any(|option| option == "rro");
    if wanted.is_empty() && !contrary && !shallow {
        return;
    }
    let recursively = |word: &&str| if recursive { format!("r{word}") } else { (*word).to_string() };
    let mut added: Vec<String> = wanted.iter().map(recursively).collect();
    if shallow {
        added.push("rro".to_string());
    }
    let before = format!("{} ({})", mount.destination, mount.options.join(","));
    if judge.narrows(Rule::BindAttributes, &format!("{pointer}/options"), &before, &format!("also {}", added.join(",")))
        && let Some(mount) = judge.spec.mounts.get_mut(index)
    {
        mount.options.retain(|option| !is_contrary(option, device));
        mount.options.extend(added);
    }
}

fn is_contrary(option: &str, device: bool) -> bool {
    matches!(option, "suid" | "rsuid") || (!device && matches!(option, "dev" | "rdev"))
}

fn filesystem(judge: &mut Judge<'_>, mount: &Mount, pointer: &str) {
    let kind = mount.r#type.as_str();
    if kind.is_empty() {
        return;
    }
    if kind == "sysfs" && clean(&mount.destination) != "/sys" {
        let cause = format!("a sysfs on \"{}\" shows what is masked below /sys", mount.destination);
        let allow = format!("mount it on /sys, or {}", switch_off(Rule::FilesystemTypes));
        judge.refuse(Rule::FilesystemTypes, &format!("{pointer}/destination"), cause, allow);
    }
    if !ORDINARY.contains(&kind) {
        let cause = format!("a filesystem of type {kind} on \"{}\"", mount.destination);
        let allow = format!("mount it on the host and bind it, or {}", switch_off(Rule::FilesystemTypes));
        judge.refuse(Rule::FilesystemTypes, &format!("{pointer}/type"), cause, allow);
    }
    for Layer { path, writable } in layers(mount) {
        let why = match look(judge.enforcement, &path, &as_bind(mount, writable)) {
            // Relative to where init happens to stand.
            _ if !path.starts_with('/') => "which is not absolute".to_string(),
            Some(why) => why.to_string(),
            None => continue,
        };
        let cause = format!("the overlay on \"{}\" has the layer \"{path}\" ({why})", mount.destination);
        refuse_source(judge, &format!("{pointer}/options"), cause, &path);
    }
}

/// A directory that an overlay shows.
struct Layer {
    path: String,
    writable: bool,
}

/// The directories of an overlay, which is a bind of them. An entry of the options may hold several, as the kernel
/// separates them: with commas and colons, behind a backslash a character as it is. Where a quote makes a difference to
/// the plan, this is the wider reading.
fn layers(mount: &Mount) -> Vec<Layer> {
    if mount.r#type != "overlay" || is_bind(mount) || is_remount(mount) {
        return Vec::new();
    }
    let mut layers = Vec::new();
    for part in mount.options.iter().flat_map(|option| split(option, ',', true)) {
        let Some((key, value)) = part.split_once('=') else { continue };
        let writable = matches!(key, "upperdir" | "workdir");
        if writable || matches!(key, "lowerdir" | "lowerdir+" | "datadir+") {
            let paths = split(value, ':', false).into_iter().filter(|path| !path.is_empty());
            layers.extend(paths.map(|path| Layer { path, writable }));
        }
    }
    layers
}

/// Parts of a text between separators without a backslash before them, with or without those backslashes.
fn split(text: &str, separator: char, keep: bool) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        let escapes = c == '\\' && !escaped;
        match parts.last_mut() {
            Some(part) if escaped || c != separator => {
                if keep || !escapes {
                    part.push(c);
                }
            }
            _ => parts.push(String::new()),
        }
        escaped = escapes;
    }
    parts
}

fn as_bind(mount: &Mount, writable: bool) -> Mount {
    Mount { options: vec![if writable { "rw" } else { "ro" }.into()], ..mount.clone() }
}

/// The layers of all overlays, which nobody opens before the kernel does.
pub fn overlay_layers(spec: &Spec) -> Vec<String> {
    spec.mounts.iter().flat_map(layers).map(|layer| layer.path).collect()
}

/// Read-only, with tmpfs where the configuration mounts nothing and programs write.
fn root_filesystem(judge: &mut Judge<'_>) {
    // One that is read-only already has what its author gave it.
    if judge.spec.root.as_ref().is_none_or(|root| root.readonly)
        || !judge.narrows(Rule::ReadOnlyRoot, "/root/readonly", "false", "true")
    {
        return;
    }
    if let Some(root) = judge.spec.root.as_mut() {
        root.readonly = true;
    }
    for (destination, mode) in SCRATCH {
        let covered = judge.spec.mounts.iter().any(|mount| clean(&mount.destination) == destination);
        let after = format!("a tmpfs of {} MiB on {destination}, if it is there", SCRATCH_SIZE >> 20);
        if !covered && judge.narrows(Rule::ReadOnlyRoot, "/mounts", "", &after) {
            let scratch =
                Scratch { destination: destination.into(), size: SCRATCH_SIZE, mode, copy_up: destination == "/run" };
            judge.confinement.scratch.push(scratch);
        }
    }
}
