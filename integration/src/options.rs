//! The command line: what was typed, as values that cannot be wrong any more.

use anyhow::{Context, Result, anyhow, bail, ensure};
use regex_lite::Regex;
use std::path::PathBuf;

/// What `--help` prints.
pub const USAGE: &str = "\
usage: integration [--runtime PATH[@LEVEL]]... [--level LEVEL] [--filter RE] [--format table|json|junit|tap|markdown]
                   [--races N] [--published] [--list]
       integration conformance --runtime PATH [--filter RE] [--list] [--format text|tap]
       integration engines --runtime PATH [--programs DIR] [--only docker|containerd|podman] [--filter RE]
       integration faults --runtime PATH [--filter RE] [--every N]
       integration load [--containers N] [--parallel N] PATH...
       integration quickstart --runtime PATH [--rootfs DIR]
       integration bench [--rounds N] [--containers N] [--profile FILE] [--format text|json] [--plot FILE] PATH[@LEVEL]...

  (no word)        the escape suite: what must not be possible, a row for each check, a column for each runtime
  conformance      what a runtime does, case by case
  engines          Docker, containerd and Podman on top of it
  faults           casemate killed and failed at every system call it makes
  load             many containers, many at a time
  quickstart       one container, and what was applied
  bench            several runtimes measured side by side

  --runtime PATH   the runtime to look at; a path, or a name to be found in $PATH
  --level LEVEL    casemate's level: privileged, baseline, restricted, or all of them (default), a column each
  --filter RE      only what has a name (room::name, or the id of a check) that the regular expression matches
  --list           print the names, run none
  --format FORMAT  how results are printed; tap is the Test Anything Protocol
  --published      of other runtimes only the checks that a public advisory about them is behind; markdown implies it
  --races N        runs of each race, 1 to 100000 (default 200)
  --only ENGINE    one engine instead of all three
  --programs DIR   what `integration/image DIR` made: the programs that engines run
  --every N        only every Nth system call, 1 to 1000 (default 1)
  --containers N   how many containers, 1 to 10000 (default 500; the longer list of bench: 10 to 10000, default 1000)
  --parallel N     how many at a time, 1 to 1000 (default 50)
  --rootfs DIR     a root filesystem to look at instead of one of busybox
  --rounds N       measured rounds of each runtime, 1 to 1000 (default 20)
  --profile FILE   a runtime-spec seccomp object for the rows with a profile (default Docker's)
  --plot FILE      an SVG of cold starts

Needs root. The last line is `N passed, N failed, N skipped`. The exit code is 1 when something failed, or was skipped for
a reason that integration/expected-skips.txt does not list; the escape suite counts the runtime named first, and shows the
others beside it.";

/// How the conformance suite prints its results.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// One line per case for people.
    Text,
    /// Test Anything Protocol, version 13.
    Tap,
}

/// How the escape suite prints its results.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableFormat {
    /// A row per check as it ends, for people.
    Table,
    Json,
    /// The XML that continuous integration servers read.
    Junit,
    /// Test Anything Protocol, version 13.
    Tap,
    /// The table of docs/security-results.md: of other runtimes only what public advisories say.
    Markdown,
}

/// How the benchmark prints its figures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BenchFormat {
    Text,
    Json,
}

/// What the conformance suite and the engine tests are asked to do.
#[derive(Debug)]
pub struct Options {
    pub runtime: PathBuf,
    pub filter: Option<Regex>,
    pub only: Option<String>,
    /// The root filesystem with the programs that engines run.
    pub programs: Option<PathBuf>,
    pub format: Format,
}

/// What the escape suite is asked to do.
#[derive(Debug)]
pub struct EscapeOptions {
    /// Path and level of each runtime; the first is the one that is judged.
    pub runtimes: Vec<(PathBuf, Option<String>)>,
    /// The level of casemate where a runtime names none; `all` is three columns.
    pub level: String,
    pub filter: Option<Regex>,
    pub format: TableFormat,
    /// Runs of each race.
    pub races: usize,
    /// Whether runtimes other than the first are only tried where a public advisory names them.
    pub published: bool,
    pub list: bool,
}

/// What the fault injection is asked to do.
#[derive(Debug)]
pub struct FaultOptions {
    pub runtime: PathBuf,
    pub filter: Option<Regex>,
    /// Only every Nth system call.
    pub every: usize,
}

/// What the load test is asked to do.
#[derive(Debug)]
pub struct LoadOptions {
    pub runtimes: Vec<PathBuf>,
    pub containers: usize,
    pub parallel: usize,
}

