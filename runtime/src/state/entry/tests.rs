use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::*;
use crate::state::record::tests::record;
use crate::state::store::tests::Scratch;

fn entry(scratch: &Scratch) -> Entry {
    scratch.store().create("c").unwrap()
}

fn file(entry: &Entry, name: &str) -> std::path::PathBuf {
    Path::new(entry.path()).join(name)
}

#[test]
fn record_is_replaced_and_for_its_owner_only() {
    let scratch = Scratch::new();
    let entry = entry(&scratch);
    for bundle in ["/one", "/two"] {
        let mut record = record("c");
        record.bundle = bundle.to_owned();
        entry.write(&record).unwrap();
        assert_eq!(entry.read().unwrap().bundle, bundle);
    }
    assert_eq!(fs::metadata(file(&entry, STATE)).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(entry.write(&record("d")).is_err());
}

#[test]
fn what_a_killed_writer_left_does_not_matter_and_links_are_not_written_through() {
    let scratch = Scratch::new();
    let entry = entry(&scratch);
    let victim = scratch.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    symlink(&victim, file(&entry, ".new-state.json")).unwrap();
    symlink(&victim, file(&entry, STATE)).unwrap();
    entry.write(&record("c")).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    assert_eq!(entry.read().unwrap(), record("c"));
}

#[test]
fn what_is_no_regular_file_is_not_read() {
    let scratch = Scratch::new();
    let entry = entry(&scratch);
    symlink("/etc/passwd", file(&entry, STATE)).unwrap();
    assert_eq!(entry.read().unwrap_err().kind, Kind::Denied);
    fs::remove_file(file(&entry, STATE)).unwrap();
    fs::create_dir(file(&entry, STATE)).unwrap();
    assert_eq!(entry.read().unwrap_err().kind, Kind::Denied);
    fs::remove_dir(file(&entry, STATE)).unwrap();
    rustix::fs::mknodat(&entry.dir, STATE, FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert_eq!(entry.read().unwrap_err().kind, Kind::Denied, "a FIFO must not hang");
    fs::remove_file(file(&entry, STATE)).unwrap();
    let _socket = UnixListener::bind(file(&entry, STATE)).unwrap();
    assert_eq!(entry.read().unwrap_err().kind, Kind::Denied);
}

#[test]
fn file_of_100_mib_is_refused_unread() {
    let scratch = Scratch::new();
    let entry = entry(&scratch);
    fs::File::create(file(&entry, STATE)).unwrap().set_len(100 << 20).unwrap();
    let error = entry.read().unwrap_err().to_string();
    assert!(error.contains("is larger than 1048576 bytes"), "{error}");
}

#[test]
fn container_waits_as_long_as_the_socket_is_there() {
    let scratch = Scratch::new();
    let entry = entry(&scratch);
    assert!(!entry.is_waiting().unwrap());
    let _socket = UnixListener::bind(file(&entry, START)).unwrap();
    assert!(entry.is_waiting().unwrap());
    assert!(entry.remove_start().unwrap() && !entry.remove_start().unwrap());
    assert!(!entry.is_waiting().unwrap());
    fs::write(file(&entry, START), "").unwrap();
    assert_eq!(entry.is_waiting().unwrap_err().kind, Kind::Denied);
}

#[test]
fn entry_is_removed_with_all_that_is_ours() {
    let scratch = Scratch::new();
    let entry = entry(&scratch);
    entry.write(&record("c")).unwrap();
    entry.write_file(CONFIG, b"{}").unwrap();
    fs::write(file(&entry, ".new-state.json"), "half").unwrap();
    let _socket = UnixListener::bind(file(&entry, START)).unwrap();
    fs::create_dir(file(&entry, NOTIFY)).unwrap();
    let _notify = UnixListener::bind(file(&entry, "notify/notify.sock")).unwrap();
    entry.remove(Unknown::Refuse).unwrap();
    assert!(!Path::new(entry.path()).exists());
}

#[test]
fn content_of_others_is_named_and_removed_only_by_force() {
    let scratch = Scratch::new();
    let entry = entry(&scratch);
    let outside = scratch.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "").unwrap();
    entry.write(&record("c")).unwrap();
    fs::create_dir_all(file(&entry, "foreign/deep")).unwrap();
    symlink(&outside, file(&entry, "foreign/deep/link")).unwrap();
    let error = entry.remove(Unknown::Refuse).unwrap_err().to_string();
    assert!(error.contains("/c/foreign\" was not made by the runtime"), "{error}");
    assert_eq!(entry.read().unwrap(), record("c"), "nothing is removed");
    entry.remove(Unknown::Remove).unwrap();
    assert!(!Path::new(entry.path()).exists() && outside.join("kept").exists());
}
