mod engines;

use super::*;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use crate::policy::Level;
use crate::policy::catalogue::Standard;
use crate::spec::{BlockIo, Cpu, Memory, Pids, Resources};

fn parsed(line: &str) -> Result<(Globals, Request), Usage> {
    parse(std::iter::once("casemate").chain(line.split_whitespace()).map(OsString::from))
}

fn request(line: &str) -> Request {
    match parsed(line) {
        Ok((_, request)) => request,
        Err(usage) => panic!("{line}: {:?}", usage.error),
    }
}

fn usage(line: &str) -> Usage {
    match parsed(line) {
        Ok(read) => panic!("{line}: {read:?}"),
        Err(usage) => usage,
    }
}

fn error(line: &str) -> String {
    usage(line).error.unwrap()
}

fn id(text: &str) -> ContainerId {
    text.parse().unwrap()
}

fn path(text: &str) -> Option<PathBuf> {
    Some(PathBuf::from(text))
}

fn create(name: &str) -> Create {
    Create {
        id: id(name),
        bundle: path("/b"),
        console_socket: None,
        pidfd_socket: None,
        pid_file: path("/b/init.pid"),
        no_pivot: false,
        no_new_keyring: false,
        preserve_fds: 0,
        recorded: false,
    }
}

fn exec(name: &str) -> Exec {
    Exec {
        id: id(name),
        process: None,
        args: Vec::new(),
        cwd: None,
        env: Vec::new(),
        tty: false,
        user: None,
        additional_gids: Vec::new(),
        detach: false,
        pid_file: None,
        process_label: None,
        apparmor: None,
        no_new_privs: false,
        caps: Vec::new(),
        preserve_fds: 0,
        cgroups: Vec::new(),
        ignore_paused: false,
        console_socket: None,
        pidfd_socket: None,
    }
}

fn shim_globals(systemd_cgroup: bool) -> Globals {
    Globals {
        root: path("/run/containerd/runc/k8s.io"),
        log: path("/b/log.json"),
        log_format: LogFormat::Json,
        systemd_cgroup,
        ..Globals::default()
    }
}

const SHIM: &str = "--root /run/containerd/runc/k8s.io --log /b/log.json --log-format json";

fn update_of(change: Change) -> Update {
    Update { id: id("ID"), change, l3_cache_schema: None, mem_bw_schema: None }
}

#[test]
fn exec_by_hand() {
    assert_eq!(
        request(
            "exec -t -d -e A=1 --env B=2 -u 1000:100 -g 4 --additional-gids 5 --cwd /tmp -c CAP_CHOWN --cap=CAP_KILL \
             --no-new-privs --process-label l --apparmor p --cgroup a --cgroup cpu,memory:b --ignore-paused \
             --pidfd-socket /q ID sh -c id"
        ),
        Request::Exec(Box::new(Exec {
            tty: true,
            detach: true,
            env: vec!["A=1".into(), "B=2".into()],
            user: Some(User { uid: 1000, gid: Some(100) }),
            additional_gids: vec![4, 5],
            cwd: Some("/tmp".into()),
            caps: vec!["CAP_CHOWN".into(), "CAP_KILL".into()],
            no_new_privs: true,
            process_label: Some("l".into()),
            apparmor: Some("p".into()),
            cgroups: vec!["a".into(), "cpu,memory:b".into()],
            ignore_paused: true,
            pidfd_socket: path("/q"),
            args: ["sh", "-c", "id"].map(String::from).to_vec(),
            ..exec("ID")
        }))
    );
}

#[test]
fn exec_refuses_ids_that_would_be_another_user() {
    for user in ["4294967295", "4294967296", "-1", "1:", ":1", "1x", "0x1", "1:4294967296"] {
        assert!(error(&format!("exec -u {user} ID true")).starts_with("option --user: invalid user"), "{user}");
        assert!(parsed(&format!("exec --user={user} ID true")).is_err(), "{user}");
    }
    let spaced = ["casemate", "exec", "-u", " 1", "ID", "true"];
    assert!(parse(spaced.map(OsString::from)).is_err());
    assert!(error("exec -g -1 ID true").contains("invalid group"));
}

