//! The report as text: what is wrong first, then what holds, then the grades.

use super::grade::Outcome;
use super::kernel::{Kernel, named};
use super::mounts::Cover;
use super::{Line, Report};
use crate::cgroup::DeviceAccess;
use crate::commands::doctor::Colour;
use crate::commands::printable;
use crate::host::capability_names;
use crate::policy::Why;

/// Width of the first column.
const LABEL: usize = 17;

/// Lines with a label in front of the first.
struct Page {
    text: String,
    colour: Colour,
}

const RED: u8 = 31;
const GREEN: u8 = 32;
const YELLOW: u8 = 33;

impl Page {
    fn paint(&self, text: &str, code: u8) -> String {
        match self.colour {
            Colour::On => format!("\x1b[{code}m{text}\x1b[0m"),
            Colour::Off => text.to_owned(),
        }
    }

    /// What a container chose is among the lines, so nothing in them may act on the terminal.
    fn lines(&mut self, label: &str, code: Option<u8>, lines: &[String]) {
        for (at, line) in lines.iter().enumerate() {
            let label = format!("{:LABEL$}", if at == 0 { label } else { "" });
            let label = code.map_or(label.clone(), |code| self.paint(&label, code));
            self.text.push_str(&format!("{label}{}\n", printable(line)));
        }
    }

    fn line(&mut self, label: &str, line: impl Into<String>) {
        self.lines(label, None, &[line.into()]);
    }
}

