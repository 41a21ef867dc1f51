use super::*;
use crate::commands::fixture::{Fixture, id, printed};
use crate::state::{Sleeper, record};

#[test]
fn state_has_the_keys_that_engines_read() {
    let fixture = Fixture::new();
    let sleeper = Sleeper::new();
    let init = sleeper.init();
    let pid = init.pid;
    fixture.write(&crate::state::Record { init: Some(init), ..record("c") });
    let text = printed(|out| run(&fixture.root, &id("c"), out));
    let expected = format!(
        r#"{{"ociVersion":"1.0.2-dev","id":"c","pid":{pid},"status":"running","bundle":"/b","rootfs":"/b/rootfs","created":"2026-01-02T03:04:05.6Z","annotations":{{"k":"v"}},"owner":"root"}}"#
    );
    let (found, expected): (serde_json::Value, serde_json::Value) =
        (serde_json::from_str(&text).unwrap(), serde_json::from_str(&expected).unwrap());
    assert_eq!(found, expected);
}

#[test]
fn state_of_a_stopped_container_has_pid_0() {
    let fixture = Fixture::new();
    fixture.write(&record("c"));
    let text = printed(|out| run(&fixture.root, &id("c"), out));
    let state: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&state["pid"], &state["status"]), (&0.into(), &"stopped".into()));
}

#[test]
fn unknown_container_does_not_exist_with_or_without_a_root() {
    let mut fixture = Fixture::new();
    let error = run(&fixture.root, &id("c"), &mut Vec::new()).unwrap_err();
    assert_eq!((error.kind, error.to_string().as_str()), (Kind::NotFound, "container does not exist"));
    fixture.root.path.push("missing");
    let error = run(&fixture.root, &id("c"), &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "container does not exist");
}

#[test]
fn reader_that_went_away_is_no_failure() {
    let fixture = Fixture::new();
    fixture.write(&record("c"));
    let (reader, mut writer) = std::io::pipe().unwrap();
    drop(reader);
    run(&fixture.root, &id("c"), &mut writer).unwrap();
    let mut full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let error = run(&fixture.root, &id("c"), &mut full).unwrap_err().to_string();
    assert_eq!(error, "write \"stdout\": no space left on device");
}