/// What the benchmark is asked to do.
#[derive(Debug)]
pub struct BenchOptions {
    pub runtimes: Vec<PathBuf>,
    pub rounds: u32,
    /// How many containers the longer of the two lists has; the shorter has a tenth.
    pub containers: usize,
    pub profile: Option<PathBuf>,
    pub format: BenchFormat,
    /// Where a picture goes.
    pub plot: Option<PathBuf>,
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
    Escape(EscapeOptions),
    Conformance(Options),
    Engines(Options),
    Faults(FaultOptions),
    Load(LoadOptions),
    Bench(BenchOptions),
    Quickstart(QuickstartOptions),
    /// Internal: be pid 1 of the private namespace and run the rest of the arguments as the one child.
    Reap(Vec<String>),
}

/// The first argument of the internal pid 1, see [`crate::isolation`].
pub const REAP: &str = "reap-orphans-for";

/// The words that come first.
const WORDS: [&str; 6] = ["conformance", "engines", "faults", "load", "quickstart", "bench"];

/// Every flag with its value, and the arguments that are none.
struct Words<'a> {
    word: &'a str,
    flags: Vec<(String, String)>,
    rest: Vec<String>,
}

/// Which flags a word takes; `--list`, `--published` and `--help` have no value.
fn known(word: &str) -> &'static [&'static str] {
    match word {
        "conformance" => &["--runtime", "--filter", "--format", "--list"],
        "engines" => &["--runtime", "--filter", "--only", "--programs"],
        "faults" => &["--runtime", "--filter", "--every"],
        "load" => &["--containers", "--parallel"],
        "quickstart" => &["--runtime", "--rootfs"],
        "bench" => &["--rounds", "--containers", "--profile", "--format", "--plot"],
        _ => &["--runtime", "--level", "--filter", "--format", "--races", "--published", "--list"],
    }
}

impl<'a> Words<'a> {
    fn read(word: &'a str, arguments: &[String]) -> Result<Self> {
        let (mut flags, mut rest) = (Vec::new(), Vec::new());
        let mut left = arguments.iter();
        while let Some(argument) = left.next() {
            let (flag, inline) = match argument.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
                _ => (argument.as_str(), None),
            };
            if !flag.starts_with('-') && ["load", "bench"].contains(&word) {
                rest.push(argument.clone());
            } else if !known(word).contains(&flag) {
                bail!("unknown argument \"{argument}\"");
            } else if ["--list", "--published"].contains(&flag) {
                flags.push((flag.to_owned(), String::new()));
            } else {
                let value = inline.or_else(|| left.next().cloned()).with_context(|| format!("{flag} wants a value"))?;
                flags.push((flag.to_owned(), value));
            }
        }
        Ok(Self { word, flags, rest })
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|(name, _)| name == flag)
    }

    /// The last value of a flag.
    fn value(&self, flag: &str) -> Option<&str> {
        self.flags.iter().rev().find(|(name, _)| name == flag).map(|(_, value)| value.as_str())
    }

    fn path(&self, flag: &str) -> Option<PathBuf> {
        self.value(flag).map(PathBuf::from)
    }

    fn runtime(&self) -> Result<PathBuf> {
        self.path("--runtime").ok_or_else(|| anyhow!("--runtime is missing"))
    }

    fn filter(&self) -> Result<Option<Regex>> {
        self.value("--filter").map(|text| Regex::new(text).context("--filter")).transpose()
    }

    fn number(&self, flag: &str, default: usize, most: usize) -> Result<usize> {
        let Some(text) = self.value(flag) else { return Ok(default) };
        text.parse().ok().filter(|n| (1..=most).contains(n)).with_context(|| format!("{flag} is 1 to {most}"))
    }

    /// The runtimes of `load` and `bench`.
    fn paths(&self) -> Result<Vec<PathBuf>> {
        ensure!(!self.rest.is_empty(), "{} wants at least one runtime", self.word);
        Ok(self.rest.iter().map(PathBuf::from).collect())
    }

    fn suite(&self) -> Result<Options> {
        let format = match self.value("--format").unwrap_or("text") {
            "text" => Format::Text,
            "tap" => Format::Tap,
            other => bail!("--format is text or tap, not \"{other}\""),
        };
        let only = self.value("--only").map(str::to_owned);
        if let Some(engine) = &only {
            ensure!(["docker", "containerd", "podman"].contains(&engine.as_str()), "no engine \"{engine}\"");
        }
        let runtime = if self.has("--list") { PathBuf::new() } else { self.runtime()? };
        Ok(Options { runtime, filter: self.filter()?, only, programs: self.path("--programs"), format })
    }

    fn bench(&self) -> Result<BenchOptions> {
        let format = match self.value("--format").unwrap_or("text") {
            "text" => BenchFormat::Text,
            "json" => BenchFormat::Json,
            other => bail!("--format is text or json, not \"{other}\""),
        };
        let rounds = u32::try_from(self.number("--rounds", 20, 1000)?)?;
        let containers = self.number("--containers", 1000, 10_000)?;
        ensure!(containers >= 10, "--containers is 10 to 10000");
        let (profile, plot) = (self.path("--profile"), self.path("--plot"));
        Ok(BenchOptions { runtimes: self.paths()?, rounds, containers, profile, format, plot })
    }

    fn escape(&self) -> Result<EscapeOptions> {
        let format = match self.value("--format").unwrap_or("table") {
            "table" => TableFormat::Table,
            "json" => TableFormat::Json,
            "junit" => TableFormat::Junit,
            "tap" => TableFormat::Tap,
            "markdown" => TableFormat::Markdown,
            other => bail!("--format is table, json, junit, tap or markdown, not \"{other}\""),
        };
        let level = self.value("--level").unwrap_or("all").to_owned();
        check_level(&level)?;
        let mut runtimes = Vec::new();
        for (_, text) in self.flags.iter().filter(|(flag, _)| flag == "--runtime") {
            let (path, level) = match text.rsplit_once('@') {
                Some((path, level)) if !level.contains('/') => (path, Some(level.to_owned())),
                _ => (text.as_str(), None),
            };
            level.as_deref().map_or(Ok(()), check_level)?;
            runtimes.push((PathBuf::from(path), level));
        }
        let list = self.has("--list");
        ensure!(list || !runtimes.is_empty(), "--runtime is missing");
        let races = self.number("--races", 200, 100_000)?;
        let published = self.has("--published") || format == TableFormat::Markdown;
        Ok(EscapeOptions { runtimes, level, filter: self.filter()?, format, races, published, list })
    }
}

