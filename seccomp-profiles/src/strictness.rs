//! Whether one program is at least as strict as another: for every call there is, not for examples.
//!
//! Numbers and audit values are only ever compared, so that all numbers between two constants of both programs are alike
//! and one of them stands for all. What is left of either program for such a number looks at arguments alone: every way
//! through both is followed together, and a way is real where some argument meets all its tests, which is decided bit by
//! bit, exactly.

use crate::bpf::{ARCH_OFFSET, Action, NR_OFFSET, SeccompData, arg_offset};
use crate::compile::intersect::rank;
use crate::interpret::{Program, Step, Test};
use crate::syscalls::{Arch, Syscall};
use std::collections::{BTreeSet, HashSet};
use std::fmt;

/// A call that the second program answers less strictly than the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wider {
    /// The call.
    pub call: SeccompData,
    /// What the first program says to it.
    pub before: Action,
    /// What the second one says.
    pub after: Action,
}

impl fmt::Display for Wider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SeccompData { nr, arch: audit, args, .. } = self.call;
        let named = Arch::ALL.into_iter().filter(|arch| arch.audit() == audit);
        let mut named = named.flat_map(|arch| Syscall::all().map(move |call| (arch, call)));
        match named.find(|(arch, call)| call.number(*arch) == Some(nr)) {
            Some((arch, call)) => write!(f, "{arch}:{}", call.name())?,
            None => write!(f, "call {nr:#x} of ABI {audit:#x}")?,
        }
        write!(f, " {args:x?} is answered {}, before {}", self.after, self.before)
    }
}

/// The programs are of a kind, or have more ways through them, than this comparison follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incomparable;

impl fmt::Display for Incomparable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the filters cannot be compared: they calculate with the number of a call, or have too many branches",
        )
    }
}

impl std::error::Error for Incomparable {}

/// More tests than these are not followed; real filters have some thousand.
const MOST: usize = 1 << 22;

/// The first call found that `after` answers less strictly than `before` in the kernel's order of actions; none where
/// there is no such call at all. The data of actions (an errno) make no difference.
///
/// # Errors
/// [`Incomparable`]; no filter of [`crate::compile()`] of a usual size is.
pub fn wider(before: &Program, after: &Program) -> Result<Option<Wider>, Incomparable> {
    let mut compared: HashSet<(Rest, Rest)> = HashSet::new();
    let archs = values(before, after, ARCH_OFFSET);
    let numbers = values(before, after, NR_OFFSET);
    let mut ways = Ways { before, after, tests: Vec::new(), met_by: [0; WORDS], steps: 0 };
    for arch in archs {
        for nr in &numbers {
            let call = SeccompData { nr: *nr, arch, instruction_pointer: 0, args: [0; 6] };
            let pair = (rest(after, &call)?, rest(before, &call)?);
            if compared.insert(pair)
                && let Some(wider) = ways.follow(pair.0, pair.1, &call)?
            {
                return Ok(Some(wider));
            }
        }
    }
    Ok(None)
}

/// Values of the word at `offset`, one for each range that both programs treat alike.
fn values(before: &Program, after: &Program, offset: u32) -> BTreeSet<u32> {
    let mut values = BTreeSet::new();
    values.insert(0);
    for program in [before, after] {
        // Whether the word may be in A before each step; jumps go forward only.
        let mut held = vec![false; program.steps().len() + 1];
        let mut reached = vec![false; program.steps().len() + 1];
        if let Some(first) = reached.first_mut() {
            *first = true;
        }
        for (at, step) in program.steps().iter().enumerate() {
            let holds = held.get(at).copied().unwrap_or(false);
            let (next, holds) = match *step {
                Step::Load(from) => ([Some(at + 1), None], from == offset),
                Step::And(_) => ([Some(at + 1), None], holds),
                Step::Jump(to) => ([Some(to), None], holds),
                Step::Branch(_, k, yes, no) => {
                    if holds {
                        values.extend([k, k.wrapping_add(1)]);
                    }
                    ([Some(yes), Some(no)], holds)
                }
                Step::Return(_) | Step::ReturnA => ([None, None], holds),
            };
            if reached.get(at).copied().unwrap_or(false) {
                for next in next.into_iter().flatten() {
                    if let (Some(reached), Some(held)) = (reached.get_mut(next), held.get_mut(next)) {
                        *reached = true;
                        *held |= holds;
                    }
                }
            }
        }
    }
    values
}

