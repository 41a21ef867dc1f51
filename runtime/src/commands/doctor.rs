//! `doctor`: what this host offers to containers, what it lacks, and what each lack costs.

use crate::cli::ReportFormat;
use crate::error::{Call, Error, Kind, Result};
use crate::host::{Answer, HostFacts, Survey, capability_names};
use crate::plan::security::SCOPES_SINCE_ABI;
use serde::Serialize;
use std::io::Write;

/// How good a fact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Grade {
    /// All there.
    Good,
    /// Something is lacking that only some containers need.
    Lacking,
    /// No container can run.
    Fatal,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    name: &'static str,
    grade: Grade,
    found: String,
    /// What the lack costs; nothing for [`Grade::Good`].
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<String>,
}

/// Whether to colour the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// For a terminal.
    On,
    /// For everything else.
    Off,
}

/// Prints the report; answers whether casemate can run containers on this host.
///
/// # Errors
/// The host cannot be probed, or the output cannot be written.
pub fn run(format: ReportFormat, colour: Colour, out: &mut impl Write) -> Result<bool> {
    let survey = HostFacts::probe_all()?;
    let findings = examine(&survey);
    let can_run = findings.iter().all(|finding| finding.grade != Grade::Fatal);
    let text = match format {
        ReportFormat::Text => text(&findings, can_run, colour),
        ReportFormat::Json => json(&survey, &findings, can_run)?,
    };
    out.write_all(text.as_bytes()).call("write", "stdout")?;
    Ok(can_run)
}

fn good(name: &'static str, found: impl Into<String>) -> Finding {
    Finding { name, grade: Grade::Good, found: found.into(), cost: None }
}

fn lacking(name: &'static str, found: impl Into<String>, cost: impl Into<String>) -> Finding {
    Finding { name, grade: Grade::Lacking, found: found.into(), cost: Some(cost.into()) }
}

fn fatal(name: &'static str, found: impl Into<String>, cost: impl Into<String>) -> Finding {
    Finding { name, grade: Grade::Fatal, found: found.into(), cost: Some(cost.into()) }
}

/// The whole judgement, in the order of the report.
fn examine(survey: &Survey) -> Vec<Finding> {
    vec![
        good("kernel", &*survey.facts.kernel_release),
        privileges(survey),
        capabilities(survey),
        namespaces(survey),
        user_namespaces(survey),
        cgroups(survey),
        calls(
            survey,
            "mount calls",
            &["fsopen", "fsmount", "open_tree", "move_mount", "mount_setattr"],
            "no root filesystem can be built; Linux 5.12 has them",
        ),
        calls(survey, "path calls", &["openat2"], "no path in a container can be opened safely; Linux 5.6 has it"),
        calls(
            survey,
            "process calls",
            &["clone3", "execveat", "close_range", "pidfd_open", "pidfd_send_signal"],
            "no container can be started; Linux 5.11 has them",
        ),
        memfd(survey),
        seccomp(survey),
        lsms(survey),
        optional(
            survey.clone_into_cgroup,
            "clone into cgroup",
            "a container joins its cgroup by a write, which takes some milliseconds; Linux 5.7 has it",
        ),
        optional(survey.idmapped_mounts, "id-mapped mounts", "volumes cannot be mapped; Linux 5.12 has them"),
        optional(
            ["listmount", "statmount"].iter().all(|call| survey.calls.get(*call) == Some(&Answer::Present)),
            "mount list calls",
            "mounts are checked through /proc/self/mountinfo; Linux 6.8 has them",
        ),
        optional(
            survey.calls.get("pidfd_getfd") == Some(&Answer::Present),
            "pidfd_getfd",
            "no seccomp notify listener; Linux 5.6 has it",
        ),
        match survey.landlock_abi {
            Some(abi) if abi >= SCOPES_SINCE_ABI => good("landlock", format!("abi {abi}, scopes abstract sockets")),
            Some(abi) => {
                let cost =
                    "a container on the host's network reaches abstract sockets of the host; Linux 6.12 scopes them";
                lacking("landlock", format!("abi {abi}"), cost)
            }
            None => lacking("landlock", "not enabled", "no landlock rules on top of the mount namespace"),
        },
    ]
}

fn optional(present: bool, name: &'static str, cost: &str) -> Finding {
    if present { good(name, "present") } else { lacking(name, "missing", cost) }
}

/// `CAP_SYS_ADMIN` is bit 21 (capability.h).
fn privileges(survey: &Survey) -> Finding {
    let whose = if survey.facts.initial_user_namespace { "initial" } else { "own" };
    if survey.facts.permitted & (1 << 21) != 0 {
        return good("privileges", format!("CAP_SYS_ADMIN in the {whose} user namespace"));
    }
    fatal("privileges", format!("no CAP_SYS_ADMIN in the {whose} user namespace"), "no namespace can be made")
}

fn capabilities(survey: &Survey) -> Finding {
    let all = u64::MAX >> (63 - survey.facts.last_capability.min(63));
    let lost = capability_names(all & !survey.facts.bounding);
    if lost.is_empty() {
        return good("capabilities", "all in the bounding set");
    }
    let cost = "no container gets them, and a privileged one gets less than it asks for";
    lacking("capabilities", format!("not in the bounding set: {}", lost.join(" ")), cost)
}

