//! A report as SARIF 2.1.0 (OASIS), for code scanning.
//!
//! Only what is wrong or changed becomes a result: passed items are not reported by who reports problems. The rules are
//! those of the catalogue, and the items of standards that were looked at without a rule. There is no `helpUri`, which
//! has to be absolute: the help is in the file.

use super::{Finding, Outcome, Report};
use crate::policy::Rule;
use crate::policy::catalogue::{Severity, page};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The whole log.
pub(super) fn log(report: &Report) -> Value {
    // Refusals first: a rule may stand for several items, and one result for a place is enough.
    let mut seen = BTreeSet::new();
    let all = report.findings.iter().chain(report.items.iter().flat_map(|item| &item.findings));
    let findings: Vec<&Finding> =
        all.filter(|finding| seen.insert((&finding.id, &finding.pointer, &finding.message))).collect();
    let mut rules: Vec<Value> = Rule::ALL.iter().map(|rule| of_rule(*rule)).collect();
    let mut indices: BTreeMap<&str, usize> = BTreeMap::new();
    indices.extend(Rule::ALL.iter().enumerate().map(|(index, rule)| (rule.id(), index)));
    for item in &report.items {
        for finding in &item.findings {
            if !indices.contains_key(&*finding.id) {
                indices.insert(&finding.id, rules.len());
                rules.push(descriptor(&finding.id, item.title, &finding.message, &finding.fix, finding.severity, &[]));
            }
        }
    }
    let results: Vec<Value> = findings.iter().map(|finding| result(report, finding, &indices)).collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "casemate", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "artifacts": [{ "location": { "uri": uri(&report.file) } }],
            "columnKind": "unicodeCodePoints",
            "results": results,
            "properties": {
                "level": report.level.word(),
                "standard": report.standard.map(|standard| standard.word()),
                "passed": report.passed,
            },
        }],
    })
}

fn of_rule(rule: Rule) -> Value {
    let page = page(rule);
    let full = format!("{}. Attack: {}.", page.does, page.attack);
    let help = format!(
        "Fix: {}.\nBreaks: {}.\nAllow: {} = \"off\" under [rules] of the policy.\nSee docs/hardening.md, {}.",
        page.fix,
        page.breaks,
        rule.id(),
        rule.id()
    );
    let tags: Vec<String> = page.standards.iter().map(|(standard, item)| format!("{standard}/{item}")).collect();
    descriptor(rule.id(), page.title, &full, &help, page.severity, &tags)
}

fn descriptor(id: &str, title: &str, full: &str, help: &str, severity: Severity, tags: &[String]) -> Value {
    let tags: Vec<&str> = std::iter::once("security").chain(tags.iter().map(String::as_str)).collect();
    // The scale of CVSS, as code scanning has it: above 9.0 is critical, above 7.0 high, above 4.0 medium.
    let score = match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
    };
    json!({
        "id": id,
        "shortDescription": { "text": title },
        "fullDescription": { "text": full },
        "help": { "text": help },
        "properties": { "tags": tags, "security-severity": score },
    })
}

fn result(report: &Report, finding: &Finding, indices: &BTreeMap<&str, usize>) -> Value {
    let level = match finding.outcome {
        Outcome::Refused | Outcome::Violated => "error",
        Outcome::Mended | Outcome::Changed | Outcome::Noted => "note",
    };
    let what = match finding.outcome {
        Outcome::Refused => "casemate refuses it: ",
        Outcome::Violated => "",
        Outcome::Mended => "casemate mends it: ",
        Outcome::Changed => "casemate changes it: ",
        Outcome::Noted => "",
    };
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(&report.file), "index": 0 },
            "region": {
                "startLine": finding.place.line,
                "startColumn": finding.place.column,
                "endLine": finding.place.end_line,
                "endColumn": finding.place.end_column,
            },
        },
    });
    if !finding.pointer.is_empty() {
        location["logicalLocations"] = json!([{ "fullyQualifiedName": finding.pointer, "kind": "property" }]);
    }
    json!({
        "ruleId": finding.id,
        "ruleIndex": indices.get(&*finding.id),
        "level": level,
        "message": { "text": format!("{what}{}. Fix: {}", finding.message, finding.fix) },
        "locations": [location],
        // Lines move, rules and pointers do not.
        "partialFingerprints": { "pointer/v1": format!("{}:{}:{}", finding.id, finding.pointer, finding.message) },
    })
}

/// A path as a URI reference (RFC 3986): relative to where the check was run, which is the repository in a pipeline.
fn uri(path: &str) -> String {
    let mut uri = if path.starts_with('/') { "file://".to_owned() } else { String::new() };
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => uri.push(byte as char),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn paths_become_uri_references() {
        assert_eq!(uri("a b/config.json"), "a%20b/config.json");
        assert_eq!(uri("/b\u{fc}/x:y%"), "file:///b%C3%BC/x%3Ay%25");
    }
}
