use super::*;
use crate::cgroup::Version;

pub(crate) fn record(id: &str) -> Record {
    Record {
        version: VERSION,
        id: id.to_owned(),
        bundle: "/b".to_owned(),
        rootfs: "/b/rootfs".to_owned(),
        created: "2026-01-02T03:04:05.6Z".to_owned(),
        owner_uid: 0,
        oci_version: "1.0.2-dev".to_owned(),
        annotations: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        enforcement: None,
        notes: Vec::new(),
        phase: Phase::Created,
        init: Some(InitProcess { pid: 77, start_time: 1, boot_id: "0".repeat(36), pidfd_inode: None }),
        cgroups: Vec::new(),
        systemd_cgroup: false,
        own_pid_namespace: true,
        listener: None,
        poststart: Vec::new(),
        poststop: vec![Hook { path: "/bin/true".to_owned(), ..Hook::default() }],
    }
}

fn at(path: &str, mount_point: &str) -> cgroup::Record {
    cgroup::Record {
        version: Version::V2,
        controllers: Vec::new(),
        mount_point: mount_point.to_owned(),
        path: path.to_owned(),
    }
}

fn refused(text: &str) -> String {
    Record::parse(text.as_bytes(), "c").unwrap_err().to_string()
}

fn json() -> String {
    String::from_utf8(record("c").to_json().unwrap()).unwrap()
}

#[test]
fn record_is_read_as_it_was_written() {
    let mut record = record("c");
    record.cgroups = vec![at("docker/c", "/sys/fs/cgroup")];
    assert_eq!(Record::parse(&record.to_json().unwrap(), "c").unwrap(), record);
    record.phase = Phase::Creating;
    record.init = None;
    assert_eq!(Record::parse(&record.to_json().unwrap(), "c").unwrap(), record);
}

#[test]
fn every_truncation_is_refused() {
    let json = json();
    for length in 0..json.len() {
        let error = refused(&json[..length]);
        assert!(error.starts_with("state.json "), "{error}");
    }
}

#[test]
fn record_of_another_container_is_refused() {
    let error = Record::parse(json().as_bytes(), "d").unwrap_err().to_string();
    assert_eq!(error, "state.json is of container \"c\", not of \"d\"");
}

#[test]
fn numbers_that_no_pid_can_be_are_refused() {
    for pid in
        ["0", "1", "-1", "-77", "4194305", "2147483647", "4294967373", "1e3", "77.0", "\"77\"", "18446744073709551693"]
    {
        let error = refused(&json().replace("\"pid\":77", &format!("\"pid\":{pid}")));
        assert!(error.contains("pid") || error.contains("init"), "{pid}: {error}");
    }
    refused(&json().replace("\"start_time\":1", "\"start_time\":99999999999999999999999"));
}

#[test]
fn repeated_keys_are_refused() {
    for (key, twice) in [
        ("\"pid\":77", "\"pid\":77,\"pid\":78"),
        ("\"id\":\"c\"", "\"id\":\"c\",\"id\":\"c\""),
        ("\"k\":\"v\"", "\"k\":\"v\",\"k\":\"w\""),
    ] {
        let error = refused(&json().replace(key, twice));
        assert!(error.contains("duplicate"), "{error}");
    }
}

#[test]
fn nesting_other_bytes_and_unknown_fields_are_refused() {
    let deep = format!("{{\"version\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(refused(&deep).contains("nested"));
    let mut bytes = json().into_bytes();
    let at = bytes.len() - 3;
    bytes[at] = 0xff;
    assert!(Record::parse(&bytes, "c").unwrap_err().to_string().contains("UTF-8"));
    assert!(refused(&json().replace("\"version\":1", "\"version\":1,\"x\":0")).contains("unknown field"));
    assert!(refused(&json().replace("\"version\":1", "\"version\":2")).contains("has version 2, not 1"));
    assert!(refused(&" ".repeat(MAX_BYTES + 1)).contains("larger"));
}

#[test]
fn values_that_cannot_be_right_are_neither_read_nor_written() {
    type Spoil = fn(&mut Record);
    let cases: [(Spoil, &str); 8] = [
        (|r| r.bundle = "b".to_owned(), "not an absolute path"),
        (|r| r.rootfs = "/a\0".to_owned(), "not an absolute path"),
        (|r| r.created = "yesterday".to_owned(), "not a time"),
        (|r| r.init = None, "has no init"),
        (|r| r.init.as_mut().unwrap().boot_id = "../..".to_owned(), "not the id of a boot"),
        (|r| r.cgroups = vec![at("", "/sys/fs/cgroup")], "not a directory below"),
        (|r| r.cgroups = vec![at("a/../..", "/sys/fs/cgroup")], "not a directory below"),
        (|r| r.cgroups = vec![at("a", "sys/fs/cgroup")], "not a directory below"),
    ];
    for (spoil, says) in cases {
        let mut record = record("c");
        spoil(&mut record);
        let error = record.to_json().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        let error = Record::parse(&serde_json::to_vec(&record).unwrap(), "c").unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn times_are_those_of_the_calendar() {
    for (seconds, nanoseconds, text) in [
        (0, 0, "1970-01-01T00:00:00Z"),
        (951_782_399, 120_000_000, "2000-02-28T23:59:59.12Z"),
        (951_782_400, 1, "2000-02-29T00:00:00.000000001Z"),
        (951_868_800, 0, "2000-03-01T00:00:00Z"),
        (1_735_689_599, 999_999_999, "2024-12-31T23:59:59.999999999Z"),
        (4_107_542_400, 0, "2100-03-01T00:00:00Z"),
    ] {
        assert_eq!(format_time(seconds, nanoseconds), text);
        assert!(is_time(text));
    }
    assert!(is_time(&now()));
    for text in [
        "",
        "Z",
        "2026-01-02T03:04:05",
        "2026-01-02 03:04:05Z",
        "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05.1234567890Z",
    ] {
        assert!(!is_time(text), "{text}");
    }
}
