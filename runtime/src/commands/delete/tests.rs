use super::*;
use crate::commands::fixture::{Boxed, Fixture, id, log};
use crate::spec::Hook;
use crate::state::{Record, Sleeper, record};

fn delete(fixture: &Fixture, force: bool) -> Result<()> {
    run(&fixture.root, &Delete { id: id("c"), force }, &log())
}

/// A hook that leaves its stdin in a file.
fn witness(fixture: &Fixture) -> (Hook, std::path::PathBuf) {
    let file = fixture.scratch.path().join("witness");
    let script = format!("cat > {}", file.display());
    let args = ["sh", "-c", &script].map(str::to_owned).to_vec();
    (Hook { path: "/bin/sh".to_owned(), args, env: vec!["PATH=/usr/bin:/bin".to_owned()], timeout: None }, file)
}

#[test]
fn unknown_container_is_an_error_unless_forced() {
    let mut fixture = Fixture::new();
    assert_eq!(delete(&fixture, false).unwrap_err().to_string(), "container does not exist");
    delete(&fixture, true).unwrap();
    fixture.root.path.push("missing");
    assert_eq!(delete(&fixture, false).unwrap_err().to_string(), "container does not exist");
    delete(&fixture, true).unwrap();
    assert!(!fixture.root.path.exists());
}

#[test]
fn running_container_is_deleted_by_force_only() {
    let fixture = Fixture::new();
    let mut sleeper = Sleeper::new();
    fixture.write(&Record { init: Some(sleeper.init()), ..record("c") });
    let error = delete(&fixture, false).unwrap_err();
    assert_eq!(error.to_string(), "cannot delete container c that is not stopped: running");
    assert!(sleeper.is_alive() && fixture.exists("c"));
    delete(&fixture, true).unwrap();
    assert!(!sleeper.is_alive() && !fixture.exists("c"));
}

#[test]
fn created_container_is_deleted_with_its_init() {
    let fixture = Fixture::new();
    let mut sleeper = Sleeper::new();
    fixture.write(&Record { init: Some(sleeper.init()), ..record("c") });
    let _socket = fixture.waiting("c");
    delete(&fixture, false).unwrap();
    assert!(!sleeper.is_alive() && !fixture.exists("c"));
}

#[test]
fn all_poststop_hooks_run_with_the_state_of_a_stopped_container() {
    let fixture = Fixture::new();
    let (hook, file) = witness(&fixture);
    let fails = Hook { path: "/bin/false".to_owned(), ..Hook::default() };
    fixture.write(&Record { poststop: vec![fails, hook], ..record("c") });
    delete(&fixture, false).unwrap();
    assert!(!fixture.exists("c"));
    let state: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!((&state["status"], &state["id"]), (&"stopped".into(), &"c".into()));
}

#[test]
fn what_a_killed_create_left_is_removed_with_its_processes() {
    let Some(mut boxed) = Boxed::new() else { return };
    boxed.spawn();
    let fixture = Fixture::new();
    let (hook, file) = witness(&fixture);
    let record = Record { init: None, phase: Phase::Creating, poststop: vec![hook], ..boxed.record() };
    fixture.write(&record);
    assert_eq!(fixture.status("c"), "stopped");
    delete(&fixture, true).unwrap();
    assert!(!boxed.is_alive(0) && !boxed.is_alive(1) && !boxed.has_cgroups() && !fixture.exists("c"));
    assert!(file.exists());
}

#[test]
fn paused_container_is_deleted_by_force() {
    let Some(mut boxed) = Boxed::new() else { return };
    let fixture = Fixture::new();
    fixture.write(&boxed.record());
    boxed.cgroup().freeze(DEADLINE).unwrap();
    let error = delete(&fixture, false).unwrap_err().to_string();
    assert_eq!(error, "cannot delete container c that is not stopped: paused");
    delete(&fixture, true).unwrap();
    assert!(!boxed.is_alive(0) && !boxed.has_cgroups() && !fixture.exists("c"));
}

#[test]
fn cgroup_that_is_another_containers_by_now_keeps_its_processes() {
    let Some(mut boxed) = Boxed::new() else { return };
    let fixture = Fixture::new();
    // The container's own init is gone.
    fixture.write(&Record { init: record("c").init, ..boxed.record() });
    std::thread::scope(|scope| {
        let delete = scope.spawn(|| delete(&fixture, true));
        let error = delete.join().unwrap().unwrap_err().to_string();
        assert!(error.contains("casemate-commands"), "{error}");
    });
    assert!(boxed.is_alive(0) && !fixture.exists("c"));
}

#[test]
fn container_is_kept_while_a_cgroup_could_not_be_removed() {
    let Some(mut boxed) = Boxed::new() else { return };
    let fixture = Fixture::new();
    let (hook, file) = witness(&fixture);
    let right = Record { poststop: vec![hook], ..boxed.record() };
    // Not a cgroup file system: the call that fails has nothing to do with processes.
    let mut wrong = right.clone();
    wrong.cgroups.last_mut().unwrap().mount_point = "/proc".into();
    fixture.write(&wrong);
    let error = delete(&fixture, true).unwrap_err().to_string();
    assert!(error.contains("/proc"), "{error}");
    assert!(!boxed.is_alive(0) && fixture.exists("c") && !file.exists());
    fixture.spoil("c", &right.to_json().unwrap());
    delete(&fixture, true).unwrap();
    assert!(!boxed.has_cgroups() && !fixture.exists("c") && file.exists());
}

#[test]
fn entry_without_a_usable_record_is_removed_by_force_and_nobody_is_signalled() {
    let fixture = Fixture::new();
    let mut sleeper = Sleeper::new();
    let text = Record { init: Some(sleeper.init()), ..record("c") }.to_json().unwrap();
    let half = &text[..text.len() / 2];
    let other = String::from_utf8(text.clone()).unwrap().replace("\"id\":\"c\"", "\"id\":\"d\"");
    for spoilt in [half, other.as_bytes(), b"", b"\xff", b"[[[["] {
        fixture.write(&record("c"));
        fixture.spoil("c", spoilt);
        let error = delete(&fixture, false).unwrap_err().to_string();
        assert!(error.contains("container \"c\": ") && error.contains("delete --force"), "{error}");
        assert!(fixture.exists("c"));
        delete(&fixture, true).unwrap();
        assert!(!fixture.exists("c") && sleeper.is_alive());
    }
    fixture.store().create("c").unwrap();
    delete(&fixture, true).unwrap();
    assert!(!fixture.exists("c"), "an entry without any record");
}

#[test]
fn an_unusable_record_is_kept_while_its_cgroups_have_processes() {
    let Some(mut boxed) = Boxed::new() else { return };
    let fixture = Fixture::new();
    let text = String::from_utf8(boxed.record().to_json().unwrap()).unwrap();
    fixture.write(&boxed.record());
    fixture.spoil("c", text.replace("\"version\":1", "\"version\":7").as_bytes());
    let error = delete(&fixture, true).unwrap_err().to_string();
    assert!(error.contains("casemate-commands"), "{error}");
    assert!(error.contains("end them, then delete --force again"), "{error}");
    assert!(boxed.is_alive(0) && fixture.exists("c"));
    Cgroup::kill_all(&boxed.cgroup(), DEADLINE).unwrap();
    boxed.wait(0);
    delete(&fixture, true).unwrap();
    assert!(!boxed.has_cgroups() && !fixture.exists("c"));
}
