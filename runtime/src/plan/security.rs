//! Capabilities, labels, and what landlock(7) adds to them.

use super::Facts;
use super::finding::Findings;
use super::process::SYS_ADMIN;
use crate::program::{Op, SCOPE_ABSTRACT_UNIX_SOCKET};
use crate::spec;
use casemate_selinux::{Context, LabelFile, MountContext, mount_option};
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

/// LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET came with this ABI, in Linux 6.12.
pub const SCOPES_SINCE_ABI: u32 = 6;

/// The restriction to abstract sockets of the container's own. `program` is all that init does before it.
pub fn abstract_socket_scope(facts: &Facts, program: &[Op], findings: &mut Findings) -> Op {
    if facts.landlock_abi < SCOPES_SINCE_ABI {
        let abi = facts.landlock_abi;
        let what = format!(
            "the scope of abstract sockets takes version {SCOPES_SINCE_ABI} of landlock (Linux 6.12), this kernel has {abi}"
        );
        findings.unsupported("", what);
    }
    let may = |op: &Op| match op {
        Op::NoNewPrivileges => true,
        Op::Capabilities { effective, .. } => effective & SYS_ADMIN != 0,
        _ => false,
    };
    if !program.iter().any(may) {
        let what = "the scope of abstract sockets (landlock) takes noNewPrivileges, or CAP_SYS_ADMIN as effective";
        findings.invalid("/process/noNewPrivileges", what);
    }
    Op::Landlock { scoped: SCOPE_ABSTRACT_UNIX_SOCKET }
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
