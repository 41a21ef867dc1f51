use super::*;
use crate::commands::fixture::{Boxed, Fixture, id};
use crate::state::record;

#[test]
fn container_is_paused_and_resumed() {
    let Some(boxed) = Boxed::new() else { return };
    let fixture = Fixture::new();
    fixture.write(&boxed.record());
    let id = id("c");
    assert_eq!(resume(&fixture.root, &id).unwrap_err().to_string(), "container not paused");
    pause(&fixture.root, &id).unwrap();
    assert_eq!(fixture.status("c"), "paused");
    assert_eq!(pause(&fixture.root, &id).unwrap_err().to_string(), "container not running");
    resume(&fixture.root, &id).unwrap();
    assert_eq!(fixture.status("c"), "running");
    let _socket = fixture.waiting("c");
    pause(&fixture.root, &id).unwrap();
    assert_eq!(fixture.status("c"), "paused", "a created one too");
    resume(&fixture.root, &id).unwrap();
    assert_eq!(fixture.status("c"), "created");
}

#[test]
fn stopped_container_is_neither_paused_nor_resumed() {
    let fixture = Fixture::new();
    fixture.write(&record("c"));
    assert_eq!(pause(&fixture.root, &id("c")).unwrap_err().to_string(), "container not running");
    assert_eq!(resume(&fixture.root, &id("c")).unwrap_err().to_string(), "container not paused");
    assert_eq!(pause(&fixture.root, &id("d")).unwrap_err().to_string(), "container does not exist");
}
