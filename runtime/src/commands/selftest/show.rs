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
    let name = |status| words(status).0.to_lowercase().replace(' ', "-");
    let mut counts = serde_json::Map::new();
    counts.extend(STATUSES.iter().map(|status| (name(*status), count(findings, *status).into())));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Level, Rule};

    fn report() -> (Vec<Finding>, HostFacts) {
        let finding = |group, rule, status, seen: &str| Finding {
            level: Level::Baseline,
            group,
            rule,
            what: "it holds",
            status,
            seen: seen.to_owned(),
        };
        let findings = vec![
            finding("privileges", Some(Rule::NetRaw), Status::Pass, "held"),
            finding("privileges", Some(Rule::CoreDumps), Status::NotProven, "held twice"),
            finding("isolation", None, Status::Fail, "it succeeds"),
        ];
        let facts = HostFacts {
            kernel_release: "6.18.0".into(),
            selinux: false,
            apparmor: true,
            landlock_abi: 7,
            ..HostFacts::probe_for_create().unwrap()
        };
        (findings, facts)
    }

    #[test]
    fn lines_stand_in_columns_and_what_did_not_pass_has_its_reason() {
        let (findings, facts) = report();
        let want = "\
Linux 6.18.0, landlock abi 7, without SELinux, with AppArmor

level baseline
  privileges
    pass         net-raw     it holds
    not proven   core-dumps  it holds
                             (held twice)
  isolation
    FAIL         always      it holds
                             (it succeeds)

1 passed, 1 failed, 0 unavailable, 1 not proven
";
        assert_eq!(text(&findings, &facts, Colour::Off), want);
        assert!(text(&findings, &facts, Colour::On).contains("\x1b[31mFAIL       \x1b[0m  always"));
    }

    #[test]
    fn json_names_the_outcomes_as_it_counts_them() {
        let (findings, facts) = report();
        let json: serde_json::Value = serde_json::from_str(&json(&findings, &facts).unwrap()).unwrap();
        assert_eq!(json["counts"], serde_json::json!({"pass": 1, "fail": 1, "unavailable": 0, "not-proven": 1}));
        assert_eq!(json["findings"][1]["status"], "not-proven");
        assert_eq!(json["findings"][0]["rule"], "net-raw");
    }
}
