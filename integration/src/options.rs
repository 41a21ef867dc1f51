//! The command line: what was typed, as values that cannot be wrong any more.

use anyhow::{Context, Result, anyhow, bail, ensure};
use regex_lite::Regex;
use std::path::PathBuf;

/// What `--help` prints.
pub const USAGE: &str = "\
usage: integration --runtime PATH [--filter RE] [--list] [--format text|tap]
       integration engines --runtime PATH [--programs DIR] [--only docker|containerd|podman] [--filter RE]
       integration quickstart --runtime PATH [--rootfs DIR]
       integration bench [--rounds N] [--profile FILE] PATH...

  --runtime PATH   the runtime to look at; a path, or a name to be found in $PATH
  --filter RE      only the cases whose room::name the regular expression matches
  --list           print the names of the cases, run none
  --format FORMAT  text (one line per case) or tap (Test Anything Protocol)
  --only ENGINE    one engine instead of all three
  --programs DIR   what `integration/image DIR` made: the programs that engines run
  --rootfs DIR     a root filesystem to look at instead of one of busybox
  --rounds N       measured rounds of each runtime, 1 to 1000 (default 20)
  --profile FILE   a runtime-spec seccomp object for the second half of the measurements

Needs root. The last line is `N passed, N failed, N skipped`; the exit code is 1 when a case failed or was skipped for
a reason that integration/expected-skips.txt does not list.";

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// One line per case for people.
    Text,
    /// Test Anything Protocol, version 13.
    Tap,
}

/// What the suite and the engine tests are asked to do.
#[derive(Debug)]
pub struct Options {
    pub runtime: PathBuf,
    pub filter: Option<Regex>,
    pub only: Option<String>,
    /// The root filesystem with the programs that engines run.
    pub programs: Option<PathBuf>,
    pub format: Format,
}

/// What the benchmark is asked to do.
#[derive(Debug)]
pub struct BenchOptions {
    pub runtimes: Vec<PathBuf>,
    pub rounds: u32,
    pub profile: Option<PathBuf>,
}

/// What the first look is asked to do.
#[derive(Debug)]
pub struct QuickstartOptions {
    pub runtime: PathBuf,
    pub rootfs: Option<PathBuf>,
}

/// One parsed invocation.
#[derive(Debug)]
pub enum Command {
    Help,
    List(Options),
    Suite(Options),
    Engines(Options),
    Bench(BenchOptions),
    Quickstart(QuickstartOptions),
    /// Internal: be pid 1 of the private namespace and run the rest of the arguments as the one child.
    Reap(Vec<String>),
}

/// The first argument of the internal pid 1, see [`crate::isolation`].
pub const REAP: &str = "reap-orphans-for";

/// Parses the arguments after the program's name.
pub fn parse(arguments: &[String]) -> Result<Command> {
    let (word, rest) = match arguments.first().map(String::as_str) {
        Some(REAP) => return Ok(Command::Reap(arguments[1..].to_vec())),
        Some(word @ ("engines" | "bench" | "quickstart")) => (word, &arguments[1..]),
        _ => ("suite", arguments),
    };
    let (mut runtime, mut rootfs) = (None, None);
    let mut options = (None, None, Format::Text);
    let mut programs = None;
    let mut bench = BenchOptions { runtimes: Vec::new(), rounds: 20, profile: None };
    let mut list = false;
    let mut left = rest.iter();
    while let Some(argument) = left.next() {
        let (flag, inline) = match argument.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
            _ => (argument.as_str(), None),
        };
        let mut value =
            || inline.clone().or_else(|| left.next().cloned()).with_context(|| format!("{flag} wants a value"));
        match (word, flag) {
            (_, "--help" | "-h") => return Ok(Command::Help),
            ("suite" | "engines" | "quickstart", "--runtime") => runtime = Some(PathBuf::from(value()?)),
            ("quickstart", "--rootfs") => rootfs = Some(PathBuf::from(value()?)),
            ("suite" | "engines", "--filter") => options.0 = Some(Regex::new(&value()?).context("--filter")?),
            ("suite", "--list") => list = true,
            ("suite", "--format") => {
                options.2 = match value()?.as_str() {
                    "text" => Format::Text,
                    "tap" => Format::Tap,
                    other => bail!("--format is text or tap, not \"{other}\""),
                }
            }
            ("engines", "--programs") => programs = Some(PathBuf::from(value()?)),
            ("engines", "--only") => {
                let engine = value()?;
                ensure!(["docker", "containerd", "podman"].contains(&engine.as_str()), "no engine \"{engine}\"");
                options.1 = Some(engine);
            }
            ("bench", "--rounds") => {
                bench.rounds =
                    value()?.parse().ok().filter(|n| (1..=1000).contains(n)).context("--rounds is 1 to 1000")?;
            }
            ("bench", "--profile") => bench.profile = Some(value()?.into()),
            ("bench", path) if !path.starts_with('-') => bench.runtimes.push(path.into()),
            _ => bail!("unknown argument \"{argument}\""),
        }
    }
    let (filter, only, format) = options;
    if word == "bench" {
        ensure!(!bench.runtimes.is_empty(), "bench wants at least one runtime");
        return Ok(Command::Bench(bench));
    }
    if list {
        return Ok(Command::List(Options { runtime: PathBuf::new(), filter, only, programs, format }));
    }
    let runtime = runtime.ok_or_else(|| anyhow!("--runtime is missing"))?;
    if word == "quickstart" {
        return Ok(Command::Quickstart(QuickstartOptions { runtime, rootfs }));
    }
    let options = Options { runtime, filter, only, programs, format };
    Ok(if word == "engines" { Command::Engines(options) } else { Command::Suite(options) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn both_forms_of_a_flag_are_accepted() {
        for line in ["--runtime runc --format tap", "--runtime=runc --format=tap"] {
            let Ok(Command::Suite(options)) = parse(&words(line)) else { panic!("{line}") };
            assert_eq!((options.runtime, options.format), (PathBuf::from("runc"), Format::Tap));
        }
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        for (line, text) in [
            ("", "--runtime is missing"),
            ("--runtime", "wants a value"),
            ("--runtime x --nosuch", "unknown argument"),
            ("engines --runtime x --only lxc", "no engine"),
            ("bench", "at least one runtime"),
            ("bench --rounds 0 runc", "1 to 1000"),
        ] {
            let error = parse(&words(line)).unwrap_err();
            assert!(format!("{error:#}").contains(text), "{line}: {error:#}");
        }
    }
}
