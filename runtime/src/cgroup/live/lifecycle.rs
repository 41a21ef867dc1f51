//! Freezing, killing, removing.

use super::*;
use crate::spec::{Cpu, DeviceCgroup, Memory, Pids};

#[test]
fn freeze_stops_and_thaw_resumes() {
    let Some(fixture) = Fixture::new() else { return };
    let mut child = fixture.sleeper();
    let later = fixture.reopened();
    assert!(!later.is_frozen().unwrap());
    later.freeze(DEADLINE).unwrap();
    assert!(later.is_frozen().unwrap());
    later.thaw().unwrap();
    assert!(!later.is_frozen().unwrap());
    // A frozen container can be killed.
    later.freeze(DEADLINE).unwrap();
    later.kill_all(DEADLINE).unwrap();
    child.wait().unwrap();
}

#[test]
fn pids_include_those_of_child_cgroups() {
    let Some(fixture) = Fixture::new() else { return };
    let Some(unified) = fixture.path.records.iter().find(|r| r.version == Version::V2) else {
        eprintln!("skipped: needs the unified hierarchy");
        return;
    };
    let mut first = fixture.sleeper();
    let below = format!("{}/below", unified.directory());
    std::fs::create_dir(&below).unwrap();
    let mut second = fixture.spawn(&format!("echo 0 > {below}/cgroup.procs; exec sleep 1000"));
    wait_in(&mut second);
    let mut expected = vec![i32::try_from(first.id()).unwrap(), i32::try_from(second.id()).unwrap()];
    expected.sort_unstable();
    assert_eq!(fixture.reopened().pids().unwrap(), expected);
    fixture.cgroup.kill_all(DEADLINE).unwrap();
    first.wait().unwrap();
    second.wait().unwrap();
    Cgroupfs.remove(&fixture.reopened(), DEADLINE).unwrap();
    assert!(fixture.reopened().pids().unwrap().is_empty());
    for record in &fixture.path.records {
        assert!(std::fs::metadata(record.directory()).is_err(), "{record:?} is left");
    }
    // A second killing and a second removal find nothing and are content.
    fixture.reopened().kill_all(DEADLINE).unwrap();
    assert!(!fixture.reopened().is_frozen().unwrap());
    Cgroupfs.remove(&fixture.reopened(), DEADLINE).unwrap();
}

#[test]
fn removal_of_a_cgroup_in_use_names_what_is_left() {
    let Some(fixture) = Fixture::new() else { return };
    let mut child = fixture.sleeper();
    let error = Cgroupfs.remove(&fixture.cgroup, Duration::from_millis(20)).unwrap_err();
    assert!(error.to_string().contains("1 process(es) left"), "{error}");
    fixture.cgroup.kill_all(DEADLINE).unwrap();
    child.wait().unwrap();
}

#[test]
fn kill_without_cgroup_kill_ends_every_process() {
    let Some(fixture) = Fixture::new() else { return };
    // The records of a pure v1 host.
    let records: Vec<_> = fixture.path.records.iter().filter(|r| r.version == Version::V1).cloned().collect();
    if records.is_empty() {
        eprintln!("skipped: needs cgroup v1");
        return;
    }
    let v1 = Cgroup::open(&records);
    let mut children = [fixture.sleeper(), fixture.sleeper(), fixture.sleeper()];
    assert_eq!(v1.pids().unwrap().len(), 3);
    v1.kill_all(DEADLINE).unwrap();
    for child in &mut children {
        child.wait().unwrap();
    }
    assert!(v1.pids().unwrap().is_empty());
}

#[test]
fn undo_removes_all_that_create_made() {
    let Some(fixture) = Fixture::new() else { return };
    let name = format!("/casemate-test-{}-undo/a/b", std::process::id());
    let path = Path::from_spec(Some(&name), "id", &fixture.layout).unwrap();
    let (cgroup, _join) = Cgroupfs.create(Cgroupfs.prepare(&path).unwrap()).unwrap();
    cgroup.undo();
    for record in &path.records {
        let top = record.directory();
        let top = top.split("/a/b").next().unwrap();
        assert!(std::fs::metadata(top).is_err(), "{top} is left");
    }
}

/// `cargo test -p casemate --release cost -- --ignored --nocapture`
#[test]
#[ignore = "prints what cgroups cost"]
fn cost_of_a_container() {
    use std::time::Instant;
    let Some(fixture) = Fixture::new() else { return };
    let deny = [DeviceCgroup { access: "rwm".to_owned(), ..DeviceCgroup::default() }];
    let resources = Resources {
        memory: Some(Memory { limit: Some(64 << 20), ..Memory::default() }),
        cpu: Some(Cpu { shares: Some(512), ..Cpu::default() }),
        pids: Some(Pids { limit: Some(100) }),
        ..Resources::default()
    };
    let mut times: [Vec<u128>; 6] = Default::default();
    for _ in 0..200 {
        let t0 = Instant::now();
        let layout = Layout::discover().unwrap();
        // As with an engine's cgroup parent: the directory above exists.
        let above = fixture.path.records[0].path.split('/').next().unwrap();
        let path =
            Path::from_spec(Some(&format!("/{above}{}", unique().replace("/container", ""))), "id", &layout).unwrap();
        let t1 = Instant::now();
        let (cgroup, join) = Cgroupfs.create(Cgroupfs.prepare(&path).unwrap()).unwrap();
        let t2 = Instant::now();
        Cgroupfs.apply(&cgroup, &resources).unwrap();
        let t3 = Instant::now();
        cgroup.apply_devices(&rules(&deny, &devices::DEFAULT_NODES)).unwrap();
        let t4 = Instant::now();
        drop(join);
        Cgroupfs.remove(&Cgroup::open(&path.records), DEADLINE).unwrap();
        let t5 = Instant::now();
        for (all, span) in times.iter_mut().zip([t1 - t0, t2 - t1, t3 - t2, t4 - t3, t5 - t4, t5 - t0]) {
            all.push(span.as_micros());
        }
    }
    for (name, mut all) in ["discover", "create", "apply", "devices", "remove", "sum"].into_iter().zip(times) {
        all.sort_unstable();
        eprintln!("{name}: min {} us, median {} us", all[0], all[all.len() / 2]);
    }
    drop(fixture);
}

#[test]
fn delegated_cgroup_belongs_to_the_containers_root_and_its_limits_do_not() {
    use std::os::unix::fs::MetadataExt;
    let Some(fixture) = Fixture::new() else { return };
    let Some(record) = fixture.path.records.iter().find(|r| r.version == Version::V2) else {
        eprintln!("skipped: needs the unified hierarchy");
        return;
    };
    fixture.cgroup.delegate(100_000).unwrap();
    let owner = |file: &str| std::fs::metadata(format!("{}/{file}", record.directory())).unwrap().uid();
    assert_eq!((owner("."), owner("cgroup.procs"), owner("cgroup.subtree_control")), (100_000, 100_000, 100_000));
    assert_eq!((owner("cgroup.freeze"), owner("cgroup.max.depth")), (0, 0));
}