/// What is left of a program when number and audit value are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Rest {
    Answer(Action),
    /// The step that loads the first other word.
    Asks(usize),
}

fn rest(program: &Program, call: &SeccompData) -> Result<Rest, Incomparable> {
    let (mut at, mut a, mut calculable) = (0, 0, true);
    while let Some(step) = program.steps().get(at) {
        at += 1;
        match *step {
            Step::Load(offset) if offset == NR_OFFSET || offset == ARCH_OFFSET => {
                (a, calculable) = (call.word(offset).ok_or(Incomparable)?, false);
            }
            Step::Load(_) => return Ok(Rest::Asks(at - 1)),
            // One number stands for its neighbours only as long as nothing but comparisons is done with it.
            Step::And(_) | Step::Branch(Test::AnySet, ..) | Step::ReturnA if !calculable => return Err(Incomparable),
            Step::And(k) => a &= k,
            Step::Jump(to) => at = to,
            Step::Branch(test, k, yes, no) => at = if test.holds(a, k) { yes } else { no },
            Step::Return(value) => return Ok(Rest::Answer(Action::from_ret(value))),
            Step::ReturnA => return Ok(Rest::Answer(Action::from_ret(a))),
        }
    }
    Err(Incomparable)
}

/// A test on a word of the call, with the side taken.
#[derive(Clone, Copy, Debug)]
struct Asked {
    offset: u32,
    mask: u32,
    test: Test,
    k: u32,
    holds: bool,
}

impl Asked {
    fn is_met_by(&self, word: u32) -> bool {
        self.test.holds(word & self.mask, self.k) == self.holds
    }
}

/// Words of a call.
const WORDS: usize = SeccompData::SIZE as usize / 4;

struct Ways<'p> {
    before: &'p Program,
    after: &'p Program,
    /// On the way so far.
    tests: Vec<Asked>,
    /// Words that meet all of them.
    met_by: [u32; WORDS],
    steps: usize,
}

/// What A holds on the way.
#[derive(Clone, Copy)]
enum Held {
    Constant(u32),
    /// The word at an offset, and the bits left of it.
    Word(u32, u32),
}

