//! What a profile means, case by case, on the compiled filter.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use seccomp_profiles::syscalls::X32_BIT;
use seccomp_profiles::{Action, Arch, CompileError, Filter, Profile, SeccompData, Syscall, compile, flag};

fn profile(json: &str) -> Profile {
    Profile::from_json(json.as_bytes()).unwrap()
}

fn compiled(json: &str) -> Filter {
    compile(&profile(json), Arch::X86_64).unwrap()
}

fn refused(json: &str) -> CompileError {
    compile(&profile(json), Arch::X86_64).unwrap_err()
}

/// A filter whose default is ERRNO(1), for x86_64, x86 and x32, with these rules.
fn rules(rules: &str) -> Filter {
    compiled(&format!(
        r#"{{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32"],
        "syscalls":[{rules}]}}"#
    ))
}

fn verdict(filter: &Filter, arch: Arch, name: &str, args: &[u64]) -> Action {
    let number = Syscall::from_name(name).unwrap().number(arch).unwrap();
    by_number(filter, arch, number, args)
}

fn by_number(filter: &Filter, arch: Arch, number: u32, given: &[u64]) -> Action {
    let mut args = [0; 6];
    args[..given.len()].copy_from_slice(given);
    filter.verdict(&SeccompData::new(arch, number, args))
}

const EPERM: Action = Action::Errno(1);
const ENOSYS: Action = Action::Errno(38);

#[test]
fn more_conditions_than_any_filter_has_are_refused_without_comparing_them() {
    let arg = r#"{"index":0,"value":1,"op":"SCMP_CMP_EQ"}"#;
    let with = |names: usize, args: usize| {
        let (names, args) = (vec![r#""read""#; names].join(","), vec![arg; args].join(","));
        compile(
            &profile(&format!(
                r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":[{names}],"action":"SCMP_ACT_ALLOW","args":[{args}]}}]}}"#
            )),
            Arch::X86_64,
        )
    };
    assert!(with(2, 4096).is_ok());
    for (names, args) in [(1, 8193), (8193, 1), (100, 82)] {
        let problems = with(names, args).unwrap_err().problems;
        assert!(problems[0].contains("8192 are possible"), "{problems:?}");
    }
}

#[test]
fn conditions_on_different_arguments_must_all_hold() {
    let filter = rules(
        r#"{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":16,"op":"SCMP_CMP_EQ"},
        {"index":2,"value":9,"op":"SCMP_CMP_NE"}]}"#,
    );
    assert_eq!(verdict(&filter, Arch::X86_64, "socket", &[16, 0, 8]), Action::Allow);
    assert_eq!(verdict(&filter, Arch::X86_64, "socket", &[16, 0, 9]), EPERM);
    assert_eq!(verdict(&filter, Arch::X86_64, "socket", &[17, 0, 8]), EPERM);
}

#[test]
fn conditions_on_one_argument_are_alternatives_and_so_are_all_others_of_the_rule() {
    let filter = rules(
        r#"{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"},
        {"index":0,"value":2,"op":"SCMP_CMP_EQ"},{"index":1,"value":5,"op":"SCMP_CMP_EQ"}]}"#,
    );
    for (args, expected) in [([1, 0], Action::Allow), ([2, 0], Action::Allow), ([3, 5], Action::Allow), ([3, 0], EPERM)]
    {
        assert_eq!(verdict(&filter, Arch::X86_64, "socket", &args), expected, "{args:?}");
    }
}

#[test]
fn the_first_rule_without_conditions_wins_over_all_others() {
    let filter = rules(
        r#"{"names":["read"],"action":"SCMP_ACT_KILL","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]},
        {"names":["read"],"action":"SCMP_ACT_ALLOW"},{"names":["read"],"action":"SCMP_ACT_LOG"}"#,
    );
    assert_eq!(verdict(&filter, Arch::X86_64, "read", &[1]), Action::Allow);
}

