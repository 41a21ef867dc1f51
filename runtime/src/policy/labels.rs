//! SELinux types and AppArmor profiles.

use super::judge::{Judge, switch_off};
use super::rule::Rule;
use crate::spec::Process;
use casemate_selinux::Context;

/// Pod Security Standards, "SELinux".
const TYPES: [&str; 4] = ["container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

pub(super) fn judge(judge: &mut Judge<'_>) {
    let Some(process) = judge.process().cloned() else { return };
    if judge.is_privileged {
        return;
    }
    labels(judge, &process);
}

/// The rules that hold for `exec` just so.
pub(super) fn labels(judge: &mut Judge<'_>, process: &Process) {
    // A label that cannot be read is the plan's to refuse.
    if let Ok(context) = process.selinux_label.parse::<Context>()
        && !TYPES.contains(&context.r#type())
    {
        let cause = format!("the SELinux type {} is none of {}", context.r#type(), TYPES.join(", "));
        let allow =
            format!("leave the label to the engine (no --security-opt label), or {}", switch_off(Rule::SelinuxType));
        judge.refuse(Rule::SelinuxType, "/process/selinuxLabel", cause, allow);
    }
    if process.apparmor_profile == "unconfined" {
        let cause = "the process is to be unconfined by AppArmor";
        let allow = format!(
            "leave the profile to the engine (no --security-opt apparmor=unconfined), or {}",
            switch_off(Rule::ApparmorProfile)
        );
        judge.refuse(Rule::ApparmorProfile, "/process/apparmorProfile", cause, allow);
    }
}
