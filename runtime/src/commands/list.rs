//! `list`: all containers below the root directory.

use std::io::Write;

use rustix::io::Errno;

use super::passwd::Passwd;
use super::state::report;
use super::{Root, json, print, printable};
use crate::cli::{List, ListFormat};
use crate::error::{Error, Kind, Result};
use crate::spec::Report;
use crate::state::{Container, Store};

/// Prints the containers. One whose state cannot be read is named on stderr and left out: it must not hide the others.
///
/// # Errors
/// A directory given by `--root` that is not there; one that cannot be read.
pub fn run(root: &Root, list: &List, out: &mut dyn Write) -> Result<()> {
    let reports = match root.store()? {
        Some(store) => reports(&store, &mut |id, error| {
            // Who closed stderr does not want to know.
            let _told = writeln!(std::io::stderr(), "load container {id}: {error}");
        })?,
        None if root.given => return Err(Error::call("open", root.path.display(), Errno::NOENT)),
        None => Vec::new(),
    };
    let text = match list.format {
        _ if list.quiet => reports.iter().map(|report| format!("{}\n", report.id)).collect(),
        ListFormat::Table => table(&reports),
        // What Go makes of a list that was never filled; engines written in it take it for an empty one.
        ListFormat::Json if reports.is_empty() => "null\n".to_owned(),
        ListFormat::Json => format!("{}\n", json(&reports)?),
    };
    print(out, &text).map(drop)
}

fn reports(store: &Store, broken: &mut dyn FnMut(&str, &Error)) -> Result<Vec<Report>> {
    let passwd = Passwd::read();
    let mut reports = Vec::new();
    for id in store.ids()? {
        let read = Container::load(store, &id)
            .and_then(|container| report(&container, passwd.name(container.record.owner_uid)));
        match read {
            Ok(report) => reports.push(report),
            // Deleted since the directory was read, or not recorded yet.
            Err(error) if error.kind == Kind::NotFound && is_in_flux(store, &id) => {}
            Err(error) => broken(&id, &error),
        }
    }
    Ok(reports)
}

/// Whether the entry is gone, or some command is at work on it.
fn is_in_flux(store: &Store, id: &str) -> bool {
    match store.entry(id) {
        Ok(entry) => entry.is_locked_by_another().unwrap_or(false),
        Err(error) => error.kind == Kind::NotFound,
    }
}

/// Columns of at least 12 characters, three of them space behind the longest value; the last one is open.
fn table(reports: &[Report]) -> String {
    let header = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let rows = reports.iter().map(|report| {
        let (pid, status) = (report.pid.to_string(), report.status.to_string());
        [report.id.clone(), pid, status, printable(&report.bundle), report.created.clone(), printable(&report.owner)]
    });
    let rows: Vec<[String; 6]> = std::iter::once(header).chain(rows).collect();
    let longest = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..5).map(|column| longest(column).unwrap_or(0).max(9) + 3).collect();
    let mut text = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(widths.iter().chain([&0])) {
            text += &format!("{cell:width$}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
