use super::*;
use crate::commands::fixture::{Boxed, Fixture, id, log, printed};
use crate::state::{Sleeper, record};

fn events(stats: bool) -> Events {
    Events { id: id("c"), stats, interval: Duration::from_millis(1) }
}

#[test]
fn figures_are_printed_once() {
    let Some(boxed) = Boxed::new() else { return };
    let fixture = Fixture::new();
    fixture.write(&boxed.record());
    let text = printed(|out| run(&fixture.root, &events(true), &log(), out));
    assert_eq!(text.lines().count(), 1);
    let event: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&event["type"], &event["id"], &event["data"]["pids"]["current"]),
        (&"stats".into(), &"c".into(), &1.into())
    );
}

#[test]
fn events_end_with_the_container() {
    let Some(mut boxed) = Boxed::new() else { return };
    let fixture = Fixture::new();
    fixture.write(&boxed.record());
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&fixture.root, &events(false), &log(), &mut writer));
        let mut first = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(&reader), &mut first).unwrap();
        assert!(first.starts_with("{\"type\":\"stats\",\"id\":\"c\",\"data\":{"), "{first}");
        boxed.cgroup().kill_all(crate::commands::DEADLINE).unwrap();
        running.join().unwrap().unwrap();
    });
    boxed.wait(0);
}

#[test]
fn events_end_when_nobody_reads() {
    let Some(boxed) = Boxed::new() else { return };
    let fixture = Fixture::new();
    fixture.write(&boxed.record());
    let (reader, mut writer) = std::io::pipe().unwrap();
    drop(reader);
    run(&fixture.root, &events(false), &log(), &mut writer).unwrap();
}

#[test]
fn stopped_container_has_no_events() {
    let fixture = Fixture::new();
    fixture.write(&record("c"));
    let error = run(&fixture.root, &events(true), &log(), &mut Vec::new()).unwrap_err().to_string();
    assert_eq!(error, "container with id c is not running");
}

#[test]
fn out_of_memory_event_has_no_data() {
    let event = Event { r#type: "oom", id: "c", data: None };
    assert_eq!(line(&event).unwrap(), "{\"type\":\"oom\",\"id\":\"c\"}\n");
    let sleeper = Sleeper::new();
    let process = Process::open(&sleeper.init()).unwrap().unwrap();
    assert!(matches!(wait(&process, None, Instant::now()).unwrap(), Woken::Interval));
}
