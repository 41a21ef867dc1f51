use super::*;

fn refused(text: &str) -> String {
    match Spec::parse(text.as_bytes()) {
        Ok(spec) => panic!("accepted: {spec:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn null_is_the_default_everywhere() {
    let text = r#"{"ociVersion":null,"process":{"terminal":null,"consoleSize":null,"user":null,"args":null,
        "env":[null],"cwd":null,"capabilities":{"bounding":null},"rlimits":[null],"oomScoreAdj":null},
        "root":null,"mounts":null,"annotations":{"a":null},"hooks":{"prestart":null},
        "linux":{"sysctl":null,"resources":{"cpu":{"shares":null,"cpus":null},"rdma":null},"namespaces":null}}"#;
    let spec = Spec::parse(text.as_bytes()).unwrap();
    let process = spec.process.unwrap();
    assert_eq!(process.user, User::default());
    assert_eq!(process.env, [""]);
    assert_eq!(process.rlimits, [PosixRlimit::default()]);
    assert_eq!(spec.annotations["a"], "");
    assert_eq!(spec.root, None);
    assert_eq!(spec.linux.unwrap().resources.unwrap().cpu, Some(Cpu::default()));
}

#[test]
fn process_without_user_is_uid_0() {
    let spec = Spec::parse(br#"{"process":{"args":["a"]}}"#).unwrap();
    assert_eq!(spec.process.unwrap().user, User { uid: 0, gid: 0, ..User::default() });
}

#[test]
fn unknown_fields_are_ignored_at_every_level() {
    let spec = Spec::parse(br#"{"x":[[{}]],"windows":{},"linux":{"y":1,"resources":{"z":null}}}"#).unwrap();
    assert_eq!(spec.linux.unwrap().resources, Some(Resources::default()));
}

#[test]
fn a_key_that_differs_in_case_only_is_refused() {
    assert_eq!(
        refused(r#"{"linux":{"MaskedPaths":[]}}"#),
        "linux.MaskedPaths: line 1 column 23: field \"MaskedPaths\" has to be spelled \"maskedPaths\""
    );
}

#[test]
fn duplicate_keys_are_refused_in_structs_and_maps() {
    assert!(refused(r#"{"hostname":"a","hostname":"b"}"#).contains("duplicate key \"hostname\""));
    assert!(refused(r#"{"annotations":{"a":"1","a":"2"}}"#).contains("duplicate key \"a\""));
    assert!(refused(r#"{"process":null,"process":{}}"#).contains("duplicate key \"process\""));
}

#[test]
fn an_array_is_not_an_object() {
    for text in ["[]", r#"{"linux":[]}"#, r#"{"process":[true]}"#, r#"{"mounts":[["/a"]]}"#, r#"{"annotations":[]}"#] {
        assert!(refused(text).contains("expected an object"), "{text}: {}", refused(text));
    }
}

#[test]
fn errors_name_the_value_and_the_place() {
    assert_eq!(
        refused("{\n \"process\": {\"args\": [\"a\", 1]}}"),
        "process.args[1]: line 2 column 28: invalid type: integer `1`, expected a string"
    );
    assert!(refused(r#"{"process":{"user":{"uid":4294967296}}}"#).starts_with("process.user.uid: "));
    assert!(refused(r#"{"process":{"user":{"uid":-1}}}"#).starts_with("process.user.uid: "));
    assert!(refused(r#"{"process":{"user":{"uid":1.0}}}"#).starts_with("process.user.uid: "));
}

#[test]
fn nul_in_a_string_is_refused() {
    assert!(refused(r#"{"process":{"args":["a\u0000b"]}}"#).contains("string has a NUL byte"));
    assert!(refused(r#"{"annotations":{"a\u0000":""}}"#).contains("string has a NUL byte"));
}

#[test]
fn text_that_is_not_utf8_is_refused_even_in_unknown_fields() {
    let error = Spec::parse(b"{\n\"x\":\"\xff\"}").unwrap_err();
    assert_eq!(error.to_string(), "line 2 column 6: text is not UTF-8");
}

#[test]
fn depth_bomb_is_refused_even_in_unknown_fields() {
    let text = format!("{{\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(refused(&text), "line 1 column 69: nested more than 64 deep");
    assert!(Spec::parse(br#"{"x":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"["}"#).is_ok());
}

#[test]
fn more_than_4_mib_is_refused() {
    let text = format!("{{\"hostname\":\"{}\"}}", "a".repeat(MAX_BYTES));
    assert_eq!(refused(&text), "file is larger than 4194304 bytes");
    assert!(matches!(
        read::<Spec>(text.as_bytes(), Path::new("stdin")),
        Err(SpecError::InFile { source, .. }) if matches!(*source, SpecError::TooLarge)
    ));
}

#[test]
fn empty_truncated_and_trailing_text_is_refused() {
    for text in ["", "null", "{", "{}x", "{}{}", "\u{feff}{}"] {
        refused(text);
    }
}

#[test]
fn fifo_device_and_directory_give_an_error_and_no_hang() {
    let dir = std::env::temp_dir().join(format!("casemate-spec-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let config = dir.join("config.json");
    assert_eq!(
        Spec::load(&dir).unwrap_err().to_string(),
        format!("JSON specification file config.json not found in bundle \"{}\"", dir.display())
    );

    nix::unistd::mkfifo(&config, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(matches!(Spec::load(&dir), Err(SpecError::NotRegular { .. })));
    std::fs::remove_file(&config).unwrap();

    std::os::unix::fs::symlink("/dev/zero", &config).unwrap();
    assert!(matches!(Spec::load(&dir), Err(SpecError::NotRegular { .. })));
    std::fs::remove_file(&config).unwrap();

    std::fs::create_dir(&config).unwrap();
    assert!(matches!(Spec::load(&dir), Err(SpecError::NotRegular { .. })));
    std::fs::remove_dir(&config).unwrap();

    std::fs::write(dir.join("real"), "{}").unwrap();
    std::os::unix::fs::symlink("real", &config).unwrap();
    assert_eq!(Spec::load(&dir).unwrap(), Spec::default());
    std::fs::remove_dir_all(&dir).unwrap();

    assert_eq!(
        load::<Spec>(Path::new("/nope/x")).unwrap_err().to_string(),
        "open \"/nope/x\": no such file or directory"
    );
}

#[test]
fn zero_values_are_left_out_where_go_leaves_them_out() {
    let spec = Spec { process: Some(Process::default()), root: Some(Root::default()), ..Spec::default() };
    assert_eq!(
        serde_json::to_string(&spec).unwrap(),
        r#"{"ociVersion":"","process":{"user":{"uid":0,"gid":0},"cwd":""},"root":{"path":""}}"#
    );
}

#[test]
fn the_line_for_the_user_has_the_whole_chain() {
    use crate::error::{Error, Kind};
    let error = Error::from(read::<Spec>(&b"{\"linux\":1}"[..], Path::new("/b/config.json")).unwrap_err());
    assert_eq!(error.kind, Kind::InvalidConfig);
    assert_eq!(
        error.to_string(),
        "read \"/b/config.json\": linux: line 1 column 10: invalid type: integer `1`, expected an object"
    );
}
