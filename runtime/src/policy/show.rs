//! The verdict for people: a difference between the configuration and what will hold.

use super::enforcement::Enforcement;
use super::level::{Level, Mode};
use super::rule::Rule;
use super::verdict::{Change, Note, Refusal, Verdict, Why};
use std::fmt::Write;

/// What casemate's own annotations begin with.
pub const PREFIX: &str = "io.casemate.";
/// Columns of the rule's id.
const ID: usize = 22;

/// The text, in colour if the reader is a terminal.
pub fn text(enforcement: &Enforcement, verdict: &Verdict, colour: bool) -> String {
    let mut page = Page { text: String::new(), colour };
    page.line(format_args!("{:<15}{} ({})", "policy", enforcement.level, enforcement.chosen_by));
    if let Some(exemption) = &enforcement.exemption {
        page.line(format_args!("{:<15}exemption {} ({})", "", exemption.value, exemption.origin));
    }
    for (rule, said) in &enforcement.modes {
        page.line(format_args!("{:<15}{rule} = {} ({})", "", said.value.word(), said.origin));
    }
    if !verdict.changes.is_empty() {
        page.line(format_args!("\nrules change {}:", count(verdict.changes.len(), "thing")));
        let mut last = None;
        for change in &verdict.changes {
            page.change(change, last == Some(change.rule));
            last = Some(change.rule);
        }
    }
    let told: Vec<_> = verdict.notes.iter().filter(|note| note.why != Why::Unavailable).collect();
    if !told.is_empty() {
        page.line(format_args!("\nrules that are not enforced found:"));
        told.iter().for_each(|note| page.line(format_args!("  {:<ID$}{}", note.rule.id(), note.text)));
    }
    let lacking: Vec<_> = verdict.notes.iter().filter(|note| note.why == Why::Unavailable).collect();
    if !lacking.is_empty() {
        page.line(format_args!("\nthis host cannot give:"));
        lacking.iter().for_each(|note| page.line(format_args!("  {:<ID$}{}", note.rule.id(), note.text)));
    }
    if !verdict.refusals.is_empty() {
        page.line(format_args!("\nrefused:"));
        verdict.refusals.iter().for_each(|refusal| page.refusal(refusal));
    }
    page.text
}

/// The rules that the policy has in another mode than the level would, as one line for `state`.
pub fn deviations(enforcement: &Enforcement) -> Vec<String> {
    let differs = |rule: &&Rule| {
        let by_level =
            if rule.from().is_some_and(|from| from <= enforcement.level) { Mode::Enforce } else { Mode::Off };
        enforcement.mode(**rule) != by_level
    };
    Rule::ALL.iter().filter(differs).map(|rule| format!("{rule}={}", enforcement.mode(*rule).word())).collect()
}

/// What `state` says beside the annotations of the configuration; nothing at `privileged` with nothing changed.
pub fn annotations(enforcement: &Enforcement, notes: &[Note]) -> Vec<(String, String)> {
    let deviations = deviations(enforcement);
    if enforcement.level == Level::Privileged && deviations.is_empty() {
        return Vec::new();
    }
    let of = |wanted: Why| {
        let wanted = notes.iter().filter(|note| note.why == wanted);
        wanted.map(|note| format!("{}: {}", note.rule, note.text)).collect::<Vec<_>>().join("; ")
    };
    let all = [
        ("level", enforcement.level.word().to_string()),
        ("chosen-by", enforcement.chosen_by.clone()),
        ("exemption", enforcement.exemption.as_ref().map_or(String::new(), |said| said.value.clone())),
        ("rules", deviations.join(" ")),
        ("unavailable", of(Why::Unavailable)),
        (
            "not-enforced",
            [of(Why::Warn), of(Why::Audit)].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; "),
        ),
    ];
    all.into_iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| (format!("{PREFIX}{key}"), text)).collect()
}

struct Page {
    text: String,
    colour: bool,
}

impl Page {
    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _written = writeln!(self.text, "{text}");
    }

    fn sign(&self, sign: char, text: &str) -> String {
        let colour = if sign == '+' { "32" } else { "31" };
        if self.colour { format!("\x1b[{colour}m{sign} {text}\x1b[0m") } else { format!("{sign} {text}") }
    }

    fn change(&mut self, change: &Change, same_rule: bool) {
        let id = if same_rule { "" } else { change.rule.id() };
        let at = if change.pointer.is_empty() { "(not in config.json)" } else { &change.pointer };
        self.line(format_args!("  {id:<ID$}{at}"));
        for (sign, text) in [('-', &change.before), ('+', &change.after)] {
            if !text.is_empty() {
                let text = self.sign(sign, text);
                self.line(format_args!("  {:<ID$}  {text}", ""));
            }
        }
    }

    fn refusal(&mut self, refusal: &Refusal) {
        let cause = self.sign('-', &refusal.cause);
        self.line(format_args!("  {:<ID$}{}", refusal.rule.id(), refusal.pointer));
        self.line(format_args!("  {:<ID$}  {cause}", ""));
        self.line(format_args!("  {:<ID$}  by {}", "", refusal.origin));
        self.line(format_args!("  {:<ID$}  {}", "", refusal.allow));
    }
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
