//! Namespaces that a container shares with the host.

use super::judge::{Judge, switch_off};
use super::rule::Rule;
use crate::plan::JoinedNamespace;
use crate::plan::namespace::NamespaceKind;

/// The kinds that a rule is about.
const KINDS: [(NamespaceKind, Rule); 4] = [
    (NamespaceKind::Pid, Rule::HostPid),
    (NamespaceKind::Ipc, Rule::HostIpc),
    (NamespaceKind::Network, Rule::HostNetwork),
    (NamespaceKind::Uts, Rule::HostUts),
];

/// The kinds that are not listed are the host's.
pub(super) fn judge(judge: &mut Judge<'_>) {
    let listed: Vec<String> = match &judge.spec.linux {
        Some(linux) => linux.namespaces.iter().map(|namespace| namespace.r#type.clone()).collect(),
        None => Vec::new(),
    };
    for (kind, rule) in KINDS {
        if !listed.iter().any(|name| name == kind.spec_name()) {
            refuse(judge, kind, rule, "/linux/namespaces", "");
        }
    }
}

/// A path can lead to the host's namespace as well.
pub(super) fn joined(judge: &mut Judge<'_>, joined: &[JoinedNamespace]) {
    for namespace in joined.iter().filter(|namespace| namespace.is_own) {
        let Some((kind, rule)) = KINDS.into_iter().find(|(kind, _)| *kind == namespace.kind) else { continue };
        let at = judge.spec.linux.as_ref().and_then(|linux| {
            linux.namespaces.iter().position(|ns| ns.r#type == kind.spec_name() && ns.path == namespace.path)
        });
        let pointer = at.map_or("/linux/namespaces".to_string(), |at| format!("/linux/namespaces/{at}/path"));
        refuse(judge, kind, rule, &pointer, &format!(": \"{}\" is the caller's own", namespace.path));
    }
}

fn refuse(judge: &mut Judge<'_>, kind: NamespaceKind, rule: Rule, pointer: &str, more: &str) {
    let name = kind.spec_name();
    let cause = format!("the container would share the host's {name} namespace{more}");
    let allow = format!(
        "give it its own {name} namespace (no --{}, no {}: true), or {}",
        flag(kind),
        pod(kind),
        switch_off(rule)
    );
    judge.refuse(rule, pointer, cause, allow);
}

fn flag(kind: NamespaceKind) -> &'static str {
    match kind {
        NamespaceKind::Pid => "pid host",
        NamespaceKind::Ipc => "ipc host",
        NamespaceKind::Network => "network host",
        _ => "uts host",
    }
}

fn pod(kind: NamespaceKind) -> &'static str {
    match kind {
        NamespaceKind::Pid => "hostPID",
        NamespaceKind::Ipc => "hostIPC",
        _ => "hostNetwork",
    }
}
