//! `features`: what this runtime has, as runtime-spec 1.3 says (features.md). Engines decide by it what to ask for.
//!
//! Only what is implemented is listed. It is about the runtime, with one exception: the seccomp flags of the kernel.

use crate::error::{Call, Result};
use crate::plan::mount_options;
use crate::plan::namespace::NamespaceKind;
use crate::{host, spec, version};
use seccomp_profiles::Arch;
use seccomp_profiles::profile::{Action, Architecture, Flag, Operator};
use serde_json::{Value, json};
use std::io::Write;

/// Hooks in the order in which they run.
const HOOKS: [&str; 6] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Namespaces that a container can have.
const NAMESPACES: [NamespaceKind; 6] = [
    NamespaceKind::Cgroup,
    NamespaceKind::Ipc,
    NamespaceKind::Mount,
    NamespaceKind::Network,
    NamespaceKind::Pid,
    NamespaceKind::Uts,
];

/// Prints the object. Nothing else goes anywhere: an engine reads stdout and stderr as one.
///
/// # Errors
/// The output cannot be written.
pub fn run(out: &mut impl Write) -> Result<()> {
    writeln!(out, "{:#}", document(&host::seccomp_flags())).call("write", "stdout")
}

/// The whole object; `flags` are the seccomp flags of the kernel.
fn document(flags: &[Flag]) -> Value {
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": spec::VERSION,
        "hooks": HOOKS,
        "mountOptions": mount_options::names().collect::<Vec<_>>(),
        "linux": {
            "namespaces": NAMESPACES.map(NamespaceKind::spec_name),
            "capabilities": host::capability_names(u64::MAX),
            "cgroup": { "v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": false },
            "seccomp": seccomp(flags),
            "apparmor": { "enabled": true },
            "selinux": { "enabled": true },
            "intelRdt": { "enabled": false },
            "memoryPolicy": { "modes": [], "flags": [] },
            "mountExtensions": { "idmap": { "enabled": false } },
            "netDevices": { "enabled": false },
        },
        "annotations": { "org.casemate.version": version::VERSION, "org.casemate.commit": version::COMMIT },
        "potentiallyUnsafeConfigAnnotations": [],
    })
}

fn seccomp(flags: &[Flag]) -> Value {
    let archs = Architecture::ALL.iter().filter(|arch| arch.arch(Arch::NATIVE).is_some());
    json!({
        "enabled": true,
        "actions": Action::ALL.iter().map(|action| action.word()).collect::<Vec<_>>(),
        "operators": Operator::ALL.iter().map(|operator| operator.word()).collect::<Vec<_>>(),
        "archs": archs.map(|arch| arch.word()).collect::<Vec<_>>(),
        "knownFlags": Flag::ALL.iter().map(|flag| flag.word()).collect::<Vec<_>>(),
        "supportedFlags": flags.iter().map(|flag| flag.word()).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(value: &Value) -> Vec<&str> {
        value.as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect()
    }

    #[test]
    fn output_is_one_json_object_with_what_engines_ask_for() {
        let mut out = Vec::new();
        run(&mut out).unwrap();
        let value: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&value["ociVersionMin"], &value["ociVersionMax"]), (&json!("1.0.0"), &json!("1.3.0")));
        let options = strings(&value["mountOptions"]);
        assert!(options.contains(&"rro") && options.contains(&"nosymfollow") && options.contains(&"lazytime"));
        assert!(!options.contains(&"idmap") && !options.contains(&"ridmap"));
        assert_eq!(strings(&value["hooks"]).len(), 6);
        assert_eq!(value["linux"]["mountExtensions"]["idmap"]["enabled"], json!(false));
    }

    #[test]
    fn only_namespaces_that_are_implemented_are_listed() {
        let value = document(&[]);
        assert_eq!(strings(&value["linux"]["namespaces"]), ["cgroup", "ipc", "mount", "network", "pid", "uts"]);
    }

    #[test]
    fn capabilities_are_those_of_the_kernels_header_in_its_order() {
        let value = document(&[]);
        let names = strings(&value["linux"]["capabilities"]);
        assert_eq!((names.len(), names[0], names[40]), (41, "CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"));
    }

    #[test]
    fn supported_flags_are_among_the_known_ones() {
        let value = document(&host::seccomp_flags());
        let seccomp = &value["linux"]["seccomp"];
        let known = strings(&seccomp["knownFlags"]);
        assert!(strings(&seccomp["supportedFlags"]).iter().all(|flag| known.contains(flag)));
        assert!(strings(&seccomp["archs"]).contains(&"SCMP_ARCH_X86_64"));
        assert!(!strings(&seccomp["archs"]).contains(&"SCMP_ARCH_MIPS"));
    }
}
