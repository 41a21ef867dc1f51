//! Whether the comparison of filters finds what is there, and nothing else: asked call by call.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod draw;

use draw::{Actions, Draw};
use seccomp_profiles::interpret::Program;
use seccomp_profiles::profile::{Architecture, Profile};
use seccomp_profiles::strictness::wider;
use seccomp_profiles::{Action, Arch, CapabilitySet, Layer, Overlay, SeccompData, compile, compile_layers, families};

const ABIS: [Arch; 4] = [Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64];

fn rank(action: Action) -> u8 {
    match action {
        Action::KillProcess => 0,
        Action::KillThread => 1,
        Action::Trap(_) => 2,
        Action::Errno(_) => 3,
        Action::Notify => 4,
        Action::Trace(_) => 5,
        Action::Log => 6,
        Action::Allow => 7,
    }
}

fn program(profile: &Profile) -> Option<Program> {
    Some(Program::new(&compile(profile, Arch::X86_64).ok()?.insns).unwrap())
}

/// Calls near the conditions of both.
fn calls(draw: &mut Draw, profiles: [&Profile; 2]) -> Vec<SeccompData> {
    let mut both = profiles[0].clone();
    both.syscalls.extend(profiles[1].syscalls.iter().cloned());
    draw::calls(draw, &both, &ABIS, 4)
}

#[test]
fn whatever_a_sample_finds_is_found_and_what_is_found_is_so() {
    let (mut found, mut none) = (0, 0);
    for seed in 0..draw::count(300) {
        let mut draw = Draw::new(seed);
        let archs = [Architecture::X86_64, Architecture::X86, Architecture::X32];
        let left = draw::profile(&mut draw, Actions::Mixed, &archs);
        let mut right = left.clone();
        // Often a small difference, sometimes another profile altogether.
        if draw.one_in(4) {
            right = draw::profile(&mut draw, Actions::Mixed, &archs);
        } else if let Some(last) = right.syscalls.last_mut() {
            let index = draw.below(last.args.len() + 1);
            match last.args.get_mut(index) {
                Some(arg) => arg.value = draw.value(),
                None => drop(right.syscalls.pop()),
            }
        }
        let (Some(before), Some(after)) = (program(&left), program(&right)) else { continue };
        let verdict = wider(&before, &after).unwrap();
        if let Some(wider) = verdict {
            assert_eq!((before.run(&wider.call), after.run(&wider.call)), (wider.before, wider.after), "seed {seed}");
            assert!(rank(wider.after) > rank(wider.before), "seed {seed}");
            found += 1;
        } else {
            for call in calls(&mut draw, [&left, &right]) {
                let (before, after) = (before.run(&call), after.run(&call));
                assert!(rank(after) <= rank(before), "seed {seed}: {call:x?} is {after}, before {before}");
            }
            none += 1;
        }
    }
    assert!(found > 50 && none > 50, "{found} wider, {none} not: not much of a test");
}

#[test]
fn layers_together_are_as_strict_as_each_of_them() {
    for seed in 0..draw::count(100) {
        let mut draw = Draw::new(seed + 1_000_000);
        let archs = [Architecture::X86_64, Architecture::X86];
        let [first, second] = [0, 1].map(|_| draw::profile(&mut draw, Actions::Mixed, &archs));
        let (Some(left), Some(right)) = (program(&first), program(&second)) else { continue };
        let layers = [Layer::Profile(first), Layer::Profile(second)];
        let Ok(both) = compile_layers(&layers, Arch::X86_64) else { continue };
        let both = Program::new(&both.insns).unwrap();
        assert_eq!(wider(&left, &both), Ok(None), "seed {seed}");
        assert_eq!(wider(&right, &both), Ok(None), "seed {seed}");
    }
}

/// Filters with many conditions on one argument, as the ones of containers are.
#[test]
fn the_layers_of_containers_are_compared_exactly() {
    let capabilities = |names: &[&str]| CapabilitySet::from_names(names.iter().copied()).unwrap();
    let layers = |capabilities: &CapabilitySet, more: Option<&str>| {
        let family = |name| Layer::Profile(families::load(name, capabilities, Arch::X86_64).unwrap());
        let mut layers = vec![Layer::Overlay(Overlay::load(capabilities, &[]).unwrap()), family("default")];
        layers.extend(more.map(family));
        Program::new(&compile_layers(&layers, Arch::X86_64).unwrap().insns).unwrap()
    };
    let (few, many) = (capabilities(&["CAP_CHOWN"]), capabilities(&["CAP_CHOWN", "CAP_NET_RAW", "CAP_SYS_ADMIN"]));
    assert_eq!(wider(&layers(&many, None), &layers(&few, None)), Ok(None));
    let (before, after) = (layers(&few, None), layers(&many, None));
    let found = wider(&before, &after).unwrap().unwrap();
    assert_eq!((before.run(&found.call), after.run(&found.call)), (found.before, found.after));
    for family in families::names() {
        assert_eq!(wider(&layers(&few, None), &layers(&few, Some(family))), Ok(None), "{family}");
    }
}
