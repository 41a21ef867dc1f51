use std::os::unix::net::UnixListener;
use std::time::Duration;

use super::*;
use crate::state::process::tests::Sleeper;
use crate::state::record::tests::record;
use crate::state::store::tests::Scratch;

#[test]
fn status_follows_the_process_and_the_socket() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let mut sleeper = Sleeper::new();
    let entry = store.create("c").unwrap();
    entry.write(&Record { init: Some(sleeper.init()), ..record("c") }).unwrap();
    let socket = UnixListener::bind(format!("{}/start", entry.path())).unwrap();
    let container = Container::load(&store, "c").unwrap();
    assert_eq!(container.status().unwrap(), Status::Created);
    entry.remove_start().unwrap();
    drop(socket);
    let (status, process) = container.look().unwrap();
    assert_eq!(status, Status::Running);
    process.unwrap().kill(Duration::from_secs(10)).unwrap();
    assert_eq!(container.status().unwrap(), Status::Stopped);
    sleeper.wait();
    assert_eq!(container.status().unwrap(), Status::Stopped);
}

#[test]
fn container_is_being_created_as_long_as_its_creator_lives() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let entry = store.create("c").unwrap();
    entry.write(&Record { init: None, phase: Phase::Creating, ..record("c") }).unwrap();
    let container = Container::load(&store, "c").unwrap();
    assert_eq!(container.status().unwrap(), Status::Creating);
    drop(entry);
    assert_eq!(container.status().unwrap(), Status::Stopped);
    let container = Container::load_locked(&store, "c").unwrap();
    assert_eq!(container.status().unwrap(), Status::Stopped);
    assert!(store.entry("c").unwrap().is_locked_by_another().unwrap(), "the status does not give the lock away");
}

#[test]
fn tampered_pid_makes_a_stopped_container() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let mut victim = Sleeper::new();
    let mut init = victim.init();
    init.start_time -= 1;
    store.create("c").unwrap().write(&Record { init: Some(init), ..record("c") }).unwrap();
    let (status, process) = Container::load(&store, "c").unwrap().look().unwrap();
    assert!(status == Status::Stopped && process.is_none() && victim.is_alive());
}
