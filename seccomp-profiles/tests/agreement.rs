//! The compiled filter, run by the interpreter, agrees with the rules themselves, and with libseccomp's filter.
//!
//! With the feature `libseccomp` the second half runs too; docs/seccomp.md has the command.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod draw;

use draw::{Actions, Draw};
use seccomp_profiles::explain::explain;
use seccomp_profiles::interpret::Program;
use seccomp_profiles::profile::Architecture;
use seccomp_profiles::syscalls::X32_BIT;
use seccomp_profiles::template::{Container, Template};
use seccomp_profiles::{Arch, Profile, SeccompData, compile};

const LISTED: [Architecture; 5] =
    [Architecture::X86_64, Architecture::X86, Architecture::X32, Architecture::Arm, Architecture::Aarch64];

/// The profiles that engines use, by name.
fn engines() -> Vec<(&'static str, Profile)> {
    let template = Template::from_json(include_bytes!("profiles/containers-common-0.50.template.json")).unwrap();
    let container =
        Container { caps: &["CAP_SYS_CHROOT"], architecture: Architecture::X86_64, goarch: "amd64", kernel: (6, 18) };
    let few_caps = template.resolve(&container).unwrap();
    let admin = Container { caps: &["CAP_SYS_ADMIN", "CAP_AUDIT_WRITE", "CAP_BPF"], ..container };
    let profile = |text: &[u8]| Profile::from_json(text).unwrap();
    vec![
        ("docker", profile(include_bytes!("profiles/docker-20.10.json"))),
        ("docker without capabilities", profile(include_bytes!("profiles/docker-20.10-no-caps.json"))),
        ("podman", profile(include_bytes!("profiles/podman-4.3.json"))),
        ("cri-o", profile(include_bytes!("profiles/crio-1.37.json"))),
        ("log two calls", profile(include_bytes!("profiles/log-two-calls.json"))),
        ("one call", profile(include_bytes!("profiles/one-call.json"))),
        ("containers-common", few_caps),
        ("containers-common with capabilities", template.resolve(&admin).unwrap()),
    ]
}

/// Every number up to beyond the last one of each ABI, and calls drawn near the profile's conditions.
fn calls_of_engine(profile: &Profile) -> Vec<SeccompData> {
    let mut calls = draw::calls(&mut Draw::new(1), profile, &Arch::ALL, 20);
    for arch in Arch::ALL {
        for number in 0..=600 {
            calls.push(SeccompData::new(arch, number | arch.number_bits(), [0; 6]));
            calls.push(SeccompData::new(arch, number, [u64::MAX; 6]));
        }
        for number in [X32_BIT - 1, X32_BIT, X32_BIT + 600, 2 * X32_BIT, u32::MAX - 1, u32::MAX] {
            calls.push(SeccompData::new(arch, number, [0; 6]));
        }
    }
    calls.push(SeccompData { arch: 0x8000_0016, ..SeccompData::new(Arch::X86_64, 0, [0; 6]) });
    calls
}

fn filter_agrees_with_rules(name: &str, profile: &Profile, native: Arch, calls: &[SeccompData]) {
    let filter = compile(profile, native).unwrap();
    let program = Program::new(&filter.insns).unwrap();
    for call in calls {
        let explanation = explain(profile, native, call).unwrap();
        assert_eq!(program.run(call), explanation.action, "{name}: {call:x?}: {}", explanation.reason);
    }
}

#[test]
fn filters_of_engines_do_what_their_rules_say() {
    for (name, profile) in engines() {
        // Asking each rule anew for each call is slow: one call in seven is enough here.
        let calls: Vec<_> = calls_of_engine(&profile).into_iter().step_by(7).collect();
        filter_agrees_with_rules(name, &profile, Arch::X86_64, &calls);
        filter_agrees_with_rules(name, &profile, Arch::Aarch64, &calls);
    }
}

