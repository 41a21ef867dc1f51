//! The profiles that come with the crate keep their promises.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use seccomp_profiles::diff::{self, Change};
use seccomp_profiles::families::{self, FamilyError};
use seccomp_profiles::interpret::denies_execve;
use seccomp_profiles::lint::{Finding, lint};
use seccomp_profiles::{
    Action, Arch, CapabilitySet, Decisions, Layer, Overlay, Profile, SeccompData, Syscall, compile, compile_layers,
};
use std::collections::BTreeSet;

const NATIVE: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];

fn caps() -> [CapabilitySet; 3] {
    [CapabilitySet::EMPTY, CapabilitySet::DOCKER, CapabilitySet::ALL]
}

fn layer(name: &str, caps: &CapabilitySet, arch: Arch) -> Layer {
    Layer::Profile(families::load(name, caps, arch).unwrap())
}

fn decisions(name: &str, caps: &CapabilitySet, arch: Arch) -> Decisions {
    Decisions::of(&[layer(name, caps, arch)], arch).unwrap()
}

#[test]
fn every_family_compiles_without_a_warning_and_starts_programs() {
    for name in families::names() {
        for arch in NATIVE {
            for caps in caps() {
                let filter = compile(&families::load(name, &caps, arch).unwrap(), arch).unwrap();
                assert_eq!(filter.warnings, Vec::<String>::new(), "{name} {arch}");
                assert!(!denies_execve(&filter, arch), "{name} {arch}");
            }
        }
    }
}

#[test]
fn every_family_lints_clean() {
    for name in families::names() {
        let accepted = families::describe(name).unwrap().accepted;
        for arch in NATIVE {
            for caps in [CapabilitySet::EMPTY, CapabilitySet::DOCKER] {
                let findings = lint(&[layer(name, &caps, arch)], arch, Some((6, 18)), &accepted);
                let counting: Vec<&Finding> = findings.iter().filter(|finding| finding.counts()).collect();
                assert!(counting.is_empty(), "{name} {arch}: {counting:#?}");
                if arch == Arch::X86_64 && caps == CapabilitySet::DOCKER {
                    for (key, _) in &accepted {
                        let used = findings.iter().any(|found| *key == format!("{}:{}", found.rule, found.subject));
                        assert!(used, "{name}: accepts {key}, which lint does not find");
                    }
                }
            }
        }
    }
}

#[test]
fn each_family_lies_within_the_wider_one() {
    let pairs = [("strict", "minimal"), ("minimal", "restricted"), ("restricted", "default"), ("default", "debug")];
    for (narrow, wide) in pairs.into_iter().chain([("default", "nested")]) {
        for arch in NATIVE {
            for caps in caps() {
                let (small, big) = (decisions(narrow, &caps, arch), decisions(wide, &caps, arch));
                assert_eq!(diff::beyond(&small, &big), None, "{narrow} within {wide}, {arch}");
            }
        }
    }
}

#[test]
fn capabilities_only_widen_default_and_do_not_touch_the_narrow_families() {
    for arch in NATIVE {
        for name in families::names() {
            let with: Vec<Decisions> = caps().iter().map(|caps| decisions(name, caps, arch)).collect();
            assert_eq!(diff::beyond(&with[0], &with[1]), None, "{name}");
            assert_eq!(diff::beyond(&with[1], &with[2]), None, "{name}");
            if matches!(name, "restricted" | "minimal" | "strict") {
                assert_eq!(diff::diff(&with[0], &with[2]), [], "{name}");
            }
        }
    }
}

/// Docker 20.10 resolved the profile of its day for its 14 capabilities; what has changed since, and what we do otherwise.
#[test]
fn default_is_the_engines_profile_but_for_what_is_listed() {
    let docker = Profile::from_json(include_bytes!("profiles/docker-20.10.json")).unwrap();
    let docker = Decisions::of(&[Layer::Profile(docker)], Arch::X86_64).unwrap();
    let ours = decisions("default", &CapabilitySet::DOCKER, Arch::X86_64);
    let calls = |change: Change| -> BTreeSet<String> {
        let all = diff::diff(&docker, &ours);
        all.into_iter().filter(|found| found.change == change).map(|found| found.call).collect()
    };
    let set = |names: &str| names.split_whitespace().map(str::to_owned).collect::<BTreeSet<String>>();
    // Engines let these through since then. personality: the upper half of the argument, which the kernel cuts off.
    let newer = "cachestat fchmodat2 futex_requeue futex_wait futex_wake getxattrat listmount listxattrat map_shadow_stack \
                 mseal name_to_handle_at pkey_alloc pkey_free pkey_mprotect process_vm_readv process_vm_writev \
                 removexattrat setxattrat statmount uretprobe personality";
    assert_eq!(calls(Change::Wider), set(newer));
    // Engines refuse these since then. socket: AF_ALG and AF_VSOCK, and families that Linux does not have.
    assert_eq!(calls(Change::Narrower), set("io_uring_enter io_uring_register io_uring_setup socket"));
    // The profile names newer calls now, so that fewer are beyond it.
    assert_eq!(
        calls(Change::Other),
        set("lsm_get_self_attr lsm_list_modules lsm_set_self_attr set_mempolicy_home_node")
    );
}

