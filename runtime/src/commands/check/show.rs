//! Reports for people, and the list of the rules.

use super::{Finding, Grade, Item, Outcome, Report};
use crate::commands::doctor::Colour;
use crate::commands::printable;
use crate::policy::catalogue::{self, page};
use crate::policy::{Effect, Rule};

const RED: u8 = 31;
const GREEN: u8 = 32;
const YELLOW: u8 = 33;

struct Page {
    text: String,
    colour: Colour,
}

impl Page {
    fn line(&mut self, line: &str) {
        // What stands in a configuration must not act on the terminal.
        self.text.push_str(printable(line).trim_end());
        self.text.push('\n');
    }

    /// A line that begins with a word of its own, seven columns wide and in colour on a terminal.
    fn marked(&mut self, word: &str, colour: u8, rest: &str) {
        let (on, off) = match self.colour {
            Colour::On => (format!("\x1b[{colour}m"), "\x1b[0m"),
            Colour::Off => (String::new(), ""),
        };
        self.text.push_str(&format!("{on}{word:7}{off}  {}\n", printable(rest).trim_end()));
    }
}

/// The report as text.
pub(super) fn text(report: &Report, colour: Colour) -> String {
    let mut page = Page { text: String::new(), colour };
    match (report.standard, report.as_written) {
        (None, _) => page.line(&format!("{}: level {} ({})", report.file, report.level, report.chosen_by)),
        (Some(standard), true) => page.line(&format!("{}: {}, as written", report.file, standard.name())),
        (Some(standard), false) => page.line(&format!(
            "{}: {}, after level {} ({})",
            report.file,
            standard.name(),
            report.level,
            report.chosen_by
        )),
    }
    let id = report.items.iter().map(|item| item.id.len()).max().unwrap_or(0);
    let title = report.items.iter().map(|item| item.title.len()).max().unwrap_or(0);
    for item in &report.items {
        show_item(&mut page, report, item, id, title);
    }
    let id = report.findings.iter().map(|finding| finding.id.len()).max().unwrap_or(0);
    // With a standard, the items have said most of it.
    let said = |rule: &str| {
        let violated = report.items.iter().filter(|item| item.grade == Grade::Violated);
        violated.flat_map(|item| &item.findings).any(|finding| finding.id == rule)
    };
    for group in groups(&report.findings).filter(|group| group.first().is_some_and(|first| !said(&first.id))) {
        show_group(&mut page, report, group, id);
    }
    if let Some(unsupported) = &report.unsupported {
        page.marked("note", YELLOW, &format!("not supported here or by this version: {unsupported}"));
    }
    page.line(&sum(report));
    page.text
}

/// Neighbours that say the same of different places.
fn groups(findings: &[Finding]) -> impl Iterator<Item = &[Finding]> {
    findings.chunk_by(|a, b| a.id == b.id && a.outcome == b.outcome)
}

/// How many places of one group are shown: a privileged container has every device of its host.
const SHOWN: usize = 5;

fn at(report: &Report, finding: &Finding) -> String {
    let file = report.file.rsplit('/').next().unwrap_or_default();
    match &*finding.pointer {
        // The text of a note has its place in it.
        "" if finding.outcome == Outcome::Noted => String::new(),
        "" => "(not in config.json)".to_owned(),
        pointer => format!("{file}:{} {pointer}", finding.place.line),
    }
}

fn show_item(page: &mut Page, report: &Report, item: &Item, id: usize, title: usize) {
    let (word, colour) = match item.grade {
        Grade::Pass => ("pass", GREEN),
        Grade::Mended => ("mended", GREEN),
        Grade::Violated => ("FAIL", RED),
        Grade::NotAssessable => ("n/a", YELLOW),
    };
    page.marked(word, colour, &format!("{:id$}  {:title$}  {}", item.id, item.title, item.remark));
    // What is mended is said in one line.
    let groups = groups(&item.findings).filter(|group| group.iter().any(|one| one.outcome == Outcome::Violated));
    for group in groups {
        for finding in group.iter().take(SHOWN) {
            page.line(&format!("{:9}{:id$}  {}", "", "", at(report, finding)));
            page.line(&format!("{:9}{:id$}    [{}] {}", "", "", finding.id, finding.message));
        }
        rest(page, group, 11 + id);
        page.line(&format!("{:9}{:id$}    fix: {}", "", "", group.first().map_or("", |finding| &*finding.fix)));
    }
}

