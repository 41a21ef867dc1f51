//! What is probably wrong with a profile: holes, slips, rules without effect.
//!
//! Rules of the profile are looked at as they are written; everything else asks the decisions that come of all layers, so
//! that what one layer closes is no finding of another.

mod calls;
mod rules;

use crate::bpf::{Action, SeccompData};
use crate::compile::layers::{Decisions, Layer};
use crate::diff::asked;
use crate::syscalls::{Arch, Syscall, Width};
use calls::{DANGEROUS, DANGEROUS_ARGUMENTS, FALLBACKS, INT_ARGUMENTS, SIBLINGS};
use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// No container could run under it.
    Error,
    /// A hole, or not what was meant.
    Warning,
    /// Worth knowing.
    Note,
}

/// Something that lint found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing it is: a stable word.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The call, or the rule of the profile, that it is about; may be empty.
    pub subject: String,
    /// One sentence.
    pub text: String,
    /// Why it is meant to be there, where the profile says so: then it counts as a note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
}

impl Finding {
    /// Whether a pipeline should stop for it.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.severity < Severity::Note && self.accepted.is_none()
    }
}

/// All findings, the worst first.
///
/// `kernel` is the version of the kernel that the profile is for: names that it does not have are told. `accepted` holds
/// findings that are meant to be there, as `rule:subject`, each with a reason.
#[must_use]
pub fn lint(layers: &[Layer], native: Arch, kernel: Option<(u32, u32)>, accepted: &[(String, String)]) -> Vec<Finding> {
    let mut findings = Findings { list: Vec::new() };
    for layer in layers {
        if let Layer::Profile(profile) = layer {
            rules::of_profile(profile, native, kernel, &mut findings);
        }
    }
    match Decisions::of(layers, native) {
        Err(why) => {
            for problem in why.problems {
                findings.add("invalid", Severity::Error, "", problem);
            }
        }
        Ok(decisions) => of_decisions(&decisions, native, &mut findings),
    }
    let mut list: Vec<Finding> = Vec::with_capacity(findings.list.len());
    for mut finding in findings.list {
        let key = format!("{}:{}", finding.rule, finding.subject);
        finding.accepted = accepted.iter().find(|(known, _)| *known == key).map(|(_, reason)| reason.clone());
        let rank = (finding.severity, finding.rule, &finding.subject);
        let place = list.partition_point(|before| (before.severity, before.rule, &before.subject) <= rank);
        list.insert(place, finding);
    }
    list
}

pub(super) struct Findings {
    list: Vec<Finding>,
}

impl Findings {
    pub(super) fn add(&mut self, rule: &'static str, severity: Severity, subject: &str, text: impl Into<String>) {
        let finding = Finding { rule, severity, subject: subject.to_owned(), text: text.into(), accepted: None };
        if !self.list.contains(&finding) {
            self.list.push(finding);
        }
    }
}

fn of_decisions(decisions: &Decisions, native: Arch, findings: &mut Findings) {
    if reach(decisions, native, "execve") == Some(Reach::Never) {
        findings.add("no-execve", Severity::Error, "execve", "execve is refused: no program can be started");
    }
    let unknown = SeccompData::new(native, 1000 | native.number_bits(), [0; 6]);
    if !decisions.answer(&unknown).refuses() {
        let text = "calls that no rule names are let through, those of future kernels too";
        findings.add("allow-by-default", Severity::Warning, "", text);
    }
    for (name, how) in DANGEROUS {
        match widest(decisions, name) {
            Some(Reach::Always) => findings.add("dangerous-call", Severity::Warning, name, how),
            Some(Reach::Sometimes) => {
                findings.add("dangerous-call", Severity::Note, name, format!("with some arguments: {how}"));
            }
            Some(Reach::Never) | None => {}
        }
    }
    for (name, [a, b, c], what, how) in DANGEROUS_ARGUMENTS {
        let number = Syscall::from_name(name).and_then(|call| call.number(native));
        let let_through = |number| {
            let args = [a, b, c, 0, 0, 0];
            !decisions.answer(&SeccompData::new(native, number, args)).refuses()
        };
        if number.is_some_and(let_through) {
            let text = format!("{what} {how}; the overlay refuses it");
            findings.add("dangerous-arguments", Severity::Note, name, text);
        }
    }
    for arch in decisions.archs() {
        fallbacks(decisions, *arch, findings);
        wide_comparisons(decisions, *arch, findings);
        multiplexed(decisions, *arch, findings);
        if *arch != native {
            narrower_natively(decisions, *arch, native, findings);
        }
    }
    siblings(decisions, native, findings);
}

/// With which arguments a call is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Never,
    Sometimes,
    Always,
}

fn reach(decisions: &Decisions, arch: Arch, name: &str) -> Option<Reach> {
    let number = Syscall::from_name(name)?.number(arch)?;
    let verdict = decisions.verdict(arch, number)?;
    let mut answers = asked(&[verdict], arch.width()).into_iter().map(|args| verdict.answer(&args, arch.width()).0);
    let (mut some, mut none) = (false, false);
    for action in answers.by_ref() {
        if action.refuses() { none = true } else { some = true }
    }
    Some(match (some, none) {
        (true, true) => Reach::Sometimes,
        (true, false) => Reach::Always,
        (false, _) => Reach::Never,
    })
}

/// The same through whichever ABI allows most.
fn widest(decisions: &Decisions, name: &str) -> Option<Reach> {
    decisions.archs().iter().filter_map(|arch| reach(decisions, *arch, name)).max()
}

