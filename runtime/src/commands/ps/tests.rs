use super::*;
use crate::commands::fixture::{Boxed, Fixture, id, printed};
use crate::state::record;

fn ps(format: ListFormat, args: &[&str]) -> Ps {
    Ps { id: id("c"), format, args: args.iter().map(|&arg| arg.to_owned()).collect() }
}

#[test]
fn stopped_container_has_no_processes() {
    let fixture = Fixture::new();
    fixture.write(&record("c"));
    assert_eq!(printed(|out| run(&fixture.root, &ps(ListFormat::Json, &[]), out)), "null\n");
    let table = printed(|out| run(&fixture.root, &ps(ListFormat::Table, &[]), out));
    let titles: Vec<&str> = table.split_ascii_whitespace().collect();
    assert_eq!(titles, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
}

#[test]
fn processes_of_the_container_are_listed() {
    let Some(mut boxed) = Boxed::new() else { return };
    boxed.spawn();
    let fixture = Fixture::new();
    fixture.write(&boxed.record());
    let mut pids = boxed.pids();
    pids.sort_unstable();
    let json = printed(|out| run(&fixture.root, &ps(ListFormat::Json, &[]), out));
    assert_eq!(serde_json::from_str::<Vec<i32>>(&json).unwrap(), pids);
    let ours = printed(|out| run(&fixture.root, &ps(ListFormat::Table, &["-ef"]), out));
    assert_eq!(ours.lines().count(), 3);
    match host_ps(&["-ef".to_owned()]) {
        Ok(theirs) => assert_eq!(ours, filtered(&theirs, &pids).unwrap(), "as the host's ps has it"),
        Err(error) => return eprintln!("skipped: {error}"),
    }
    let args = ["-o", "comm,pid"];
    let chosen = printed(|out| run(&fixture.root, &ps(ListFormat::Table, &[&args[..], &["-e"]].concat()), out));
    assert_eq!(chosen.lines().count(), 3, "{chosen}");
    let error = run(&fixture.root, &ps(ListFormat::Table, &["-eo", "comm"]), &mut Vec::new()).unwrap_err();
    assert!(error.to_string().starts_with("couldn't find PID field in ps output"), "{error}");
    let error = run(&fixture.root, &ps(ListFormat::Table, &["--banana"]), &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("exit status"), "{error}");
}

#[test]
fn threads_follow_their_process() {
    let table = "  PID   LWP CMD\n   7     - cat\n    -    7 -\n   8     - sh\n   -     8 -\n";
    assert_eq!(filtered(table, &[8]).unwrap(), "  PID   LWP CMD\n   8     - sh\n   -     8 -\n");
}
