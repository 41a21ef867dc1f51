//! `check`: what casemate would refuse and change, or what a published standard says. Needs no privileges and does
//! nothing; made for pipelines, so its exit status is part of what it says (`docs/check.md`).

mod items;
mod sarif;
mod show;
mod standard;
#[cfg(test)]
mod tests;

use super::doctor::Colour;
use super::gate::Gate;
use crate::bundle::Bundle;
use crate::cgroup::Layout;
use crate::cli::{Check, CheckConfig, CheckFormat, Globals};
use crate::error::{Call as _, Error, Kind, Result};
use crate::host::HostFacts;
use crate::log::Log;
use crate::plan::{self, CreateRequest, Facts};
use crate::policy::catalogue::{self, Severity, Standard};
use crate::policy::{Enforcement, Level, Rule, Verdict, Why, judge};
use crate::spec::{self, MAX_BYTES, Place, Spec};
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::{Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// What a finding comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Outcome {
    /// casemate does not start such a container.
    Refused,
    /// An item of a standard is not met.
    Violated,
    /// It is not met as written; casemate changes that.
    Mended,
    /// casemate changes it.
    Changed,
    /// Something to know.
    Noted,
}

/// Something to say about a place in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    /// The rule, or an item of a standard that no rule stands for, as `cis-docker/5.11`.
    id: String,
    outcome: Outcome,
    severity: Severity,
    /// JSON pointer (RFC 6901) into config.json.
    pointer: String,
    place: Place,
    message: String,
    fix: String,
    /// What would allow it; empty where nothing does or nothing has to.
    #[serde(skip_serializing_if = "String::is_empty")]
    allow: String,
}

/// How an item of a standard is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Grade {
    /// As written.
    Pass,
    /// After what casemate changes.
    Mended,
    /// Not.
    Violated,
    /// It is about something that is in no configuration of a low-level runtime.
    NotAssessable,
}

/// An item of a standard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    id: &'static str,
    title: &'static str,
    grade: Grade,
    #[serde(skip_serializing_if = "str::is_empty")]
    remark: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Finding>,
}

/// Everything about one configuration.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// The file, as it was named; `stdin` for standard input.
    file: String,
    level: Level,
    chosen_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    standard: Option<Standard>,
    as_written: bool,
    /// The exit status is 0.
    passed: bool,
    /// What this version or this host could not do, whatever the policy says: no part of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    unsupported: Option<String>,
    findings: Vec<Finding>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<Item>,
}

/// What is to be checked.
struct Input {
    /// What it is called.
    file: String,
    bytes: Vec<u8>,
    /// The absolute path of the directory that it is in, for root filesystems given by a relative one.
    directory: String,
}

/// `casemate check`; whether there is nothing to fail a pipeline for.
///
/// # Errors
/// The configuration cannot be read or is not valid, or the report cannot be written.
pub fn run(check: &Check, globals: &Globals, colour: Colour, log: &Log, out: &mut dyn Write) -> Result<bool> {
    let (text, passed) = match check {
        Check::Rules(format) => (show::rules(*format == CheckFormat::Json), true),
        Check::Config(config) => {
            let input = open(config.path.as_deref())?;
            let facts = facts()?;
            let spec = Spec::parse(&input.bytes).map_err(|error| Error::from(error).context(&input.file))?;
            let enforcement = match config.level {
                Some(level) => Enforcement::new(level, "--level"),
                None => Gate::of(globals).choose("ID", &spec, &input.directory, &facts, log)?,
            };
            let report = examine(&input, &spec, config, enforcement, &facts)?;
            let text = match config.format {
                CheckFormat::Text => show::text(&report, colour),
                CheckFormat::Json => format!("{:#}\n", serde_json::json!(report)),
                CheckFormat::Sarif => format!("{:#}\n", sarif::log(&report)),
            };
            (text, report.passed)
        }
    };
    super::print(out, &text)?;
    Ok(passed)
}

/// Reads a bundle, another file, or standard input.
fn open(path: Option<&Path>) -> Result<Input> {
    let path = path.unwrap_or(Path::new("."));
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).call("read", "stdin")?;
        return Ok(Input { file: "stdin".to_owned(), bytes, directory: "/".to_owned() });
    }
    if path.is_dir() {
        let bundle = Bundle::open(Some(path))?;
        let file = path.strip_prefix(".").unwrap_or(path).join("config.json").display().to_string();
        return Ok(Input { file, bytes: bundle.config.clone(), directory: bundle.path.clone() });
    }
    // O_NONBLOCK: a FIFO must not hang us; `read_regular` refuses it.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).call("open", path.display())?;
    let bytes = spec::read_regular(file, path)?;
    let absolute = std::path::absolute(path).call("getcwd", ".")?;
    let directory = absolute.parent().unwrap_or(Path::new("/")).display().to_string();
    Ok(Input { file: path.display().to_string(), bytes, directory })
}