#[test]
fn exec_needs_something_to_run() {
    assert!(error("exec ID").starts_with("process args cannot be empty"));
    assert_eq!(error("exec"), "\"exec\" requires at least 1 argument(s), not 0");
    assert_eq!(request("exec ID true").failure_code(), 255);
    assert_eq!(request("start ID").failure_code(), 1);
}

#[test]
fn update_by_hand() {
    assert_eq!(
        request(
            "update --memory 512m --memory-reservation 1g --memory-swap -1 --cpu-quota -1 --cpu-period 100000 \
             --cpu-share 1024 --cpu-burst 5 --cpu-rt-period 6 --cpu-rt-runtime 7 --cpu-idle 1 --cpuset-cpus 0-1 \
             --cpuset-mems 0 --blkio-weight 100 --pids-limit 5 --kernel-memory 1 --kernel-memory-tcp 1 \
             --l3-cache-schema L3:0=f --mem-bw-schema MB:0=20 ID"
        ),
        Request::Update(Update {
            id: id("ID"),
            change: Change::Limits(Box::new(Resources {
                memory: Some(Memory {
                    limit: Some(512 << 20),
                    reservation: Some(1 << 30),
                    swap: Some(-1),
                    ..Memory::default()
                }),
                cpu: Some(Cpu {
                    shares: Some(1024),
                    quota: Some(-1),
                    burst: Some(5),
                    period: Some(100_000),
                    realtime_runtime: Some(7),
                    realtime_period: Some(6),
                    cpus: "0-1".into(),
                    mems: "0".into(),
                    idle: Some(1),
                }),
                block_io: Some(BlockIo { weight: Some(100), ..BlockIo::default() }),
                pids: Some(Pids { limit: Some(5) }),
                ..Resources::default()
            })),
            l3_cache_schema: Some("L3:0=f".into()),
            mem_bw_schema: Some("MB:0=20".into()),
        })
    );
    assert_eq!(
        request("update ID --pids-limit 5"),
        Request::Update(update_of(Change::Limits(Box::new(Resources {
            pids: Some(Pids { limit: Some(5) }),
            ..Resources::default()
        }))))
    );
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    for line in [
        "update --memory 1x ID",
        "update --blkio-weight 65536 ID",
        "update --cpu-period -1 ID",
        "update --pids-limit 0x5 ID",
        "update --cpu-quota 9223372036854775808 ID",
        "create --preserve-fds -1 ID",
        "create --preserve-fds 4294967296 ID",
        "events --interval 5 ID",
    ] {
        assert!(error(line).starts_with("option --"), "{line}: {}", error(line));
    }
    assert_eq!(error("events --interval 0s ID"), "duration interval must be greater than 0");
}

#[test]
fn inspection_by_hand() {
    assert_eq!(request("list -q"), Request::List(List { format: ListFormat::Table, quiet: true }));
    assert_eq!(request("spec --rootless -b /b"), Request::Spec(Spec { bundle: path("/b"), rootless: true }));
    assert_eq!(
        request("explain -f json --bundle /b"),
        Request::Explain(Explain { bundle: path("/b"), format: ReportFormat::Json })
    );
    assert_eq!(request("doctor"), Request::Doctor(Doctor { format: ReportFormat::Text }));
    assert!(error("list --format xml").contains("want table or json"));
    assert!(error("doctor --format table").contains("want text or json"));
}

#[cfg(feature = "man")]
#[test]
fn completion_and_man() {
    assert_eq!(request("completion zsh"), Request::Completion(Shell::Zsh));
    assert_eq!(request("man --dir /m"), Request::Man(path("/m")));
    assert_eq!(request("man"), Request::Man(None));
    assert!(error("completion tcsh").contains("want bash, zsh or fish"));
}

#[test]
fn flags_may_follow_the_id_where_no_command_line_does() {
    assert_eq!(request("delete ID --force"), Request::Delete(Delete { id: id("ID"), force: true }));
    assert_eq!(request("kill ID KILL -a"), Request::Kill(Kill { id: id("ID"), signal: Signal::KILL, all: true }));
}

