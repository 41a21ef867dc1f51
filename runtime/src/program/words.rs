//! A failed operation in words: what was being done, on what, which call, what the kernel said, what to do.

use super::format::{Report, refusal};
use super::{Op, Target};
use crate::error::{Error, Kind, errno_text};
use rustix::io::Errno;

/// What an operation does, for people.
pub fn describe(op: &Op) -> String {
    match op {
        Op::JoinCgroup { hierarchy, .. } => format!("join cgroup {hierarchy}"),
        Op::JoinNamespace { namespace, path, .. } => format!("join {} namespace \"{path}\"", namespace.spec_name()),
        Op::JoinContainer { .. } => "join the container's namespaces".into(),
        Op::Unshare { namespace } => format!("new {} namespace", namespace.spec_name()),
        Op::HostPropagation { .. } => "cut mount propagation to the host".into(),
        Op::MaskSource => "make the filesystem for masks".into(),
        Op::AttachRoot { .. } => "attach the rootfs".into(),
        Op::OpenRoot => "open the container's root".into(),
        Op::Mount { fstype, destination, .. } => format!("mount {fstype} on \"{destination}\""),
        Op::Bind { source, destination, .. } => format!("bind \"{source}\" on \"{destination}\""),
        Op::SetMount { target, attributes } => {
            let what = match target {
                Target::Tree(slot) => format!("handle {}", slot.0),
                Target::Root => "the root".into(),
                Target::Dev => "/dev".into(),
                Target::Path(path) => format!("\"{path}\""),
            };
            format!("set mount attributes of {what}: {}", super::words::attributes(attributes))
        }
        Op::Device { path, major, minor, .. } => format!("make device \"{path}\" {major}:{minor}"),
        Op::Symlink { target, path, .. } => format!("link \"{path}\" to \"{target}\""),
        Op::MakeDirectory { path } => format!("make directory \"{path}\""),
        Op::Terminal { .. } => "open a terminal".into(),
        Op::Session { .. } => "new session".into(),
        Op::EnterPidNamespace => "enter the pid namespace".into(),
        Op::RuntimeHooks => "wait for the runtime hooks".into(),
        Op::Hook(hook) => format!("run {} hook #{} \"{}\"", hook.kind, hook.index, hook.path),
        Op::Pivot => "pivot into the rootfs".into(),
        Op::CheckMounts { .. } => "check the mount table".into(),
        Op::Loopback => "bring up lo".into(),
        Op::Hostname { name } => format!("set hostname \"{name}\""),
        Op::Domainname { name } => format!("set domainname \"{name}\""),
        Op::Sysctl { name, value } => format!("set sysctl {name} to \"{value}\""),
        Op::ReadonlyPath { path } => format!("make \"{path}\" read-only"),
        Op::Mask { path } => format!("mask \"{path}\""),
        Op::Keyring => "new session keyring".into(),
        Op::Label { file, label } => format!("write label \"{label}\" to /proc/{file}"),
        Op::Rlimit { name, soft, hard, .. } => format!("set {name} to {soft}:{hard}"),
        Op::Bounding { keep, .. } => format!("drop all but {} from the bounding set", capabilities(*keep)),
        Op::Identity { uid, gid, groups } => format!("become user {uid}, group {gid}, groups {groups:?}"),
        Op::Capabilities { effective, permitted, inheritable } => format!(
            "set capabilities: effective {}, permitted {}, inheritable {}",
            capabilities(*effective),
            capabilities(*permitted),
            capabilities(*inheritable)
        ),
        Op::Ambient { set } => format!("raise ambient {}", capabilities(*set)),
        Op::NoNewPrivileges => "set no_new_privs".into(),
        Op::WorkingDirectory { path, .. } => format!("chdir to cwd (\"{path}\")"),
        Op::Umask { mask } => format!("set umask {mask:04o}"),
        Op::FindExecutable { candidates, .. } => match candidates.as_slice() {
            [one] => format!("find \"{one}\""),
            many => format!("find the executable in {} directories", many.len()),
        },
        Op::CloseHandles => "close the parent's handles".into(),
        Op::Ready => "report that the container is set up".into(),
        Op::WaitStart { .. } => "wait for start".into(),
        Op::Landlock { .. } => "keep the process from abstract sockets outside (landlock)".into(),
        Op::Seccomp { instructions, .. } => format!("load the seccomp filter ({instructions} instructions)"),
        Op::Execute { args, .. } => format!("exec {args:?}"),
    }
}

/// What the program is to execute in the end.
fn executed(ops: &[Op]) -> &str {
    let name = ops.iter().find_map(|op| match op {
        Op::Execute { args, .. } => args.first(),
        _ => None,
    });
    name.map_or("", String::as_str)
}

