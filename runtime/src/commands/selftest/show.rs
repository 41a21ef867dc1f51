//! The report: lines for people, JSON for tools.

use super::Finding;
use super::checks::Status;
use crate::commands::doctor::Colour;
use crate::error::Result;
use crate::host::HostFacts;
use std::fmt::Write as _;

/// All outcomes, in the order in which they are counted.
const STATUSES: [Status; 4] = [Status::Pass, Status::Fail, Status::Unavailable, Status::NotProven];

/// Lines in columns. What was seen stands below whatever did not pass; of a pass it is in the JSON.
pub fn text(findings: &[Finding], facts: &HostFacts, colour: Colour) -> String {
    let rule = |finding: &Finding| finding.rule.map_or("always", |rule| rule.id());
    let width = findings.iter().map(|finding| rule(finding).len()).max().unwrap_or(0);
    let mut text = format!("Linux {}, {}\n", facts.kernel_release, modules(facts));
    let mut heading = None;
    for finding in findings {
        if heading.is_none_or(|(level, _)| level != finding.level) {
            line(&mut text, format_args!("\n{}", bold(&format!("level {}", finding.level), colour)));
        }
        let now = (finding.level, finding.group);
        if heading.replace(now) != Some(now) {
            line(&mut text, format_args!("  {}", finding.group));
        }
        let (word, code) = words(finding.status);
        let mark = paint(&format!("{word:11}"), code, colour);
        line(&mut text, format_args!("    {mark}  {:width$}  {}", rule(finding), finding.what));
        if finding.status != Status::Pass {
            line(&mut text, format_args!("    {:11}  {:width$}  ({})", "", "", finding.seen));
        }
    }
    let counts: Vec<String> = STATUSES
        .iter()
        .map(|status| {
            let (word, _) = words(*status);
            let word = match status {
                Status::Pass => "passed",
                Status::Fail => "failed",
                _ => word,
            };
            format!("{} {word}", count(findings, *status))
        })
        .collect();
    line(&mut text, format_args!("\n{}", counts.join(", ")));
    text
}

/// One object.
///
/// # Errors
/// None that strings and numbers could give.
pub fn json(findings: &[Finding], facts: &HostFacts) -> Result<String> {
    let counts: serde_json::Map<String, serde_json::Value> =
        STATUSES.iter().map(|status| (words(*status).0.replace(' ', "-"), count(findings, *status).into())).collect();
    let value = serde_json::json!({"host": facts, "findings": findings, "counts": counts});
    Ok(format!("{value:#}\n"))
}

fn count(findings: &[Finding], status: Status) -> usize {
    findings.iter().filter(|finding| finding.status == status).count()
}

fn modules(facts: &HostFacts) -> String {
    let with = |there, name: &str| format!("{} {name}", if there { "with" } else { "without" });
    let landlock = match facts.landlock_abi {
        0 => "without landlock".to_owned(),
        abi => format!("landlock abi {abi}"),
    };
    format!("{landlock}, {}, {}", with(facts.selinux, "SELinux"), with(facts.apparmor, "AppArmor"))
}

fn words(status: Status) -> (&'static str, u8) {
    match status {
        Status::Pass => ("pass", 32),
        Status::Fail => ("FAIL", 31),
        Status::Unavailable => ("unavailable", 33),
        Status::NotProven => ("not proven", 33),
    }
}

fn paint(word: &str, code: u8, colour: Colour) -> String {
    match colour {
        Colour::On => format!("\x1b[{code}m{word}\x1b[0m"),
        Colour::Off => word.to_owned(),
    }
}

fn bold(word: &str, colour: Colour) -> String {
    paint(word, 1, colour)
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _written = writeln!(text, "{words}");
}