#[test]
fn without_capabilities_default_loses_chroot_only() {
    let (with, without) = (
        decisions("default", &CapabilitySet::DOCKER, Arch::X86_64),
        decisions("default", &CapabilitySet::EMPTY, Arch::X86_64),
    );
    let calls: Vec<String> = diff::diff(&with, &without).into_iter().map(|found| found.call).collect();
    assert_eq!(calls, ["chroot"]);
}

#[test]
fn conditions_hold_whatever_is_in_the_upper_half() {
    let answer = |name: &str, call: &str, args: [u64; 3]| {
        let number = Syscall::from_name(call).unwrap().number(Arch::X86_64).unwrap();
        let [a, b, c] = args;
        let data = SeccompData::new(Arch::X86_64, number, [a, b, c, 0, 0, 0]);
        decisions(name, &CapabilitySet::DOCKER, Arch::X86_64).answer(&data)
    };
    for upper in [0, 1 << 32, 0xffff_ffff << 32] {
        for family in ["default", "restricted", "minimal", "strict"] {
            assert_eq!(answer(family, "socket", [38 | upper, 5, 0]), Action::Errno(1), "{family}");
            assert_eq!(answer(family, "socket", [40 | upper, 5, 0]), Action::Errno(1), "{family}");
            assert_eq!(answer(family, "socket", [2 | upper, 1, 6]), Action::Allow, "{family}");
            assert_eq!(answer(family, "clone", [0x1000_0000 | upper, 0, 0]), Action::Errno(1), "{family}");
        }
        assert_eq!(answer("restricted", "socket", [16 | upper, 3, 0]), Action::Allow);
        assert_eq!(answer("restricted", "socket", [16 | upper, 3, 9]), Action::Errno(1));
        assert_eq!(answer("restricted", "mknod", [0, 0x2000 | upper, 0]), Action::Errno(1));
        assert_eq!(answer("restricted", "mknod", [0, 0x1180 | upper, 0]), Action::Allow);
        assert_eq!(answer("strict", "openat", [0, 0, 0x40 | upper]), Action::Errno(1));
        assert_eq!(answer("strict", "openat", [0, 0, 0x8_0000 | upper]), Action::Allow);
    }
    assert_eq!(answer("strict", "clone", [0x003d_0f00, 0, 0]), Action::Allow);
    assert_eq!(answer("strict", "clone", [0x0120_0011, 0, 0]), Action::Errno(1));
}

#[test]
fn clone3_answers_enosys_wherever_clone_has_conditions() {
    for family in ["default", "restricted", "minimal", "strict", "debug"] {
        let decided = decisions(family, &CapabilitySet::DOCKER, Arch::X86_64);
        assert_eq!(decided.answer(&SeccompData::new(Arch::X86_64, 435, [0; 6])), Action::Errno(38), "{family}");
    }
}

#[test]
fn every_call_has_a_reason() {
    for name in families::names() {
        let family = families::describe(name).unwrap();
        assert_eq!(family.name, name);
        assert!(!family.summary.is_empty());
        for (call, reason) in family.calls.iter().chain(&family.refused) {
            assert!(Syscall::from_name(call).is_some(), "{name}: {call}");
            assert!(reason.len() > 4 && !reason.ends_with('.'), "{name}: {call}: {reason}");
        }
    }
}

#[test]
fn an_unknown_family_or_architecture_is_told() {
    let error = families::load("defualt", &CapabilitySet::EMPTY, Arch::X86_64).unwrap_err();
    assert!(error.to_string().contains("there are debug, nested, default"), "{error}");
    let error = families::load("default", &CapabilitySet::EMPTY, Arch::Arm).unwrap_err();
    assert_eq!(error, FamilyError::Architecture("default".to_owned(), Arch::Arm));
}

fn overlaid(layers: &[Layer], call: &str, args: [u64; 3]) -> Action {
    let number = Syscall::from_name(call).unwrap().number(Arch::X86_64).unwrap();
    let [a, b, c] = args;
    let data = SeccompData::new(Arch::X86_64, number, [a, b, c, 0, 0, 0]);
    compile_layers(layers, Arch::X86_64).unwrap().verdict(&data)
}

