//! Kernel parameters: only those of a namespace that is the container's own.

use super::finding::Findings;
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
        let pointer = format!("/linux/sysctl/{}", key.replace('~', "~0").replace('/', "~1"));
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

/// Dots between the parts, as sysctl(8); slashes are taken too. A name of both kinds cannot be told apart from an
/// interface's name with a dot in it, so the first separator decides.
fn normalise(key: &str) -> Option<String> {
    let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '@');
    if key.is_empty() || !key.chars().all(ok) {
        return None;
    }
    let slashes = key.find('/').is_some_and(|s| key.find('.').is_none_or(|d| s < d));
    let parts: Vec<&str> = if slashes { key.split('/').collect() } else { key.split('.').collect() };
    if parts.iter().any(|p| p.is_empty() || *p == "..")
        || (!slashes && key.contains('/'))
        || (slashes && key.contains('.'))
    {
        return None;
    }
    Some(parts.join("."))
}

fn refuse(name: &str, namespaces: &Namespaces) -> Option<String> {
    let need = |kind: NamespaceKind, private: bool| {
        (!private).then(|| {
            format!(
                "is not in a separate kernel namespace (the container shares the host's {} namespace)",
                kind.spec_name()
            )
        })
    };
    if IPC.contains(&name) || name.starts_with("fs.mqueue.") {
        return need(NamespaceKind::Ipc, namespaces.is_private(NamespaceKind::Ipc));
    }
    if name.starts_with("net.") {
        return need(NamespaceKind::Network, namespaces.is_private(NamespaceKind::Network));
    }
    match name {
        "kernel.domainname" => need(NamespaceKind::Uts, namespaces.is_private(NamespaceKind::Uts)),
        "kernel.hostname" => Some("is set by the field hostname".into()),
        _ => Some("is not in a separate kernel namespace".into()),
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
        for name in ["net.ipv4/../../kernel/core_pattern", "net/../kernel.panic", "net..x", "/net", "net.ipv4.+kernel"]
        {
            assert!(build_one(name, vec![NamespaceKind::Network]).1.contains("not a valid name"), "{name}");
        }
    }
}