impl Ways<'_> {
    fn follow(&mut self, after: Rest, before: Rest, call: &SeccompData) -> Result<Option<Wider>, Incomparable> {
        match after {
            Rest::Answer(action) => self.then(action, before, call),
            Rest::Asks(at) => self.walk(true, at, Held::Constant(0), None, before, call),
        }
    }

    /// The second program has answered; now the first.
    fn then(&mut self, after: Action, before: Rest, call: &SeccompData) -> Result<Option<Wider>, Incomparable> {
        match before {
            // Nothing is stricter.
            _ if rank(after) == 0 => Ok(None),
            Rest::Answer(before) if rank(after) <= rank(before) => Ok(None),
            Rest::Answer(before) => Ok(Some(Wider { call: self.example(call), before, after })),
            Rest::Asks(at) => self.walk(false, at, Held::Constant(0), Some(after), before, call),
        }
    }

    fn walk(
        &mut self,
        second: bool,
        mut at: usize,
        mut held: Held,
        answered: Option<Action>,
        before: Rest,
        call: &SeccompData,
    ) -> Result<Option<Wider>, Incomparable> {
        let program = if second { self.after } else { self.before };
        while let Some(step) = program.steps().get(at) {
            self.steps += 1;
            if self.steps > MOST {
                return Err(Incomparable);
            }
            at += 1;
            held = match (*step, held) {
                (Step::Load(offset), _) if offset == NR_OFFSET || offset == ARCH_OFFSET => return Err(Incomparable),
                (Step::Load(offset), _) => Held::Word(offset, u32::MAX),
                (Step::And(k), Held::Constant(a)) => Held::Constant(a & k),
                (Step::And(k), Held::Word(offset, mask)) => Held::Word(offset, mask & k),
                (Step::Jump(to), held) => {
                    at = to;
                    held
                }
                (Step::Branch(test, k, yes, no), Held::Constant(a)) => {
                    at = if test.holds(a, k) { yes } else { no };
                    held
                }
                (Step::Branch(test, k, yes, no), Held::Word(offset, mask)) => {
                    let word = offset as usize / 4;
                    let met_by = self.met_by.get(word).copied().ok_or(Incomparable)?;
                    for (holds, to) in [(true, yes), (false, no)] {
                        let asked = Asked { offset, mask, test, k, holds };
                        self.tests.push(asked);
                        let meets = if asked.is_met_by(met_by) { Some(met_by) } else { self.solve(offset)? };
                        let found = match (meets, self.met_by.get_mut(word)) {
                            (Some(meets), Some(place)) => {
                                *place = meets;
                                self.walk(second, to, held, answered, before, call)
                            }
                            _ => Ok(None),
                        };
                        self.tests.pop();
                        if let Some(place) = self.met_by.get_mut(word) {
                            *place = met_by;
                        }
                        if let found @ (Ok(Some(_)) | Err(_)) = found {
                            return found;
                        }
                    }
                    return Ok(None);
                }
                (Step::Return(value), _) => {
                    let action = Action::from_ret(value);
                    return match answered {
                        None => self.then(action, before, call),
                        Some(after) => self.then(after, Rest::Answer(action), call),
                    };
                }
                (Step::ReturnA, _) => return Err(Incomparable),
            };
        }
        Err(Incomparable)
    }

    /// A call that meets all tests on the way.
    fn example(&self, call: &SeccompData) -> SeccompData {
        let word = |offset: u32| self.met_by.get(offset as usize / 4).copied().map_or(0, u64::from);
        let both = |offset: u32| word(offset + 4) << 32 | word(offset);
        let mut call = *call;
        // The place of the instruction lies before the arguments.
        call.instruction_pointer = both(ARCH_OFFSET + 4);
        for (index, arg) in (0_u8..).zip(call.args.iter_mut()) {
            *arg = both(arg_offset(index));
        }
        call
    }

    /// A value of the word at `offset` that meets all tests of it.
    fn solve(&self, offset: u32) -> Result<Option<u32>, Incomparable> {
        let mut tests: Vec<Compared> = Vec::new();
        for test in self.tests.iter().filter(|test| test.offset == offset).map(Compared::of) {
            if !tests.contains(&test) {
                tests.push(test);
            }
        }
        // From the highest bit down: the tests that are still open, as bits, and one value that leads there.
        let open = match tests.len() {
            128.. => return Err(Incomparable),
            count => (1_u128 << count) - 1,
        };
        let mut states: Vec<(u128, u32)> = vec![(open, 0)];
        for bit in (0..u32::BITS).rev() {
            let mut next: Vec<(u128, u32)> = Vec::with_capacity(states.len() * 2);
            for (open, value) in states {
                for value in [value, value | 1 << bit] {
                    if let Some(open) = narrowed(&tests, open, value, bit)
                        && !next.iter().any(|(known, _)| *known == open)
                    {
                        next.push((open, value));
                    }
                }
            }
            states = next;
        }
        Ok(states.first().map(|(_, value)| *value))
    }
}

/// A test as a comparison of the masked word with a number.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Compared {
    mask: u32,
    k: u32,
    /// Which outcomes meet it.
    less: bool,
    equal: bool,
    greater: bool,
}

impl Compared {
    fn of(asked: &Asked) -> Compared {
        let (mask, k, [less, equal, greater]) = match asked.test {
            Test::Equal => (asked.mask, asked.k, [false, true, false]),
            Test::Greater => (asked.mask, asked.k, [false, false, true]),
            Test::GreaterOrEqual => (asked.mask, asked.k, [false, true, true]),
            Test::AnySet => (asked.mask & asked.k, 0, [false, false, true]),
        };
        let flip = |outcome: bool| outcome == asked.holds;
        Compared { mask, k, less: flip(less), equal: flip(equal), greater: flip(greater) }
    }
}

