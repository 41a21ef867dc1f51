//! What `check` says about configurations of engines, and about small ones made from them.

use super::*;
use crate::cgroup::{Hierarchy, Version};
use serde_json::{Value, json};

fn configs() -> Vec<(String, Value)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".json") && !name.starts_with("exec-process") && !name.starts_with("update-") {
            all.push((name, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()));
        }
    }
    assert!(all.len() > 50);
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn config(name: &str) -> Value {
    configs().into_iter().find(|(other, _)| other.trim_end_matches(".json") == name).unwrap().1
}

/// A host with every controller and no security module.
fn host() -> Facts {
    let everything = Hierarchy {
        version: Version::V2,
        controllers: "cpuset cpu io memory hugetlb pids rdma misc".split(' ').map(str::to_owned).collect(),
        mount_point: "/sys/fs/cgroup".to_owned(),
        own: "/".to_owned(),
    };
    Facts { cgroups: Layout { hierarchies: vec![everything] }, selinux: false, apparmor: false, ..facts().unwrap() }
}

fn asked(standard: Option<Standard>, as_written: bool) -> CheckConfig {
    CheckConfig { path: None, level: None, standard, as_written, format: CheckFormat::Text }
}

fn judged(bytes: &[u8], enforcement: Enforcement, config: &CheckConfig) -> Result<Report> {
    let input = Input { file: "b/config.json".to_owned(), bytes: bytes.to_vec(), directory: "/b".to_owned() };
    examine(&input, &Spec::parse(bytes)?, config, enforcement, &host())
}

fn report(config: &Value, level: Level, standard: Option<Standard>, as_written: bool) -> Report {
    let bytes = serde_json::to_vec_pretty(config).unwrap();
    let enforcement = Enforcement::new(level, "test");
    judged(&bytes, enforcement, &asked(standard, as_written)).unwrap()
}

fn grade(report: &Report, id: &str) -> Grade {
    report.items.iter().find(|item| item.id == id).unwrap().grade
}

/// What Docker runs without options, in a form that meets everything but one's own wishes.
fn tidy() -> Value {
    let mut config = config("docker-20.10-01");
    config["process"]["user"]["uid"] = json!(1000);
    config["process"]["noNewPrivileges"] = json!(true);
    // They need namespaces of the container's own, which tests take away.
    config["linux"]["sysctl"] = json!({});
    config["hostname"] = json!("");
    config["process"]["capabilities"] = json!({});
    config["root"]["readonly"] = json!(true);
    config["linux"]["resources"]["memory"] = json!({"limit": 1 << 28});
    config["linux"]["resources"]["cpu"] = json!({"quota": 50_000, "period": 100_000});
    config["linux"]["resources"]["pids"] = json!({"limit": 100});
    config
}

#[test]
fn changes_alone_do_not_fail_and_refusals_do() {
    let ordinary = report(&config("docker-20.10-01"), Level::Baseline, None, false);
    assert!(ordinary.passed);
    assert!(ordinary.findings.iter().any(|finding| finding.id == "net-raw" && finding.outcome == Outcome::Changed));
    let privileged = report(&config("docker-20.10-09-privileged-no-seccomp"), Level::Baseline, None, false);
    assert!(!privileged.passed);
    assert!(privileged.findings.iter().any(|finding| finding.id == "privileged" && !finding.allow.is_empty()));
    assert!(report(&config("docker-20.10-09-privileged-no-seccomp"), Level::Privileged, None, false).passed);
}

#[test]
fn a_finding_has_the_line_of_what_it_is_about() {
    let mut config = config("docker-20.10-01");
    config["linux"]["sysctl"] = json!({"net.core.somaxconn": "1"});
    let report = report(&config, Level::Baseline, None, false);
    let finding = report.findings.iter().find(|finding| finding.id == "sysctls").unwrap();
    assert_eq!(finding.pointer, "/linux/sysctl/net.core.somaxconn");
    let text = serde_json::to_string_pretty(&config).unwrap();
    let line = text.lines().position(|line| line.contains("net.core.somaxconn")).unwrap() + 1;
    assert_eq!((finding.place.line, finding.place.end_line), (line, line));
    let page = show::text(&report, Colour::Off);
    assert!(page.contains(&format!("config.json:{line} /linux/sysctl/net.core.somaxconn")), "{page}");
    assert!(!page.contains('\x1b') && show::text(&report, Colour::On).contains("\x1b[31mREFUSED\x1b[0m"));
}

#[test]
fn what_casemate_mends_passes_and_as_written_it_does_not() {
    let config = config("docker-20.10-01");
    let mended = report(&config, Level::Baseline, Some(Standard::CisDocker), false);
    assert_eq!(grade(&mended, "5.26"), Grade::Mended);
    assert_eq!(grade(&mended, "5.23"), Grade::Mended);
    assert_eq!(grade(&mended, "5.13"), Grade::Violated);
    let written = report(&config, Level::Baseline, Some(Standard::CisDocker), true);
    assert_eq!(grade(&written, "5.26"), Grade::Violated);
    assert_eq!(grade(&written, "5.23"), Grade::NotAssessable);
    assert!(!written.passed && written.findings.is_empty());
    assert_eq!(grade(&report(&config, Level::Restricted, Some(Standard::CisDocker), false), "5.13"), Grade::Mended);
    // At this level nothing is mended.
    assert_eq!(grade(&report(&config, Level::Privileged, Some(Standard::CisDocker), false), "5.26"), Grade::Violated);
}

