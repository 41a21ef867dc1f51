//! Capabilities: what the Pod Security Standard lists, and less at `restricted`.

use super::judge::{Judge, switch_off};
use super::{devices, rule::Rule, standard};
use crate::plan::security::capability_bit;
use crate::spec::Capabilities;

const POINTER: &str = "/process/capabilities";
const NET_RAW: &str = "CAP_NET_RAW";
const BIND_SERVICE: &str = "CAP_NET_BIND_SERVICE";
/// With these and all devices a container is the host.
const PRIVILEGED: [&str; 4] = ["CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_PTRACE"];

/// Everything at once, as `--privileged` of the engines.
pub(super) fn privileged(judge: &mut Judge<'_>) {
    let rule = Rule::Privileged;
    let held = judge.process().map_or(0, |process| granted(process.capabilities.as_ref()));
    let all = PRIVILEGED.iter().all(|name| capability_bit(name).is_some_and(|bit| held & bit != 0));
    if !judge.asks(rule) || !all || !devices::allows_everything(judge) {
        return;
    }
    judge.is_privileged = judge.enforcement.mode(rule) == super::Mode::Enforce;
    let allow = "run it with casemate-privileged (or --level privileged), or under an exemption with \
                 `level = \"privileged\"` in /etc/casemate/policy.toml";
    judge.refuse(rule, POINTER, "a privileged container: all capabilities and all devices", allow);
}

pub(super) fn judge(judge: &mut Judge<'_>) {
    // No capabilities at all without the field.
    let Some(asked) = judge.process().and_then(|process| process.capabilities.clone()) else { return };
    if !judge.is_privileged {
        beyond_the_standard(judge, &asked);
    }
    if has(&asked, NET_RAW) && judge.narrows(Rule::NetRaw, POINTER, NET_RAW, "") {
        keep(judge, |name| !name.eq_ignore_ascii_case(NET_RAW));
    }
    ambient(judge, &asked);
    let asked = judge.process().and_then(|process| process.capabilities.clone()).unwrap_or_default();
    let dropped = names(&asked, |name| !name.eq_ignore_ascii_case(BIND_SERVICE));
    if !dropped.is_empty() && judge.narrows(Rule::DropCapabilities, POINTER, &dropped.join(" "), "") {
        keep(judge, |name| name.eq_ignore_ascii_case(BIND_SERVICE));
    }
}

fn beyond_the_standard(judge: &mut Judge<'_>, asked: &Capabilities) {
    let listed =
        |name: &str| standard::CAPABILITIES.iter().chain([&NET_RAW]).any(|known| known.eq_ignore_ascii_case(name));
    // What Linux does not know, no process gets; the plan warns of it.
    let beyond = names(asked, |name| !listed(name) && capability_bit(name).is_some());
    if beyond.is_empty() {
        return;
    }
    let cause = match beyond.as_slice() {
        [one] => format!("{one} is not among the capabilities of the Pod Security Standard \"baseline\""),
        all => format!("{} are not among the capabilities of the Pod Security Standard \"baseline\"", all.join(" ")),
    };
    let allow =
        format!("drop them (--cap-add, securityContext.capabilities.add), or {}", switch_off(Rule::Capabilities));
    judge.refuse(Rule::Capabilities, POINTER, cause, allow);
}

/// What survives an execve of any program (CVE-2022-29162) or is given to programs without file capabilities.
fn ambient(judge: &mut Judge<'_>, asked: &Capabilities) {
    for (field, set) in [("inheritable", &asked.inheritable), ("ambient", &asked.ambient)] {
        let pointer = format!("{POINTER}/{field}");
        if set.is_empty() || !judge.narrows(Rule::AmbientCapabilities, &pointer, &set.join(" "), "") {
            continue;
        }
        if let Some(sets) = judge.process().and_then(|process| process.capabilities.as_mut()) {
            if field == "ambient" { sets.ambient.clear() } else { sets.inheritable.clear() }
        }
    }
}

/// Leaves in all sets only what `wanted` says.
fn keep(judge: &mut Judge<'_>, wanted: impl Fn(&str) -> bool) {
    let Some(sets) = judge.process().and_then(|process| process.capabilities.as_mut()) else { return };
    for set in all_sets(sets) {
        set.retain(|name| wanted(name));
    }
}

/// The names in any of the sets for which `wanted` holds, each once, in the form `CAP_CHOWN`.
pub(super) fn names(sets: &Capabilities, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let all = [&sets.bounding, &sets.effective, &sets.permitted, &sets.inheritable, &sets.ambient];
    let mut found: Vec<String> =
        all.into_iter().flatten().filter(|name| wanted(name)).map(|name| name.to_ascii_uppercase()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The five sets, to be changed.
pub(super) fn all_sets(sets: &mut Capabilities) -> [&mut Vec<String>; 5] {
    [&mut sets.bounding, &mut sets.effective, &mut sets.permitted, &mut sets.inheritable, &mut sets.ambient]
}

fn has(sets: &Capabilities, name: &str) -> bool {
    !names(sets, |known| known.eq_ignore_ascii_case(name)).is_empty()
}

/// Everything in the bounding and the permitted set, as bits.
fn granted(sets: Option<&Capabilities>) -> u64 {
    let Some(sets) = sets else { return 0 };
    sets.bounding.iter().chain(&sets.permitted).filter_map(|name| capability_bit(name)).fold(0, |all, bit| all | bit)
}
