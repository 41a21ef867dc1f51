//! Whatever the rules: the minimal list, the eBPF program and the v1 table all mean what the rules say.

use proptest::collection::vec;
use proptest::prelude::*;

use super::program::{AND, EXIT, JUMP_EQ, JUMP_NE, LOAD_WORD, MOVE, SET, SHIFT_RIGHT, compile};
use super::v1::Table;
use super::*;
use crate::sys::bpf::Insn;

/// A request as the kernel makes it.
#[derive(Debug, Clone, Copy)]
struct Request {
    kind: Kind,
    major: u32,
    minor: u32,
    access: Access,
}

fn matches(rule: &Rule, request: &Request) -> bool {
    (rule.kind == Kind::All || rule.kind == request.kind)
        && rule.major.is_none_or(|n| n == request.major)
        && rule.minor.is_none_or(|n| n == request.minor)
}

/// The definition: for each kind of access by itself the last rule about it decides, without one "deny".
fn evaluate(rules: &[Rule], request: &Request) -> bool {
    [Access::MKNOD, Access::READ, Access::WRITE]
        .into_iter()
        .filter(|bit| request.access.contains(*bit))
        .all(|bit| rules.iter().rev().find(|r| matches(r, request) && r.access.contains(bit)).is_some_and(|r| r.allow))
}

/// What the kernel's v1 controller decides from a table.
fn evaluate_table(table: &Table, request: &Request) -> bool {
    let exceptions = || table.exceptions.iter().filter(|e| matches(e, request));
    if table.default_allow {
        !exceptions().any(|e| e.access.intersects(request.access))
    } else {
        exceptions().any(|e| e.access.contains(request.access))
    }
}

/// An interpreter for the instructions that the compiler uses.
fn interpret(program: &[Insn], request: &Request) -> bool {
    let kind = if request.kind == Kind::Block { 1 } else { 2 };
    let context = [u32::from(request.access.bits()) << 16 | kind, request.major, request.minor];
    let mut registers: [Option<u32>; 11] = [None; 11];
    let mut at = 0;
    for _ in 0..10_000 {
        let insn = program[at];
        let (to, from) = (usize::from(insn.registers & 15), usize::from(insn.registers >> 4));
        at += 1;
        match insn.code {
            LOAD_WORD => {
                assert_eq!(from, 1, "only the context can be read");
                registers[to] = Some(context[usize::try_from(insn.offset).unwrap() / 4]);
            }
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
            code => panic!("unknown instruction {code:#x}"),
        }
    }
    panic!("the program does not end");
}

fn requests() -> Vec<Request> {
    let mut all = Vec::new();
    for kind in [Kind::Char, Kind::Block] {
        for major in 1..=3 {
            for minor in 1..=3 {
                all.extend((1..=7).map(|bits| Request { kind, major, minor, access: Access(bits) }));
            }
        }
    }
    all
}

