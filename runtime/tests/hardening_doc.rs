//! `docs/hardening.md` is the catalogue of rules, as text. What stands above the marker is written by hand.
//!
//! `UPDATE_GOLDEN=1 cargo test -p casemate --test hardening_doc` writes the rest anew.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use casemate::policy::catalogue::{Standard, page};
use casemate::policy::{Effect, Rule};
use std::fmt::Write as _;
use std::path::Path;

const MARKER: &str =
    "<!-- From here on this is made from runtime/src/policy/catalogue/ by runtime/tests/hardening_doc.rs. -->\n";

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().unwrap();
    // A word in code or an option stays as it is.
    let capital = if first.is_ascii_lowercase() { first.to_ascii_uppercase() } else { first };
    format!("{capital}{}.", chars.as_str())
}

fn from(rule: Rule) -> String {
    rule.from().map_or("only by a policy".to_owned(), |level| format!("from `{level}` on"))
}

fn effect(rule: Rule) -> &'static str {
    match rule.effect() {
        Effect::Narrow => "narrows",
        Effect::Refuse => "refuses",
    }
}

/// The items of one standard that a rule serves.
fn items(rule: Rule, standard: Standard) -> String {
    let items: Vec<&str> =
        page(rule).standards.iter().filter(|(of, _)| *of == standard).map(|(_, item)| *item).collect();
    items.join(", ")
}

fn generated() -> String {
    let mut text = String::new();
    let w = &mut text;
    writeln!(w, "## Rules and standards\n").unwrap();
    let names: Vec<&str> = Standard::ALL.iter().map(|standard| standard.name()).collect();
    writeln!(w, "| rule | level | effect | severity | {} |", names.join(" | ")).unwrap();
    writeln!(w, "|---|---|---|---|{}", "---|".repeat(names.len())).unwrap();
    for rule in Rule::ALL {
        let level = rule.from().map_or("policy", |level| level.word());
        let mapped: Vec<String> = Standard::ALL.iter().map(|standard| items(*rule, *standard)).collect();
        let severity = page(*rule).severity.word();
        writeln!(w, "| [{rule}](#{rule}) | {level} | {} | {severity} | {} |", effect(*rule), mapped.join(" | "))
            .unwrap();
    }
    writeln!(w, "\n## Rule by rule").unwrap();
    for rule in Rule::ALL {
        let page = page(*rule);
        writeln!(w, "\n### {rule}\n").unwrap();
        let title = sentence(page.title);
        writeln!(
            w,
            "**{title}** {} {}; severity {}.\n",
            sentence(effect(*rule)).trim_end_matches('.'),
            from(*rule),
            page.severity.word()
        )
        .unwrap();
        writeln!(w, "* **What it does.** {}", sentence(page.does)).unwrap();
        writeln!(w, "* **The attack.** {}", sentence(page.attack)).unwrap();
        writeln!(w, "* **What breaks.** {}", sentence(page.breaks)).unwrap();
        writeln!(w, "* **In the configuration.** {}", sentence(page.fix)).unwrap();
        let off = format!("`{rule} = \"off\"` under `[rules]`");
        match page.allow {
            "" => writeln!(w, "* **To allow it.** {off}."),
            allow => writeln!(w, "* **To allow it.** {} Or {off}.", sentence(allow)),
        }
        .unwrap();
        let served = Standard::ALL.iter().map(|standard| (standard.name(), items(*rule, *standard)));
        let served: Vec<String> =
            served.filter(|(_, items)| !items.is_empty()).map(|(name, items)| format!("{name} {items}")).collect();
        if !served.is_empty() {
            writeln!(w, "* **Standards.** {}.", served.join("; ")).unwrap();
        }
    }
    text
}

#[test]
fn the_document_is_what_the_catalogue_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/hardening.md");
    let now = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = now.split_once(MARKER).unwrap();
    let wanted = generated();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, format!("{head}{MARKER}\n{wanted}")).unwrap();
        return;
    }
    let rest = rest.trim_start_matches('\n');
    let differs = rest.lines().zip(wanted.lines()).find(|(is, wanted)| is != wanted);
    assert!(rest == wanted, "docs/hardening.md differs: {differs:?}\n(UPDATE_GOLDEN=1 takes what is now)");
}
