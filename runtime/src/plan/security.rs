//! Capabilities, labels and the seccomp filter.

use super::Facts;
use super::finding::Findings;
use crate::program::Op;
use crate::spec;
use casemate_selinux::{Context, LabelFile, MountContext, mount_option};
use seccomp_profiles as seccomp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// The five sets of capabilities(7), as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapabilitySets {
    /// Bounding.
    pub bounding: u64,
    /// Effective.
    pub effective: u64,
    /// Permitted.
    pub permitted: u64,
    /// Inheritable.
    pub inheritable: u64,
    /// Ambient.
    pub ambient: u64,
}

/// The bit of a capability's name, in any case; none for a name that Linux does not have.
pub fn capability_bit(name: &str) -> Option<u64> {
    caps::Capability::from_str(&name.to_ascii_uppercase()).ok().map(|c| 1 << c.index())
}

/// The sets, exactly as asked. What Linux does not know or this caller cannot grant is left out with one warning, as the
/// runtime-spec says (config.md, "capabilities": SHOULD NOT fail).
pub fn capabilities(asked: Option<&spec::Capabilities>, facts: &Facts, warnings: &mut Vec<String>) -> CapabilitySets {
    let Some(asked) = asked else { return CapabilitySets::default() };
    let mut ignored: Vec<String> = Vec::new();
    let mut set = |names: &[String], within: u64| {
        let mut bits = 0;
        for name in names {
            match capability_bit(name) {
                Some(bit) if bit & within != 0 => bits |= bit,
                _ => ignored.push(name.clone()),
            }
        }
        bits
    };
    let bounding = set(&asked.bounding, facts.bounding);
    let permitted = set(&asked.permitted, facts.permitted);
    let all_inheritable = set(&asked.inheritable, facts.bounding);
    let effective = set(&asked.effective, facts.permitted);
    let ambient = set(&asked.ambient, facts.permitted);
    ignored.sort_unstable();
    ignored.dedup();
    if !ignored.is_empty() {
        warnings.push(format!("ignoring unknown or unavailable capabilities: [{}]", ignored.join(" ")));
    }
    // capset(2) takes nothing into the inheritable set that has left the bounding set.
    let inheritable = all_inheritable & bounding;
    if inheritable != all_inheritable {
        warnings.push("ignoring inheritable capabilities that are not in the bounding set".into());
    }
    if effective & !permitted != 0 {
        warnings.push("ignoring effective capabilities that are not permitted".into());
    }
    if ambient & !(permitted & inheritable) != 0 {
        warnings.push("ignoring ambient capabilities that are not both permitted and inheritable".into());
    }
    CapabilitySets {
        bounding,
        effective: effective & permitted,
        permitted,
        inheritable,
        ambient: ambient & permitted & inheritable,
    }
}

/// Labels for execve: asked for and not possible is an error.
pub fn labels(process: &spec::Process, facts: &Facts, findings: &mut Findings) -> Vec<Op> {
    let mut ops = Vec::new();
    if !process.selinux_label.is_empty() {
        if !facts.selinux {
            findings.invalid(
                "/process/selinuxLabel",
                "selinux label is specified in config, but selinux is disabled or not supported",
            );
        }
        ops.extend(selinux_label(LabelFile::Exec, "/process/selinuxLabel", &process.selinux_label, findings));
    }
    if !process.apparmor_profile.is_empty() {
        if !facts.apparmor {
            findings.invalid(
                "/process/apparmorProfile",
                format!(
                    "apparmor profile \"{}\" is specified in config, but apparmor is disabled or not supported",
                    process.apparmor_profile
                ),
            );
        }
        let label = format!("exec {}", process.apparmor_profile);
        ops.push(Op::Label { file: "self/attr/apparmor/exec".into(), label });
    }
    ops
}

/// The write of a SELinux label, as the kernel will print it: init reads it back and compares.
pub fn selinux_label(file: LabelFile, pointer: &str, label: &str, findings: &mut Findings) -> Option<Op> {
    match label.parse::<Context>() {
        Ok(context) => Some(Op::Label { file: file.path().into(), label: context.to_string() }),
        Err(invalid) => {
            findings.invalid(pointer, format!("selinux label {label:?}: {invalid}"));
            None
        }
    }
}

/// The value of the mount option `context`, when the config has a mount label.
pub fn mount_label(label: &str, findings: &mut Findings) -> Option<String> {
    if label.is_empty() {
        return None;
    }
    match label.parse().and_then(|context| mount_option(&context, MountContext::Context)) {
        Ok((_, value)) => Some(value),
        Err(invalid) => {
            findings.invalid("/linux/mountLabel", format!("mount label {label:?}: {invalid}"));
            None
        }
    }
}

