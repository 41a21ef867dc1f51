//! The table: a row for each check, a column for each runtime and level, printed as the checks end.

use crate::escape::check::{Check, Mark, Verdict};
use crate::options::TableFormat;
use crate::runtime::{Kind, Runtime};
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

/// A runtime at a level.
#[derive(Debug)]
pub struct Column {
    pub runtime: Runtime,
    /// casemate's level; another runtime has none.
    pub level: Option<&'static str>,
    /// Whether this column decides the exit code: the runtime that was named first.
    pub judged: bool,
}

impl Column {
    /// The file's name: `casemate`, `runc`.
    pub fn program(&self) -> String {
        match self.runtime.kind {
            Kind::Casemate => "casemate".to_owned(),
            Kind::Other => self.runtime.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }

    /// What stands at the head.
    pub fn name(&self) -> String {
        self.level.map_or_else(|| self.program(), |level| format!("{}@{level}", self.program()))
    }
}

/// One verdict and how long it took.
#[derive(Debug)]
pub struct Cell {
    pub verdict: Verdict,
    pub took: Duration,
}

/// One finished row.
#[derive(Debug)]
pub struct Row {
    pub check: Check,
    pub cells: Vec<Cell>,
}

/// The rows so far.
#[derive(Debug)]
pub struct Table {
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    format: TableFormat,
    total: usize,
}

/// How wide the first two columns of the table are.
const ID: usize = 16;
const NAME: usize = 72;

impl Table {
    /// Begins a table of `total` rows.
    pub fn new(columns: Vec<Column>, format: TableFormat, total: usize) -> Self {
        for column in &columns {
            eprintln!("# {}: {} ({})", column.name(), column.runtime.path.display(), column.runtime.version);
        }
        match format {
            TableFormat::Table => {
                let heads: Vec<String> = columns.iter().map(|column| format!("{:<20}", column.name())).collect();
                println!("{:<ID$} {:<NAME$} {}", "check", "what must hold", heads.join(" "));
            }
            TableFormat::Tap => println!("TAP version 13\n1..{}", total * columns.len()),
            _ => {}
        }
        Self { columns, rows: Vec::new(), format, total }
    }

    /// Adds a row and prints it, or that it is there.
    pub fn add(&mut self, row: Row) {
        let done = self.rows.len() + 1;
        let words: Vec<String> = row.cells.iter().map(|cell| format!("{:<20}", cell.verdict.word())).collect();
        let line = format!("{:<ID$} {:<NAME$} {}", row.check.id, spoken(row.check.name), words.join(" "));
        match self.format {
            TableFormat::Table => println!("{}", line.trim_end()),
            TableFormat::Tap => self.print_tap(&row, done),
            _ => eprintln!("[{done:>3}/{}] {}", self.total, line.trim_end()),
        }
        self.rows.push(row);
    }

    fn print_tap(&self, row: &Row, done: usize) {
        for (n, (cell, column)) in row.cells.iter().zip(&self.columns).enumerate() {
            let number = (done - 1) * self.columns.len() + n + 1;
            let title = format!("{} {} ({})", row.check.id, spoken(row.check.name), column.name());
            let detail = cell.verdict.detail().replace('\n', "\n# ");
            match &cell.verdict {
                Verdict::Safe(_) | Verdict::Refused(_) => println!("ok {number} - {title}"),
                Verdict::Unavailable(fact, why) => println!("ok {number} - {title} # SKIP {fact}: {why}"),
                _ => println!("not ok {number} - {title}\n# {}: {detail}", cell.verdict.word()),
            }
        }
    }

    /// All cells of one column with their checks.
    pub fn column(&self, n: usize) -> impl Iterator<Item = (&Check, &Cell)> {
        self.rows.iter().filter_map(move |row| Some((&row.check, row.cells.get(n)?)))
    }

    /// Prints the details and the closing line, and gives the exit code: 1 when a judged column has a cell that is
    /// `UNSAFE`, `INVALID` or unavailable for a reason that is not expected, or when a hole that a runtime is known to
    /// have was not found in it.
    pub fn close(&self, expected: &BTreeSet<String>) -> ExitCode {
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        let mut troubles = Vec::new();
        for (n, column) in self.columns.iter().enumerate() {
            for (check, cell) in self.column(n) {
                let hole = |mark: &Mark| matches!(mark, Mark::KnownHole(v) if column.runtime.version.starts_with(v));
                if check.marks.iter().any(hole) && !matches!(cell.verdict, Verdict::Unsafe(_)) {
                    failed += 1;
                    troubles.push(format!("{} has a hole that {} did not find", column.name(), check.title()));
                }
                if !column.judged {
                    continue;
                }
                match &cell.verdict {
                    Verdict::Safe(_) | Verdict::Refused(_) => passed += 1,
                    Verdict::Unsafe(_) | Verdict::Invalid(_) => failed += 1,
                    Verdict::Unavailable(fact, _) => {
                        skipped += 1;
                        if !expected.contains(*fact) {
                            failed += 1;
                            troubles.push(format!("{}: \"{fact}\" is not in expected-skips.txt", check.title()));
                        }
                    }
                }
            }
        }
        self.print_details();
        for trouble in troubles {
            eprintln!("# {trouble}");
        }
        let closing = format!("{passed} passed, {failed} failed, {skipped} skipped");
        if matches!(self.format, TableFormat::Table | TableFormat::Tap) {
            println!("{closing}");
        } else {
            eprintln!("{closing}");
        }
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// What is behind the words that need one: holes, invalid checks, and each reason why something is unavailable once.
    fn print_details(&self) {
        let mut unavailable: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (n, column) in self.columns.iter().enumerate() {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for (check, cell) in self.column(n) {
                *counts.entry(cell.verdict.word()).or_default() += 1;
                match &cell.verdict {
                    Verdict::Unsafe(why) | Verdict::Invalid(why) => {
                        eprintln!("# {} {}: {}: {why}", column.name(), cell.verdict.word(), check.title());
                    }
                    Verdict::Unavailable(_, why) => {
                        unavailable.entry(why).or_default().insert(check.id);
                    }
                    _ => {}
                }
            }
            let counts: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
            eprintln!("# {}: {}", column.name(), counts.join(", "));
        }
        for (why, ids) in unavailable {
            eprintln!("# unavailable: {why}: {}", ids.into_iter().collect::<Vec<_>>().join(" "));
        }
    }
}

/// A function's name as words.
pub fn spoken(name: &str) -> String {
    name.replace('_', " ")
}