fn namespaces(survey: &Survey) -> Finding {
    let missing: Vec<_> = ["cgroup", "ipc", "mnt", "net", "pid", "uts"]
        .into_iter()
        .filter(|name| !survey.namespaces.iter().any(|found| found == name))
        .collect();
    match missing.is_empty() {
        true => good("namespaces", survey.namespaces.join(" ")),
        false => {
            let found = format!("{} (missing: {})", survey.namespaces.join(" "), missing.join(" "));
            fatal("namespaces", found, "containers cannot be isolated")
        }
    }
}

fn user_namespaces(survey: &Survey) -> Finding {
    let name = "user namespaces";
    match (survey.max_user_namespaces, survey.unprivileged_user_namespaces) {
        (0, _) => lacking(name, "none", "root in a container is root on the host; see user.max_user_namespaces"),
        (limit, true) => good(name, format!("up to {limit}, for every user")),
        (limit, false) => {
            lacking(name, format!("up to {limit}, for privileged users"), "no containers without privileges")
        }
    }
}

/// The controllers whose limits engines set on nearly every container.
fn cgroups(survey: &Survey) -> Finding {
    let cgroups = match &survey.cgroups {
        Ok(cgroups) => cgroups,
        Err(error) => return fatal("cgroups", &**error, "no container can be limited, paused or listed"),
    };
    let found = format!("{}: {}", cgroups.mode, cgroups.controllers.join(" "));
    let has = |name: &&str| cgroups.controllers.iter().any(|controller| controller == name);
    let missing: Vec<_> = ["cpu", "cpuset", "memory", "pids"].into_iter().filter(|name| !has(name)).collect();
    match missing.is_empty() {
        true => good("cgroups", found),
        false => lacking("cgroups", found, format!("no limits of {}", missing.join(", "))),
    }
}

fn calls(survey: &Survey, name: &'static str, needed: &[&str], cost: &str) -> Finding {
    let with = |answer: Answer| {
        let names: Vec<_> = needed.iter().filter(|call| survey.calls.get(**call) == Some(&answer)).copied().collect();
        names.join(" ")
    };
    let (present, missing, refused) = (with(Answer::Present), with(Answer::Missing), with(Answer::Refused));
    match (&*missing, &*refused) {
        ("", "") => good(name, present),
        ("", refused) => {
            fatal(name, format!("refused: {refused}"), "a privilege is lacking, or a filter is in the way")
        }
        (missing, _) => fatal(name, format!("missing: {missing}"), cost),
    }
}

fn memfd(survey: &Survey) -> Finding {
    let found = format!("vm.memfd_noexec is {}", survey.memfd_noexec);
    match survey.memfd_noexec {
        0 | 1 => good("sealed init", found),
        _ => fatal("sealed init", found, "init cannot be executed from a sealed memfd"),
    }
}

fn seccomp(survey: &Survey) -> Finding {
    if survey.seccomp_actions.is_empty() {
        return fatal("seccomp", "none", "no system call can be filtered; see CONFIG_SECCOMP_FILTER");
    }
    let flags: Vec<_> = survey
        .seccomp_flags
        .iter()
        .map(|flag| flag.trim_start_matches("SECCOMP_FILTER_FLAG_").to_lowercase())
        .collect();
    let found = format!("actions {}; flags {}", survey.seccomp_actions.join(" "), flags.join(" "));
    match survey.seccomp_actions.iter().any(|action| action == "user_notif") {
        true => good("seccomp", found),
        false => lacking("seccomp", found, "no profile with SCMP_ACT_NOTIFY; Linux 5.0 has it"),
    }
}

fn lsms(survey: &Survey) -> Finding {
    let listed = survey.lsms.as_ref().map(|lsms| lsms.join(" "));
    let found = listed.unwrap_or_else(|| "not known, securityfs is not mounted".to_owned());
    if survey.facts.selinux || survey.facts.apparmor {
        return good("security modules", found);
    }
    let cost = "neither selinux nor apparmor is enabled; a config with a label or a profile is refused";
    lacking("security modules", found, cost)
}

/// Lines in columns; what a lack costs stands below it.
fn text(findings: &[Finding], can_run: bool, colour: Colour) -> String {
    let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Finding { name, grade, found, cost } in findings {
        let mark = mark(*grade, colour);
        text.push_str(&format!("{mark}  {name:width$}  {found}\n"));
        if let Some(cost) = cost {
            text.push_str(&format!("{:7}{:width$}  costs: {cost}\n", "", ""));
        }
    }
    text.push_str(match can_run {
        true => "casemate can run containers here\n",
        false => "casemate cannot run containers here\n",
    });
    text
}

/// Five columns.
fn mark(grade: Grade, colour: Colour) -> String {
    let (word, code) = match grade {
        Grade::Good => ("ok   ", 32),
        Grade::Lacking => ("lack ", 33),
        Grade::Fatal => ("FATAL", 31),
    };
    match colour {
        Colour::On => format!("\x1b[{code}m{word}\x1b[0m"),
        Colour::Off => word.to_owned(),
    }
}

fn json(survey: &Survey, findings: &[Finding], can_run: bool) -> Result<String> {
    let host = serde_json::to_value(survey).map_err(|error| Error::new(Kind::System, format!("report: {error}")))?;
    let value = serde_json::json!({"canRun": can_run, "findings": findings, "host": host});
    Ok(format!("{value:#}\n"))
}

#[cfg(test)]
mod tests;
