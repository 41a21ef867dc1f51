//! Printing for people: the ratios first, then the figures they come from.

use super::figures::{Column, Figures, Measure};
use super::row::{Heat, Row};
use super::setup::PARALLEL;

/// Prints everything.
pub fn print(figures: &Figures) {
    println!("\n{}, {} rounds", figures.machine, figures.rounds);
    for base in figures.bases() {
        for measure in Measure::ALL {
            println!("\n{}, as a multiple of that of {}", measure.words(), base.name);
            let cell =
                |column: &Column, row| figures.ratio(measure, row, column, base).map(|ratio| format!("{ratio:.2}"));
            rows(figures, |row| measure.of(&base.samples, row).is_some(), cell);
        }
    }
    for heat in Heat::BOTH {
        println!("\nwall time in ms, {}: least / 10th percentile / median", heat.word());
        rows(
            figures,
            |_| true,
            |column, row| {
                let wall = |percent| column.samples.wall(row, heat, percent);
                Some(format!("{:.2} / {:.2} / {:.2}", wall(0)?, wall(10)?, wall(50)?))
            },
        );
        println!("\nCPU time in ms, {}: median / page faults, median", heat.word());
        rows(
            figures,
            |_| true,
            |column, row| {
                let (cpu, faults) = (column.samples.cpu(row, heat, 50)?, column.samples.faults(row, heat)?);
                Some(format!("{cpu:.2} / {faults}"))
            },
        );
    }
    println!("\nper container of {PARALLEL} that start at a time, median wall and CPU time in ms");
    rows(
        figures,
        |row| row == Row::Parallel,
        |column, row| {
            let each = f64::from(u32::try_from(PARALLEL).unwrap_or(u32::MAX));
            let (wall, cpu) = (column.samples.wall(row, Heat::Cold, 50)?, column.samples.cpu(row, Heat::Cold, 50)?);
            Some(format!("{:.2} / {:.2}", wall / each, cpu / each))
        },
    );
    println!("\npeak resident set in KiB / system calls");
    rows(
        figures,
        |_| true,
        |column, row| {
            let calls = column.calls.get(&row).map_or_else(|| "-".to_owned(), u64::to_string);
            Some(format!("{} / {calls}", column.memory.weighed.peak(row)?))
        },
    );
    println!("\nmemory and disk");
    header(figures);
    line(figures, "waiting init, resident KiB", |c| Some(c.memory.waiting?.resident_kib.to_string()));
    line(figures, "waiting init, threads", |c| Some(c.memory.waiting?.threads.to_string()));
    line(figures, "least memory limit, KiB", |c| {
        Some(c.memory.limit_kib.map_or_else(|| "none tried works".to_owned(), |kib| kib.to_string()))
    });
    line(figures, "binary, KiB", |c| Some((c.binary / 1024).to_string()));
}

/// The rows for which there is anything to show.
fn rows(figures: &Figures, which: impl Fn(Row) -> bool, cell: impl Fn(&Column, Row) -> Option<String>) {
    header(figures);
    for row in Row::ALL.into_iter().filter(|row| which(*row)) {
        if figures.columns.iter().any(|column| cell(column, row).is_some()) {
            line(figures, &row.title(figures.containers), |column| cell(column, row));
        }
    }
}

fn header(figures: &Figures) {
    line(figures, "", |column| Some(column.name.clone()));
}

fn line(figures: &Figures, title: &str, cell: impl Fn(&Column) -> Option<String>) {
    let cells: String =
        figures.columns.iter().map(|c| format!("{:>27}", cell(c).unwrap_or_else(|| "-".to_owned()))).collect();
    println!("{title:<30}{cells}");
}
