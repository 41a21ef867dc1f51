//! A configuration against the items of a standard, as written and after what casemate changes.

use super::items::{ITEMS, Look, Question, Seen};
use super::{Finding, Grade, Item, Outcome, of_rule};
use crate::cgroup::{Hierarchy, Layout, Version};
use crate::plan::Facts;
use crate::policy::catalogue::Standard;
use crate::policy::{Enforcement, Level, Mode, Rule, Said, Verdict, judge};
use crate::spec::Spec;

/// Every item of a standard. `after` is what casemate makes of the configuration; without it the configuration alone
/// counts.
pub(super) fn items(
    standard: Standard,
    spec: &Spec,
    after: Option<(&Enforcement, &Verdict)>,
    facts: &Facts,
) -> Vec<Item> {
    // Restricted has everything of Baseline, but for the controls that it has in a stricter form.
    let own = |id: &str| ITEMS.iter().any(|question| question.standard == standard && question.id == id);
    let holds = |question: &&Question| {
        let inherits = standard == Standard::PssRestricted && question.standard == Standard::PssBaseline;
        question.standard == standard || inherits && !own(question.id)
    };
    let questions = ITEMS.iter().filter(holds);
    questions.map(|question| item(question, spec, after, facts)).collect()
}

fn item(question: &Question, spec: &Spec, after: Option<(&Enforcement, &Verdict)>, facts: &Facts) -> Item {
    let Question { id, title, .. } = *question;
    let graded = |grade, remark: String, findings| Item { id, title, grade, remark, findings };
    if let Some(rule) = question.at_exec {
        return match after {
            Some((enforcement, _)) if enforcement.mode(rule) == Mode::Enforce => {
                graded(Grade::Mended, format!("casemate checks each exec ({rule})"), Vec::new())
            }
            _ => graded(Grade::NotAssessable, "an exec brings a configuration of its own".to_owned(), Vec::new()),
        };
    }
    let mut findings: Vec<Finding> = question.rules.iter().flat_map(|rule| broken(*rule, spec, facts, after)).collect();
    let mut unseen = question.unseen;
    for look in question.looks {
        match look(spec, facts) {
            Seen::Good => {}
            Seen::Unknown(why) => unseen = why,
            Seen::Wrong(wrong) => findings.push(wrong.finding(question, mended_by_look(*look, after, facts))),
        }
    }
    if findings.iter().any(|finding| finding.outcome == Outcome::Violated) {
        return graded(Grade::Violated, String::new(), findings);
    }
    if !findings.is_empty() {
        let mut rules: Vec<&str> = findings.iter().map(|finding| &*finding.id).collect();
        rules.dedup();
        return graded(Grade::Mended, format!("casemate changes it ({})", rules.join(", ")), findings);
    }
    if unseen.is_empty() {
        return graded(Grade::Pass, String::new(), Vec::new());
    }
    graded(Grade::NotAssessable, unseen.to_owned(), Vec::new())
}

/// What one rule alone would refuse or change, on a host that has every controller.
fn alone(rule: Rule, spec: &Spec, facts: &Facts) -> Verdict {
    let everything = Hierarchy {
        version: Version::V2,
        controllers: ["cpu", "memory", "pids"].map(str::to_owned).to_vec(),
        mount_point: "/sys/fs/cgroup".to_owned(),
        own: "/".to_owned(),
    };
    let facts = Facts { cgroups: Layout { hierarchies: vec![everything] }, ..facts.clone() };
    let mut enforcement = Enforcement::new(Level::Privileged, "standard");
    enforcement.modes.insert(rule, Said { value: Mode::Enforce, origin: "standard".to_owned() });
    judge::create(spec, &enforcement, &facts)
}

/// Where the configuration is not what a rule wants, and whether casemate changes that.
fn broken(rule: Rule, spec: &Spec, facts: &Facts, after: Option<(&Enforcement, &Verdict)>) -> Vec<Finding> {
    let verdict = alone(rule, spec, facts);
    if verdict.changes.is_empty() && verdict.refusals.is_empty() {
        return Vec::new();
    }
    let mends = after.is_some_and(|(_, after)| {
        // A protection that config.json has no word for is among the changes only; and another rule may have done it.
        let now = alone(rule, &after.spec, facts);
        after.changes.iter().any(|change| change.rule == rule) || now.changes.is_empty() && now.refusals.is_empty()
    });
    let outcome = if mends { Outcome::Mended } else { Outcome::Violated };
    let refused = verdict.refusals.iter().map(|refusal| (&refusal.pointer, refusal.cause.clone()));
    let lacking = verdict.changes.iter().map(|change| (&change.pointer, would(&change.before, &change.after)));
    refused.chain(lacking).map(|(pointer, message)| of_rule(rule, outcome, pointer, message, String::new())).collect()
}

/// What a rule would change, as what is not as it should be.
fn would(before: &str, after: &str) -> String {
    match (before, after) {
        ("", after) => format!("lacks {after}"),
        (before, "") => format!("has {before}"),
        (before, after) => format!("has {before} where {after} is wanted"),
    }
}

fn mended_by_look(look: Look, after: Option<(&Enforcement, &Verdict)>, facts: &Facts) -> Outcome {
    match after {
        Some((_, verdict)) if !matches!(look(&verdict.spec, facts), Seen::Wrong(_)) => Outcome::Mended,
        _ => Outcome::Violated,
    }
}
