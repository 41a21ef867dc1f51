//! What two confinements answer differently: by meaning, not by text.
//!
//! Every call of the table is asked through every ABI that either side serves, with the arguments around each condition
//! of both sides.

use crate::bpf::Action;
use crate::compile::condition::{shown, words};
use crate::compile::decide::{BAD_ARCH, Verdict};
use crate::compile::intersect::rank;
use crate::compile::layers::Decisions;
use crate::syscalls::{Arch, Syscall, Width};
use crate::witness;
use serde::Serialize;

/// Which way a difference goes, from the left side to the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// The right side lets through what the left one refuses.
    Wider,
    /// The right side refuses what the left one lets through.
    Narrower,
    /// Both refuse, or both let through, in another way.
    Other,
}

/// Arguments of a call that both sides answer differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The call; `*` for every call of an ABI that one side does not serve, `(unknown)` for numbers beyond the table.
    pub call: String,
    /// The ABIs where this is so.
    pub architectures: Vec<&'static str>,
    /// Which way it goes.
    pub change: Change,
    /// The left side's answer.
    pub left: String,
    /// The conditions by which the left side answers so; `otherwise` where none of its conditions holds, `always` where it
    /// has none.
    pub left_when: String,
    /// The right side's answer.
    pub right: String,
    /// As `left_when`.
    pub right_when: String,
    /// Arguments that show it.
    pub example: Vec<u64>,
}

/// All differences, by call.
#[must_use]
pub fn diff(left: &Decisions, right: &Decisions) -> Vec<Difference> {
    let mut differences: Vec<Difference> = Vec::new();
    for arch in Arch::ALL {
        let before = differences.len();
        match (left.archs().contains(&arch), right.archs().contains(&arch)) {
            (false, false) => {}
            (true, true) => {
                for (name, number) in numbers(arch) {
                    if let (Some(left), Some(right)) = (left.verdict(arch, number), right.verdict(arch, number)) {
                        of_call(&name, arch, left, right, &mut differences);
                    }
                }
            }
            (here, _) => {
                let (left, right) = if here { ("served", "KILL_PROCESS") } else { ("KILL_PROCESS", "served") };
                let change = if here { Change::Narrower } else { Change::Wider };
                differences.push(difference("*", arch, change, (left, "listed"), (right, "listed"), &[0; 6]));
            }
        }
        merge(&mut differences, before);
    }
    let mut by_call: Vec<Difference> = Vec::with_capacity(differences.len());
    for one in differences {
        by_call.insert(by_call.partition_point(|before| before.call <= one.call), one);
    }
    by_call
}

/// The numbers of an ABI by name, and one that no kernel has yet.
pub(crate) fn numbers(arch: Arch) -> impl Iterator<Item = (String, u32)> {
    let named = Syscall::all().filter_map(move |call| Some((call.name().to_owned(), call.number(arch)?)));
    named.chain([("(unknown)".to_owned(), 1000 | arch.number_bits())])
}

fn of_call(name: &str, arch: Arch, left: &Verdict, right: &Verdict, differences: &mut Vec<Difference>) {
    let mut seen: Vec<(Option<usize>, Option<usize>)> = Vec::new();
    for args in asked(&[left, right], arch.width()) {
        let ((left_action, left_place), (right_action, right_place)) =
            (left.answer(&args, arch.width()), right.answer(&args, arch.width()));
        if left_action == right_action || seen.contains(&(left_place, right_place)) {
            continue;
        }
        seen.push((left_place, right_place));
        let change = match (left_action.refuses(), right_action.refuses()) {
            (true, false) => Change::Wider,
            (false, true) => Change::Narrower,
            (true, true) | (false, false) => Change::Other,
        };
        let side = |verdict, place, action: Action| (action.to_string(), when(verdict, place, arch.width()));
        let (left, right) = (side(left, left_place, left_action), side(right, right_place, right_action));
        differences.push(difference(name, arch, change, (&left.0, &left.1), (&right.0, &right.1), &args));
    }
}

/// Arguments around the conditions of all these verdicts.
pub(crate) fn asked(verdicts: &[&Verdict], width: Width) -> Vec<[u64; 6]> {
    let conds = verdicts.iter().flat_map(|verdict| &verdict.clauses).flat_map(|clause| &clause.conds);
    witness::arguments(conds, width)
}

fn when(verdict: &Verdict, place: Option<usize>, width: Width) -> String {
    match place.and_then(|place| verdict.clauses.get(place)) {
        Some(clause) => words(&clause.conds, width),
        None if verdict.clauses.is_empty() => "always".to_owned(),
        None => "otherwise".to_owned(),
    }
}

fn difference(
    call: &str,
    arch: Arch,
    change: Change,
    left: (&str, &str),
    right: (&str, &str),
    args: &[u64; 6],
) -> Difference {
    let used = args.iter().rposition(|arg| *arg != 0).map_or(0, |last| last + 1);
    Difference {
        call: call.to_owned(),
        architectures: vec![arch.name()],
        change,
        left: left.0.to_owned(),
        left_when: left.1.to_owned(),
        right: right.0.to_owned(),
        right_when: right.1.to_owned(),
        example: args.iter().take(used).copied().collect(),
    }
}

/// What was found from `from` on goes to an earlier difference that reads alike.
fn merge(differences: &mut Vec<Difference>, from: usize) {
    for found in differences.split_off(from) {
        let alike = |known: &&mut Difference| {
            known.call == found.call
                && (known.left == found.left && known.left_when == found.left_when)
                && (known.right == found.right && known.right_when == found.right_when)
        };
        match differences.iter_mut().take(from).find(alike) {
            Some(known) => known.architectures.extend(found.architectures),
            None => differences.push(found),
        }
    }
}

/// Differences as lines for people; the names stand for the two sides.
#[must_use]
pub fn text(differences: &[Difference]) -> String {
    let rows = differences.iter().map(|found| {
        let sign = match found.change {
            Change::Wider => "+",
            Change::Narrower => "-",
            Change::Other => "~",
        };
        let example: Vec<String> = found.example.iter().map(|arg| shown(*arg)).collect();
        let side =
            |action: &str, when: &str| if when == "always" { action.to_owned() } else { format!("{action} ({when})") };
        [
            sign.to_owned(),
            format!("{}({})", found.call, example.join(", ")),
            found.architectures.join(","),
            format!("{} -> {}", side(&found.left, &found.left_when), side(&found.right, &found.right_when)),
        ]
    });
    columns(rows.collect())
}

/// Rows with their columns aligned.
#[must_use]
pub fn columns<const N: usize>(rows: Vec<[String; N]>) -> String {
    let mut text = String::new();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A call that `narrow` lets through and `wide` does not: its ABI, number and arguments. None where everything that one
/// lets through, with arguments around the conditions, the other lets through as freely.
#[must_use]
pub fn beyond(narrow: &Decisions, wide: &Decisions) -> Option<String> {
    let always_killed = Verdict { clauses: Vec::new(), otherwise: BAD_ARCH };
    for arch in narrow.archs() {
        for (name, number) in numbers(*arch) {
            let Some(left) = narrow.verdict(*arch, number) else { continue };
            let right = wide.verdict(*arch, number).unwrap_or(&always_killed);
            for args in asked(&[left, right], arch.width()) {
                let (small, big) = (left.answer(&args, arch.width()).0, right.answer(&args, arch.width()).0);
                if !small.refuses() && rank(big) < rank(small) {
                    return Some(format!("{arch}:{name} {args:x?}: {small}, and {big}"));
                }
            }
        }
    }
    None
}