#[test]
fn a_rule_with_the_default_action_is_not_there() {
    let filter = rules(
        r#"{"names":["read"],"action":"SCMP_ACT_ERRNO","errnoRet":1},
        {"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]}"#,
    );
    assert_eq!(verdict(&filter, Arch::X86_64, "read", &[1]), Action::Allow);
    assert_eq!(verdict(&filter, Arch::X86_64, "read", &[2]), EPERM);
}

#[test]
fn every_operator_compares_64_unsigned_bits() {
    let five = 0x5_0000_0005_u64;
    let (less, more) = ([0, 4, five - 1, 0x4_ffff_ffff, 0x5_0000_0000], [five + 1, 0x6_0000_0000, u64::MAX]);
    for (op, on_less, on_equal, on_more) in [
        ("NE", true, false, true),
        ("LT", true, false, false),
        ("LE", true, true, false),
        ("EQ", false, true, false),
        ("GE", false, true, true),
        ("GT", false, false, true),
    ] {
        let filter = rules(&format!(
            r#"{{"names":["mmap"],"action":"SCMP_ACT_ALLOW","args":[{{"index":5,"value":{five},"op":"SCMP_CMP_{op}"}}]}}"#
        ));
        let expect = |args: &[u64], matches| {
            for arg in args {
                let expected = if matches { Action::Allow } else { EPERM };
                assert_eq!(verdict(&filter, Arch::X86_64, "mmap", &[0, 0, 0, 0, 0, *arg]), expected, "{arg:#x} {op}");
            }
        };
        expect(&less, on_less);
        expect(&[five], on_equal);
        expect(&more, on_more);
    }
}

#[test]
fn a_mask_cuts_both_sides() {
    let filter = rules(
        r#"{"names":["clone"],"action":"SCMP_ACT_ALLOW",
        "args":[{"index":0,"value":64424509455,"valueTwo":4294967297,"op":"SCMP_CMP_MASKED_EQ"}]}"#,
    );
    // The mask is 0xf_0000_000f, the value 0x1_0000_0001.
    assert_eq!(verdict(&filter, Arch::X86_64, "clone", &[0x1_0000_0001]), Action::Allow);
    assert_eq!(verdict(&filter, Arch::X86_64, "clone", &[0xf1_abcd_ef01]), Action::Allow);
    assert_eq!(verdict(&filter, Arch::X86_64, "clone", &[0x2_0000_0001]), EPERM);
    assert_eq!(verdict(&filter, Arch::X86_64, "clone", &[0x1_0000_0002]), EPERM);
    let outside = rules(
        r#"{"names":["clone"],"action":"SCMP_ACT_ALLOW",
        "args":[{"index":0,"value":0,"valueTwo":7,"op":"SCMP_CMP_MASKED_EQ"}]}"#,
    );
    assert_eq!(verdict(&outside, Arch::X86_64, "clone", &[3]), Action::Allow);
}