#[test]
fn drawn_filters_do_what_their_rules_say() {
    let (mut compiled, mut refused) = (0, 0);
    for seed in 0..draw::count(2000) {
        let mut draw = Draw::new(seed);
        let actions = *draw.of(&[Actions::OneEach, Actions::Mixed]);
        let profile = draw::profile(&mut draw, actions, &LISTED);
        let native = *draw.of(&[Arch::X86_64, Arch::Aarch64]);
        match compile(&profile, native) {
            Ok(_) => compiled += 1,
            Err(why) => {
                assert!(
                    why.problems.iter().all(|why| why.contains("make the conditions exclude")),
                    "seed {seed}: {why}"
                );
                refused += 1;
                continue;
            }
        }
        let calls = draw::calls(&mut draw, &profile, &Arch::ALL, 3);
        filter_agrees_with_rules(&format!("seed {seed}"), &profile, native, &calls);
    }
    println!("{compiled} profiles agree, {refused} contradict themselves");
    assert!(compiled > 9 * refused);
}

#[cfg(feature = "libseccomp")]
mod libseccomp {
    use super::*;
    use ::libseccomp::error::SeccompErrno;
    use seccomp_profiles::Syscall;
    use seccomp_profiles::explain::Reason;
    use seccomp_profiles::oracle::{self, OracleError, Shape};
    use seccomp_profiles::profile::{Arg, Operator, Rule};

