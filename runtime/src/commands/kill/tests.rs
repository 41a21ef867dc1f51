use super::*;
use crate::commands::fixture::{Boxed, Fixture, id};
use crate::error::Kind;
use crate::state::{Record, Sleeper, record};

fn kill(fixture: &Fixture, signal: &str, all: bool) -> Result<()> {
    run(&fixture.root, &Kill { id: id("c"), signal: signal.parse().unwrap(), all })
}

#[test]
fn init_gets_the_signal() {
    let fixture = Fixture::new();
    let mut sleeper = Sleeper::new();
    fixture.write(&Record { init: Some(sleeper.init()), ..record("c") });
    kill(&fixture, "0", false).unwrap();
    assert!(sleeper.is_alive());
    kill(&fixture, "TERM", false).unwrap();
    sleeper.wait();
    let error = kill(&fixture, "TERM", false).unwrap_err();
    assert_eq!((error.kind, error.to_string().as_str()), (Kind::WrongState, "container not running"));
    kill(&fixture, "9", true).unwrap();
    assert_eq!(kill(&fixture, "0", false).unwrap_err().to_string(), "container not running");
}

#[test]
fn tampered_records_signal_nobody() {
    let fixture = Fixture::new();
    let (mut init, mut victim) = (Sleeper::new(), Sleeper::new());
    let good = Record { init: Some(init.init()), ..record("c") };
    fixture.write(&good);
    let text = String::from_utf8(good.to_json().unwrap()).unwrap();
    let (pid, other) = (init.init().pid, victim.init().pid);
    for spoilt in [
        text.replace(&format!("\"pid\":{pid}"), &format!("\"pid\":{other}")),
        text.replace(&format!("\"pid\":{pid}"), &format!("\"pid\":{pid},\"pid\":{other}")),
        text.replace(&format!("\"pid\":{pid}"), "\"pid\":-1"),
        text.replace(&format!("\"pid\":{pid}"), "\"pid\":1"),
        text.replace(&format!("\"pid\":{pid}"), "\"pid\":99999999999"),
        text.replace("\"id\":\"c\"", "\"id\":\"d\""),
        text[..text.len() / 2].to_owned(),
        "[".repeat(10_000),
        String::new(),
    ] {
        fixture.spoil("c", spoilt.as_bytes());
        for all in [false, true] {
            // With --all a container whose init is another process has stopped, which is no error.
            let result = kill(&fixture, "KILL", all);
            assert!(all || result.is_err(), "{spoilt}");
        }
        assert!(init.is_alive() && victim.is_alive(), "{spoilt}");
    }
}

#[test]
fn kill_of_a_paused_container_gets_through() {
    let Some(mut boxed) = Boxed::new() else { return };
    let fixture = Fixture::new();
    fixture.write(&boxed.record());
    boxed.cgroup().freeze(DEADLINE).unwrap();
    assert_eq!(fixture.status("c"), "paused");
    kill(&fixture, "WINCH", false).unwrap();
    assert!(boxed.is_alive(0) && fixture.status("c") == "paused", "what does not kill is delivered later");
    kill(&fixture, "KILL", false).unwrap();
    boxed.wait(0);
    assert_eq!(fixture.status("c"), "stopped");
}

#[test]
fn all_processes_of_a_shared_pid_namespace_are_killed_also_after_init() {
    let Some(mut boxed) = Boxed::new() else { return };
    boxed.spawn();
    boxed.spawn();
    let fixture = Fixture::new();
    fixture.write(&Record { own_pid_namespace: false, ..boxed.record() });
    kill(&fixture, "TERM", false).unwrap();
    boxed.wait(0);
    assert!(boxed.is_alive(1) && boxed.is_alive(2), "SIGTERM is for init alone");
    kill(&fixture, "TERM", true).unwrap();
    boxed.wait(1);
    boxed.wait(2);
    boxed.spawn();
    kill(&fixture, "KILL", true).unwrap();
    boxed.wait(3);
}
