use super::super::tests::{kernel, mount, plan};
use super::*;
use crate::plan::security::CapabilitySets;

fn compared(kernel: &Kernel) -> Differences {
    compare(&plan(), kernel, Status::Running)
}

fn mismatch(kernel: &Kernel) -> String {
    let found = compared(kernel);
    assert_eq!((found.mismatches.len(), found.notes.len()), (1, 0), "{found:?}");
    found.mismatches[0].clone()
}

#[test]
fn a_container_as_planned_has_no_differences() {
    assert_eq!(compared(&kernel()), Differences::default());
}

#[test]
fn each_protection_that_is_gone_is_a_mismatch() {
    assert!(mismatch(&Kernel { no_new_privileges: false, ..kernel() }).contains("no_new_privs"));
    assert!(mismatch(&Kernel { uids: vec![0; 4], ..kernel() }).contains("user 0"));
    let mut other = kernel();
    other.seccomp.programs = vec![vec![7, 6]];
    assert!(compared(&other).mismatches[0].contains("none of the 1 seccomp filters"));
    other.seccomp.mode = 0;
    assert!(mismatch(&other).contains("there is none"));
    let mut other = kernel();
    other.namespaces[3].host = true;
    assert!(mismatch(&other).contains("the network namespace is the host's"));
    assert!(mismatch(&Kernel { mounts: vec![mount("/", "/", "0:50", false)], ..kernel() }).contains("root filesystem"));
    let cover = |path: &str, cover| Kernel { paths: vec![(path.to_owned(), cover)], ..kernel() };
    assert!(mismatch(&cover("/proc/kcore", Cover::ReadOnly)).contains("/proc/kcore is planned masked"));
    assert!(mismatch(&cover("/proc/sys", Cover::Writable)).contains("/proc/sys is planned read-only"));
    let mut other = kernel();
    other.devices.access = DeviceAccess::Everything;
    assert!(mismatch(&other).contains("all devices"));
    assert!(mismatch(&Kernel { left_cgroups: vec!["/c".into()], ..kernel() }).contains("not in the cgroup /c"));
    let mut other = kernel();
    other.limits.pids = None;
    assert!(mismatch(&other).contains("a pids limit of 50 is planned"));
}

#[test]
fn more_capabilities_than_planned_are_a_mismatch_and_fewer_are_not() {
    let more = CapabilitySets { bounding: SYS_ADMIN, ..CapabilitySets::default() };
    assert!(mismatch(&Kernel { capabilities: more, ..kernel() }).contains("bounding set has CAP_SYS_ADMIN"));
    let planned =
        Planned { capabilities: CapabilitySets { bounding: SYS_ADMIN, effective: 1, permitted: 1, ..more }, ..plan() };
    assert_eq!(compare(&planned, &kernel(), Status::Running), Differences::default());
}

#[test]
fn what_execve_gives_to_root_is_no_mismatch() {
    let bounding = CapabilitySets { bounding: 0b11, ..CapabilitySets::default() };
    let planned = Planned { uid: 0, capabilities: bounding, ..plan() };
    let all = CapabilitySets { bounding: 0b11, permitted: 0b11, effective: 0b11, ..CapabilitySets::default() };
    let root = Kernel { uids: vec![0; 4], capabilities: all, ..kernel() };
    let found = compare(&planned, &root, Status::Running);
    assert_eq!((found.mismatches.len(), found.notes.len()), (0, 2), "{found:?}");
    // The same for another user under no_new_privs could only come from a hole.
    let planned = Planned { uid: 1000, ..planned };
    let found = compare(&planned, &Kernel { uids: vec![1000; 4], ..root }, Status::Running);
    assert_eq!(found.mismatches.len(), 2, "{found:?}");
}

#[test]
fn an_init_that_waits_may_keep_what_loads_the_filter_and_has_no_filter() {
    let mut waiting = kernel();
    waiting.capabilities.permitted = SYS_ADMIN;
    waiting.capabilities.effective = SYS_ADMIN;
    waiting.seccomp = super::super::kernel::Seccomp { pending: true, ..Default::default() };
    assert_eq!(compare(&plan(), &waiting, Status::Created), Differences::default());
    assert!(!compare(&plan(), &waiting, Status::Running).mismatches.is_empty());
}

#[test]
fn what_the_program_or_update_may_have_done_is_a_note() {
    let mut other = kernel();
    other.seccomp.programs.push(vec![1]);
    other.limits.memory = Some(2 << 20);
    other.namespaces[7].host = false;
    let found = compared(&other);
    assert_eq!((found.mismatches.len(), found.notes.len()), (0, 3), "{found:?}");
    let root = Planned { uid: 0, ..plan() };
    let found = compare(&root, &kernel(), Status::Running);
    assert_eq!((found.mismatches.len(), found.notes.len()), (0, 1), "{found:?}");
}