#[test]
fn a_tidy_configuration_meets_every_standard_as_written() {
    for standard in Standard::ALL {
        let report = report(&tidy(), Level::Baseline, Some(standard), true);
        let failed: Vec<_> = report.items.iter().filter(|item| item.grade == Grade::Violated).collect();
        // Docker 20.10 masks less than is known today.
        let expected = if standard == Standard::Nist { 1 } else { 0 };
        assert_eq!(failed.len(), expected, "{standard}: {failed:#?}");
    }
}

/// One change to a tidy configuration, and the items that it violates.
#[test]
fn each_item_is_violated_by_what_it_is_about() {
    let bind =
        |source: &str| json!({"destination": "/x", "type": "bind", "source": source, "options": ["rbind", "ro"]});
    let without = |config: &mut Value, kind: &str| {
        config["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != kind);
    };
    type Case<'a> = (&'a str, Box<dyn Fn(&mut Value) + 'a>, &'a [(Standard, &'a str)]);
    let cases: &[Case<'_>] = &[
        (
            "pid",
            Box::new(|c| without(c, "pid")),
            &[(Standard::CisDocker, "5.16"), (Standard::PssBaseline, "Host Namespaces")],
        ),
        ("ipc", Box::new(|c| without(c, "ipc")), &[(Standard::CisDocker, "5.17")]),
        ("net", Box::new(|c| without(c, "network")), &[(Standard::CisDocker, "5.10"), (Standard::Nist, "4.4.2")]),
        ("uts", Box::new(|c| without(c, "uts")), &[(Standard::CisDocker, "5.21")]),
        (
            "socket",
            Box::new(|c| c["mounts"].as_array_mut().unwrap().push(bind("/var/run/docker.sock"))),
            &[(Standard::CisDocker, "5.32"), (Standard::CisDocker, "5.6"), (Standard::Nist, "4.5.5")],
        ),
        (
            "host",
            Box::new(|c| c["mounts"].as_array_mut().unwrap().push(bind("/"))),
            &[(Standard::CisDocker, "5.6"), (Standard::PssBaseline, "HostPath Volumes")],
        ),
        (
            "capability",
            Box::new(|c| c["process"]["capabilities"] = json!({"bounding": ["CAP_SYS_ADMIN"]})),
            &[(Standard::CisDocker, "5.4"), (Standard::PssBaseline, "Capabilities")],
        ),
        (
            "usual capability",
            Box::new(|c| c["process"]["capabilities"] = json!({"bounding": ["CAP_CHOWN"]})),
            &[(Standard::PssRestricted, "Capabilities")],
        ),
        (
            "seccomp",
            Box::new(|c| drop(c["linux"].as_object_mut().unwrap().remove("seccomp"))),
            &[(Standard::CisDocker, "5.22"), (Standard::PssBaseline, "Seccomp"), (Standard::PssRestricted, "Seccomp")],
        ),
        (
            "root",
            Box::new(|c| c["process"]["user"]["uid"] = json!(0)),
            &[(Standard::PssRestricted, "Running as Non-root")],
        ),
        (
            "memory",
            Box::new(|c| c["linux"]["resources"]["memory"] = json!({"limit": -1})),
            &[(Standard::CisDocker, "5.11")],
        ),
        (
            "cpu",
            Box::new(|c| c["linux"]["resources"]["cpu"] = json!({"shares": 1024})),
            &[(Standard::CisDocker, "5.12")],
        ),
        (
            "pids",
            Box::new(|c| c["linux"]["resources"]["pids"] = json!({"limit": -1})),
            &[(Standard::CisDocker, "5.29")],
        ),
        (
            "device",
            Box::new(|c| c["linux"]["devices"] = json!([{"path": "/dev/kvm", "type": "c", "major": 10, "minor": 232}])),
            &[(Standard::CisDocker, "5.18")],
        ),
        ("shared", Box::new(|c| c["linux"]["rootfsPropagation"] = json!("shared")), &[(Standard::CisDocker, "5.20")]),
        (
            "sysctl",
            Box::new(|c| c["linux"]["sysctl"] = json!({"kernel.msgmax": "1"})),
            &[(Standard::PssBaseline, "Sysctls")],
        ),
        (
            "proc",
            Box::new(|c| {
                c["linux"]["maskedPaths"] = json!([]);
                c["linux"]["readonlyPaths"] = json!([]);
            }),
            &[(Standard::PssBaseline, "/proc Mount Type")],
        ),
        (
            "apparmor",
            Box::new(|c| c["process"]["apparmorProfile"] = json!("unconfined")),
            &[(Standard::CisDocker, "5.2"), (Standard::PssBaseline, "AppArmor")],
        ),
    ];
    for (name, change, violated) in cases {
        let mut config = tidy();
        change(&mut config);
        for (standard, id) in *violated {
            let report = report(&config, Level::Baseline, Some(*standard), true);
            assert_eq!(grade(&report, id), Grade::Violated, "{name}: {standard} {id}");
        }
    }
}

/// The levels are named after the Pod Security Standards: what starts meets them.
#[test]
fn whatever_starts_at_a_level_meets_the_standard_of_its_name() {
    for (name, config) in configs() {
        for (level, standard) in
            [(Level::Baseline, Standard::PssBaseline), (Level::Restricted, Standard::PssRestricted)]
        {
            let starts = report(&config, level, None, false).passed;
            let report = report(&config, level, Some(standard), false);
            assert_eq!(report.passed, starts, "{name} at {level}: {}", show::text(&report, Colour::Off));
        }
    }
}

#[test]
fn a_configuration_that_is_not_valid_is_not_judged() {
    let error =
        |bytes: &[u8]| judged(bytes, Enforcement::new(Level::Baseline, "test"), &asked(None, false)).unwrap_err();
    assert_eq!(error(b"{").kind, Kind::InvalidConfig);
    assert_eq!(error(br#"{"ociVersion": "9.0.0"}"#).kind, Kind::InvalidConfig);
    let mut config = tidy();
    config["process"]["cwd"] = json!("relative");
    assert_eq!(error(&serde_json::to_vec(&config).unwrap()).kind, Kind::InvalidConfig);
}

#[test]
fn what_is_not_supported_is_said_and_does_not_count() {
    let mut config = tidy();
    config["linux"]["netDevices"] = json!({"eth0": {}});
    let report = report(&config, Level::Baseline, None, false);
    assert!(report.passed && report.unsupported.is_some());
    assert!(show::text(&report, Colour::Off).contains("not supported here or by this version"));
}

#[test]
fn what_stands_in_a_configuration_does_not_act_on_the_terminal() {
    let mut config = tidy();
    config["linux"]["sysctl"] = json!({"kernel.\u{1b}[2J": "1"});
    config["mounts"]
        .as_array_mut()
        .unwrap()
        .push(json!({"destination": "/x\u{1b}[2J\n", "type": "bind", "source": "/etc", "options": ["rbind"]}));
    let bytes = serde_json::to_vec(&config).unwrap();
    let enforcement = Enforcement::new(Level::Baseline, "test");
    // Either answer is one; neither may carry the escape sequence as it is.
    if let Ok(report) = judged(&bytes, enforcement, &asked(None, false)) {
        assert!(!show::text(&report, Colour::Off).contains('\x1b'));
    }
}

#[test]
fn sarif_has_what_readers_of_the_schema_ask_for() {
    let mut config = config("docker-20.10-09-privileged-no-seccomp");
    config["process"]["user"]["uid"] = json!(0);
    for (standard, level) in [
        (None, Level::Restricted),
        (Some(Standard::CisDocker), Level::Baseline),
        (Some(Standard::Nist), Level::Baseline),
    ] {
        let report = report(&config, level, standard, false);
        let log = sarif::log(&report);
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        assert_eq!(run["tool"]["driver"]["name"], "casemate");
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        let ids: std::collections::BTreeSet<&str> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), rules.len(), "ids are unique");
        assert!(Rule::ALL.iter().all(|rule| ids.contains(rule.id())));
        for rule in rules {
            for field in ["shortDescription", "fullDescription", "help"] {
                assert!(!rule[field]["text"].as_str().unwrap().is_empty(), "{rule}");
            }
        }
        let results = run["results"].as_array().unwrap();
        let prints: std::collections::BTreeSet<&str> =
            results.iter().map(|result| result["partialFingerprints"]["pointer/v1"].as_str().unwrap()).collect();
        assert!(results.len() > 5 && prints.len() == results.len(), "one result for each problem");
        for result in results {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            let region = &result["locations"][0]["physicalLocation"]["region"];
            let at = |field: &str| region[field].as_u64().unwrap();
            assert!(at("startLine") >= 1 && at("startColumn") >= 1);
            assert!((at("startLine"), at("startColumn")) < (at("endLine"), at("endColumn")));
            let uri = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
            assert_eq!(uri, "b/config.json");
        }
        assert!(results.iter().any(|result| result["level"] == "error"));
    }
}

#[test]
fn rules_are_listed_all() {
    let text = show::rules(false);
    assert_eq!(text.lines().count(), Rule::ALL.len() + 1);
    let json: Value = serde_json::from_str(&show::rules(true)).unwrap();
    assert_eq!(json.as_array().unwrap().len(), Rule::ALL.len());
    assert!(json.as_array().unwrap().iter().all(|rule| rule["effect"] == "narrow" || rule["effect"] == "refuse"));
}
