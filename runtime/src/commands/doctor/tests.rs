use super::*;
use crate::host::Cgroups;

/// A host with everything.
fn complete() -> Survey {
    Survey {
        facts: HostFacts {
            kernel_release: "6.18.0".into(),
            bounding: (1 << 41) - 1,
            permitted: (1 << 41) - 1,
            last_capability: 40,
            umask: 0o22,
            selinux: true,
            apparmor: false,
            landlock_abi: 7,
            thermal_cpus: 0,
            initial_user_namespace: true,
        },
        cgroups: Ok(Cgroups {
            mode: "v2".into(),
            controllers: ["cpu", "cpuset", "memory", "pids"].map(String::from).to_vec(),
        }),
        lsms: Some(vec!["selinux".into()]),
        seccomp_actions: vec!["user_notif".into(), "allow".into()],
        seccomp_flags: vec!["SECCOMP_FILTER_FLAG_LOG".into()],
        namespaces: ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"].map(String::from).to_vec(),
        max_user_namespaces: 1000,
        unprivileged_user_namespaces: true,
        calls: crate::sys::probe::CALLS.iter().map(|&call| (call.to_owned(), Answer::Present)).collect(),
        idmapped_mounts: true,
        clone_into_cgroup: true,
        memfd_noexec: 0,
        landlock_abi: Some(7),
    }
}

/// The grade and the text of one finding.
fn finding(survey: &Survey, name: &str) -> (Grade, String) {
    let finding = examine(survey).into_iter().find(|finding| finding.name == name).unwrap();
    (finding.grade, format!("{} | {}", finding.found, finding.cost.unwrap_or_default()))
}

#[test]
fn complete_host_lacks_nothing() {
    let findings = examine(&complete());
    assert!(findings.iter().all(|finding| finding.grade == Grade::Good && finding.cost.is_none()), "{findings:?}");
}

#[test]
fn old_kernel_without_the_mount_calls_cannot_run_containers() {
    let mut survey = complete();
    survey.calls.insert("mount_setattr".into(), Answer::Missing);
    let (grade, text) = finding(&survey, "mount calls");
    assert_eq!(grade, Grade::Fatal);
    assert!(text.starts_with("missing: mount_setattr | ") && text.contains("Linux 5.12"), "{text}");
}

#[test]
fn call_that_a_filter_refuses_is_told_apart_from_a_missing_one() {
    let mut survey = complete();
    survey.calls.insert("fsopen".into(), Answer::Refused);
    assert!(finding(&survey, "mount calls").1.starts_with("refused: fsopen | a privilege"));
}

#[test]
fn capability_missing_from_the_bounding_set_is_named() {
    let mut survey = complete();
    survey.facts.bounding &= !(1 << 24);
    let (grade, text) = finding(&survey, "capabilities");
    assert_eq!(grade, Grade::Lacking);
    assert!(text.starts_with("not in the bounding set: CAP_SYS_RESOURCE | "), "{text}");
}

#[test]
fn host_without_privileges_cgroups_or_executable_memfds_cannot_run_containers() {
    let mut survey = complete();
    survey.facts.permitted = 0;
    survey.cgroups = Err("no cgroup hierarchy is mounted".into());
    survey.memfd_noexec = 2;
    for name in ["privileges", "cgroups", "sealed init"] {
        assert_eq!(finding(&survey, name).0, Grade::Fatal, "{name}");
    }
}

#[test]
fn every_lack_says_what_it_costs() {
    let mut survey = complete();
    survey.calls.values_mut().for_each(|answer| *answer = Answer::Missing);
    survey.facts = HostFacts { bounding: 0, permitted: 0, selinux: false, ..survey.facts };
    survey.namespaces.clear();
    survey.seccomp_actions.clear();
    survey.max_user_namespaces = 0;
    (survey.lsms, survey.landlock_abi, survey.idmapped_mounts, survey.clone_into_cgroup) = (None, None, false, false);
    for finding in examine(&survey) {
        assert_eq!(finding.grade == Grade::Good, finding.cost.is_none(), "{finding:?}");
    }
}

#[test]
fn landlock_without_scopes_is_a_lack() {
    let mut survey = complete();
    assert_eq!(finding(&survey, "landlock"), (Grade::Good, "abi 7, scopes abstract sockets | ".into()));
    survey.landlock_abi = Some(5);
    let (grade, text) = finding(&survey, "landlock");
    assert!(grade == Grade::Lacking && text.contains("Linux 6.12"), "{text}");
}

#[test]
fn columns_line_up_and_colour_is_only_on_request() {
    let findings = examine(&complete());
    let plain = text(&findings, true, Colour::Off);
    let column = |line: &str| line.get(7..).unwrap().find("  ").is_some();
    assert!(plain.lines().take(findings.len()).all(column) && !plain.contains('\x1b'), "{plain}");
    assert!(plain.ends_with("casemate can run containers here\n"));
    assert!(text(&findings, true, Colour::On).contains("\x1b[32mok   \x1b[0m  kernel"));
}

#[test]
fn report_of_this_host_is_json_and_agrees_with_the_answer() {
    let mut out = Vec::new();
    let can_run = run(ReportFormat::Json, Colour::Off, &mut out).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(value["canRun"], serde_json::json!(can_run));
    assert_eq!(value["host"]["facts"]["kernelRelease"], *HostFacts::probe_for_create().unwrap().kernel_release);
    assert!(value["findings"].as_array().unwrap().len() > 10);
}