/// This host for a caller who may do everything: the question is about the configuration.
fn facts() -> Result<Facts> {
    let cgroups = Layout::discover().unwrap_or(Layout { hierarchies: Vec::new() });
    let probed = HostFacts::probe_for_create()?;
    let all = u64::MAX >> (63 - probed.last_capability.min(63));
    Ok(HostFacts { bounding: all, permitted: all, ..probed }.with_cgroups(cgroups))
}

/// The whole judgement.
fn examine(
    input: &Input,
    spec: &Spec,
    config: &CheckConfig,
    enforcement: Enforcement,
    facts: &Facts,
) -> Result<Report> {
    // What was parsed is UTF-8.
    let text = String::from_utf8_lossy(&input.bytes);
    let unsupported = invalid_or_unsupported(spec, facts).map_err(|error| error.context(&input.file))?;
    let verdict = judge::create(spec, &enforcement, facts);
    let mut findings = of_verdict(&verdict);
    let mut items = Vec::new();
    if let Some(standard) = config.standard {
        let after = (!config.as_written).then_some((&enforcement, &verdict));
        items = standard::items(standard, spec, after, facts);
        findings.retain(|finding| finding.outcome == Outcome::Refused && !config.as_written);
    }
    for finding in findings.iter_mut().chain(items.iter_mut().flat_map(|item| item.findings.iter_mut())) {
        // What config.json has no word for is nowhere in it.
        if !finding.pointer.is_empty() {
            finding.place = spec::find(&text, &finding.pointer);
        }
    }
    let passed = findings.iter().all(|finding| finding.outcome != Outcome::Refused)
        && items.iter().all(|item| item.grade != Grade::Violated);
    Ok(Report {
        file: input.file.clone(),
        level: enforcement.level,
        chosen_by: enforcement.chosen_by,
        standard: config.standard,
        as_written: config.as_written,
        passed,
        unsupported,
        findings,
        items,
    })
}

/// A configuration that breaks the runtime-spec is no ground to judge on. What is only not supported, here or by this
/// version, does not change the judgement.
fn invalid_or_unsupported(spec: &Spec, facts: &Facts) -> Result<Option<String>> {
    let request = CreateRequest {
        id: "ID".into(),
        bundle: "/".into(),
        runs: false,
        no_pivot: false,
        no_new_keyring: false,
        takes_terminal: true,
        extra_env: Vec::new(),
        notify_directory: None,
        confinement: plan::Confinement::default(),
    };
    // Labels and profiles are for the host where the container will run, which need not be this one.
    let anywhere = Facts { selinux: true, apparmor: true, ..facts.clone() };
    match plan::create(spec, &request, &anywhere) {
        Err(error) if error.kind == Kind::Unsupported => Ok(Some(error.to_string())),
        other => other.map(|_| None),
    }
}

/// A finding of a rule; its place is looked up when all are there.
fn of_rule(rule: Rule, outcome: Outcome, pointer: &str, message: String, allow: String) -> Finding {
    let page = catalogue::page(rule);
    let place = Place { line: 1, column: 1, end_line: 1, end_column: 2 };
    Finding {
        id: rule.id().to_owned(),
        outcome,
        severity: page.severity,
        pointer: pointer.to_owned(),
        place,
        message,
        fix: page.fix.to_owned(),
        allow,
    }
}

/// What a change does, in one line.
fn changed(before: &str, after: &str) -> String {
    match (before, after) {
        ("", after) => format!("adds {after}"),
        (before, "") => format!("takes away {before}"),
        (before, after) => format!("{before} becomes {after}"),
    }
}

fn of_verdict(verdict: &Verdict) -> Vec<Finding> {
    let refusals = verdict.refusals.iter().map(|refusal| {
        of_rule(refusal.rule, Outcome::Refused, &refusal.pointer, refusal.cause.clone(), refusal.allow.clone())
    });
    let changes = verdict.changes.iter().map(|change| {
        of_rule(change.rule, Outcome::Changed, &change.pointer, changed(&change.before, &change.after), String::new())
    });
    let notes = verdict.notes.iter().map(|note| {
        let text = match note.why {
            Why::Unavailable => format!("not available on this host: {}", note.text),
            Why::Warn | Why::Audit => note.text.clone(),
        };
        of_rule(note.rule, Outcome::Noted, "", text, String::new())
    });
    refusals.chain(changes).chain(notes).collect()
}