fn check_level(level: &str) -> Result<()> {
    ensure!(
        ["privileged", "baseline", "restricted", "all"].contains(&level),
        "a level is privileged, baseline, restricted or all, not \"{level}\""
    );
    Ok(())
}

/// Parses the arguments after the program's name.
pub fn parse(arguments: &[String]) -> Result<Command> {
    let first = arguments.first().map(String::as_str).unwrap_or_default();
    if first == REAP {
        return Ok(Command::Reap(arguments[1..].to_vec()));
    }
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        return Ok(Command::Help);
    }
    let (word, rest) = if WORDS.contains(&first) { (first, &arguments[1..]) } else { ("", arguments) };
    let words = Words::read(word, rest)?;
    Ok(match word {
        "conformance" if words.has("--list") => Command::List(words.suite()?),
        "conformance" => Command::Conformance(words.suite()?),
        "engines" => Command::Engines(words.suite()?),
        "faults" => Command::Faults(FaultOptions {
            runtime: words.runtime()?,
            filter: words.filter()?,
            every: words.number("--every", 1, 1000)?,
        }),
        "load" => Command::Load(LoadOptions {
            runtimes: words.paths()?,
            containers: words.number("--containers", 500, 10_000)?,
            parallel: words.number("--parallel", 50, 1000)?,
        }),
        "bench" => Command::Bench(words.bench()?),
        "quickstart" => {
            Command::Quickstart(QuickstartOptions { runtime: words.runtime()?, rootfs: words.path("--rootfs") })
        }
        _ => Command::Escape(words.escape()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn both_forms_of_a_flag_are_accepted() {
        for line in ["conformance --runtime runc --format tap", "conformance --runtime=runc --format=tap"] {
            let Ok(Command::Conformance(options)) = parse(&words(line)) else { panic!("{line}") };
            assert_eq!((options.runtime, options.format), (PathBuf::from("runc"), Format::Tap));
        }
    }

    #[test]
    fn a_runtime_may_name_its_level() {
        let Ok(Command::Escape(options)) = parse(&words("--runtime ./casemate@baseline --runtime a@b/runc")) else {
            panic!("no escape suite")
        };
        let wanted = [(PathBuf::from("./casemate"), Some("baseline".to_owned())), (PathBuf::from("a@b/runc"), None)];
        assert_eq!((options.runtimes.as_slice(), options.races, options.published), (&wanted[..], 200, false));
        for line in ["--runtime a --published --races 9", "--runtime a --races=9 --format markdown"] {
            let Ok(Command::Escape(options)) = parse(&words(line)) else { panic!("{line}") };
            assert!(options.published && options.races == 9, "{line}");
        }
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        for (line, text) in [
            ("", "--runtime is missing"),
            ("conformance", "--runtime is missing"),
            ("--runtime", "wants a value"),
            ("--runtime x --nosuch", "unknown argument"),
            ("--runtime x@high", "a level is"),
            ("--runtime x --level none", "a level is"),
            ("--runtime x --races 0", "1 to 100000"),
            ("engines --runtime x --only lxc", "no engine"),
            ("bench", "at least one runtime"),
            ("bench --rounds 0 runc", "1 to 1000"),
            ("bench --containers 5 runc", "10 to 10000"),
            ("bench --format tap runc", "text or json"),
            ("load --parallel 2000 runc", "1 to 1000"),
        ] {
            let error = parse(&words(line)).unwrap_err();
            assert!(format!("{error:#}").contains(text), "{line}: {error:#}");
        }
    }
}
