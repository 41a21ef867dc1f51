//! Kernel parameters: those that the Pod Security Standard calls safe.

use super::judge::{Judge, switch_off};
use super::rule::Rule;
use super::standard;
use crate::plan::finding::escape;
use crate::plan::sysctl_name;

pub(super) fn judge(judge: &mut Judge<'_>) {
    let Some(linux) = &judge.spec.linux else { return };
    // A name that cannot be read is the plan's to refuse.
    let asked: Vec<(String, String)> =
        linux.sysctl.keys().filter_map(|key| Some((key.clone(), sysctl_name(key)?))).collect();
    for (key, name) in asked {
        if standard::SYSCTLS.contains(&name.as_str()) {
            continue;
        }
        let cause = format!("sysctl \"{name}\" is not on the Pod Security Standard's list of safe ones");
        let allow = format!("leave it out (--sysctl, securityContext.sysctls), or {}", switch_off(Rule::Sysctls));
        judge.refuse(Rule::Sysctls, &format!("/linux/sysctl/{}", escape(&key)), cause, allow);
    }
}