#[test]
fn a_32_bit_abi_compares_the_low_half() {
    let filter = rules(
        r#"{"names":["personality"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":8,"op":"SCMP_CMP_EQ"}]},
        {"names":["getpriority"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":4294967301,"op":"SCMP_CMP_GE"}]}"#,
    );
    assert_eq!(verdict(&filter, Arch::X86_64, "personality", &[0x1_0000_0008]), EPERM);
    for arch in [Arch::X86, Arch::X32] {
        assert_eq!(verdict(&filter, arch, "personality", &[0x1_0000_0008]), Action::Allow, "{arch}");
        assert_eq!(verdict(&filter, arch, "personality", &[9]), EPERM, "{arch}");
        assert_eq!(verdict(&filter, arch, "getpriority", &[5]), Action::Allow, "{arch}");
        assert_eq!(verdict(&filter, arch, "getpriority", &[4]), EPERM, "{arch}");
    }
}

#[test]
fn numbers_above_the_highest_one_named_answer_enosys() {
    let filter = rules(r#"{"names":["read","statx"],"action":"SCMP_ACT_ALLOW"}"#);
    for (arch, statx) in [(Arch::X86_64, 332), (Arch::X86, 383), (Arch::X32, X32_BIT + 332)] {
        assert_eq!(by_number(&filter, arch, statx, &[]), Action::Allow, "{arch}");
        assert_eq!(by_number(&filter, arch, statx - 1, &[]), EPERM, "{arch}");
        assert_eq!(by_number(&filter, arch, statx + 1, &[]), ENOSYS, "{arch}");
        assert_eq!(by_number(&filter, arch, arch.number_bits() + 1000, &[]), ENOSYS, "{arch}");
    }
    assert_eq!(by_number(&filter, Arch::X86_64, u32::MAX, &[]), ENOSYS);
}

#[test]
fn enosys_is_left_to_the_default_action_where_that_is_permissive() {
    for (default, expected) in [
        ("SCMP_ACT_ALLOW", Action::Allow),
        ("SCMP_ACT_LOG", Action::Log),
        ("SCMP_ACT_TRACE", Action::Trace(1)),
        ("SCMP_ACT_KILL", ENOSYS),
        ("SCMP_ACT_TRAP", ENOSYS),
    ] {
        let filter = compiled(&format!(
            r#"{{"defaultAction":"{default}","syscalls":[{{"names":["read"],"action":"SCMP_ACT_ERRNO"}}]}}"#
        ));
        assert_eq!(by_number(&filter, Arch::X86_64, 500, &[]), expected, "{default}");
    }
    let nothing_named = compiled(r#"{"defaultAction":"SCMP_ACT_ERRNO"}"#);
    assert_eq!(by_number(&nothing_named, Arch::X86_64, 500, &[]), EPERM);
}

#[test]
fn calls_through_an_architecture_that_is_not_listed_kill() {
    let filter =
        compiled(r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}"#);
    assert_eq!(by_number(&filter, Arch::X86_64, 0, &[]), Action::Allow);
    assert_eq!(by_number(&filter, Arch::X86, 3, &[]), Action::KillProcess);
    assert_eq!(by_number(&filter, Arch::Aarch64, 63, &[]), Action::KillProcess);
    for x32 in [X32_BIT, X32_BIT + 1, u32::MAX - 1] {
        assert_eq!(by_number(&filter, Arch::X86_64, x32, &[]), Action::KillProcess, "{x32:#x}");
    }
    // -1 is what a tracer sets to skip a call.
    assert_eq!(by_number(&filter, Arch::X86_64, u32::MAX, &[]), ENOSYS);
}

#[test]
fn the_native_architecture_is_always_there() {
    let filter = compiled(
        r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86"],
        "syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}"#,
    );
    assert_eq!(verdict(&filter, Arch::X86_64, "read", &[]), Action::Allow);
    assert_eq!(verdict(&filter, Arch::X86, "read", &[]), Action::Allow);
    let foreign = profile(
        r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_NATIVE","SCMP_ARCH_MIPS64"],
        "syscalls":[{"names":["openat"],"action":"SCMP_ACT_ALLOW"}]}"#,
    );
    let filter = compile(&foreign, Arch::Aarch64).unwrap();
    assert_eq!(by_number(&filter, Arch::Aarch64, 56, &[]), Action::Allow);
    assert_eq!(by_number(&filter, Arch::X86_64, 257, &[]), Action::KillProcess);
    assert_eq!(filter.warnings, ["architecture SCMP_ARCH_MIPS64 is left out: no table of its calls"]);
}

#[test]
fn x32_without_x86_64_leaves_x86_64_out() {
    let x32 = profile(
        r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X32"],
        "syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}"#,
    );
    let filter = compile(&x32, Arch::Aarch64).unwrap();
    assert_eq!(by_number(&filter, Arch::X32, X32_BIT, &[]), Action::Allow);
    assert_eq!(by_number(&filter, Arch::X86_64, 0, &[]), Action::KillProcess);
    assert_eq!(by_number(&filter, Arch::X86_64, X32_BIT - 1, &[]), Action::KillProcess);
}

#[test]
fn private_numbers_of_arm_stand_apart() {
    let arm = profile(
        r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_AARCH64","SCMP_ARCH_ARM"],
        "syscalls":[{"names":["read","cacheflush"],"action":"SCMP_ACT_ALLOW"}]}"#,
    );
    let filter = compile(&arm, Arch::Aarch64).unwrap();
    assert_eq!(by_number(&filter, Arch::Arm, 0xf_0002, &[]), Action::Allow);
    assert_eq!(by_number(&filter, Arch::Arm, 0xf_0001, &[]), EPERM);
    assert_eq!(by_number(&filter, Arch::Arm, 0xf_0003, &[]), EPERM);
    assert_eq!(by_number(&filter, Arch::Arm, 4, &[]), ENOSYS);
}

#[test]
fn multiplexed_calls_of_x86_are_matched_by_their_selector() {
    let filter = rules(
        r#"{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":2,"op":"SCMP_CMP_EQ"}]},
        {"names":["shmget"],"action":"SCMP_ACT_ALLOW"},
        {"names":["shmat"],"action":"SCMP_ACT_ALLOW","args":[{"index":2,"value":7,"op":"SCMP_CMP_EQ"}]}"#,
    );
    assert_eq!(verdict(&filter, Arch::X86, "socket", &[2]), Action::Allow);
    assert_eq!(verdict(&filter, Arch::X86, "socket", &[3]), EPERM);
    // What the family is lies in the caller's memory.
    assert_eq!(verdict(&filter, Arch::X86, "socketcall", &[1]), Action::Allow);
    assert_eq!(verdict(&filter, Arch::X86, "socketcall", &[2]), EPERM);
    assert_eq!(verdict(&filter, Arch::X86, "ipc", &[23]), Action::Allow);
    assert_eq!(verdict(&filter, Arch::X86, "ipc", &[21]), EPERM);
    assert_eq!(verdict(&filter, Arch::X86, "ipc", &[21, 0, 7]), Action::Allow);
}

#[test]
fn errnos_default_to_eperm_and_are_passed_on() {
    let filter = compiled(
        r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":13,"syscalls":[
        {"names":["read"],"action":"SCMP_ACT_ERRNO","errnoRet":0},{"names":["open"],"action":"SCMP_ACT_TRACE"},
        {"names":["close"],"action":"SCMP_ACT_TRACE","errnoRet":65535},{"names":["stat"],"action":"SCMP_ACT_ERRNO"},
        {"names":["fstat"],"action":"SCMP_ACT_KILL"},{"names":["mseal"],"action":"SCMP_ACT_KILL_PROCESS"}]}"#,
    );
    for (name, expected) in [
        ("write", Action::Errno(13)),
        ("read", Action::Errno(0)),
        ("open", Action::Trace(1)),
        ("close", Action::Trace(65535)),
        ("stat", Action::Errno(1)),
        ("fstat", Action::KillThread),
        ("mseal", Action::KillProcess),
    ] {
        assert_eq!(verdict(&filter, Arch::X86_64, name, &[]), expected, "{name}");
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let error = refused(
        r#"{"defaultAction":"SCMP_ACT_NOTIFY","defaultErrnoRet":1,"listenerMetadata":"x","syscalls":[
        {"names":["write"],"action":"SCMP_ACT_NOTIFY"},
        {"names":["read","open"],"action":"SCMP_ACT_ALLOW","errnoRet":1},
        {"names":["stat"],"action":"SCMP_ACT_ERRNO","errnoRet":4096},
        {"names":[""],"action":"SCMP_ACT_LOG","args":[{"index":6,"op":"SCMP_CMP_EQ"}]}]}"#,
    );
    let expected = [
        "SCMP_ACT_NOTIFY cannot be the defaultAction",
        "defaultErrnoRet 1 has no meaning: SCMP_ACT_NOTIFY takes no errno",
        "rule 0: SCMP_ACT_NOTIFY cannot be used for write",
        r#"rule 1 ("read" and others): errnoRet 1 has no meaning: SCMP_ACT_ALLOW takes no errno"#,
        r#"rule 2 ("stat"): errnoRet 4096 is out of range: SCMP_ACT_ERRNO takes 0 to 4095"#,
        r#"rule 3 (""): argument 6 does not exist"#,
        "rule 3 has an empty name",
        "a rule notifies and listenerPath is not set",
        "listenerMetadata without listenerPath",
    ];
    assert_eq!(error.problems.len(), expected.len(), "{error}");
    for (problem, start) in error.problems.iter().zip(expected) {
        assert!(problem.starts_with(start), "{problem:?} does not start with {start:?}");
    }
}