/// A call that is refused with an errno that its callers do not take for "not there".
fn fallbacks(decisions: &Decisions, arch: Arch, findings: &mut Findings) {
    for (new, old) in FALLBACKS {
        // Only a 32-bit program needs the times of 64 bits.
        let needless = arch.width() == Width::Full64 && new.ends_with("64");
        if needless
            || reach(decisions, arch, new) != Some(Reach::Never)
            || reach(decisions, arch, old) < Some(Reach::Sometimes)
        {
            continue;
        }
        let Some(number) = Syscall::from_name(new).and_then(|call| call.number(arch)) else { continue };
        let answer = decisions.answer(&SeccompData::new(arch, number, [0; 6]));
        if answer != Action::Errno(38) {
            let text = format!("{arch}: {answer} instead of ENOSYS (38): its callers fall back to {old} only then");
            findings.add("no-fallback", Severity::Warning, new, text);
        }
    }
}

/// Something in the upper half of an argument that the kernel cuts off turns a refusal into a permission.
fn wide_comparisons(decisions: &Decisions, arch: Arch, findings: &mut Findings) {
    if arch.width() == Width::Low32 {
        return;
    }
    for (name, ints) in INT_ARGUMENTS {
        let Some(number) = Syscall::from_name(name).and_then(|call| call.number(arch)) else { continue };
        let Some(verdict) = decisions.verdict(arch, number) else { continue };
        for args in asked(&[verdict], arch.width()) {
            for (index, bit) in (0..6).map(|index| (index, 1_u8 << index)) {
                let Some(arg) = args.get(index).copied().filter(|_| ints & bit != 0) else { continue };
                let with = |value: u64| {
                    let mut args = args;
                    args.iter_mut().skip(index).take(1).for_each(|arg| *arg = value);
                    verdict.answer(&args, arch.width()).0
                };
                let low = arg & 0xffff_ffff;
                let escapes = [low | 1 << 32, low | 0xffff_ffff << 32].into_iter().any(|wide| !with(wide).refuses());
                if with(low).refuses() && escapes {
                    let text = format!(
                        "{arch}: argument {index} is an int for the kernel, the profile compares 64 bits: {low:#x} is \
                         refused, the same with its upper half set is let through; compare with SCMP_CMP_MASKED_EQ and \
                         a mask of 0xffffffff"
                    );
                    return findings.add("wide-compare", Severity::Warning, name, text);
                }
            }
        }
    }
}

/// A condition that is lost where the arguments lie in memory.
fn multiplexed(decisions: &Decisions, arch: Arch, findings: &mut Findings) {
    for call in Syscall::all() {
        let Some((number, selector)) = call.multiplexed(arch) else { continue };
        let mut args = [0; 6];
        args[0] = u64::from(selector);
        let let_through = !decisions.answer(&SeccompData::new(arch, number, args)).refuses();
        if let_through && reach(decisions, arch, call.name()) != Some(Reach::Always) {
            let by = if number == 102 { "socketcall" } else { "ipc" };
            let text = format!(
                "{arch}: conditions do not hold for {by}, whose arguments lie in memory: leave {arch} out of architectures"
            );
            // What only the multiplexer has, or what it may never be asked directly, has no condition to lose.
            if reach(decisions, arch, call.name()) == Some(Reach::Sometimes) {
                findings.add("multiplexed", Severity::Warning, call.name(), text);
            }
        }
    }
}

/// A call that is refused natively and let through by another door.
fn narrower_natively(decisions: &Decisions, arch: Arch, native: Arch, findings: &mut Findings) {
    for call in Syscall::all() {
        let (Some(own), Some(other)) = (call.number(native), call.number(arch)) else { continue };
        let (Some(own), Some(other)) = (decisions.verdict(native, own), decisions.verdict(arch, other)) else {
            continue;
        };
        // Arguments that both ABIs can pass.
        let mut all = asked(&[own, other], Width::Low32).into_iter();
        let hole = |args: &[u64; 6]| {
            own.answer(args, native.width()).0.refuses() && !other.answer(args, arch.width()).0.refuses()
        };
        if let Some(args) = all.find(hole) {
            let text = format!("{arch}: let through with {args:x?}, refused through {native}");
            findings.add("architecture-hole", Severity::Warning, call.name(), text);
        }
    }
}

/// A call whose refusal is meant (it has conditions, or everything else is let through) beside one that does the same.
fn siblings(decisions: &Decisions, native: Arch, findings: &mut Findings) {
    let open = !decisions.answer(&SeccompData::new(native, 1000 | native.number_bits(), [0; 6])).refuses();
    for group in SIBLINGS {
        let reaches: Vec<(&str, Reach)> =
            group.iter().filter_map(|name| Some((*name, widest(decisions, name)?))).collect();
        let meant = |reach: Reach| reach == Reach::Sometimes || (open && reach == Reach::Never);
        let Some((refused, _)) = reaches.iter().find(|(_, reach)| meant(*reach)) else { continue };
        for (name, _) in reaches.iter().filter(|(_, reach)| *reach == Reach::Always) {
            let text = format!("let through with any arguments, though {refused}, which does the same, is not");
            findings.add("sibling-call", Severity::Warning, name, text);
        }
    }
}

/// Findings as lines for people.
#[must_use]
pub fn text(findings: &[Finding]) -> String {
    let rows = findings.iter().map(|finding| {
        let severity = match (finding.severity, &finding.accepted) {
            (_, Some(_)) => "accepted",
            (Severity::Error, None) => "error",
            (Severity::Warning, None) => "warning",
            (Severity::Note, None) => "note",
        };
        let reason = finding.accepted.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
        [severity.to_owned(), finding.rule.to_owned(), finding.subject.clone(), format!("{}{reason}", finding.text)]
    });
    crate::diff::columns(rows.collect())
}
