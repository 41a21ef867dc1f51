//! Kernel parameters: those that the Pod Security Standard calls safe.

use super::judge::{Judge, switch_off};
use super::rule::Rule;
use crate::plan::finding::escape;
use crate::plan::sysctl_name;

/// Pod Security Standards, "Sysctls".
const SAFE: [&str; 10] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
];

pub(super) fn judge(judge: &mut Judge<'_>) {
    let Some(linux) = &judge.spec.linux else { return };
    // A name that cannot be read is the plan's to refuse.
    let asked: Vec<(String, String)> =
        linux.sysctl.keys().filter_map(|key| Some((key.clone(), sysctl_name(key)?))).collect();
    for (key, name) in asked {
        if SAFE.contains(&name.as_str()) {
            continue;
        }
        let cause = format!("sysctl \"{name}\" is not on the Pod Security Standard's list of safe ones");
        let allow = format!("leave it out (--sysctl, securityContext.sysctls), or {}", switch_off(Rule::Sysctls));
        judge.refuse(Rule::Sysctls, &format!("/linux/sysctl/{}", escape(&key)), cause, allow);
    }
}
