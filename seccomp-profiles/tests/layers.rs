//! One filter of several layers answers as the layers asked one by one: the strictest action, of equal ones the last.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod draw;

use draw::{Actions, Draw};
use seccomp_profiles::interpret::Program;
use seccomp_profiles::profile::Architecture;
use seccomp_profiles::{
    Action, Arch, CapabilitySet, Decisions, Layer, Overlay, Profile, SeccompData, Syscall, compile_layers, families,
    flag,
};

const LISTED: [Architecture; 5] =
    [Architecture::X86_64, Architecture::X86, Architecture::X32, Architecture::Arm, Architecture::Aarch64];

/// The kernel's order, written down a second time.
fn strictness(action: Action) -> usize {
    let order = [
        Action::KillProcess,
        Action::KillThread,
        Action::Trap(0),
        Action::Errno(0),
        Action::Notify,
        Action::Trace(0),
        Action::Log,
        Action::Allow,
    ];
    let class = |action: Action| action.to_ret() & 0xffff_0000;
    order.iter().position(|known| class(*known) == class(action)).unwrap()
}

fn agrees(name: &str, layers: &[Layer], native: Arch, calls: &[SeccompData]) {
    let decisions = Decisions::of(layers, native).unwrap();
    let joined = Program::new(&decisions.filter().unwrap().insns).unwrap();
    let alone: Vec<Program> = layers
        .iter()
        .map(|layer| Program::new(&compile_layers(std::slice::from_ref(layer), native).unwrap().insns).unwrap())
        .collect();
    for call in calls {
        let answers = alone.iter().map(|program| program.run(call));
        // min_by_key keeps the first of equals, so the newest comes first.
        let expected = answers.rev().min_by_key(|action| strictness(*action)).unwrap();
        assert_eq!(joined.run(call), expected, "{name}: {call:x?}");
        assert_eq!(decisions.answer(call), expected, "{name}: decisions: {call:x?}");
    }
}

/// Calls near the conditions of all profiles.
fn calls(draw: &mut Draw, profiles: &[&Profile], each: usize) -> Vec<SeccompData> {
    let mut all: Profile = (*profiles[0]).clone();
    all.syscalls.extend(profiles[1..].iter().flat_map(|profile| profile.syscalls.clone()));
    draw::calls(draw, &all, &Arch::ALL, each)
}

fn tokens(draw: &mut Draw) -> Vec<String> {
    let known = seccomp_profiles::overlay::tokens().unwrap();
    known.into_iter().map(|(token, _)| token).filter(|_| draw.one_in(4)).collect()
}

/// Calls of the overlay with arguments on and around its values.
fn overlay_calls(draw: &mut Draw, each: usize) -> Vec<SeccompData> {
    let values: [u64; 22] = [
        0,
        1,
        2,
        3,
        8,
        9,
        15,
        16,
        17,
        28,
        35,
        38,
        40,
        46,
        47,
        57,
        0x5412,
        0x541d,
        0x1000_0000,
        0x0004_0000,
        0xffff_ffff,
        0x5961_6d61,
    ];
    let calls =
        ["ioctl", "prctl", "socket", "socketpair", "clone", "clone3", "personality", "seccomp", "mount", "bpf", "read"];
    let mut data = Vec::new();
    for arch in Arch::ALL {
        for number in calls.iter().filter_map(|call| Syscall::from_name(call)?.number(arch)) {
            for _ in 0..each {
                let args = [(); 6].map(|()| *draw.of(&values) | if draw.one_in(3) { 1 << 32 } else { 0 });
                data.push(SeccompData::new(arch, number, args));
            }
        }
    }
    data
}

#[test]
fn drawn_profiles_join_as_the_kernel_would() {
    let mut joined = 0;
    for seed in 0..draw::count(1000) {
        let mut draw = Draw::new(seed);
        let native = *draw.of(&[Arch::X86_64, Arch::Aarch64]);
        let mut profiles = [(); 2].map(|()| {
            let actions = *draw.of(&[Actions::OneEach, Actions::Mixed]);
            draw::profile(&mut draw, actions, &LISTED)
        });
        // Rules of both over the same calls, so that they meet.
        let (names, other): (Vec<String>, _) =
            (profiles[0].syscalls.iter().flat_map(|rule| rule.names.clone()).collect(), &mut profiles[1]);
        for rule in &mut other.syscalls {
            if draw.one_in(2) && !names.is_empty() {
                rule.names = vec![draw.of(&names).clone()];
            }
        }
        let layers = profiles.clone().map(Layer::Profile);
        if layers.iter().any(|layer| compile_layers(std::slice::from_ref(layer), native).is_err()) {
            continue;
        }
        let calls = calls(&mut draw, &[&profiles[0], &profiles[1]], 4);
        agrees(&format!("seed {seed}"), &layers, native, &calls);
        joined += 1;
    }
    println!("{joined} pairs");
    assert!(joined > 400);
}