/// One container.
pub fn page(report: &Report, colour: Colour) -> String {
    let mut page = Page { text: String::new(), colour };
    let mismatches = &report.differences.mismatches;
    page.lines("MISMATCH", Some(RED), mismatches);
    if !mismatches.is_empty() {
        page.text.push('\n');
    }
    let pid = report.kernel.as_ref().map_or(String::new(), |kernel| format!(", pid {}", kernel.pid));
    page.line("container", format!("{}, {}{pid}", report.id, report.status));
    policy(&mut page, report);
    page.lines("note", Some(YELLOW), &report.differences.notes);
    let Some(kernel) = &report.kernel else {
        page.line("kernel", "there is no process, so there is nothing to read");
        return page.text;
    };
    privileges(&mut page, kernel);
    seccomp(&mut page, kernel);
    surroundings(&mut page, kernel);
    for grade in &report.grades {
        let code = if grade.failed().is_empty() { GREEN } else { RED };
        page.lines(grade.standard, Some(code), &[grade.line()]);
    }
    let mut reasons: Vec<String> = Vec::new();
    for control in report.grades.iter().flat_map(|grade| &grade.controls) {
        let reason = match &control.outcome {
            Outcome::Fail(because) => format!("{}: {because}", control.title),
            Outcome::Unknown(because) => format!("{}: not known, {because}", control.title),
            Outcome::Pass => continue,
        };
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    page.lines("because", None, &reasons);
    page.text
}

fn policy(page: &mut Page, report: &Report) {
    match &report.enforcement {
        Some(enforcement) => page.line("level", format!("{}, by {}", enforcement.level, enforcement.chosen_by)),
        None => page.line("level", "none: made without a policy"),
    }
    if let Some(exemption) = report.enforcement.as_ref().and_then(|enforcement| enforcement.exemption.as_ref()) {
        page.line("exemption", format!("{}, {}", exemption.value, exemption.origin));
    }
    let rules = report.not_enforced.iter().map(|(rule, mode)| {
        let origin = report.enforcement.as_ref().map(|enforcement| enforcement.origin(*rule)).unwrap_or_default();
        format!("{rule}: {}, {origin}", mode.word())
    });
    page.lines("not enforced", Some(YELLOW), &rules.collect::<Vec<_>>());
    let lacks = report.lacks.iter().map(|note| {
        let why = match note.why {
            Why::Unavailable => "unavailable",
            Why::Warn => "warned",
            Why::Audit => "audited",
        };
        format!("{}: {why}, {}", note.rule, note.text)
    });
    page.lines("lacking", Some(YELLOW), &lacks.collect::<Vec<_>>());
}

fn privileges(page: &mut Page, kernel: &Kernel) {
    let ids = |ids: &[u32]| {
        let mut ids: Vec<String> = ids.iter().map(u32::to_string).collect();
        ids.dedup();
        ids.join("/")
    };
    let groups: Vec<String> = kernel.groups.iter().map(u32::to_string).collect();
    page.line("user", format!("uid {}, gid {}, groups {}", ids(&kernel.uids), ids(&kernel.gids), or_none(&groups)));
    let mut above = None;
    let sets = named(&kernel.capabilities).map(|(name, set)| {
        let names: Vec<String> = capability_names(set).iter().map(|name| name.replace("CAP_", "")).collect();
        let same = above.replace(set) == Some(set) && set != 0;
        format!("{name:12} {}", if same { "the same".to_owned() } else { or_none(&names) })
    });
    page.lines("capabilities", None, &sets);
    page.line("no_new_privs", if kernel.no_new_privileges { "on" } else { "off" });
    page.line("label", kernel.label.clone().unwrap_or_else(|| "none: no security module gives one".into()));
    if let Some(label) = &kernel.apparmor {
        page.line("apparmor", label);
    }
    page.line("landlock", "not visible from outside; the plan is in `casemate explain`");
    let dumpable = match kernel.dumpable {
        Some(true) => "yes: processes of the same user may look into it",
        Some(false) => "no",
        None => "not visible for user 0",
    };
    page.line("dumpable", dumpable);
    page.line("oom_score_adj", kernel.oom_score_adj.to_string());
    let limits: Vec<String> = kernel
        .rlimits
        .iter()
        .map(|(name, soft, hard)| format!("{:19} {soft} (hard {hard})", name.to_lowercase()))
        .collect();
    page.lines("rlimits", None, &limits);
}

fn seccomp(page: &mut Page, kernel: &Kernel) {
    let seccomp = &kernel.seccomp;
    let instructions: Vec<String> = seccomp.instructions.iter().map(usize::to_string).collect();
    let mode = match (seccomp.mode, seccomp.filters) {
        _ if seccomp.pending => {
            "none yet: init waits for start and loads the plan's right before its execve".to_owned()
        }
        (0, _) => "no filter: every call reaches the kernel".to_owned(),
        (1, _) => "strict: read, write and exit only".to_owned(),
        (_, count) => {
            let count = count.map_or(String::new(), |count| format!("{count} "));
            let read = if instructions.is_empty() {
                String::new()
            } else {
                format!(", instructions {}", instructions.join(", "))
            };
            format!("{count}filter(s){read}")
        }
    };
    page.line("seccomp", mode);
    let unread = |why: &String| match seccomp.programs.is_empty() {
        true => format!("not read: {why}"),
        false => format!("no verdict: {why}"),
    };
    page.lines("", Some(YELLOW), &seccomp.unread.iter().map(unread).collect::<Vec<_>>());
    if seccomp.verdicts.is_empty() {
        return;
    }
    let refused = seccomp.verdicts.iter().filter(|verdict| !verdict.let_through).count();
    page.line("riskiest calls", format!("{refused} of {} refused", seccomp.verdicts.len()));
    let width = seccomp.verdicts.iter().map(|verdict| verdict.call.len()).max().unwrap_or_default();
    let open: Vec<String> = seccomp
        .verdicts
        .iter()
        .filter(|verdict| verdict.is_open())
        .map(|verdict| format!("{:width$}  {}: {}", verdict.call, verdict.answer, verdict.reason))
        .collect();
    page.lines("  open", Some(YELLOW), &open);
    let needs: Vec<String> = seccomp
        .verdicts
        .iter()
        .filter(|verdict| verdict.let_through)
        .filter_map(|verdict| {
            Some(format!("{:width$}  takes {}, which it cannot have", verdict.call, verdict.lacks.as_ref()?))
        })
        .collect();
    page.lines("  no capability", None, &needs);
}

fn surroundings(page: &mut Page, kernel: &Kernel) {
    let by_host = |host: bool| {
        let names = kernel.namespaces.iter().filter(|namespace| namespace.host == host);
        or_none(&names.map(|namespace| namespace.kind.spec_name().to_owned()).collect::<Vec<_>>())
    };
    page.line("namespaces", format!("of the host: {}", by_host(true)));
    page.line("", format!("other: {}", by_host(false)));
    let map = |map: &[Vec<u32>]| {
        let lines = map.iter().map(|line| line.iter().map(u32::to_string).collect::<Vec<_>>().join(" "));
        or_none(&lines.collect::<Vec<_>>()).replace(", ", "; ")
    };
    page.line("id maps", format!("uid {}; gid {}", map(&kernel.uid_map), map(&kernel.gid_map)));
    let read_only = kernel.mounts.iter().any(|mount| mount.point == "/" && mount.read_only);
    page.line("root", if read_only { "read-only" } else { "writable" });
    let writable = kernel.mounts.iter().filter(|mount| !mount.read_only).map(|mount| {
        let has = [("suid", mount.nosuid), ("dev", mount.nodev), ("exec", mount.noexec), ("shared", !mount.shared)];
        let has: Vec<&str> = has.iter().filter(|(_, not)| !not).map(|(word, _)| *word).collect();
        format!("{:24} {:8} {}", mount.point, mount.r#type, has.join(","))
    });
    page.lines("writable", None, &writable.collect::<Vec<_>>());
    let count = |wanted: Cover| kernel.paths.iter().filter(|(_, cover)| *cover == wanted).count();
    let (masked, read_only, absent) = (count(Cover::Masked), count(Cover::ReadOnly), count(Cover::Absent));
    page.line("paths", format!("{masked} masked, {read_only} read-only, {absent} not there"));
    let open = kernel.paths.iter().filter(|(_, cover)| matches!(cover, Cover::Writable | Cover::Unknown));
    page.lines("  open", Some(YELLOW), &open.map(|(path, _)| path.clone()).collect::<Vec<_>>());
    devices(page, kernel);
    let limits = &kernel.limits;
    let number = |value: Option<u64>| value.map_or("no limit".to_owned(), |value| value.to_string());
    page.line("memory", limits.memory.map_or("no limit".into(), |bytes| format!("{bytes} bytes")));
    page.line("pids", number(limits.pids));
    let weight = limits.cpu_weight.map_or(String::new(), |weight| format!(", weight {weight}"));
    let cpu = limits.millicpu.map_or("no limit".into(), |milli| format!("{}.{:03} CPUs", milli / 1000, milli % 1000));
    page.line("cpu", cpu + &weight);
}

fn devices(page: &mut Page, kernel: &Kernel) {
    let devices = &kernel.devices;
    let access = match &devices.access {
        DeviceAccess::Everything => "the cgroup allows all".to_owned(),
        DeviceAccess::Listed(lines) => format!("the cgroup allows {}", or_none(lines)),
        DeviceAccess::Programs(count) => {
            format!("{count} program(s) on the cgroup decide; what they allow is not visible")
        }
    };
    page.line("devices", access);
    let nodes = devices.nodes.iter().filter(|node| node.reachable != Some(false)).map(|node| node.path.clone());
    page.line("", format!("nodes that open: {}", or_none(&nodes.collect::<Vec<_>>())));
    if devices.incomplete {
        page.line("", "not all of /dev was looked at");
    }
}

fn or_none(words: &[String]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

/// All containers, one line for each; what is wrong with one stands below it.
pub fn table(lines: &[Line], colour: Colour) -> String {
    let header = ["ID", "PID", "STATUS", "LEVEL", "PSS-BASELINE", "PSS-RESTRICTED", "MISMATCHES"];
    let mut rows = vec![header.map(str::to_owned)];
    let mut below: Vec<&[String]> = vec![&[]];
    for line in lines {
        match line {
            Line::Failed { id, error } => {
                rows.push([id, "-", "error", "-", "-", "-", "-"].map(str::to_owned));
                below.push(std::slice::from_ref(error));
            }
            Line::Report(report) => {
                let short = |standard: &str| {
                    let grade = report.grades.iter().find(|grade| grade.standard == standard);
                    grade.map_or("-".to_owned(), super::Grade::short)
                };
                rows.push([
                    report.id.clone(),
                    report.kernel.as_ref().map_or("-".to_owned(), |kernel| kernel.pid.to_string()),
                    report.status.to_string(),
                    report.enforcement.as_ref().map_or("-", |enforcement| enforcement.level.word()).to_owned(),
                    short("pss-baseline"),
                    short("pss-restricted"),
                    report.differences.mismatches.len().to_string(),
                ]);
                below.push(&report.differences.mismatches);
            }
        }
    }
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut page = Page { text: String::new(), colour };
    for (row, below) in rows.iter().zip(below) {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        page.text.push_str(cells.join("  ").trim_end());
        page.text.push('\n');
        for line in below {
            let line = page.paint(&format!("  {}", printable(line)), RED);
            page.text.push_str(&(line + "\n"));
        }
    }
    page.text
}

#[cfg(test)]
mod tests;
