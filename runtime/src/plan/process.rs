//! The process: what is the same for the container's first one and for `exec`.

use super::Builder;
use super::finding::Findings;
use super::security;
use crate::program::Op;
use crate::spec;
use std::collections::HashMap;

/// Names and numbers of getrlimit(2), as the runtime-spec spells them.
const RLIMITS: [(&str, u32); 16] = [
    ("RLIMIT_CPU", 0),
    ("RLIMIT_FSIZE", 1),
    ("RLIMIT_DATA", 2),
    ("RLIMIT_STACK", 3),
    ("RLIMIT_CORE", 4),
    ("RLIMIT_RSS", 5),
    ("RLIMIT_NPROC", 6),
    ("RLIMIT_NOFILE", 7),
    ("RLIMIT_MEMLOCK", 8),
    ("RLIMIT_AS", 9),
    ("RLIMIT_LOCKS", 10),
    ("RLIMIT_SIGPENDING", 11),
    ("RLIMIT_MSGQUEUE", 12),
    ("RLIMIT_NICE", 13),
    ("RLIMIT_RTPRIO", 14),
    ("RLIMIT_RTTIME", 15),
];

/// Adds everything between "the mounts are right" and "ready", in the one order that works.
pub fn build(builder: &mut Builder<'_>, process: &spec::Process) {
    let findings = &mut builder.findings;
    check(process, findings);
    let rlimits = rlimits(&process.rlimits, findings);
    let sets = security::capabilities(process.capabilities.as_ref(), builder.facts, &mut builder.warnings);
    let labels = security::labels(process, builder.facts, &mut builder.findings);
    let program = &mut builder.program;

    // Labels are written through procfs, which takes CAP_SYS_ADMIN to open; they wait for execve.
    program.extend(labels);
    // Nothing of the parent's is needed any more, and a low RLIMIT_NOFILE counts what is open.
    program.push(Op::CloseHandles);
    // Raising a hard limit takes CAP_SYS_RESOURCE.
    program.extend(rlimits);
    // With the privileges of set-up first: a directory that only root may enter works, as with every runtime.
    program.push(Op::WorkingDirectory { path: process.cwd.clone(), second: false });
    // Takes CAP_SETPCAP.
    program.push(Op::Bounding { keep: sets.bounding, last: builder.facts.last_capability });
    let user = &process.user;
    program.push(Op::Identity { uid: user.uid, gid: user.gid, groups: user.additional_gids.clone() });
    program.push(Op::WorkingDirectory { path: process.cwd.clone(), second: true });
    // A filter without no_new_privs takes CAP_SYS_ADMIN, so it stays until execve, which drops it: it is in neither the
    // bounding nor the inheritable nor the ambient set.
    let keep = if builder.has_seccomp && !process.no_new_privileges { builder.facts.permitted & SYS_ADMIN } else { 0 };
    program.push(Op::Capabilities {
        effective: sets.effective | keep,
        permitted: sets.permitted | keep,
        inheritable: sets.inheritable,
    });
    if sets.ambient != 0 {
        program.push(Op::Ambient { set: sets.ambient });
    }
    if process.no_new_privileges {
        program.push(Op::NoNewPrivileges);
    }
    program.push(Op::Umask { mask: user.umask.unwrap_or(builder.facts.umask) });
    // Last, with the process's own credentials: what cannot run is told at create.
    program.push(find_executable(process));
}

/// CAP_SYS_ADMIN as a bit.
pub(super) const SYS_ADMIN: u64 = 1 << 21;

/// execve's own operation.
pub fn execute(process: &spec::Process) -> Op {
    Op::Execute { args: process.args.clone(), env: environment(&process.env) }
}

/// The last of two settings of the same variable counts; the first keeps its place.
pub fn environment(env: &[String]) -> Vec<String> {
    let mut place: HashMap<&str, usize> = HashMap::with_capacity(env.len());
    let mut out: Vec<String> = Vec::with_capacity(env.len());
    for entry in env {
        let name = entry.split('=').next().unwrap_or(entry);
        match place.get(name) {
            Some(at) => out[*at].clone_from(entry),
            None => {
                place.insert(name, out.len());
                out.push(entry.clone());
            }
        }
    }
    out
}

fn find_executable(process: &spec::Process) -> Op {
    let name = process.args.first().cloned().unwrap_or_default();
    if name.contains('/') {
        return Op::FindExecutable { candidates: vec![name], search: false };
    }
    let path = process.env.iter().rev().find_map(|e| e.strip_prefix("PATH=")).unwrap_or("");
    // A relative directory in PATH would mean the working directory's files; no runtime takes those.
    let candidates = path.split(':').filter(|dir| dir.starts_with('/')).map(|dir| {
        let dir = dir.trim_end_matches('/');
        format!("{dir}/{name}")
    });
    Op::FindExecutable { candidates: candidates.collect(), search: true }
}