#[test]
fn kill_without_a_signal_sends_sigterm() {
    assert_eq!(request("kill ID"), Request::Kill(Kill { id: id("ID"), signal: Signal::TERM, all: false }));
    assert_eq!(error("kill ID BANANA"), "unknown signal \"BANANA\"");
    assert_eq!(error("kill ID 65"), "unknown signal \"65\"");
}

#[test]
fn ids_are_checked_by_every_command() {
    for line in
        ["create", "run", "start", "kill", "delete", "state", "ps", "pause", "resume", "update", "events", "exec -p /p"]
    {
        for bad in ["bad/id", "..", ".", "a:b"] {
            assert_eq!(error(&format!("{line} {bad}")), "invalid container ID format", "{line}");
        }
    }
    let not_utf8 = std::os::unix::ffi::OsStringExt::from_vec(vec![0xff]);
    let args = [OsString::from("casemate"), OsString::from("start"), not_utf8];
    assert_eq!(parse(args).unwrap_err().error.as_deref(), Some("invalid container ID format"));
}

#[test]
fn empty_paths_count_as_not_given() {
    let args = ["casemate", "--log", "", "create", "--bundle", "", "--pid-file=", "ID"];
    let (globals, request) = parse(args.map(OsString::from)).unwrap();
    assert_eq!(globals.log, None);
    assert_eq!(request, Request::Create(Create { bundle: None, pid_file: None, ..create("ID") }));
}

#[test]
fn wrong_usage_is_told_with_help_on_stdout_and_a_message() {
    for (line, message) in [
        ("create --x ID", "flag provided but not defined: -x"),
        ("-x create ID", "flag provided but not defined: -x"),
        ("create --bundle", "flag needs an argument: -bundle"),
        ("--root", "flag needs an argument: -root"),
        ("create", "\"create\" requires exactly 1 argument(s), not 0"),
        ("create A B", "\"create\" requires exactly 1 argument(s), not 2"),
        ("kill", "\"kill\" requires at least 1 argument(s), not 0"),
        ("kill A 9 9", "\"kill\" requires at most 2 argument(s), not 3"),
        ("list A", "\"list\" requires exactly 0 argument(s), not 1"),
    ] {
        let usage = usage(line);
        assert_eq!((usage.code, usage.error.as_deref()), (1, Some(message)), "{line}");
        assert!(usage.help.contains("Usage: casemate"), "{line}: {}", usage.help);
    }
}

#[test]
fn wrong_usage_of_a_command_goes_to_the_log_of_the_caller() {
    let usage = usage(&format!("{SHIM} create --x ID"));
    assert_eq!(usage.globals, shim_globals(false));
}

#[test]
fn globals_are_checked() {
    assert_eq!(error("--root / list"), "Option --root argument should not be set to /");
    assert!(error("--log-format xml list").starts_with("invalid log-format \"xml\""));
    assert!(error("--rootless maybe list").contains("want true, false or auto"));
    assert!(error("--debug=maybe list").contains("invalid boolean value"));
    assert!(!parsed("--debug --debug=false list").unwrap().0.debug);
    assert_eq!(parsed("-root=/x list").unwrap().0.root, path("/x"));
}

#[test]
fn help_is_no_error() {
    for line in ["", "-h", "--help", "help", "h", "--debug"] {
        let usage = usage(line);
        assert_eq!((usage.code, &usage.error), (0, &None), "{line}");
        for entry in COMMANDS.iter().filter(|entry| !(entry.define)().is_hide_set()) {
            assert!(usage.help.contains(entry.name), "{line}: {}", entry.name);
        }
    }
    for entry in COMMANDS {
        for line in [format!("{} --help", entry.name), format!("{} -h", entry.name), format!("help {}", entry.name)] {
            let usage = usage(&line);
            assert_eq!((usage.code, &usage.error), (0, &None), "{line}");
            assert!(usage.help.contains(&format!("Usage: casemate {}", entry.name)), "{line}: {}", usage.help);
        }
    }
    assert_eq!(usage("frobnicate").code, 3);
    assert_eq!(usage("help frobnicate").code, 3);
}