/// Names of mount attributes.
pub fn attributes(a: &super::Attributes) -> String {
    use crate::plan::mount_options::{attr, ms};
    let mut words = Vec::new();
    for (bit, on, off) in [
        (attr::RDONLY, "ro", "rw"),
        (attr::NOSUID, "nosuid", "suid"),
        (attr::NODEV, "nodev", "dev"),
        (attr::NOEXEC, "noexec", "exec"),
        (attr::NOATIME, "noatime", ""),
        (attr::STRICTATIME, "strictatime", ""),
        (attr::NODIRATIME, "nodiratime", "diratime"),
        (attr::NOSYMFOLLOW, "nosymfollow", "symfollow"),
    ] {
        if a.set & bit != 0 {
            words.push(on);
        } else if a.clear & bit != 0 && !off.is_empty() {
            words.push(off);
        }
    }
    for (bit, word) in
        [(ms::PRIVATE, "private"), (ms::SLAVE, "slave"), (ms::SHARED, "shared"), (ms::UNBINDABLE, "unbindable")]
    {
        if a.propagation == bit {
            words.push(word);
        }
    }
    let deep = if a.recursive { " (recursive)" } else { "" };
    format!("{}{deep}", words.join(","))
}

/// Names of capabilities.
pub fn capabilities(set: u64) -> String {
    if set == 0 {
        return "none".into();
    }
    let all = caps::all();
    let names = (0..64).filter(|bit| set & (1 << bit) != 0).filter_map(|bit| all.iter().find(|one| one.index() == bit));
    names.map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The error of an operation that init reports as failed.
pub fn failure(ops: &[Op], report: &Report) -> Error {
    let Some(op) = ops.get(report.op as usize) else {
        return Error::new(Kind::InitFailed, format!("init failed at operation {} of {}", report.op, ops.len()));
    };
    if let Some(error) = in_words_of_engines(ops, op, report) {
        return error;
    }
    let what = match op {
        Op::Mount { .. } | Op::Bind { .. } => {
            let mounts = |ops: &[Op]| ops.iter().filter(|o| matches!(o, Op::Mount { .. } | Op::Bind { .. })).count();
            let number = mounts(&ops[..report.op as usize]) + 1;
            format!("mount {number} of {}: {}", mounts(ops), describe(op))
        }
        _ => describe(op),
    };
    let said = match kernel_said(report) {
        Some(errno) => format!("{}: {}", call_name(report.call), errno_text(errno)),
        None => refused(op, report),
    };
    let error = Error::new(Kind::InitFailed, format!("{what}: {said}"));
    match hint(op, report) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Texts that Docker, Podman and containerd look for, word by word.
fn in_words_of_engines(ops: &[Op], op: &Op, report: &Report) -> Option<Error> {
    let errno = || kernel_said(report).map_or_else(|| refused(op, report), errno_text);
    let text = match op {
        Op::FindExecutable { candidates, search } => {
            // Without a PATH there is nothing to try, and a name all the same.
            let path = candidates.first().map_or_else(|| executed(ops), String::as_str);
            let name = if *search { path.rsplit('/').next().unwrap_or(path) } else { path };
            if report.call == refusal::CALL && report.errno == refusal::NOT_IN_PATH {
                format!("exec: \"{name}\": executable file not found in $PATH")
            } else if u64::from(report.call) == STATX {
                format!("exec: \"{path}\": stat {path}: {}", errno())
            } else {
                format!("exec: \"{path}\": {}", errno())
            }
        }
        Op::Execute { args, .. } => {
            format!("exec {}: {}", args.first().map_or("", String::as_str), errno())
        }
        Op::WorkingDirectory { path, .. } if report.call != refusal::CALL => {
            format!("chdir to cwd (\"{path}\") set in config.json failed: {}", errno())
        }
        Op::Rlimit { resource, .. } => format!("error setting rlimit type {resource}: {}", errno()),
        Op::Hook(hook) if report.call == refusal::CALL => {
            let output = report.text.get(..report.text_len as usize).unwrap_or(&[]);
            let output = String::from_utf8_lossy(output);
            let how = if report.errno == refusal::HOOK_TIMEOUT {
                "timeout".to_string()
            } else if report.detail & 0x7f != 0 {
                format!("signal: {}", report.detail & 0x7f)
            } else {
                format!("exit status {}", report.detail >> 8)
            };
            let output = output.trim().replace('\n', "\\n");
            format!("error running {} hook #{}: {how}, output: {output}", hook.kind, hook.index)
        }
        _ => return None,
    };
    let error = Error::new(Kind::InitFailed, text);
    Some(match hint(op, report) {
        Some(hint) => error.hint(hint),
        None => error,
    })
}

const STATX: u64 = 332;

/// The errno of the call that failed; none for a refusal of init's own. The report comes from memory that another
/// process wrote, so it may hold anything.
fn kernel_said(report: &Report) -> Option<Errno> {
    (report.call != refusal::CALL && (1..4096).contains(&report.errno)).then(|| Errno::from_raw_os_error(report.errno))
}

fn refused(op: &Op, report: &Report) -> String {
    match report.errno {
        refusal::BAD_PROGRAM => "the program is not one of this build".into(),
        refusal::TARGET_IN_PROC => match op {
            Op::Mount { destination, .. } | Op::Bind { destination, .. } => {
                format!("\"{destination}\" cannot be mounted because it is inside /proc")
            }
            _ => "inside /proc".into(),
        },
        refusal::NOT_A_DIRECTORY => "filesystem must be mounted on ordinary directory".into(),
        refusal::MOUNT_NOT_ON_TOP => format!("the mount of operation {} is covered or missing", report.detail),
        refusal::MOUNT_UNEXPECTED => format!("there are {} mounts, more or fewer than planned", report.detail),
        refusal::NOT_A_PTMX => "/dev/pts/ptmx is not the multiplexer of a devpts".into(),
        refusal::DEVICE_MISMATCH => "an existing file is not that device".into(),
        refusal::CWD_OUTSIDE => "current working directory is outside of container mount namespace root".into(),
        refusal::NOT_IN_EFFECT => "what was read back is not what was written".into(),
        refusal::ABANDONED => "the parent went away".into(),
        refusal::TOO_MANY_LINKS => "too many levels of symbolic links".into(),
        refusal::PATH_TOO_LONG => "file name too long".into(),
        refusal::NOT_MASKABLE => "a symbolic link stands there".into(),
        refusal::DEVICE_IS_LINK => "a symbolic link stands in the way of a device node".into(),
        refusal::CONSOLE_IS_LINK => "a symbolic link stands at /dev/console".into(),
        other => format!("refused ({other})"),
    }
}

fn hint(op: &Op, report: &Report) -> Option<String> {
    Some(match (op, kernel_said(report)?) {
        (Op::Rlimit { name, .. }, Errno::PERM) => {
            format!("raising {name} above the caller's hard limit takes CAP_SYS_RESOURCE")
        }
        (Op::Terminal { .. }, Errno::NOENT) => "a terminal needs a devpts mounted at /dev/pts".into(),
        (Op::Execute { .. }, Errno::NOENT) => "the interpreter that the file names is missing in the container".into(),
        (Op::Sysctl { name, .. }, Errno::NOENT) => format!("this kernel has no parameter {name}"),
        (Op::Mount { fstype, .. }, Errno::NODEV) => format!("this kernel has no filesystem {fstype}"),
        (Op::Mount { .. }, Errno::INVAL) if report.detail > 0 => {
            format!("option number {} is not one that this filesystem takes", report.detail)
        }
        (Op::Bind { .. }, Errno::NOTDIR | Errno::ISDIR) => {
            "source and destination must both be directories or both be files".into()
        }
        _ => return None,
    })
}

/// Name of a system call of init's.
fn call_name(number: u32) -> String {
    use seccomp_profiles::{Arch, Syscall};
    Syscall::from_number(Arch::X86_64, number)
        .map_or_else(|| format!("system call {number}"), |call| call.name().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::format::{REPORT_TEXT, report_state};

    fn report(call: u32, errno: i32) -> Report {
        let text = [0; REPORT_TEXT];
        Report { state: report_state::FAILED, op: 0, call, errno, detail: 7, listener: 0, ack: 0, text_len: 0, text }
    }

    #[test]
    fn a_failed_read_is_told_as_one_although_its_number_is_0() {
        let ops = [Op::WaitStart { control: true }];
        assert_eq!(failure(&ops, &report(0, 5)).to_string(), "wait for start: read: input/output error");
        let refused = failure(&ops, &report(refusal::CALL, refusal::ABANDONED)).to_string();
        assert_eq!(refused, "wait for start: the parent went away");
    }

    #[test]
    fn whatever_stands_in_the_report_has_words() {
        for (call, errno) in [(0, 0), (0, -1), (u32::MAX - 1, i32::MAX), (refusal::CALL, 99), (9999, 4095)] {
            assert!(failure(&[Op::Pivot], &report(call, errno)).to_string().starts_with("pivot into the rootfs: "));
        }
        let nowhere = Report { op: 3, ..report(0, 1) };
        assert!(failure(&[Op::Pivot], &nowhere).to_string().contains("operation 3 of 1"));
    }
}
