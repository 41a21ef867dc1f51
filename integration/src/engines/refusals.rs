//! What the levels refuse is refused in the engine's own message, by the id of the rule; and what is like it and
//! ordinary is run.

use super::{Check, Client, Level};
use crate::case::same;
use crate::process::Output;
use anyhow::{Context, Result, ensure};

/// What is refused, and its benign twin. `{dir}` in a flag is the engine's directory.
pub struct Row {
    pub level: Level,
    pub rule: &'static str,
    pub flags: &'static [&'static str],
    pub twin: &'static [&'static str],
}

/// A row at `baseline`.
pub const fn row(rule: &'static str, flags: &'static [&'static str], twin: &'static [&'static str]) -> Row {
    Row { level: Level::Baseline, rule, flags, twin }
}

/// A row at `restricted`.
pub const fn restricted(rule: &'static str, flags: &'static [&'static str], twin: &'static [&'static str]) -> Row {
    Row { level: Level::Restricted, rule, flags, twin }
}

/// Runs `true` in a new container with flags, at a level.
type RunTrue = fn(&Client, Level, &[&str]) -> Result<Output>;

/// One check for each row. `code` is what the engine exits with.
pub fn checks(rows: &'static [Row], code: i32, run_true: RunTrue) -> Vec<Check> {
    let one = |row: &'static Row| Check {
        name: format!("{}_refuses_{}_as_{}", row.level.word(), row.flags.join("_"), row.rule),
        casemate_only: true,
        programs: false,
        body: Box::new(move |c| {
            let words = |flags: &[&str]| -> Vec<String> {
                flags.iter().map(|flag| flag.replace("{dir}", &c.place.dir.to_string_lossy())).collect()
            };
            let call = |flags: &[String]| run_true(c, row.level, &flags.iter().map(String::as_str).collect::<Vec<_>>());
            let refused = call(&words(row.flags))?.refused(&format!("[{}]", row.rule))?;
            same("exit code", refused.code, code).with_context(|| refused.to_string())?;
            ensure!(refused.says("refused by policy"), "{refused}");
            call(&words(row.twin))?.success().map(drop).context("the benign twin")
        }),
    };
    rows.iter().map(one).collect()
}

/// A line of `/proc/PID/status`, without the name.
pub fn field<'t>(status: &'t str, name: &str) -> Result<&'t str> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(line.with_context(|| format!("no \"{name}\" in {status}"))?.trim())
}
