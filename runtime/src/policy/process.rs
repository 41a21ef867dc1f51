//! The process: `no_new_privs`, user 0, core dumps.

use super::judge::{Judge, switch_off};
use super::rule::Rule;
use crate::spec::{PosixRlimit, Process};

const CORE: &str = "RLIMIT_CORE";

pub(super) fn judge(judge: &mut Judge<'_>) {
    let Some(process) = judge.process().cloned() else { return };
    narrow(judge, &process);
    root(judge, &process, "/process/user/uid");
}

/// The rules that hold for `exec` just so.
pub(super) fn narrow(judge: &mut Judge<'_>, process: &Process) {
    // Without it a set-uid file of the image is a way to what was dropped, and a filter takes CAP_SYS_ADMIN to load.
    if !process.no_new_privileges
        && judge.narrows(Rule::NoNewPrivileges, "/process/noNewPrivileges", "false", "true")
        && let Some(process) = judge.process()
    {
        process.no_new_privileges = true;
    }
    // A core file is the memory of the process, in a place that the host's core_pattern chooses.
    let limit = process.rlimits.iter().find(|limit| limit.r#type == CORE);
    if limit.is_some_and(|limit| limit.hard == 0) {
        return;
    }
    let before = limit.map_or(String::new(), |limit| format!("{CORE} {}:{}", limit.soft, limit.hard));
    if judge.narrows(Rule::CoreDumps, "/process/rlimits", &before, &format!("{CORE} 0:0"))
        && let Some(process) = judge.process()
    {
        process.rlimits.retain(|limit| limit.r#type != CORE);
        process.rlimits.push(PosixRlimit { r#type: CORE.into(), hard: 0, soft: 0 });
    }
}

/// User 0 is the host's user 0 wherever there is no user namespace.
pub(super) fn root(judge: &mut Judge<'_>, process: &Process, pointer: &str) {
    // One that is joined may be anybody's, and a mapping may lead to the host's root as well.
    let own_users = judge.spec.linux.as_ref().is_some_and(|linux| {
        let new = linux.namespaces.iter().any(|ns| ns.r#type == "user" && ns.path.is_empty());
        new && linux.uid_mappings.iter().all(|map| map.host_id != 0)
    });
    if process.user.uid != 0 || own_users {
        return;
    }
    let allow = format!(
        "run it as another user (--user, runAsUser, USER in the image) or in a user namespace, or {}",
        switch_off(Rule::NonRoot)
    );
    judge.refuse(Rule::NonRoot, pointer, "the process is to run as user 0, which is the host's root", allow);
}