fn rest(page: &mut Page, group: &[Finding], indent: usize) {
    if group.len() > SHOWN {
        page.line(&format!("{:indent$}and {} more", "", group.len() - SHOWN));
    }
}

fn show_group(page: &mut Page, report: &Report, group: &[Finding], width: usize) {
    let Some(first) = group.first() else { return };
    let (word, colour) = match first.outcome {
        Outcome::Refused | Outcome::Violated => ("REFUSED", RED),
        Outcome::Changed | Outcome::Mended => ("changed", GREEN),
        Outcome::Noted => ("note", YELLOW),
    };
    for (index, finding) in group.iter().take(SHOWN).enumerate() {
        let place = at(report, finding);
        if index == 0 {
            page.marked(word, colour, &format!("{:8}  {:width$}  {place}", first.severity.word(), first.id));
        } else {
            page.line(&format!("{:19}{:width$}  {place}", "", ""));
        }
        page.line(&format!("{:19}{:width$}    {}", "", "", finding.message));
    }
    rest(page, group, 21 + width);
    if first.outcome == Outcome::Refused {
        page.line(&format!("{:19}{:width$}    fix:   {}", "", "", first.fix));
        page.line(&format!("{:19}{:width$}    allow: {}", "", "", first.allow));
    }
}

fn sum(report: &Report) -> String {
    let findings = |outcome| report.findings.iter().filter(|finding| finding.outcome == outcome).count();
    let refused = findings(Outcome::Refused);
    if report.standard.is_none() {
        let (changed, noted) = (findings(Outcome::Changed), findings(Outcome::Noted));
        let would = match &report.unsupported {
            _ if refused > 0 => "would be refused",
            None => "would start",
            Some(_) => "would start where that is supported",
        };
        return format!("{refused} refused, {changed} changed, {noted} noted: the container {would}");
    }
    let items = |grade| report.items.iter().filter(|item| item.grade == grade).count();
    let (failed, mended) = (items(Grade::Violated), items(Grade::Mended));
    let rest = format!("{} passed, {} not assessable", items(Grade::Pass), items(Grade::NotAssessable));
    let would = if refused == 0 { "" } else { "; the container would be refused" };
    format!("{failed} failed, {mended} mended, {rest}{would}")
}

/// The list of the rules.
pub(super) fn rules(json: bool) -> String {
    if json {
        let all: Vec<_> = Rule::ALL.iter().map(|rule| described(*rule)).collect();
        return format!("{:#}\n", serde_json::Value::Array(all));
    }
    let mut text = format!("{:22} {:11} {:7} {:9} TITLE\n", "RULE", "FROM LEVEL", "EFFECT", "SEVERITY");
    for rule in Rule::ALL {
        let catalogue::Page { title, severity, .. } = page(*rule);
        text.push_str(&format!(
            "{:22} {:11} {:7} {:9} {title}\n",
            rule.id(),
            from(*rule),
            effect(*rule),
            severity.word()
        ));
    }
    text
}

fn from(rule: Rule) -> &'static str {
    rule.from().map_or("policy", |level| level.word())
}

fn effect(rule: Rule) -> &'static str {
    match rule.effect() {
        Effect::Narrow => "narrow",
        Effect::Refuse => "refuse",
    }
}

/// A rule with its page.
fn described(rule: Rule) -> serde_json::Value {
    let page = page(rule);
    let standards: Vec<String> = page.standards.iter().map(|(standard, item)| format!("{standard}/{item}")).collect();
    serde_json::json!({
        "id": rule.id(),
        "from": from(rule),
        "effect": effect(rule),
        "severity": page.severity.word(),
        "title": page.title,
        "does": page.does,
        "attack": page.attack,
        "breaks": page.breaks,
        "fix": page.fix,
        "allow": page.allow,
        "standards": standards,
    })
}