fn check(process: &spec::Process, findings: &mut Findings) {
    if process.cwd.is_empty() {
        findings.invalid("/process/cwd", "Cwd property must not be empty");
    } else if !process.cwd.starts_with('/') {
        findings.invalid("/process/cwd", "Cwd must be an absolute path");
    }
    if process.args.is_empty() {
        findings.invalid("/process/args", "args must not be empty");
    } else if process.args[0].is_empty() {
        findings.invalid("/process/args/0", "exec: \"\": executable file not found in $PATH");
    }
    for (i, entry) in process.env.iter().enumerate() {
        if entry.find('=').is_none_or(|at| at == 0) {
            findings.invalid(&format!("/process/env/{i}"), format!("invalid environment variable \"{entry}\""));
        }
    }
    let ids = [("uid", process.user.uid), ("gid", process.user.gid)];
    for (name, id) in ids {
        // (uid_t)-1 is "no change" to setresuid(2).
        if id == u32::MAX {
            findings.invalid(&format!("/process/user/{name}"), format!("{name} {id} is not valid"));
        }
    }
    if process.user.additional_gids.contains(&u32::MAX) {
        findings.invalid("/process/user/additionalGids", "gid 4294967295 is not valid");
    }
    if process.user.umask.is_some_and(|mask| mask > 0o777) {
        let mask = process.user.umask.unwrap_or_default();
        findings.invalid("/process/user/umask", format!("umask {mask:#o} is not within 0o777"));
    }
    if process.oom_score_adj.is_some_and(|score| !(-1000..=1000).contains(&score)) {
        let score = process.oom_score_adj.unwrap_or_default();
        findings.invalid("/process/oomScoreAdj", format!("oomScoreAdj {score} is not within -1000 and 1000"));
    }
    if process.scheduler.is_some() {
        findings.unsupported("/process/scheduler", "process.scheduler is not supported yet");
    }
    if process.io_priority.is_some() {
        findings.unsupported("/process/ioPriority", "process.ioPriority is not supported yet");
    }
    if process.exec_cpu_affinity.is_some() {
        findings.unsupported("/process/execCPUAffinity", "process.execCPUAffinity is not supported yet");
    }
}

fn rlimits(listed: &[spec::PosixRlimit], findings: &mut Findings) -> Vec<Op> {
    let mut ops: Vec<Op> = Vec::new();
    for (i, limit) in listed.iter().enumerate() {
        let pointer = format!("/process/rlimits/{i}");
        let Some((name, resource)) = RLIMITS.iter().find(|(name, _)| *name == limit.r#type) else {
            findings.invalid(&pointer, format!("wrong rlimit value: {}", limit.r#type));
            continue;
        };
        if ops.iter().any(|op| matches!(op, Op::Rlimit { resource: r, .. } if r == resource)) {
            findings.invalid(&pointer, format!("duplicate rlimit {name}"));
            continue;
        }
        if limit.soft > limit.hard {
            findings.invalid(&pointer, format!("{name}: soft limit {} is above hard {}", limit.soft, limit.hard));
        }
        ops.push(Op::Rlimit { name: (*name).to_string(), resource: *resource, soft: limit.soft, hard: limit.hard });
    }
    ops
}

/// The terminal of a process that has one.
pub fn terminal(process: &spec::Process, console: bool) -> Option<Op> {
    let size = process.console_size.clone().unwrap_or_default();
    let cells = |n: u64| u16::try_from(n).unwrap_or(0);
    let uid = process.user.uid;
    process.terminal.then(|| Op::Terminal { rows: cells(size.height), columns: cells(size.width), console, uid })
}

/// A session of the process's own.
pub fn session(process: &spec::Process) -> Op {
    Op::Session { terminal: process.terminal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_setting_of_a_variable_counts() {
        let env: Vec<String> = ["A=1", "B=2", "A=3"].iter().map(|e| e.to_string()).collect();
        assert_eq!(environment(&env), ["A=3", "B=2"]);
    }

    #[test]
    fn relative_directories_of_path_are_not_searched() {
        let process =
            spec::Process { args: vec!["sh".into()], env: vec!["PATH=/bin:.::/usr/bin/".into()], ..Default::default() };
        let Op::FindExecutable { candidates, search: true } = find_executable(&process) else { panic!() };
        assert_eq!(candidates, ["/bin/sh", "/usr/bin/sh"]);
    }
}