#[test]
fn the_overlay_refuses_below_a_profile_that_allows_all() {
    let overlay = Layer::Overlay(Overlay::load(&CapabilitySet::EMPTY, &[]).unwrap());
    let all = Layer::Profile(Profile::from_json(br#"{"defaultAction":"SCMP_ACT_ALLOW"}"#).unwrap());
    let refused = [
        ("ioctl", [0, 0x5412, 0]),
        ("ioctl", [0, 0x541c, 0]),
        ("prctl", [35, 0, 0]),
        ("prctl", [47, 2, 0]),
        ("socket", [17, 3, 0]),
        ("socket", [31, 3, 0]),
        ("socket", [38, 5, 0]),
        ("socketpair", [40, 1, 0]),
        ("clone", [0x1000_0011, 0, 0]),
        ("unshare", [0, 0, 0]),
        ("personality", [0x0004_0000, 0, 0]),
        ("seccomp", [1, 9, 0]),
        ("mount", [0, 0, 0]),
        ("open_tree_attr", [0, 0, 0]),
        ("io_uring_setup", [1, 0, 0]),
    ];
    let allowed = [
        ("ioctl", [0, 0x5413, 0]),
        ("prctl", [38, 1, 0]),
        ("prctl", [47, 1, 2]),
        ("socket", [1, 1, 0]),
        ("socket", [16, 3, 9]),
        ("clone", [0x003d_0f00, 0, 0]),
        ("personality", [0xffff_ffff, 0, 0]),
        ("personality", [0x0002_0008, 0, 0]),
        ("seccomp", [1, 1, 0]),
        ("read", [0, 0, 0]),
    ];
    for layers in [vec![overlay.clone(), all], vec![overlay]] {
        for upper in [0, 1 << 32, 0xffff_ffff << 32] {
            for (call, args) in refused {
                assert_eq!(overlaid(&layers, call, args.map(|arg| arg | upper)), Action::Errno(1), "{call} {args:?}");
            }
            for (call, args) in allowed {
                assert_eq!(overlaid(&layers, call, args.map(|arg| arg | upper)), Action::Allow, "{call} {args:?}");
            }
        }
        assert_eq!(overlaid(&layers, "clone3", [0; 3]), Action::Errno(38));
    }
}

#[test]
fn a_token_or_a_capability_takes_its_rules_away_and_no_other() {
    let with = |caps: CapabilitySet, tokens: &[&str]| vec![Layer::Overlay(Overlay::load(&caps, tokens).unwrap())];
    let net_raw = CapabilitySet::from_names(["CAP_NET_RAW"]).unwrap();
    assert_eq!(overlaid(&with(net_raw, &[]), "socket", [17, 3, 0]), Action::Allow);
    let nested = with(CapabilitySet::EMPTY, &["nested"]);
    for call in ["mount", "unshare", "clone3", "keyctl"] {
        assert_eq!(overlaid(&nested, call, [0; 3]), Action::Allow, "{call}");
    }
    assert_eq!(overlaid(&nested, "clone", [0x1000_0000, 0, 0]), Action::Allow);
    assert_eq!(overlaid(&nested, "bpf", [0; 3]), Action::Errno(1));
    assert_eq!(overlaid(&with(CapabilitySet::EMPTY, &["vsock"]), "socket", [40, 1, 0]), Action::Allow);
    let error = Overlay::load(&CapabilitySet::EMPTY, &["nestde"]).unwrap_err();
    assert!(error.to_string().contains("unknown token \"nestde\""), "{error}");
}

#[test]
fn what_the_narrow_families_allow_the_overlay_narrows_only_in_arguments() {
    for arch in NATIVE {
        let overlay = Layer::Overlay(Overlay::load(&CapabilitySet::EMPTY, &[]).unwrap());
        for name in ["default", "restricted", "minimal", "strict"] {
            let alone = decisions(name, &CapabilitySet::EMPTY, arch);
            let both = Decisions::of(&[overlay.clone(), layer(name, &CapabilitySet::EMPTY, arch)], arch).unwrap();
            assert_eq!(diff::beyond(&both, &alone), None, "{name}");
            let calls: BTreeSet<String> = diff::diff(&alone, &both).into_iter().map(|found| found.call).collect();
            let expected = ["ioctl", "personality", "prctl", "seccomp", "socket", "socketpair"];
            assert!(calls.iter().all(|call| expected.contains(&call.as_str())), "{name}: {calls:?}");
        }
    }
}
