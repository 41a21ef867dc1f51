//! `linux.resources`, as `update --resources` reads it: limits for both versions of cgroups, and device rules, whose
//! short list and whose program must mean what the rules say.

use crate::facts;
use casemate::cgroup::devices::program::{AND, EXIT, JUMP_EQ, JUMP_NE, LOAD_WORD, MOVE, SET, SHIFT_RIGHT, compile};
use casemate::cgroup::devices::{Kind, Rule, check_v1, effective};
use casemate::policy::{self, Enforcement, Level};
use casemate::spec::{self, Resources};
use casemate::sys::bpf::Insn;

pub fn run(data: &[u8]) {
    let Ok(resources) = spec::parse::<Resources>(data) else { return };
    let written = serde_json::to_vec(&resources).unwrap();
    assert_eq!(spec::parse::<Resources>(&written).unwrap(), resources, "what is written is not what was read");
    let rules = effective(&resources.devices, &[]);
    for facts in [facts::hybrid(), facts::unified()] {
        for error in facts.cgroups.check(&resources, rules.as_deref().unwrap_or_default()) {
            assert!(!error.to_string().is_empty());
        }
        for level in Level::ALL {
            let (mut given, enforcement) = (resources.clone(), Enforcement::new(level, "fuzz"));
            let first = policy::update(&mut given, &enforcement, &facts);
            let once = given.clone();
            let second = policy::update(&mut given, &enforcement, &facts);
            assert_eq!(given, once, "changed again: {:?}", second.changes);
            assert_eq!(first.refusals.is_empty(), second.refusals.is_empty());
        }
    }
    if let Ok(rules) = rules {
        devices(&resources, &rules);
    }
}

fn devices(resources: &Resources, rules: &[Rule]) {
    let plain: Vec<Rule> = resources.devices.iter().map(|rule| Rule::parse(rule).unwrap()).collect();
    assert!(rules.len() <= plain.len());
    // Refuses, or has a form for it; either is an answer.
    let _expressible = check_v1(rules);
    let program = compile(rules);
    let numbers = |of: fn(&Rule) -> Option<u32>| {
        let mut all: Vec<u32> = plain.iter().filter_map(of).take(8).collect();
        all.push(4095);
        all
    };
    for major in numbers(|rule| rule.major) {
        for minor in numbers(|rule| rule.minor) {
            for kind in [Kind::Char, Kind::Block] {
                for access in 1..8 {
                    let call = Call { kind, major, minor, access };
                    let wanted = call.is_allowed(&plain);
                    assert_eq!(call.is_allowed(rules), wanted, "{call:?}: the short list\n{plain:?}\n{rules:?}");
                    assert_eq!(call.run(&program), wanted, "{call:?}: the program of\n{rules:?}");
                }
            }
        }
    }
}

/// What the kernel asks the controller.
#[derive(Clone, Copy, Debug)]
struct Call {
    kind: Kind,
    major: u32,
    minor: u32,
    /// Bits of `BPF_DEVCG_ACC_*`.
    access: u8,
}

impl Call {
    /// The definition: for each kind of access by itself the last rule about it decides; without one it is denied.
    fn is_allowed(self, rules: &[Rule]) -> bool {
        let about = |rule: &&Rule| {
            (rule.kind == Kind::All || rule.kind == self.kind)
                && rule.major.is_none_or(|number| number == self.major)
                && rule.minor.is_none_or(|number| number == self.minor)
        };
        [1, 2, 4].into_iter().filter(|bit| self.access & bit != 0).all(|bit| {
            let last = rules.iter().rev().filter(about).find(|rule| rule.access.bits() & bit != 0);
            last.is_some_and(|rule| rule.allow)
        })
    }

    /// The program, on the instructions that the compiler uses.
    fn run(self, program: &[Insn]) -> bool {
        let kind = if self.kind == Kind::Block { 1 } else { 2 };
        let context = [u32::from(self.access) << 16 | kind, self.major, self.minor];
        let mut registers: [Option<u32>; 11] = [None; 11];
        let mut at = 0;
        loop {
            let insn = program[at];
            let (to, from) = (usize::from(insn.registers & 15), usize::from(insn.registers >> 4));
            at += 1;
            match insn.code {
                LOAD_WORD => registers[to] = Some(context[usize::try_from(insn.offset).unwrap() / 4]),
                MOVE => registers[to] = Some(registers[from].unwrap()),
                SET => registers[to] = Some(insn.immediate),
                AND => registers[to] = Some(registers[to].unwrap() & insn.immediate),
                SHIFT_RIGHT => registers[to] = Some(registers[to].unwrap() >> insn.immediate),
                JUMP_NE | JUMP_EQ => {
                    if (registers[to].unwrap() == insn.immediate) == (insn.code == JUMP_EQ) {
                        at += usize::try_from(insn.offset).unwrap();
                    }
                }
                EXIT => return registers[0].unwrap() == 1,
                code => panic!("instruction {code:#x} is none of the compiler's"),
            }
        }
    }
}