fn spec_rule() -> impl Strategy<Value = DeviceCgroup> {
    let number = prop_oneof![Just(None), Just(Some(-1)), Just(Some(1)), Just(Some(2))];
    let r#type = prop_oneof![Just(""), Just("a"), Just("b"), Just("c"), Just("c")];
    let access = prop_oneof![Just(""), Just("rwm"), Just("rwm"), Just("r"), Just("w"), Just("m"), Just("rw")];
    (any::<bool>(), r#type, number.clone(), number, access).prop_map(|(allow, r#type, major, minor, access)| {
        DeviceCgroup { allow, r#type: r#type.to_owned(), major, minor, access: access.to_owned() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn minimal_list_program_and_v1_table_mean_what_the_rules_say(spec in vec(spec_rule(), 0..8)) {
        let plain: Vec<Rule> = spec.iter().map(|r| Rule::parse(r).unwrap()).collect();
        let minimal = effective(&spec, &[]).unwrap();
        let program = compile(&minimal);
        let table = Table::from_rules(&minimal).ok();
        prop_assert!(minimal.len() <= plain.len());
        for request in requests() {
            let expected = evaluate(&plain, &request);
            prop_assert_eq!(evaluate(&minimal, &request), expected, "{:?} {:?}", request, minimal);
            prop_assert_eq!(interpret(&program, &request), expected, "{:?} {:?}", request, minimal);
            if let Some(table) = &table {
                let decided = evaluate_table(table, &request);
                // Two exceptions never add up on v1, so that it may refuse a combined access.
                prop_assert!(!decided || expected, "{:?} {:?}", request, table);
                if request.access.bits().count_ones() == 1 {
                    prop_assert_eq!(decided, expected, "{:?} {:?}", request, table);
                }
            }
        }
    }

    #[test]
    fn v1_writes_lead_from_any_table_to_any_other(a in vec(spec_rule(), 0..6), b in vec(spec_rule(), 0..6)) {
        let table = |spec: &[DeviceCgroup]| Table::from_rules(&effective(spec, &[]).unwrap()).ok();
        if let (Some(now), Some(wanted)) = (table(&a), table(&b)) {
            let result = kernel(&now, &wanted.writes(&now));
            for request in requests() {
                prop_assert_eq!(evaluate_table(&result, &request), evaluate_table(&wanted, &request));
            }
        }
    }
}

/// What the v1 controller makes of writes.
fn kernel(now: &Table, writes: &[(&str, String)]) -> Table {
    let mut table = Table { default_allow: now.default_allow, exceptions: now.exceptions.clone() };
    for (file, value) in writes {
        let allow = *file == "devices.allow";
        if value == "a" {
            table = Table { default_allow: allow, exceptions: Vec::new() };
            continue;
        }
        let rule = v1::parse_line(value).unwrap();
        let same = |e: &&mut Rule| (e.kind, e.major, e.minor) == (rule.kind, rule.major, rule.minor);
        let found = table.exceptions.iter_mut().find(same);
        match (found, allow == table.default_allow) {
            (Some(e), true) => e.access = e.access.without(rule.access),
            (Some(e), false) => e.access = e.access.union(rule.access),
            (None, true) => {}
            (None, false) => table.exceptions.push(rule),
        }
        table.exceptions.retain(|e| e.access != Access(0));
    }
    table
}

fn rule(allow: bool, r#type: &str, major: i64, minor: i64, access: &str) -> DeviceCgroup {
    let (r#type, access) = (r#type.to_owned(), access.to_owned());
    DeviceCgroup { allow, r#type, major: Some(major), minor: Some(minor), access }
}

#[test]
fn default_nodes_are_all_that_is_left_of_a_deny_all_list() {
    let rules = effective(&[rule(false, "a", -1, -1, "rwm")], &DEFAULT_NODES).unwrap();
    assert_eq!(rules, DEFAULT_NODES);
    let tun = Request { kind: Kind::Char, major: 10, minor: 200, access: Access::READ };
    let foreign_mknod = Request { kind: Kind::Block, major: 8, minor: 0, access: Access::MKNOD };
    assert!(!interpret(&compile(&rules), &tun) && !interpret(&compile(&rules), &foreign_mknod));
}

#[test]
fn rules_that_repeat_the_default_nodes_vanish() {
    let spec = [rule(false, "", -1, -1, "rwm"), rule(true, "c", 1, 3, "rwm"), rule(true, "c", 1, 5, "rw")];
    assert_eq!(effective(&spec, &DEFAULT_NODES).unwrap().len(), DEFAULT_NODES.len());
}

#[test]
fn allow_all_is_one_rule_and_a_program_without_dead_code() {
    let rules = effective(&[rule(true, "a", -1, -1, "rwm")], &DEFAULT_NODES).unwrap();
    assert_eq!(rules.len(), 1);
    assert_eq!(compile(&rules).len(), 8);
    let table = Table::from_rules(&rules).unwrap();
    assert_eq!(table, Table { default_allow: true, exceptions: Vec::new() });
}

#[test]
fn hole_in_a_wildcard_is_refused_on_v1() {
    let spec = [rule(true, "c", 1, -1, "rwm"), rule(false, "c", 1, 3, "rwm")];
    let error = Table::from_rules(&effective(&spec, &[]).unwrap()).unwrap_err();
    assert!(error.to_string().starts_with("device rule \"deny c 1:3 rwm\": takes back a part"), "{error}");
}

#[test]
fn rule_that_no_device_can_match_is_refused() {
    for bad in [
        rule(true, "p", 1, 1, "r"),
        rule(true, "c", 4096, 1, "r"),
        rule(true, "c", -2, 1, "r"),
        rule(true, "c", 1, 1, "x"),
    ] {
        assert!(matches!(Rule::parse(&bad), Err(Error::Devices { .. })), "{bad:?}");
    }
}
