//! Limits that a container without any would not have.

use super::judge::Judge;
use super::rule::Rule;
use crate::spec::{Pids, Resources};

/// Tasks of a container that sets no limit: threads and processes together.
pub const PIDS: i64 = 2048;

const POINTER: &str = "/linux/resources/pids/limit";

pub(super) fn judge(judge: &mut Judge<'_>) {
    let asked = judge.spec.linux.as_ref().and_then(|linux| linux.resources.as_ref());
    let given = asked.and_then(|resources| resources.pids.as_ref()).and_then(|pids| pids.limit).filter(|n| *n != -1);
    // The file of cgroup v2, verbatim, is written last.
    let verbatim = asked.and_then(|resources| resources.unified.get("pids.max"));
    let limited = match verbatim {
        Some(value) => is_number(value),
        None => given.is_some(),
    };
    if !judge.asks(Rule::PidsLimit) || limited {
        return;
    }
    if judge.facts.cgroups.controller("pids").is_none() {
        judge.lacks(Rule::PidsLimit, "the host has no pids controller, so the number of tasks is not limited");
        return;
    }
    let asks = asked_for_none(judge);
    let limit = given.unwrap_or(PIDS);
    if judge.narrows(Rule::PidsLimit, POINTER, if asks { "no limit" } else { "" }, &limit.to_string()) {
        let resources = judge.linux().resources.get_or_insert_default();
        resources.pids = Some(Pids { limit: Some(limit) });
        resources.unified.remove("pids.max");
    }
}

/// Whether it sets a limit. Each line is written by itself, and the last one counts; of no lines nothing is written.
fn is_number(value: &str) -> bool {
    value.trim().parse::<u64>().is_ok()
}

/// Whether the configuration says that there is to be no limit, and not just nothing.
fn asked_for_none(judge: &Judge<'_>) -> bool {
    let resources = judge.spec.linux.as_ref().and_then(|linux| linux.resources.as_ref());
    resources.is_some_and(|r| r.unified.contains_key("pids.max") || r.pids.as_ref().is_some_and(|p| p.limit.is_some()))
}

/// The same for `update`: no limit is no limit there, too.
pub(super) fn update(judge: &mut Judge<'_>, resources: &mut Resources) {
    let unlimited = resources.pids.as_ref().is_some_and(|pids| pids.limit == Some(-1));
    if unlimited && judge.narrows(Rule::PidsLimit, "/pids/limit", "no limit", &PIDS.to_string()) {
        resources.pids = Some(Pids { limit: Some(PIDS) });
    }
    let verbatim = resources.unified.get("pids.max").filter(|value| !is_number(value)).cloned();
    if let Some(value) = verbatim
        && judge.narrows(Rule::PidsLimit, "/unified/pids.max", &value, &PIDS.to_string())
    {
        resources.unified.insert("pids.max".into(), PIDS.to_string());
    }
}
