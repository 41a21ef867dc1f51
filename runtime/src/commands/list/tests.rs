use super::*;
use crate::commands::fixture::{Fixture, printed};
use crate::state::{Record, Sleeper, record};

const JSON: List = List { format: ListFormat::Json, quiet: false };
const TABLE: List = List { format: ListFormat::Table, quiet: false };

#[test]
fn empty_list_is_null() {
    let mut fixture = Fixture::new();
    assert_eq!(printed(|out| run(&fixture.root, &JSON, out)), "null\n");
    assert_eq!(
        printed(|out| run(&fixture.root, &TABLE, out)),
        "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
    );
    fixture.root.path.push("missing");
    fixture.root.given = false;
    assert_eq!(printed(|out| run(&fixture.root, &JSON, out)), "null\n");
    fixture.root.given = true;
    let error = run(&fixture.root, &JSON, &mut Vec::new()).unwrap_err().to_string();
    assert_eq!(error, format!("open \"{}\": no such file or directory", fixture.root.path.display()));
}

#[test]
fn broken_entries_do_not_hide_the_others() {
    let fixture = Fixture::new();
    let sleeper = Sleeper::new();
    let init = sleeper.init();
    let pid = init.pid;
    for id in ["b", "broken", "empty"] {
        fixture.write(&record(id));
    }
    fixture.write(&Record { init: Some(init), bundle: "/a\x1b[31m/long/name".to_owned(), ..record("a") });
    fixture.spoil("broken", b"{\"version\":");
    std::fs::remove_file(fixture.root.path.join("empty/state.json")).unwrap();
    let created = fixture.store().create("in-creation").unwrap();
    let mut broken = Vec::new();
    reports(&fixture.store(), &mut |id, _| broken.push(id.to_owned())).unwrap();
    assert_eq!(broken, ["broken", "empty"], "one that is being made is no broken one");
    drop(created);
    let quiet = List { quiet: true, ..JSON };
    assert_eq!(printed(|out| run(&fixture.root, &quiet, out)), "a\nb\n");
    let json: serde_json::Value = serde_json::from_str(&printed(|out| run(&fixture.root, &JSON, out))).unwrap();
    assert_eq!((&json[0]["id"], &json[0]["pid"], &json[1]["status"]), (&"a".into(), &pid.into(), &"stopped".into()));
    let table = printed(|out| run(&fixture.root, &TABLE, out));
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "ID          PID         STATUS      BUNDLE              CREATED                  OWNER");
    assert_eq!(lines[1], format!("a           {pid:<12}running     /a?[31m/long/name   2026-01-02T03:04:05.6Z   root"));
    assert_eq!(lines.len(), 3);
}
