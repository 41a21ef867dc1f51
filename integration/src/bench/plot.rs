//! A picture of cold starts: for each contender a bar of wall time and one of CPU time, as an SVG file without scripts,
//! fonts or anything else from elsewhere. It follows the reader's light or dark scheme.

use super::figures::{Column, Figures};
use super::row::{Heat, Row};
use std::fmt::Write;

const WIDTH: f64 = 760.0;
/// Where bars begin, and how long the longest is.
const LEFT: f64 = 170.0;
const LONGEST: f64 = 500.0;
/// Of one contender: two bars and a gap.
const STEP: f64 = 38.0;
const BAR: f64 = 14.0;
const TITLE: f64 = 34.0;

/// The whole file.
pub fn svg(figures: &Figures) -> Result<String, std::fmt::Error> {
    let panels = [(Row::Run, "run"), (Row::RunFiltered, "run with the seccomp profile")];
    let value = |column: &Column, row| {
        let samples = &column.samples;
        Some((samples.wall(row, Heat::Cold, 50)?, samples.cpu(row, Heat::Cold, 50)?))
    };
    let all = panels.iter().flat_map(|(row, _)| figures.columns.iter().filter_map(|column| value(column, *row)));
    let most = all.flat_map(|(wall, cpu)| [wall, cpu]).fold(f64::MIN_POSITIVE, f64::max);
    let count = |row| figures.columns.iter().filter(|column| value(column, row).is_some()).count();
    let height = panels.iter().fold(30.0, |sum, (row, _)| sum + TITLE + STEP * steps(count(*row)));
    let mut out = String::new();
    writeln!(out, r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">"#)?;
    writeln!(out, "<title>Wall and CPU time of a cold start</title>\n{STYLE}")?;
    let mut top = 0.0;
    for (row, title) in panels {
        let title = escape(title);
        writeln!(out, r#"<text class="title" x="8" y="{:.0}">{title}, cold, median, ms</text>"#, top + 22.0)?;
        top += TITLE;
        for column in &figures.columns {
            let Some((wall, cpu)) = value(column, row) else { continue };
            let (end, name) = (LEFT - 10.0, escape(&column.name));
            writeln!(out, r#"<text class="name" x="{end}" y="{:.0}">{name}</text>"#, top + BAR + 4.0)?;
            for (n, (class, ms)) in [("wall", wall), ("cpu", cpu)].into_iter().enumerate() {
                let (y, length) = (top + steps(n) * (BAR + 1.0), (ms / most * LONGEST).max(1.0));
                writeln!(out, r#"<rect class="{class}" x="{LEFT}" y="{y:.0}" width="{length:.1}" height="{BAR}"/>"#)?;
                writeln!(out, r#"<text x="{:.1}" y="{:.0}">{ms:.1}</text>"#, LEFT + length + 6.0, y + BAR - 3.0)?;
            }
            top += STEP;
        }
    }
    for (x, class, words) in [(LEFT, "wall", "wall time"), (LEFT + 110.0, "cpu", "CPU time")] {
        writeln!(out, r#"<rect class="{class}" x="{x}" y="{:.0}" width="{BAR}" height="{BAR}"/>"#, top + 6.0)?;
        writeln!(out, r#"<text x="{:.0}" y="{:.0}">{words}</text>"#, x + BAR + 6.0, top + BAR + 3.0)?;
    }
    out.push_str("</svg>\n");
    Ok(out)
}

const STYLE: &str = "<style>
text { font: 12px sans-serif; fill: #24292f }
.title { font-weight: bold; font-size: 14px }
.name { text-anchor: end }
.wall { fill: #0969da }
.cpu { fill: #bc4c00 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.wall { fill: #58a6ff }
.cpu { fill: #f0883e }
}
</style>";

fn steps(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::contender::Sample;
    use crate::bench::memory::Memory;
    use crate::bench::row::Samples;
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn column(name: &str, ms: u64) -> Column {
        let mut samples = Samples::default();
        let wall = Duration::from_millis(ms);
        samples.add(Row::Run, Heat::Cold, Sample { wall, ..Sample::default() });
        Column {
            name: name.to_owned(),
            path: String::new(),
            version: String::new(),
            binary: 0,
            plain_casemate: false,
            floor: false,
            samples,
            memory: Memory::default(),
            calls: BTreeMap::new(),
        }
    }

    #[test]
    fn the_slowest_has_the_longest_bar_and_names_are_text() {
        let columns = vec![column("fast", 5), column("<slow>", 10)];
        let figures = Figures { columns, rounds: 1, containers: 100, machine: String::new() };
        let svg = svg(&figures).unwrap();
        assert!(svg.contains(r#"width="250.0""#) && svg.contains(r#"width="500.0""#), "{svg}");
        assert!(svg.contains(">&lt;slow&gt;<") && !svg.contains("<slow>"), "{svg}");
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }

    #[test]
    fn ratios_are_to_the_base_and_missing_where_it_has_none() {
        let columns = vec![column("fast", 5), column("slow", 10)];
        let figures = Figures { columns, rounds: 1, containers: 100, machine: String::new() };
        let wall = crate::bench::figures::Measure::Wall(Heat::Cold);
        let [base, slow] = figures.columns.as_slice() else { panic!("two columns") };
        assert_eq!(figures.ratio(wall, Row::Run, slow, base), Some(2.0));
        assert_eq!(figures.ratio(wall, Row::Exec, slow, base), None);
    }
}