/// Where the descriptor of a notify listener goes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// AF_UNIX socket of the agent.
    pub path: String,
    /// Opaque text for the agent.
    pub metadata: String,
}

/// What a profile says, for people; the filter itself is in the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeccompSummary {
    /// What happens to a call that no rule names.
    pub default_action: String,
    /// The architectures named.
    pub architectures: Vec<String>,
    /// The flags; none is the default.
    pub flags: Option<Vec<String>>,
    /// How many system calls, by action.
    pub syscalls: BTreeMap<String, usize>,
}

impl SeccompSummary {
    /// Counts what is in `profile`.
    pub fn of(profile: &seccomp::Profile) -> SeccompSummary {
        let word = |action: seccomp::profile::Action, errno: Option<u32>| match errno {
            Some(errno) => format!("{} {errno}", action.word()),
            None => action.word().to_string(),
        };
        let mut names: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for rule in &profile.syscalls {
            let of_action = names.entry(word(rule.action, rule.errno_ret)).or_default();
            of_action.extend(rule.names.iter().map(String::as_str));
        }
        SeccompSummary {
            default_action: word(profile.default_action, profile.default_errno_ret),
            architectures: profile.architectures.iter().map(|a| a.word().to_string()).collect(),
            flags: profile.flags.as_ref().map(|flags| flags.iter().map(|f| f.word().to_string()).collect()),
            syscalls: names.into_iter().map(|(action, names)| (action, names.len())).collect(),
        }
    }
}

/// Compiles the profile; the operation that loads it, and where its listener goes.
pub fn filter(
    profile: &seccomp::Profile,
    findings: &mut Findings,
    warnings: &mut Vec<String>,
) -> Option<(Op, Option<Listener>)> {
    let pointer = "/linux/seccomp";
    let native = seccomp::Arch::X86_64;
    let filter = match seccomp::compile(profile, native) {
        Ok(filter) => filter,
        Err(error) => {
            for problem in error.problems {
                findings.invalid(pointer, format!("seccomp: {problem}"));
            }
            return None;
        }
    };
    if !filter.warnings.is_empty() {
        warnings.push(format!("seccomp: {}", filter.warnings.join("; ")));
    }
    if seccomp::denies_execve(&filter, native) {
        // Init loads the filter last; the only call that follows is the container program's own execve.
        findings.invalid(pointer, "seccomp: the profile denies execve, so no program can be run under it");
        return None;
    }
    let listener = filter
        .notify
        .then(|| Listener { path: filter.listener_path.clone(), metadata: filter.listener_metadata.clone() });
    if listener.as_ref().is_some_and(|l| l.path.is_empty()) {
        findings.invalid(pointer, "seccomp: SCMP_ACT_NOTIFY needs a listenerPath");
    }
    let words = filter.insns.iter().map(|i| {
        // struct sock_filter { u16 code; u8 jt, jf; u32 k; } in memory order.
        let (code, k) = (i.code.to_ne_bytes(), i.k.to_ne_bytes());
        u64::from_ne_bytes([code[0], code[1], i.jt, i.jf, k[0], k[1], k[2], k[3]])
    });
    let op = Op::Seccomp {
        flags: filter.flags,
        instructions: filter.insns.len(),
        listener: filter.notify,
        filter: words.collect(),
    };
    Some((op, listener))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_written_as_the_kernel_prints_it() {
        let mut findings = Findings::default();
        let op = selinux_label(LabelFile::Exec, "/p", "system_u:system_r:container_t:s0:c2,c1", &mut findings);
        let label = "system_u:system_r:container_t:s0:c1,c2".to_string();
        assert_eq!(op, Some(Op::Label { file: "self/attr/exec".into(), label }));
        assert_eq!(mount_label("", &mut findings), None);
        assert!(findings.is_empty());
    }

    #[test]
    fn a_malformed_label_is_a_finding() {
        for label in ["container_t", "u:r:t:s0 ", "u:r:t:s0\n", "u:r:t:s0:c1024", "\"u:r:t:s0\""] {
            let mut findings = Findings::default();
            assert_eq!(selinux_label(LabelFile::Exec, "/process/selinuxLabel", label, &mut findings), None);
            assert_eq!(mount_label(label, &mut findings), None);
            let text = findings.to_string();
            assert!(text.contains("(/process/selinuxLabel)") && text.contains("(/linux/mountLabel)"), "{text}");
        }
    }
}