#[test]
fn rules_that_contradict_each_other_are_refused() {
    let two = |first: &str, second: &str| {
        let rule = |args: &str, action: &str| format!(r#"{{"names":["read"],"action":"{action}","args":[{args}]}}"#);
        let json = |l: String, r: String| format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{l},{r}]}}"#);
        let json = json(rule(first, "SCMP_ACT_KILL"), rule(second, "SCMP_ACT_ALLOW"));
        compile(&profile(&json), Arch::X86_64)
    };
    let one = r#"{"index":0,"value":1,"op":"SCMP_CMP_EQ"}"#;
    let more = &format!(r#"{one},{{"index":1,"value":1,"op":"SCMP_CMP_EQ"}}"#);
    assert_eq!(
        two(one, one).unwrap_err().problems,
        [
            r#"rule 1 (ALLOW) has the same conditions as rule 0 (KILL_THREAD) for "read": remove one or make the conditions exclude each other"#
        ]
    );
    assert!(
        two(more, one)
            .unwrap_err()
            .to_string()
            .contains(r#"rule 1 (ALLOW) makes void rule 0 (KILL_THREAD) for "read""#)
    );
    // The wider one came first: it counts.
    let filter = two(one, more).unwrap();
    assert_eq!(by_number(&filter, Arch::X86_64, 0, &[1, 1]), Action::KillThread);
}

#[test]
fn flags_are_those_of_runc() {
    let flags = |json: &str| compiled(&format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW"{json}}}"#)).flags;
    assert_eq!(flags(""), flag::SPEC_ALLOW);
    assert_eq!(flags(r#","flags":[]"#), 0);
    assert_eq!(flags(r#","flags":["SECCOMP_FILTER_FLAG_TSYNC","SECCOMP_FILTER_FLAG_LOG"]"#), flag::LOG);
    let wait = r#","flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]"#;
    assert_eq!(flags(wait), 0);
    let notify = r#","listenerPath":"/run/a.sock","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}]"#;
    assert_eq!(flags(notify), flag::SPEC_ALLOW | flag::NEW_LISTENER);
    assert_eq!(flags(&format!("{wait}{notify}")), flag::WAIT_KILLABLE_RECV | flag::NEW_LISTENER);
}

#[test]
fn what_the_runtime_needs_for_notification_is_passed_on() {
    let filter = compiled(
        r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/run/a.sock","listenerMetadata":"m",
        "syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}]}"#,
    );
    assert!(filter.notify);
    assert_eq!((filter.listener_path.as_str(), filter.listener_metadata.as_str()), ("/run/a.sock", "m"));
    assert_eq!(verdict(&filter, Arch::X86_64, "mkdir", &[]), Action::Notify);
}

#[test]
fn unknown_names_are_skipped_with_a_warning() {
    let filter = rules(r#"{"names":["read","not_a_call"],"action":"SCMP_ACT_ALLOW"}"#);
    assert_eq!(filter.warnings, [r#"unknown system call "not_a_call" in rule 0 is left out"#]);
    assert_eq!(verdict(&filter, Arch::X86_64, "read", &[]), Action::Allow);
}

/// Rules with `conditions` each for a third of all names, so that jumps become long.
fn long(conditions: u32) -> Result<Filter, CompileError> {
    let names: Vec<_> = Syscall::all().map(Syscall::name).step_by(3).collect();
    let rules: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let args: Vec<_> = (0..conditions)
                .map(|value| format!(r#"{{"index":0,"value":{},"op":"SCMP_CMP_EQ"}}"#, at as u32 * 1000 + value))
                .collect();
            format!(r#"{{"names":["{name}"],"action":"SCMP_ACT_ALLOW","args":[{}]}}"#, args.join(","))
        })
        .collect();
    compile(
        &profile(&format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{}]}}"#, rules.join(","))),
        Arch::X86_64,
    )
}

#[test]
fn jumps_beyond_255_instructions_arrive() {
    let filter = long(6).unwrap();
    assert!(filter.insns.len() > 2000, "{}", filter.insns.len());
    for (at, call) in Syscall::all().step_by(3).enumerate() {
        let Some(number) = call.number(Arch::X86_64) else { continue };
        let value = at as u64 * 1000;
        assert_eq!(by_number(&filter, Arch::X86_64, number, &[value + 5]), Action::Allow, "{}", call.name());
        assert_eq!(by_number(&filter, Arch::X86_64, number, &[value + 6]), EPERM, "{}", call.name());
    }
}

#[test]
fn a_filter_beyond_4096_instructions_is_refused() {
    let error = long(20).unwrap_err().to_string();
    assert!(error.contains("the kernel takes 4096"), "{error}");
}
