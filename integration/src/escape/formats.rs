//! The finished table as JSON, JUnit XML and Markdown.

use crate::escape::check::Verdict;
use crate::escape::table::{Cell, Column, Row, Table, spoken};
use crate::runtime::Kind;
use serde_json::{Value, json};

/// One object: the columns, and a row for each check.
pub fn json(table: &Table) -> Value {
    let column = |column: &Column| {
        let path = column.runtime.path.to_string_lossy();
        json!({"name": column.name(), "path": path, "level": column.level, "version": column.runtime.version, "judged": column.judged})
    };
    let cell = |cell: &Cell| {
        let ms = u64::try_from(cell.took.as_millis()).unwrap_or(u64::MAX);
        json!({"verdict": cell.verdict.word(), "detail": cell.verdict.detail(), "milliseconds": ms})
    };
    let row = |row: &Row| {
        let cells: Vec<Value> = row.cells.iter().map(cell).collect();
        json!({"id": row.check.id, "name": row.check.name, "cells": cells})
    };
    json!({
        "columns": table.columns.iter().map(column).collect::<Vec<_>>(),
        "rows": table.rows.iter().map(row).collect::<Vec<_>>(),
    })
}

/// A test suite for each column.
pub fn junit(table: &Table) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (n, column) in table.columns.iter().enumerate() {
        let count = |wanted: fn(&Verdict) -> bool| table.column(n).filter(|(_, cell)| wanted(&cell.verdict)).count();
        let failures = count(|verdict| matches!(verdict, Verdict::Unsafe(_)));
        let errors = count(|verdict| matches!(verdict, Verdict::Invalid(_)));
        let skipped = count(|verdict| matches!(verdict, Verdict::Unavailable(..)));
        let name = escaped(&column.name());
        text += &format!(
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\">\n",
            table.rows.len()
        );
        for (check, cell) in table.column(n) {
            let (title, seconds) = (escaped(&spoken(check.name)), cell.took.as_secs_f64());
            let detail = escaped(cell.verdict.detail());
            let inner = match &cell.verdict {
                Verdict::Safe(_) | Verdict::Refused(_) => String::new(),
                Verdict::Unsafe(_) => format!("<failure message=\"UNSAFE\">{detail}</failure>"),
                Verdict::Invalid(_) => format!("<error message=\"INVALID\">{detail}</error>"),
                Verdict::Unavailable(fact, _) => format!("<skipped message=\"{fact}: {detail}\"/>"),
            };
            let class = escaped(check.id);
            text += &format!(
                "    <testcase classname=\"{class}\" name=\"{title}\" time=\"{seconds:.3}\">{inner}</testcase>\n"
            );
        }
        text += "  </testsuite>\n";
    }
    text + "</testsuites>\n"
}

fn escaped(text: &str) -> String {
    let mut clean = String::new();
    for c in text.chars() {
        match c {
            '&' => clean.push_str("&amp;"),
            '<' => clean.push_str("&lt;"),
            '>' => clean.push_str("&gt;"),
            '"' => clean.push_str("&quot;"),
            // XML 1.0 has no way to write other control characters.
            c if c.is_control() && c != '\n' && c != '\t' => clean.push('\u{fffd}'),
            c => clean.push(c),
        }
    }
    clean
}

/// The tables of docs/security-results.md. Of another runtime only those rows are shown whose advisory names it.
pub fn markdown(table: &Table) -> String {
    let shown = |row: &Row, column: &Column| {
        column.runtime.kind == Kind::Casemate || row.check.advisory(&column.program()).is_some()
    };
    let heads: Vec<String> = table.columns.iter().map(|column| format!(" {} |", column.name())).collect();
    let mut text = format!("| check | what must hold |{}\n|---|---|{}\n", heads.concat(), "---|".repeat(heads.len()));
    for row in &table.rows {
        let cells = row.cells.iter().zip(&table.columns).map(|(cell, column)| {
            let word = if shown(row, column) { cell.verdict.word() } else { "" };
            format!(" {} |", if word == "UNSAFE" { "**UNSAFE**" } else { word })
        });
        text += &format!("| {} | {} |{}\n", row.check.id, spoken(row.check.name), cells.collect::<String>());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escape::check::{Check, Mark};
    use crate::options::TableFormat;
    use crate::runtime::Runtime;
    use std::time::Duration;

    fn table() -> Table {
        let column = |path: &str, kind, level| Column {
            runtime: Runtime { path: path.into(), kind, version: String::new() },
            level,
            judged: true,
        };
        let columns = vec![
            column("/bin/casemate", Kind::Casemate, Some("baseline")),
            column("/bin/runc", Kind::Other, None),
            column("/bin/other", Kind::Other, None),
        ];
        let mut table = Table::new(columns, TableFormat::Json, 2);
        let check = |id, name, marks| Check { id, name, marks, body: |_| Ok(Verdict::safe()) };
        let cell = |verdict| Cell { verdict, took: Duration::ZERO };
        let holes = || {
            vec![
                cell(Verdict::Refused("no".into())),
                cell(Verdict::Unsafe("a <b> & c".into())),
                cell(Verdict::Unsafe("x".into())),
            ]
        };
        let known = check("CVE-1", "one_two", vec![Mark::Advisory("runc", "CVE-1")]);
        table.add(Row { check: known, cells: holes() });
        table.add(Row { check: check("A1", "three_four", vec![]), cells: holes() });
        table
    }

    #[test]
    fn what_is_published_of_others_has_an_advisory_that_names_them() {
        let text = markdown(&table());
        assert!(text.contains("| CVE-1 | one two | refused | **UNSAFE** |  |"), "{text}");
        assert!(text.contains("| A1 | three four | refused |  |  |"), "{text}");
    }

    #[test]
    fn xml_is_escaped() {
        let text = junit(&table());
        assert!(text.contains("a &lt;b&gt; &amp; c") && text.contains("failures=\"2\""), "{text}");
    }

    #[test]
    fn json_has_a_cell_for_each_column() {
        let value = json(&table());
        assert_eq!(value["rows"][0]["cells"].as_array().unwrap().len(), 3);
        assert_eq!(value["rows"][1]["cells"][1]["verdict"], "UNSAFE");
    }
}
