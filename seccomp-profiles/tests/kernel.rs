//! The kernel does under a compiled filter what the interpreter says it will, for each call, through both ABIs of x86_64
//! that it has, and for numbers of x32.
//!
//! Loading a filter needs no privilege (no_new_privs is set). `SECCOMP_PROFILES_DRAWS` sets how many profiles are drawn.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]
#![cfg(target_arch = "x86_64")]

mod draw;

use draw::{Actions, Draw};
use seccomp_profiles::interpret::Program;
use seccomp_profiles::profile::Architecture;
use seccomp_profiles::sandbox::{self, Outcome, Outer};
use seccomp_profiles::syscalls::X32_BIT;
use seccomp_profiles::{Action, Arch, Insn, Profile, SeccompData, compile};

/// Each call that ends its process costs a new one: so many of them a filter.
const DEATHS: usize = 8;

fn kernel_agrees(name: &str, insns: &[Insn], calls: &[SeccompData], outer: Outer) -> usize {
    let program = Program::new(insns).unwrap();
    let mut deaths = 0;
    let mut made = Vec::new();
    for call in calls {
        // uretprobe and uprobe: the kernel makes them without asking a filter, and they kill who calls them by hand.
        if call.arch == Arch::X86_64.audit() && matches!(call.nr, 335 | 336) {
            continue;
        }
        let action = program.run(call);
        if matches!(action, Action::KillProcess | Action::KillThread | Action::Trap(_)) {
            deaths += 1;
            if deaths > DEATHS {
                continue;
            }
        }
        made.push((*call, action));
    }
    let calls: Vec<_> = made.iter().map(|(call, _)| *call).collect();
    let outcomes = sandbox::run(insns, &calls, outer).unwrap();
    for ((call, action), outcome) in made.iter().zip(outcomes) {
        assert_eq!(outcome, Outcome::expected(*action, outer), "{name}: {call:x?}: {action}");
    }
    made.len()
}

fn engines() -> [(&'static str, Profile); 3] {
    let profile = |text: &[u8]| Profile::from_json(text).unwrap();
    [
        ("docker", profile(include_bytes!("profiles/docker-20.10.json"))),
        ("podman", profile(include_bytes!("profiles/podman-4.3.json"))),
        ("cri-o", profile(include_bytes!("profiles/crio-1.37.json"))),
    ]
}

/// Every number, and calls near the conditions.
fn calls_of(profile: &Profile, each: usize) -> Vec<SeccompData> {
    let archs = kernel_archs();
    let mut calls = draw::calls(&mut Draw::new(2), profile, &archs, each);
    for arch in archs {
        calls.extend((0..=600).map(|number| SeccompData::new(arch, number | arch.number_bits(), [0; 6])));
        calls.push(SeccompData::new(arch, u32::MAX, [0; 6]));
        calls.push(SeccompData::new(arch, 2 * X32_BIT, [0; 6]));
    }
    calls
}

/// A kernel without the 32-bit ABI answers `int 0x80` with a fault.
fn kernel_archs() -> Vec<Arch> {
    let config = std::fs::read("/proc/sys/abi/vsyscall32").is_ok() || std::path::Path::new("/proc/sys/abi").exists();
    if config {
        vec![Arch::X86_64, Arch::X86, Arch::X32]
    } else {
        println!("skipped: calls through int 0x80 need CONFIG_IA32_EMULATION (no /proc/sys/abi)");
        vec![Arch::X86_64, Arch::X32]
    }
}

#[test]
fn the_kernel_agrees_on_the_profiles_of_engines() {
    for (name, profile) in engines() {
        let filter = compile(&profile, Arch::X86_64).unwrap();
        let calls = calls_of(&profile, 40);
        println!("{name}: {} calls", kernel_agrees(name, &filter.insns, &calls, Outer::Errno));
        // A tracer tells calls that would be made from those that it is to decide; it is slow.
        let calls = calls_of(&profile, 4);
        println!("{name}: {} calls with a tracer", kernel_agrees(name, &filter.insns, &calls, Outer::Trace));
    }
}

#[test]
fn the_kernel_agrees_on_drawn_profiles() {
    let mut calls_made = 0;
    for seed in 0..draw::count(400) {
        let mut draw = Draw::new(seed);
        let actions = *draw.of(&[Actions::OneEach, Actions::Mixed]);
        let listed = [Architecture::X86_64, Architecture::X86, Architecture::X32];
        let profile = draw::profile(&mut draw, actions, &listed);
        let Ok(filter) = compile(&profile, Arch::X86_64) else { continue };
        let calls = draw::calls(&mut draw, &profile, &kernel_archs(), 6);
        let outer = if draw.one_in(8) { Outer::Trace } else { Outer::Errno };
        calls_made += kernel_agrees(&format!("seed {seed}"), &filter.insns, &calls, outer);
    }
    println!("{calls_made} calls");
}

#[test]
fn every_action_is_seen_by_the_kernel() {
    let rules = [
        ("getpid", "SCMP_ACT_KILL"),
        ("getppid", "SCMP_ACT_KILL_PROCESS"),
        ("gettid", "SCMP_ACT_KILL_THREAD"),
        ("getuid", "SCMP_ACT_TRAP"),
        ("getgid", "SCMP_ACT_ERRNO"),
        ("geteuid", "SCMP_ACT_NOTIFY"),
        ("getegid", "SCMP_ACT_TRACE"),
        ("getpgrp", "SCMP_ACT_LOG"),
        ("getsid", "SCMP_ACT_ALLOW"),
    ];
    let rules = rules.map(|(name, action)| format!(r#"{{"names":["{name}"],"action":"{action}"}}"#)).join(",");
    let json = format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO","listenerPath":"/run/a.sock","syscalls":[{rules}]}}"#);
    let profile = Profile::from_json(json.as_bytes()).unwrap();
    let filter = compile(&profile, Arch::X86_64).unwrap();
    let calls: Vec<_> = (0..=600).map(|number| SeccompData::new(Arch::X86_64, number, [0; 6])).collect();
    for outer in [Outer::Errno, Outer::Trace] {
        assert_eq!(kernel_agrees("every action", &filter.insns, &calls, outer), calls.len() - 2);
    }
}
