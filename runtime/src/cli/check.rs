//! `check`: a configuration against the rules of a level, or against a published standard.

use std::path::PathBuf;

use clap::Command;

use super::Request;
use super::argument::{Given, command, operand, option, switch};
use crate::policy::Level;
use crate::policy::catalogue::Standard;

/// How `check` prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CheckFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
}

/// `check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// List the rules.
    Rules(CheckFormat),
    /// Check a configuration.
    Config(CheckConfig),
}

/// What to check, and against what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckConfig {
    /// A bundle or a config.json, `-` for standard input; absent for the bundle in the working directory.
    pub path: Option<PathBuf>,
    /// The level; absent for the one that the global options choose.
    pub level: Option<Level>,
    /// The standard; absent for the rules of the level.
    pub standard: Option<Standard>,
    /// Judge the configuration without what casemate would change.
    pub as_written: bool,
    /// How to print.
    pub format: CheckFormat,
}

pub(super) fn check() -> Command {
    command(
        "check",
        "Check a configuration against the rules or a standard",
        "Says what casemate would refuse and what it would change, with the place in config.json and what to do about \
         it. Nothing is changed, and no privileges are needed. The exit status is 0 if the container would start (and \
         meets the standard), 1 if it would be refused (or violates the standard), 2 if it could not be checked.",
    )
    .arg(operand("config", "A bundle, a config.json, or - for standard input [default: .]").required(false))
    .arg(option("level", "LEVEL", "privileged, baseline or restricted [default: as for create]"))
    .arg(option("standard", "NAME", "cis-docker, pss-baseline, pss-restricted or nist-800-190"))
    .arg(switch("as-written", "With --standard: judge the configuration alone, without what casemate mends"))
    .arg(switch("rules", "List the rules"))
    .arg(option("format", "FORMAT", "text, json or sarif").short('f').default_value("text"))
}

pub(super) fn read(given: &Given) -> Result<Request, String> {
    let format = match given.text("format")?.as_deref() {
        None | Some("" | "text") => CheckFormat::Text,
        Some("json") => CheckFormat::Json,
        Some("sarif") => CheckFormat::Sarif,
        Some(other) => return Err(format!("invalid format option \"{other}\": want text, json or sarif")),
    };
    if given.switch("rules") {
        if format == CheckFormat::Sarif {
            return Err("--rules has the formats text and json".to_owned());
        }
        return Ok(Request::Check(Check::Rules(format)));
    }
    let standard = given.parsed("standard", str::parse)?;
    let as_written = given.switch("as-written");
    if as_written && standard.is_none() {
        return Err("--as-written needs --standard".to_owned());
    }
    Ok(Request::Check(Check::Config(CheckConfig {
        path: given.path("config"),
        level: given.parsed("level", str::parse)?,
        standard,
        as_written,
        format,
    })))
}