    /// Where the two filters differ: libseccomp's then gives the default action.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    enum Difference {
        /// The name is newer than the installed libseccomp.
        NewerName,
        /// ENOSYS above the highest number named.
        EnosysAbove,
        /// libseccomp refuses the profile because rules of one number contradict each other.
        RefusedByLibseccomp,
    }

    fn difference(profile: &Profile, call: &SeccompData) -> Option<Difference> {
        let explanation = explain(profile, Arch::X86_64, call).unwrap();
        let abi = Arch::ALL.into_iter().find(|arch| {
            arch.audit() == call.arch
                && (*arch == Arch::X32) == (call.arch == Arch::X32.audit() && call.nr & X32_BIT != 0)
        });
        let architecture = match abi? {
            Arch::X86_64 => Architecture::X86_64,
            Arch::X86 => Architecture::X86,
            Arch::X32 => Architecture::X32,
            Arch::Aarch64 => Architecture::Aarch64,
            Arch::Arm => Architecture::Arm,
        };
        let named = Syscall::from_number(abi?, call.nr);
        match explanation.reason {
            Reason::Rule(..) if named.is_some_and(|call| !oracle::knows(call.name(), architecture)) => {
                Some(Difference::NewerName)
            }
            Reason::AboveHighest => Some(Difference::EnosysAbove),
            _ => None,
        }
    }

    fn names_multiplexed(profile: &Profile) -> bool {
        let mut names = profile.syscalls.iter().flat_map(|rule| &rule.names);
        names.any(|name| Syscall::from_name(name).is_some_and(|call| call.multiplexed(Arch::X86).is_some()))
    }

    /// Which rules of one call a comparison takes.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Rules {
        /// Several only where each has one condition at most.
        OneCondition,
        /// Several with several conditions: for a fixed set of profiles.
        AnyConditions,
    }

    /// Keeps those rules that, call by call, have one condition on an argument or only equalities. Beyond that the two
    /// libraries arrange conditions in their own ways; which calls match is then settled by the rules themselves, above,
    /// and by the kernel, in `kernel.rs`.
    fn keep_comparable(profile: &mut Profile, rules: Rules) {
        let mut kept: Vec<Rule> = Vec::new();
        for rule in profile.syscalls.drain(..) {
            let comparable = |name: &String| {
                // What socketcall or ipc serves meets there, each with a selector as its first argument.
                let family = family(name);
                let selector =
                    family.map(|_| Arg { index: 0, value: 1, value_two: 0, op: Operator::Equal }).into_iter();
                let meets = |other: &String| other == name || (family.is_some() && self::family(other) == family);
                let beside = kept.iter().filter(|other| other.names.iter().any(meets)).flat_map(|other| &other.args);
                let args: Vec<_> = beside.chain(&rule.args).cloned().chain(selector).collect();
                let equal = |op| matches!(op, Operator::Equal | Operator::MaskedEqual);
                let alone = |arg: &Arg| args.iter().filter(|other| other.index == arg.index).count() == 1;
                let mixed = kept.iter().filter(|other| other.names.iter().any(meets)).chain([&rule]);
                let lone = mixed.clone().count() == 1 || mixed.clone().all(|rule| rule.args.len() < 2);
                (rules == Rules::AnyConditions || lone) && args.iter().all(|arg| equal(arg.op) || alone(arg))
            };
            if rule.names.iter().all(comparable) {
                kept.push(rule);
            }
        }
        profile.syscalls = kept;
    }

    /// The number of `socketcall` or `ipc` for these and what they serve.
    fn family(name: &str) -> Option<u32> {
        match name {
            "socketcall" => Some(102),
            "ipc" => Some(117),
            name => Some(Syscall::from_name(name)?.multiplexed(Arch::X86)?.0),
        }
    }

    fn agrees(name: &str, profile: &Profile, shape: Shape, calls: &[SeccompData]) -> Vec<Difference> {
        let ours = Program::new(&compile(profile, Arch::X86_64).unwrap().insns).unwrap();
        let theirs = match oracle::compile(profile, shape) {
            Ok(theirs) => Program::new(&theirs).unwrap(),
            // Behind socketcall and ipc rules of several calls become rules of one and may contradict each other; where
            // another one decides anyway, this crate does not mind.
            Err(OracleError::Libseccomp(what, why)) if why.errno() == Some(SeccompErrno::EEXIST) => {
                assert!(names_multiplexed(profile), "{name}: {what}: {why}");
                return vec![Difference::RefusedByLibseccomp];
            }
            Err(why) => panic!("{name}: {why}"),
        };
        let without_rules = Profile { syscalls: Vec::new(), ..profile.clone() };
        let default =
            compile(&without_rules, Arch::X86_64).unwrap().verdict(&SeccompData::new(Arch::X86_64, 0, [0; 6]));
        let mut differences = Vec::new();
        for call in calls {
            let (ours, theirs) = (ours.run(call), theirs.run(call));
            if ours != theirs {
                match difference(profile, call) {
                    Some(difference) if theirs == default => differences.push(difference),
                    Some(_) | None => {
                        panic!(
                            "{name}: {call:x?}: {ours} and libseccomp {theirs}; {}",
                            serde_json::to_string(profile).unwrap()
                        )
                    }
                }
            }
        }
        differences.sort_unstable();
        differences.dedup();
        differences
    }

    #[test]
    fn filters_of_engines_are_those_of_libseccomp() {
        for (name, profile) in engines() {
            let calls = calls_of_engine(&profile);
            for shape in [Shape::Linear, Shape::Tree] {
                println!("{name}, {shape:?}: {} calls, {:?}", calls.len(), agrees(name, &profile, shape, &calls));
            }
        }
    }

    fn drawn_profile_agrees(seed: u64, rules: Rules, differing: &mut [u32; 3]) {
        let mut draw = Draw::new(seed);
        let actions = *draw.of(&[Actions::OneEach, Actions::Mixed]);
        let mut profile = draw::profile(&mut draw, actions, &LISTED[..3]);
        keep_comparable(&mut profile, rules);
        if compile(&profile, Arch::X86_64).is_ok() {
            let calls = draw::calls(&mut draw, &profile, &[Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64], 4);
            for difference in agrees(&format!("seed {seed}"), &profile, Shape::Tree, &calls) {
                differing[difference as usize] += 1;
            }
        }
    }

    #[test]
    fn drawn_filters_are_those_of_libseccomp() {
        let mut differing = [0; 3];
        for seed in 0..draw::count(2000) {
            drawn_profile_agrees(seed, Rules::OneCondition, &mut differing);
        }
        println!("of these profiles {differing:?} differ by a newer name, ENOSYS above, a refusal");
    }

    #[test]
    fn precedence_of_rules_is_that_of_libseccomp() {
        let mut differing = [0; 3];
        for seed in 0..2000 {
            drawn_profile_agrees(seed, Rules::AnyConditions, &mut differing);
        }
        println!("of these profiles {differing:?} differ by a newer name, ENOSYS above, a refusal");
    }
}
