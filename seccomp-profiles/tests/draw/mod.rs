//! Profiles and calls drawn at random, the same ones for the same seed.

#![allow(dead_code, reason = "each test binary uses its part")]

use seccomp_profiles::profile::{Action, Architecture, Arg, Operator, Profile, Rule};
use seccomp_profiles::syscalls::X32_BIT;
use seccomp_profiles::{Arch, SeccompData, Syscall};
use std::env;

/// How often a test draws: `SECCOMP_PROFILES_DRAWS` in the environment, or the default.
pub fn count(default: u64) -> u64 {
    env::var("SECCOMP_PROFILES_DRAWS").ok().map_or(default, |text| text.parse().unwrap())
}

/// xorshift64*, Marsaglia and Vigna.
pub struct Draw(u64);

impl Draw {
    pub fn new(seed: u64) -> Draw {
        Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.number() >> 11) as usize % end
    }

    pub fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    pub fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// A value that is likely to meet another one.
    pub fn value(&mut self) -> u64 {
        const LIKELY: [u64; 13] = [
            0,
            1,
            2,
            3,
            8,
            0x7e02_0000,
            0x8000_0000,
            0xffff_fffe,
            0xffff_ffff,
            1 << 32,
            (1 << 32) + 1,
            (2 << 32) + 3,
            u64::MAX,
        ];
        if self.one_in(8) { self.number() >> self.below(64) } else { *self.of(&LIKELY) }
    }
}

/// Whether rules of one call may have different actions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Actions {
    OneEach,
    Mixed,
}

/// A profile with up to 14 rules over a dozen calls, so that rules meet.
pub fn profile(draw: &mut Draw, actions: Actions, architectures: &[Architecture]) -> Profile {
    let calls: Vec<Syscall> = Syscall::all().collect();
    let mut pool: Vec<&str> = (0..10).map(|_| draw.of(&calls).name()).collect();
    // What x86 multiplexes, and what it multiplexes it by.
    pool.extend((0..2).map(|_| *draw.of(&["socket", "sendto", "connect", "semop", "shmget", "socketcall", "ipc"])));
    let default_action = *draw.of(&[
        Action::Errno,
        Action::Errno,
        Action::Errno,
        Action::Allow,
        Action::Log,
        Action::Kill,
        Action::Trap,
    ]);
    let mut of_call: Vec<Action> = pool.iter().map(|_| rule_action(draw, default_action)).collect();
    if actions == Actions::Mixed {
        of_call.clear();
    }
    let mut syscalls = Vec::new();
    for _ in 0..=draw.below(14) {
        let mut places: Vec<usize> = (0..=draw.below(4)).map(|_| draw.below(pool.len())).collect();
        let action = match of_call.get(places[0]) {
            Some(action) => {
                let action = *action;
                places.retain(|place| of_call[*place] == action);
                action
            }
            None => rule_action(draw, default_action),
        };
        let takes_errno = matches!(action, Action::Errno | Action::Trace);
        syscalls.push(Rule {
            names: places.iter().map(|place| pool[*place].to_owned()).collect(),
            action,
            // One errno for each action, lest rules of one call differ by it.
            errno_ret: (takes_errno && actions == Actions::Mixed && draw.one_in(2)).then(|| 1 + draw.below(30) as u32),
            args: (0..args(draw)).map(|_| arg(draw)).collect(),
        });
    }
    let mut listed: Vec<Architecture> = architectures.iter().copied().filter(|_| !draw.one_in(3)).collect();
    if draw.one_in(2) {
        listed.reverse();
    }
    Profile {
        default_action,
        default_errno_ret: (default_action == Action::Errno && draw.one_in(2)).then(|| 1 + draw.below(40) as u32),
        architectures: listed,
        flags: None,
        listener_path: "/run/agent.sock".to_owned(),
        listener_metadata: String::new(),
        syscalls,
    }
}

fn args(draw: &mut Draw) -> usize {
    *draw.of(&[0, 0, 1, 1, 1, 2, 2, 3, 4])
}

fn rule_action(draw: &mut Draw, default: Action) -> Action {
    let action = *draw.of(&[
        Action::Allow,
        Action::Allow,
        Action::Allow,
        Action::Errno,
        Action::Errno,
        Action::Trap,
        Action::Trace,
        Action::Log,
        Action::KillProcess,
        Action::KillThread,
    ]);
    if action == default { Action::Allow } else { action }
}

fn arg(draw: &mut Draw) -> Arg {
    let op = *draw.of(Operator::ALL);
    Arg { index: draw.below(6) as u32, value: draw.value(), value_two: draw.value(), op }
}

/// Numbers worth asking: those that the profile names with their neighbours, those above, some others; through each ABI
/// of `archs`, with arguments near the values of the profile.
pub fn calls(draw: &mut Draw, profile: &Profile, archs: &[Arch], each: usize) -> Vec<SeccompData> {
    let mut values = vec![0];
    for arg in profile.syscalls.iter().flat_map(|rule| &rule.args) {
        for value in [arg.value, arg.value_two, arg.value_two & arg.value] {
            values.extend([value, value.wrapping_add(1), value.wrapping_sub(1), value ^ (1 << 32), !value]);
        }
    }
    let mut data = Vec::new();
    for arch in archs {
        let mut numbers: Vec<u32> = vec![0, 1, 60, 102, 117, 469, 470, 600, 0xf_0002, X32_BIT - 1, X32_BIT, u32::MAX];
        for name in profile.syscalls.iter().flat_map(|rule| &rule.names) {
            if let Some(number) = Syscall::from_name(name).and_then(|call| call.number(*arch)) {
                numbers.extend([number, number.wrapping_add(1), number.wrapping_sub(1)]);
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            for _ in 0..each {
                let mut args = [0; 6];
                for arg in &mut args {
                    *arg = *draw.of(&values);
                }
                if *arch == Arch::X86 && draw.one_in(2) {
                    // A selector of socketcall or ipc.
                    args[0] = draw.below(25) as u64;
                }
                data.push(SeccompData::new(*arch, number, args));
            }
        }
    }
    data
}