#[test]
fn definitions_are_sound() {
    application().debug_assert();
    for entry in COMMANDS {
        let definition = (entry.define)();
        assert_eq!(definition.get_name(), entry.name);
        for flag in definition.get_arguments().filter(|arg| !arg.is_positional()) {
            assert_eq!(flag.get_long(), Some(flag.get_id().as_str()), "{}", entry.name);
            assert!(flag.get_help().is_some(), "{} {}", entry.name, flag.get_id());
        }
    }
}

/// Words that command lines are made of, and some that they are not.
fn word() -> impl Strategy<Value = OsString> {
    let known: Vec<String> = COMMANDS
        .iter()
        .flat_map(|entry| {
            let flags = (entry.define)();
            let flags: Vec<String> = flags.get_arguments().filter_map(|arg| arg.get_long()).map(String::from).collect();
            flags.into_iter().flat_map(|flag| [format!("--{flag}"), format!("-{flag}=1"), format!("--{flag}=x")])
        })
        .chain(COMMANDS.iter().map(|entry| entry.name.to_owned()))
        .chain(["--root", "--root=/x", "--debug", "--log", "-", "--", "-b", "-e", "1", "ID", ""].map(String::from))
        .collect();
    let bytes = proptest::collection::vec(any::<u8>(), 0..6);
    prop_oneof![
        9 => proptest::sample::select(known).prop_map(OsString::from),
        1 => bytes.prop_map(std::os::unix::ffi::OsStringExt::from_vec),
    ]
}

proptest! {
    #[test]
    fn every_command_line_gives_a_request_or_usage(words in proptest::collection::vec(word(), 0..8)) {
        let args = std::iter::once(OsString::from("casemate")).chain(words);
        if let Err(usage) = parse(args) {
            prop_assert_eq!(usage.code == 0, usage.error.is_none());
            // What clap itself refuses would be told in other words: there must be nothing left for it.
            prop_assert!(!usage.error.unwrap_or_default().contains("error:"));
        }
    }

    #[test]
    fn every_word_order_of_a_command_gives_a_request_or_usage(
        entry in 0..COMMANDS.len(),
        words in proptest::collection::vec(word(), 0..6),
    ) {
        let args = [OsString::from("casemate"), OsString::from(COMMANDS[entry].name)].into_iter().chain(words);
        if let Err(usage) = parse(args) {
            prop_assert!(!usage.error.unwrap_or_default().contains("error:"));
        }
    }
}

#[test]
fn check_has_a_command_line_of_its_own_and_2_for_a_wrong_one() {
    let config = |path: Option<&str>| CheckConfig {
        path: path.map(PathBuf::from),
        level: None,
        standard: None,
        as_written: false,
        format: CheckFormat::Text,
    };
    assert_eq!(request("check"), Request::Check(Check::Config(config(None))));
    assert_eq!(request("check -"), Request::Check(Check::Config(config(Some("-")))));
    let all = "check b --level restricted --standard nist-800-190 --as-written -f sarif";
    let wanted = CheckConfig {
        level: Some(Level::Restricted),
        standard: Some(Standard::Nist),
        as_written: true,
        format: CheckFormat::Sarif,
        ..config(Some("b"))
    };
    assert_eq!(request(all), Request::Check(Check::Config(wanted)));
    assert_eq!(request("check --rules"), Request::Check(Check::Rules(CheckFormat::Text)));
    assert_eq!(request("check").failure_code(), 2);
    for wrong in
        ["check a b", "check --nope", "check --level x", "check --standard x", "check --as-written", "check -f xml"]
    {
        let usage = usage(wrong);
        assert_eq!((usage.code, usage.error.is_some()), (2, true), "{wrong}");
    }
}

#[test]
fn selftest_takes_a_level_and_a_format() {
    let selftest = |level, format| Request::Selftest(Selftest { level, format });
    assert_eq!(request("selftest"), selftest(None, ReportFormat::Text));
    let restricted = Some(crate::policy::Level::Restricted);
    assert_eq!(request("selftest --level restricted -f json"), selftest(restricted, ReportFormat::Json));
    assert!(error("selftest --level high").contains("unknown level \"high\""));
    assert!(error("selftest-probe anything token").contains("invalid mode \"anything\""));
    assert_eq!(usage("selftest-probe attempts").code, 1);
}
