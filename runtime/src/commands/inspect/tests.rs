use super::kernel::{Namespace, Seccomp};
use super::mounts::{Cover, Mount};
use super::*;
use crate::cgroup::{DeviceAccess, Limits};
use crate::commands::fixture::{Boxed, Fixture, id};
use crate::plan::namespace::NamespaceKind;
use crate::plan::security::CapabilitySets;
use crate::state::CONFIG;

/// A mount of the container's overlay.
pub(super) fn mount(point: &str, root: &str, device: &str, read_only: bool) -> Mount {
    let options = if read_only { "ro" } else { "rw" };
    let line = format!("7 1 {device} {root} {point} {options} - ext4 /dev/x rw\n");
    Mounts::parse(&line).unwrap().0.remove(0)
}

/// What the kernel says of a container that is confined as well as it can be.
pub(super) fn kernel() -> Kernel {
    let namespaces = NamespaceKind::ALL.map(|kind| Namespace { kind, inode: 1, host: kind == NamespaceKind::Time });
    Kernel {
        pid: 7,
        uids: vec![1000; 4],
        gids: vec![1000; 4],
        groups: Vec::new(),
        capabilities: CapabilitySets::default(),
        no_new_privileges: true,
        seccomp: Seccomp { mode: 2, filters: Some(1), programs: vec![vec![6]], ..Seccomp::default() },
        label: None,
        apparmor: None,
        namespaces: namespaces.into(),
        uid_map: vec![vec![0, 100_000, 65_536]],
        gid_map: vec![vec![0, 100_000, 65_536]],
        mounts: vec![mount("/", "/", "0:50", true)],
        paths: vec![("/proc/kcore".into(), Cover::Masked), ("/proc/sys".into(), Cover::ReadOnly)],
        devices: devices::Devices {
            nodes: Vec::new(),
            incomplete: false,
            access: DeviceAccess::Listed(vec!["c 1:3 rwm".into()]),
        },
        limits: Limits { memory: Some(1 << 20), pids: Some(50), millicpu: Some(500), cpu_weight: Some(1024) },
        left_cgroups: Vec::new(),
        rlimits: Vec::new(),
        oom_score_adj: 0,
        dumpable: Some(false),
    }
}

/// The plan of that container.
pub(super) fn plan() -> Planned {
    Planned {
        uid: 1000,
        no_new_privileges: true,
        filters: vec![vec![6]],
        private: NamespaceKind::ALL.into_iter().filter(|kind| *kind != NamespaceKind::Time).collect(),
        read_only_root: true,
        masked: vec!["/proc/kcore".into()],
        read_only: vec!["/proc/sys".into()],
        memory: Some(1 << 20),
        pids: Some(50),
        millicpu: Some(500),
        ..Planned::default()
    }
}

const SPEC: &str = r#"{"ociVersion":"1.0.2","root":{"path":"rootfs"},
    "process":{"cwd":"/","args":["cat"],"user":{"uid":0,"gid":0},"noNewPrivileges":true},
    "linux":{"namespaces":[{"type":"mount"},{"type":"network"}]}}"#;

/// A process in cgroups of its own and nothing else, recorded as a container of that configuration.
fn unconfined(fixture: &Fixture, boxed: &Boxed) {
    let entry = fixture.store().create("c").unwrap();
    entry.write(&boxed.record()).unwrap();
    entry.write_file(CONFIG, SPEC.as_bytes()).unwrap();
}

fn inspect(fixture: &Fixture, name: Option<&str>, format: ReportFormat) -> (bool, String) {
    let request = Inspect { id: name.map(id), no_stop: false, format };
    let mut out = Vec::new();
    let good = run(&fixture.root, &request, Colour::Off, &mut out).unwrap();
    (good, String::from_utf8(out).unwrap())
}

#[test]
fn mismatches_come_first_and_make_the_command_fail() {
    let Some(boxed) = Boxed::new() else { return };
    let fixture = Fixture::new();
    unconfined(&fixture, &boxed);
    let (good, text) = inspect(&fixture, Some("c"), ReportFormat::Text);
    assert!(!good);
    assert!(text.starts_with("MISMATCH         "), "{text}");
    for expected in ["no_new_privs is planned, and off", "the network namespace is the host's", "pss-baseline     "] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!text.contains('\x1b'));
}

#[test]
fn json_has_what_the_kernel_says() {
    let Some(boxed) = Boxed::new() else { return };
    let fixture = Fixture::new();
    unconfined(&fixture, &boxed);
    let (_, text) = inspect(&fixture, Some("c"), ReportFormat::Json);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["id"], &json["kernel"]["pid"]), (&"c".into(), &boxed.pids()[0].into()));
    assert_eq!(json["kernel"]["uids"], serde_json::json!([0, 0, 0, 0]));
    assert!(json["kernel"]["capabilities"]["bounding"].as_array().is_some_and(|set| !set.is_empty()));
    assert!(json["mismatches"].as_array().is_some_and(|all| all.len() >= 2));
    assert_eq!(json["grades"].as_array().map(Vec::len), Some(4));
}

#[test]
fn one_that_cannot_be_looked_at_does_not_hide_the_others() {
    let Some(boxed) = Boxed::new() else { return };
    let fixture = Fixture::new();
    unconfined(&fixture, &boxed);
    fixture.write(&crate::state::record("spoilt"));
    fixture.spoil("spoilt", b"{");
    let (good, text) = inspect(&fixture, None, ReportFormat::Text);
    assert!(!good);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.iter().any(|line| line.starts_with("c ") && line.contains("running")), "{text}");
    assert!(lines.iter().any(|line| line.starts_with("spoilt ") && line.contains("error")), "{text}");
    let (_, text) = inspect(&fixture, None, ReportFormat::Json);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json.as_array().map(Vec::len), Some(2));
}

#[test]
fn a_stopped_container_has_nothing_to_read_and_is_no_mismatch() {
    let fixture = Fixture::new();
    let entry = fixture.store().create("c").unwrap();
    entry.write(&crate::state::record("c")).unwrap();
    let (good, text) = inspect(&fixture, Some("c"), ReportFormat::Text);
    assert!(good && text.contains("there is no process"), "{text}");
}

#[test]
fn rules_of_the_level_in_another_mode_are_named() {
    use crate::policy::{Level, Said};
    let mut enforcement = Enforcement::new(Level::Baseline, "test");
    assert!(not_enforced(&enforcement).is_empty());
    let said = |mode| Said { value: mode, origin: "/etc/casemate/policy.toml:4".to_owned() };
    enforcement.modes.insert(Rule::HostPid, said(Mode::Warn));
    enforcement.modes.insert(Rule::ProcSubset, said(Mode::Enforce));
    assert_eq!(not_enforced(&enforcement), [(Rule::HostPid, Mode::Warn)]);
}
