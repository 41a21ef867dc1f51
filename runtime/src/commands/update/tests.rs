use super::*;
use crate::commands::fixture::{Boxed, Fixture, id, log};
use crate::state::record;

fn with(fixture: &Fixture, json: &str) -> Update {
    let file = fixture.scratch.path().join("resources.json");
    std::fs::write(&file, json).unwrap();
    Update { id: id("c"), change: Change::File(file), l3_cache_schema: None, mem_bw_schema: None }
}

#[test]
fn limits_of_an_engine_are_written_and_its_zeros_and_device_rules_are_not() {
    let Some(boxed) = Boxed::new() else { return };
    let fixture = Fixture::new();
    fixture.write(&boxed.record());
    // A device rule that no kernel would take shows that rules are not looked at.
    let json =
        r#"{"devices":[{"allow":true,"type":"?"}],"cpu":{"shares":0},"pids":{"limit":55},"blockIO":{"weight":0}}"#;
    run(&fixture.root, &Gate::default(), &with(&fixture, json), &log()).unwrap();
    let record = boxed.record();
    let pids = record.cgroups.iter().find(|place| place.controllers.iter().any(|c| c == "pids"));
    let pids = pids.or(record.cgroups.iter().find(|place| place.controllers.is_empty())).unwrap();
    assert_eq!(std::fs::read_to_string(format!("{}/pids.max", pids.directory())).unwrap(), "55\n");
}

#[test]
fn stopped_container_is_not_updated() {
    let fixture = Fixture::new();
    fixture.write(&record("c"));
    let error = run(&fixture.root, &Gate::default(), &with(&fixture, "{}"), &log()).unwrap_err().to_string();
    assert_eq!(error, "container not running");
}

#[test]
fn what_cannot_be_done_is_named() {
    let fixture = Fixture::new();
    let update = with(&fixture, "{\"memory\":7}");
    let error = run(&fixture.root, &Gate::default(), &update, &log()).unwrap_err().to_string();
    assert!(error.starts_with("update --resources: ") && error.contains("memory"), "{error}");
    let update = Update { l3_cache_schema: Some("L3:0=f".to_owned()), ..with(&fixture, "{}") };
    let error = run(&fixture.root, &Gate::default(), &update, &log()).unwrap_err();
    assert!(error.kind == Kind::Unsupported && error.to_string().contains("--l3-cache-schema"), "{error}");
}
