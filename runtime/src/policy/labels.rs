//! SELinux types and AppArmor profiles.

use super::judge::{Judge, switch_off};
use super::rule::Rule;
use super::standard;
use crate::spec::Process;
use casemate_selinux::Context;
use std::collections::BTreeMap;

/// How engines of Kubernetes name the sandbox of a container.
const SANDBOX: [&str; 2] = ["io.kubernetes.cri.sandbox-id", "io.kubernetes.cri-o.SandboxID"];
/// Ordered pairs of different categories.
const PAIRS: u64 = 1024 * 1023;

pub(super) fn judge(judge: &mut Judge<'_>) {
    let Some(process) = judge.process().cloned() else { return };
    if judge.is_privileged {
        return;
    }
    labels(judge, &process);
    if judge.facts.selinux && process.selinux_label.is_empty() {
        fill_in(judge);
    }
}

/// The domain of containers, and categories that no other container has.
fn fill_in(judge: &mut Judge<'_>) {
    let Some(categories) = judge.enforcement.categories.clone() else { return };
    let label = format!("system_u:system_r:container_t:s0:{categories}");
    if !judge.narrows(Rule::SelinuxLabel, "/process/selinuxLabel", "", &label) {
        return;
    }
    if let Some(process) = judge.process() {
        process.selinux_label = label;
    }
    let linux = judge.linux();
    if linux.mount_label.is_empty() {
        linux.mount_label = format!("system_u:object_r:container_file_t:s0:{categories}");
    }
}

/// The id of a container's sandbox; its own without one.
pub fn sandbox<'a>(id: &'a str, annotations: &'a BTreeMap<String, String>) -> &'a str {
    SANDBOX.iter().find_map(|key| annotations.get(*key)).map_or(id, String::as_str)
}

/// Two categories for a container: always the same ones for one key, unless another container has them. Containers of
/// one sandbox share memory and sockets, so they have its key.
pub fn categories(id: &str, annotations: &BTreeMap<String, String>, taken: &[String]) -> String {
    let key = sandbox(id, annotations);
    // FNV-1a: the same on every run, and spread well enough; that nobody else has the pair is what `taken` is for.
    let hash = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let pair = |n: u64| {
        // All pairs of two different ones of 1024, counted through.
        let (low, step) = (n % 1024, 1 + n / 1024 % 1023);
        let high = (low + step) % 1024;
        format!("c{},c{}", low.min(high), low.max(high))
    };
    (0..PAIRS)
        .map(|n| pair(hash.wrapping_add(n) % PAIRS))
        .find(|pair| !taken.contains(pair))
        .unwrap_or_else(|| pair(hash))
}

/// The rules that hold for `exec` just so.
pub(super) fn labels(judge: &mut Judge<'_>, process: &Process) {
    // A label that cannot be read is the plan's to refuse.
    if let Ok(context) = process.selinux_label.parse::<Context>()
        && !standard::SELINUX_TYPES.contains(&context.r#type())
    {
        let cause = format!("the SELinux type {} is none of {}", context.r#type(), standard::SELINUX_TYPES.join(", "));
        let allow =
            format!("leave the label to the engine (no --security-opt label), or {}", switch_off(Rule::SelinuxType));
        judge.refuse(Rule::SelinuxType, "/process/selinuxLabel", cause, allow);
    }
    // The standard forbids another user or role; these are the ones that engines write.
    if let Ok(context) = process.selinux_label.parse::<Context>()
        && (context.user(), context.role()) != ("system_u", "system_r")
    {
        let cause =
            format!("the SELinux user and role {}:{} are not system_u:system_r", context.user(), context.role());
        let allow =
            format!("leave the label to the engine (no --security-opt label), or {}", switch_off(Rule::SelinuxType));
        judge.refuse(Rule::SelinuxType, "/process/selinuxLabel", cause, allow);
    }
    // The kernel takes white space away, and a namespace before the name: `:root://unconfined`.
    let name = process.apparmor_profile.rsplit([':', '/']).next().map(str::trim);
    if name == Some("unconfined") {
        let cause = "the process is to be unconfined by AppArmor";
        let allow = format!(
            "leave the profile to the engine (no --security-opt apparmor=unconfined), or {}",
            switch_off(Rule::ApparmorProfile)
        );
        judge.refuse(Rule::ApparmorProfile, "/process/apparmorProfile", cause, allow);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_two_and_nobody_elses() {
        let none = BTreeMap::new();
        let mut taken = Vec::new();
        for n in 0..2000 {
            let pair = categories(&format!("c{n}"), &none, &taken);
            let (low, high) = pair.split_once(',').unwrap();
            let number = |text: &str| text.strip_prefix('c').unwrap().parse::<u32>().unwrap();
            assert!(number(low) < number(high) && number(high) < 1024, "{pair}");
            assert!(!taken.contains(&pair));
            taken.push(pair);
        }
    }

    #[test]
    fn containers_of_a_sandbox_share_theirs() {
        let sandbox = BTreeMap::from([("io.kubernetes.cri.sandbox-id".to_string(), "s1".to_string())]);
        assert_eq!(categories("a", &sandbox, &[]), categories("b", &sandbox, &[]));
        assert_ne!(categories("a", &BTreeMap::new(), &[]), categories("b", &BTreeMap::new(), &[]));
    }
}
