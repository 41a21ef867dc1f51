use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A directory of the test's own, removed at its end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Scratch {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("casemate-state-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        Scratch(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.0, false).unwrap().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Some tests remove it themselves.
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn root_is_made_for_its_owner_only() {
    let scratch = Scratch::new();
    let root = scratch.path().join("a/b");
    assert!(Store::open(&root, false).unwrap().is_none());
    assert!(Store::open(&root, true).unwrap().is_some());
    assert_eq!((mode(&root), mode(root.parent().unwrap())), (0o700, 0o700));
}

#[test]
fn root_that_is_a_link_or_writable_by_others_is_refused() {
    let scratch = Scratch::new();
    let (root, link) = (scratch.path().join("root"), scratch.path().join("link"));
    fs::create_dir(&root).unwrap();
    symlink(&root, &link).unwrap();
    assert_eq!(Store::open(&link, true).unwrap_err().kind, Kind::Denied);
    fs::set_permissions(&root, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(Store::open(&root, true).unwrap_err().kind, Kind::Denied);
    fs::set_permissions(&root, fs::Permissions::from_mode(0o1777)).unwrap();
    assert!(Store::open(&root, true).is_ok(), "others cannot replace what is in a sticky directory");
    assert!(Store::open(Path::new("//"), true).is_err());
}

#[test]
fn root_of_somebody_else_is_refused() {
    let scratch = Scratch::new();
    if !geteuid().is_root() {
        return eprintln!("skipped: needs root to give a directory away");
    }
    std::os::unix::fs::chown(scratch.path(), Some(1000), None).unwrap();
    let error = Store::open(scratch.path(), false).unwrap_err().to_string();
    assert!(error.contains("is owned by user 1000"), "{error}");
}

#[test]
fn entry_that_was_put_there_as_a_link_is_refused() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let elsewhere = Scratch::new();
    symlink(elsewhere.path(), scratch.path().join("c")).unwrap();
    assert_eq!(store.lock("c").unwrap_err().kind, Kind::Denied);
    assert_eq!(store.create("c").unwrap_err().kind, Kind::AlreadyExists);
    fs::write(scratch.path().join("f"), "").unwrap();
    assert_eq!(store.entry("f").unwrap_err().kind, Kind::Denied);
}

#[test]
fn texts_are_those_that_engines_match() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let missing = store.lock("c").unwrap_err();
    assert_eq!((missing.kind, missing.to_string().as_str()), (Kind::NotFound, "container does not exist"));
    let entry = store.create("c").unwrap();
    assert_eq!(mode(Path::new(entry.path())), 0o700);
    let exists = store.create("c").unwrap_err();
    assert_eq!(
        (exists.kind, exists.to_string().as_str()),
        (Kind::AlreadyExists, "container with given ID already exists")
    );
}

#[test]
fn names_that_are_no_ids_are_not_listed_and_not_opened() {
    let scratch = Scratch::new();
    let store = scratch.store();
    for name in ["b", "a", ".hidden", "with space", "x:y"] {
        fs::create_dir(scratch.path().join(name)).unwrap();
    }
    fs::write(scratch.path().join("file"), "").unwrap();
    assert_eq!(store.ids().unwrap(), ["a", "b"]);
    for id in ["", ".", "..", "a/b", "../x", ".hidden", "-x", "a\0", &"a".repeat(256)] {
        assert_eq!(store.entry(id).unwrap_err().to_string(), "invalid container ID format", "{id:?}");
        assert!(store.create(id).is_err() && store.lock(id).is_err(), "{id:?}");
    }
}

#[test]
fn who_waited_for_the_lock_of_a_deleted_container_finds_it_gone() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let first = store.create("c").unwrap();
    let waiter = std::thread::spawn({
        let store = store.clone();
        move || store.lock("c").map(|entry| entry.id().to_owned())
    });
    // Removed under the lock and made anew: the waiter holds the old directory, which must not count.
    first.remove(crate::state::Unknown::Refuse).unwrap();
    drop(first);
    let error = waiter.join().unwrap().unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
}

#[test]
fn one_of_many_creators_of_an_id_wins_each_time() {
    let scratch = Scratch::new();
    let store = scratch.store();
    for _ in 0..100 {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let store = store.clone();
                std::thread::spawn(move || store.create("c"))
            })
            .collect();
        // All entries are kept until the end: a dropped one would give its lock away.
        let entries: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let winners: Vec<_> = entries.iter().filter_map(|entry| entry.as_ref().ok()).collect();
        assert_eq!(winners.len(), 1);
        winners[0].remove(crate::state::Unknown::Refuse).unwrap();
    }
    assert!(store.ids().unwrap().is_empty());
}