#[test]
fn drawn_profiles_join_with_the_overlay() {
    for seed in 0..draw::count(400) {
        let mut draw = Draw::new(seed);
        let native = *draw.of(&[Arch::X86_64, Arch::Aarch64]);
        let mut profile = draw::profile(&mut draw, Actions::Mixed, &LISTED);
        for rule in &mut profile.syscalls {
            rule.names =
                vec![(*draw.of(&["ioctl", "prctl", "socket", "clone", "personality", "seccomp", "read"])).to_owned()];
        }
        let tokens = tokens(&mut draw);
        let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
        let overlay = Layer::Overlay(Overlay::load(&CapabilitySet::DOCKER, &tokens).unwrap());
        let layers = [overlay, Layer::Profile(profile.clone())];
        if compile_layers(&layers[1..], native).is_err() {
            continue;
        }
        let mut calls = calls(&mut draw, &[&profile], 3);
        calls.extend(overlay_calls(&mut draw, 8));
        agrees(&format!("seed {seed}"), &layers, native, &calls);
    }
}

fn engines() -> Vec<Profile> {
    let profile = |text: &[u8]| Profile::from_json(text).unwrap();
    vec![
        profile(include_bytes!("profiles/docker-20.10.json")),
        profile(include_bytes!("profiles/podman-4.3.json")),
        profile(include_bytes!("profiles/crio-1.37.json")),
    ]
}

#[test]
fn the_overlay_restricted_and_an_engines_profile_join() {
    for native in [Arch::X86_64, Arch::Aarch64] {
        let overlay = Layer::Overlay(Overlay::load(&CapabilitySet::DOCKER, &[]).unwrap());
        for profile in engines() {
            for name in ["restricted", "default", "strict"] {
                let family = families::load(name, &CapabilitySet::DOCKER, native).unwrap();
                let mut draw = Draw::new(7);
                let mut all = calls(&mut draw, &[&profile, &family], 3);
                all.extend(overlay_calls(&mut draw, 40));
                all.extend((0..=600).map(|number| SeccompData::new(native, number, [0; 6])));
                agrees(name, &[overlay.clone(), Layer::Profile(family), Layer::Profile(profile.clone())], native, &all);
            }
        }
    }
}

/// The kernel does under one joined filter what the interpreter says it will.
#[cfg(target_arch = "x86_64")]
#[test]
fn the_kernel_agrees_on_families_below_the_overlay() {
    use seccomp_profiles::sandbox::{self, Outcome, Outer};
    let overlay = Layer::Overlay(Overlay::load(&CapabilitySet::DOCKER, &[]).unwrap());
    let mut made = 0;
    for name in families::names() {
        let family = families::load(name, &CapabilitySet::DOCKER, Arch::X86_64).unwrap();
        let filter = compile_layers(&[overlay.clone(), Layer::Profile(family)], Arch::X86_64).unwrap();
        let mut calls: Vec<_> = (0..=600).map(|number| SeccompData::new(Arch::X86_64, number, [0; 6])).collect();
        calls.extend(overlay_calls(&mut Draw::new(3), 60).into_iter().filter(|call| call.arch == Arch::X86_64.audit()));
        // uretprobe and uprobe are made without asking a filter; a call that kills costs a process.
        calls.retain(|call| !matches!(call.nr, 335 | 336) && filter.verdict(call) != Action::KillProcess);
        let outcomes = sandbox::run(&filter.insns, &calls, Outer::Errno).unwrap();
        for (call, outcome) in calls.iter().zip(outcomes) {
            assert_eq!(outcome, Outcome::expected(filter.verdict(call), Outer::Errno), "{name}: {call:x?}");
        }
        made += calls.len();
    }
    println!("{made} calls");
}

#[test]
fn flags_and_listeners_join() {
    let profile = |text: &str| Layer::Profile(Profile::from_json(text.as_bytes()).unwrap());
    let plain = profile(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#);
    let log = profile(r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG"]}"#);
    let notify = profile(
        r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/run/a.sock","listenerMetadata":"m",
            "syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}]}"#,
    );
    let joined = |layers: &[Layer]| compile_layers(layers, Arch::X86_64);
    assert_eq!(joined(&[plain.clone(), plain.clone()]).unwrap().flags, flag::SPEC_ALLOW);
    assert_eq!(joined(&[plain.clone(), log]).unwrap().flags, flag::LOG);
    let filter = joined(&[notify.clone(), plain]).unwrap();
    assert!(filter.notify && filter.flags & flag::NEW_LISTENER != 0);
    assert_eq!((filter.listener_path.as_str(), filter.listener_metadata.as_str()), ("/run/a.sock", "m"));
    assert!(joined(&[notify.clone(), notify]).unwrap_err().to_string().contains("two profiles notify"));
    assert!(joined(&[]).unwrap_err().to_string().contains("no profile is given"));
}
