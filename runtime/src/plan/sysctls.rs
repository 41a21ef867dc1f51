//! Kernel parameters: only those of a namespace that is the container's own.

use super::finding::{Findings, escape};
use super::namespace::{NamespaceKind, Namespaces};
use crate::program::Op;
use std::collections::{BTreeMap, BTreeSet};

const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// The operations, or findings for every parameter that would be the host's.
pub fn build(asked: &BTreeMap<String, String>, namespaces: &Namespaces, findings: &mut Findings) -> Vec<Op> {
    let mut seen = BTreeSet::new();
    let mut ops = Vec::new();
    for (key, value) in asked {
        let pointer = format!("/linux/sysctl/{}", escape(key));
        let Some(name) = normalise(key) else {
            findings.invalid(&pointer, format!("sysctl \"{key}\" is not a valid name"));
            continue;
        };
        if value.contains('\n') {
            findings.invalid(&pointer, format!("sysctl \"{key}\" has a value with a line break"));
            continue;
        }
        if let Some(reason) = refuse(&name, namespaces) {
            findings.invalid(&pointer, format!("sysctl \"{name}\" {reason}"));
            continue;
        }
        if !seen.insert(name.clone()) {
            findings.invalid(&pointer, format!("sysctl \"{name}\" is set twice"));
            continue;
        }
        ops.push(Op::Sysctl { name, value: value.clone() });
    }
    ops
}

/// The name with dots between its parts, as sysctl(8) writes it: in a name whose first separator is a slash, slashes are
/// the separators, and what is a dot then is part of a name (an interface's, `eth0.100`). The dotted form writes that
/// one as a slash.
pub fn normalise(key: &str) -> Option<String> {
    let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@');
    if !key.chars().all(ok) {
        return None;
    }
    let slashes = key.find('/').is_some_and(|s| key.find('.').is_none_or(|d| s < d));
    let name = if slashes { swap(key) } else { key.to_string() };
    // A part that is nothing but dots, written as slashes here, would lead out of the directory.
    let leads_elsewhere = |part: &str| part.chars().all(|c| c == '/');
    if name.split('.').any(leads_elsewhere) { None } else { Some(name) }
}

/// Dots for slashes and slashes for dots.
fn swap(name: &str) -> String {
    let other = |c| match c {
        '.' => '/',
        '/' => '.',
        c => c,
    };
    name.chars().map(other).collect()
}

/// The kind of namespace that a parameter belongs to; none: it is the whole kernel's.
pub fn namespace(name: &str) -> Option<NamespaceKind> {
    if IPC.contains(&name) || name.starts_with("fs.mqueue.") {
        Some(NamespaceKind::Ipc)
    } else if name.starts_with("net.") {
        Some(NamespaceKind::Network)
    } else if name == "kernel.domainname" {
        Some(NamespaceKind::Uts)
    } else {
        None
    }
}

fn refuse(name: &str, namespaces: &Namespaces) -> Option<String> {
    match namespace(name) {
        Some(kind) if namespaces.is_private(kind) => None,
        Some(kind) => Some(format!(
            "is not in a separate kernel namespace (the container shares the host's {} namespace)",
            kind.spec_name()
        )),
        None if name == "kernel.hostname" => Some("is set by the field hostname".into()),
        None => Some("is not in a separate kernel namespace".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build_one(name: &str, new: Vec<NamespaceKind>) -> (Vec<Op>, String) {
        let mut findings = Findings::default();
        let namespaces = Namespaces { new, joined: vec![] };
        let asked = BTreeMap::from([(name.to_string(), "1".to_string())]);
        (build(&asked, &namespaces, &mut findings), findings.to_string())
    }

    #[test]
    fn a_parameter_of_the_host_is_refused_and_one_of_the_container_is_set() {
        assert!(build_one("kernel.panic", vec![]).1.contains("is not in a separate kernel namespace"));
        assert!(build_one("net.ipv4.ip_forward", vec![]).1.contains("is not in a separate kernel namespace"));
        assert_eq!(build_one("net.ipv4.ip_forward", vec![NamespaceKind::Network]).0.len(), 1);
        assert_eq!(build_one("net/ipv4/ip_forward", vec![NamespaceKind::Network]).0.len(), 1);
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            "",
            ".",
            "/",
            "net/../kernel/panic",
            "net.ipv4.//.//.kernel.core_pattern",
            "net./.x",
            "net/./x",
            "net..x",
            "net/ipv4//x",
            "/net",
            "net.",
            "net.ipv4.+kernel",
            "net.ipv4 .x",
            "net.\u{e9}",
        ] {
            assert!(build_one(name, vec![NamespaceKind::Network]).1.contains("not a valid name"), "{name}");
        }
    }

    #[test]
    fn an_interface_with_a_dot_in_its_name_can_be_named_in_both_forms() {
        for name in ["net/ipv4/conf/eth0.100/rp_filter", "net.ipv4.conf.eth0/100.rp_filter"] {
            let (ops, findings) = build_one(name, vec![NamespaceKind::Network]);
            let wanted = Op::Sysctl { name: "net.ipv4.conf.eth0/100.rp_filter".into(), value: "1".into() };
            assert_eq!(ops, [wanted], "{findings}");
        }
    }

    #[test]
    fn one_parameter_by_two_names_is_refused() {
        let asked = ["net.ipv4.ip_forward", "net/ipv4/ip_forward"].map(|k| (k.to_string(), "1".to_string()));
        let mut findings = Findings::default();
        build(&asked.into(), &Namespaces { new: vec![NamespaceKind::Network], joined: vec![] }, &mut findings);
        assert!(
            findings.to_string().contains("\"net.ipv4.ip_forward\" is set twice (/linux/sysctl/net~1ipv4~1ip_forward)")
        );
    }

    #[test]
    fn each_parameter_needs_its_own_namespace() {
        use NamespaceKind::{Ipc, Network, Uts};
        for (name, kind) in [
            ("kernel.msgmax", Ipc),
            ("kernel.sem", Ipc),
            ("kernel.shm_rmid_forced", Ipc),
            ("fs.mqueue.msg_max", Ipc),
            ("net.core.somaxconn", Network),
            ("kernel.domainname", Uts),
        ] {
            assert_eq!(build_one(name, vec![kind]).1, "", "{name}");
            let others = [Ipc, Network, Uts].into_iter().filter(|k| *k != kind).collect();
            assert!(build_one(name, others).1.contains("is not in a separate kernel namespace"), "{name}");
        }
        for name in ["kernel.panic", "kernel.core_pattern", "vm.swappiness", "fs.file-max", "user.max_user_namespaces"]
        {
            let all = vec![Ipc, Network, Uts];
            assert!(
                build_one(name, all).1.contains(&format!("sysctl \"{name}\" is not in a separate kernel namespace"))
            );
        }
        assert!(build_one("kernel.hostname", vec![Uts]).1.contains("set by the field hostname"));
    }

    #[test]
    fn a_value_with_a_line_break_is_refused() {
        let mut findings = Findings::default();
        let asked = BTreeMap::from([("net.a".to_string(), "1\n2".to_string())]);
        build(&asked, &Namespaces { new: vec![NamespaceKind::Network], joined: vec![] }, &mut findings);
        assert!(findings.to_string().contains("line break"));
    }
}
