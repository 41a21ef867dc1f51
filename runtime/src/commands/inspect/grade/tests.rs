use super::super::tests::{kernel, mount, plan};
use super::*;
use crate::cgroup::Layout;
use crate::plan::security::CapabilitySets;

fn facts(apparmor: bool, selinux: bool) -> Facts {
    let cgroups = Layout { hierarchies: Vec::new() };
    let (bounding, permitted) = (u64::MAX, u64::MAX);
    Facts {
        bounding,
        permitted,
        last_capability: 40,
        umask: 0o22,
        selinux,
        apparmor,
        landlock_abi: 0,
        thermal_cpus: 0,
        cgroups,
    }
}

fn ask(kernel: &Kernel, check: Check) -> Outcome {
    ask_on(&facts(false, false), kernel, check)
}

fn ask_on(facts: &Facts, kernel: &Kernel, check: Check) -> Outcome {
    // The root of the host: everything of it is on one filesystem.
    let host = Mounts(vec![mount("/", "/", "8:1", false)]);
    Seen { kernel, planned: Some(&plan()), facts, host: &host }.ask(check)
}

#[test]
fn the_tightest_container_passes_every_standard() {
    let (kernel, facts, host) = (kernel(), facts(false, false), Mounts(Vec::new()));
    let plan = plan();
    let grades = all(&Seen { kernel: &kernel, planned: Some(&plan), facts: &facts, host: &host });
    for grade in &grades {
        assert_eq!(grade.line(), "pass", "{}", grade.standard);
    }
    assert_eq!(grades.iter().map(|grade| grade.controls.len()).collect::<Vec<_>>(), [11, 14, 20, 15]);
}

#[test]
fn a_grade_names_what_fails() {
    let mut loose = kernel();
    loose.uids = vec![0; 4];
    loose.seccomp.pending = true;
    let (facts, host) = (facts(false, false), Mounts(Vec::new()));
    let grades = all(&Seen { kernel: &loose, planned: Some(&plan()), facts: &facts, host: &host });
    let lines: Vec<String> = grades.iter().map(Grade::line).collect();
    assert_eq!(lines[0], "pass, 1 unknown");
    assert_eq!(lines[1], "1 of 14 fail, 1 unknown: runAsNonRoot");
}

#[test]
fn capabilities_are_held_against_the_standards_lists() {
    let with = |bounding| Kernel { capabilities: CapabilitySets { bounding, ..Default::default() }, ..kernel() };
    assert_eq!(ask(&with(NET_BIND_SERVICE), Check::NoCapabilities), Outcome::Pass);
    assert_eq!(ask(&with(1), Check::NoCapabilities), Outcome::Fail("CAP_CHOWN".into()));
    assert_eq!(ask(&with(standard_capabilities()), Check::StandardCapabilities), Outcome::Pass);
    assert_eq!(ask(&with(1 << 13), Check::StandardCapabilities), Outcome::Fail("CAP_NET_RAW".into()));
    assert_eq!(capability_names(standard_capabilities()).len(), 13);
}

#[test]
fn a_host_directory_is_found_by_its_place_and_not_by_its_name() {
    let bound = |point, root| Kernel { mounts: vec![mount(point, root, "8:1", true)], ..kernel() };
    assert_eq!(ask(&bound("/srv", "/etc"), Check::HostPaths), Outcome::Fail("/etc at /srv".into()));
    assert!(
        matches!(ask(&bound("/host", "/"), Check::HostPaths), Outcome::Fail(all) if all.contains("/root at /host"))
    );
    assert_eq!(ask(&bound("/etc/hosts", "/var/lib/docker/containers/1/hosts"), Check::HostPaths), Outcome::Pass);
    // The same path on another filesystem is something else.
    let other = Kernel { mounts: vec![mount("/etc", "/etc", "0:50", true)], ..kernel() };
    assert_eq!(ask(&other, Check::HostPaths), Outcome::Pass);
}

#[test]
fn an_unmasked_proc_fails_and_one_that_cannot_be_seen_is_unknown() {
    let cover = |path: &str, cover| Kernel { paths: vec![(path.to_owned(), cover)], ..kernel() };
    assert_eq!(ask(&cover("/proc/kcore", Cover::ReadOnly), Check::ProcMasks), Outcome::Fail("/proc/kcore".into()));
    assert_eq!(ask(&cover("/proc/sys", Cover::Writable), Check::ProcMasks), Outcome::Fail("/proc/sys".into()));
    assert_eq!(ask(&cover("/proc/sys", Cover::ReadOnly), Check::ProcMasks), Outcome::Pass);
    assert_eq!(ask(&cover("/proc/interrupts", Cover::Writable), Check::ProcMasks), Outcome::Pass);
    assert!(matches!(ask(&cover("/proc/kcore", Cover::Unknown), Check::ProcMasks), Outcome::Unknown(_)));
}

#[test]
fn labels_count_only_where_there_is_a_module() {
    let label = |text: &str| Kernel { label: Some(text.into()), ..kernel() };
    let (apparmor, selinux) = (facts(true, false), facts(false, true));
    assert_eq!(ask_on(&apparmor, &label("docker-default (enforce)"), Check::Apparmor), Outcome::Pass);
    assert_eq!(ask_on(&apparmor, &label("unconfined"), Check::Apparmor), Outcome::Fail("unconfined".into()));
    assert!(matches!(ask_on(&apparmor, &kernel(), Check::Apparmor), Outcome::Unknown(_)));
    let of = |text| ask_on(&selinux, &label(text), Check::Selinux);
    assert_eq!(of("system_u:system_r:container_t:s0:c1,c2"), Outcome::Pass);
    assert_eq!(of("system_u:system_r:spc_t:s0"), Outcome::Fail("type spc_t".into()));
    assert_eq!(ask(&label("unconfined"), Check::Apparmor), Outcome::Pass);
}

#[test]
fn only_safe_kernel_parameters_pass() {
    let sysctls = |name: &str| {
        let planned = Planned { sysctls: vec![name.to_owned()], ..plan() };
        let (facts, host, kernel) = (facts(false, false), Mounts(Vec::new()), kernel());
        Seen { kernel: &kernel, planned: Some(&planned), facts: &facts, host: &host }.ask(Check::Sysctls)
    };
    assert_eq!(sysctls("net.ipv4.ping_group_range"), Outcome::Pass);
    assert_eq!(sysctls("kernel.msgmax"), Outcome::Fail("kernel.msgmax".into()));
}