/// Which of the open tests are still open when the bits of `value` from `bit` up are known; none where one is not met.
fn narrowed(tests: &[Compared], mut open: u128, value: u32, bit: u32) -> Option<u128> {
    for (place, test) in tests.iter().enumerate() {
        if open & 1_u128 << place == 0 {
            continue;
        }
        let (have, want) = ((value & test.mask) >> bit & 1, test.k >> bit & 1);
        let below = (1_u32 << bit) - 1;
        let met = match have.cmp(&want) {
            std::cmp::Ordering::Less => test.less,
            std::cmp::Ordering::Greater => test.greater,
            std::cmp::Ordering::Equal if (test.mask | test.k) & below == 0 => test.equal,
            std::cmp::Ordering::Equal => continue,
        };
        if !met {
            return None;
        }
        open &= !(1_u128 << place);
    }
    Some(open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Profile, compile};

    fn program(default: &str, rules: &str) -> Program {
        let json = format!(r#"{{"defaultAction":"SCMP_ACT_{default}","syscalls":[{rules}]}}"#);
        Program::new(&compile(&Profile::from_json(json.as_bytes()).unwrap(), Arch::X86_64).unwrap().insns).unwrap()
    }

    fn rule(name: &str, action: &str, args: &str) -> String {
        format!(r#"{{"names":["{name}"],"action":"SCMP_ACT_{action}","args":[{args}]}}"#)
    }

    fn arg(index: u8, op: &str, value: u64, two: u64) -> String {
        format!(r#"{{"index":{index},"op":"SCMP_CMP_{op}","value":{value},"valueTwo":{two}}}"#)
    }

    #[test]
    fn a_program_is_not_wider_than_itself() {
        let same = program("ERRNO", &rule("socket", "ALLOW", &arg(0, "NE", 40, 0)));
        assert_eq!(wider(&same, &same), Ok(None));
    }

    #[test]
    fn one_argument_of_one_call_is_found() {
        let narrow = program("ERRNO", &rule("socket", "ALLOW", &arg(0, "LE", (7 << 32) + 5, 0)));
        let wide = program("ERRNO", &rule("socket", "ALLOW", &arg(0, "LT", (7 << 32) + 7, 0)));
        assert_eq!(wider(&wide, &narrow), Ok(None));
        let found = wider(&narrow, &wide).unwrap().unwrap();
        assert_eq!((found.call.args[0], found.call.nr), ((7 << 32) + 6, 41));
        assert_eq!(found.to_string(), "x86_64:socket [700000006, 0, 0, 0, 0, 0] is answered ALLOW, before ERRNO(1)");
    }

    #[test]
    fn masks_that_overlap_are_decided_exactly() {
        let both = program("ERRNO", &rule("clone", "ALLOW", &arg(0, "MASKED_EQ", 0x30, 0)));
        let one = program("ERRNO", &rule("clone", "ALLOW", &arg(0, "MASKED_EQ", 0x10, 0)));
        assert_eq!(wider(&one, &both), Ok(None));
        assert_eq!(wider(&both, &one).unwrap().unwrap().call.args[0] & 0x30, 0x20);
    }

    #[test]
    fn the_kernel_s_order_of_actions_counts_and_their_data_do_not() {
        let answers = |action: &str| program("ERRNO", &rule("mount", action, ""));
        assert_eq!(wider(&answers("LOG"), &answers("TRACE")), Ok(None));
        assert_eq!(wider(&answers("KILL_PROCESS"), &answers("TRAP")).unwrap().unwrap().after, Action::Trap(0));
        assert_eq!(wider(&program("ERRNO", ""), &program("KILL", "")), Ok(None));
        let other_errno = rule("mount", "ERRNO", "").replace("\"args\"", "\"errnoRet\":38,\"args\"");
        assert_eq!(wider(&program("ERRNO", ""), &program("ERRNO", &other_errno)), Ok(None));
    }

    #[test]
    fn a_number_that_no_table_has_is_found() {
        let wide = program("ALLOW", &rule("read", "ERRNO", ""));
        let found = wider(&program("ERRNO", &rule("write", "ALLOW", "")), &wide).unwrap().unwrap();
        assert_eq!(found.after, Action::Allow);
        assert!(found.call.nr != 0);
    }
}
