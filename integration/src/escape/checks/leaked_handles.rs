//! Handles on the host's files that a runtime holds while it makes a process: none may be left in it, nor be its working
//! directory.

use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::outside::MARK;
use crate::escape::scene::{Attack, Scene};
use crate::escape::tally::Tally;
use crate::escape::way::Way;
use crate::{holds, host};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::os::unix::fs::symlink;

crate::checks! {
    "CVE-2024-21626" a_working_directory_is_no_descriptor_of_the_runtime [Advisory("runc", "CVE-2024-21626")];
    "CVE-2024-21626" the_working_directory_of_an_exec_is_no_descriptor [Advisory("runc", "CVE-2024-21626")];
    "CVE-2024-21626" a_link_to_the_working_directory_of_the_runtime_leads_nowhere [
        Advisory("runc", "CVE-2024-21626")
    ];
    "CVE-2024-21626" a_process_has_the_standard_descriptors_only [Advisory("runc", "CVE-2024-21626")];
    "CVE-2016-8649" an_exec_has_no_handle_on_the_procfs_of_the_host;
    "CVE-2016-10124" an_exec_has_a_session_and_a_terminal_of_its_own;
}

/// Prints where it stands, and what is outside if a way up leads there. The container's own root ends each way.
fn climb(s: &Scene) -> String {
    let outside = s.outside.path("file").to_string_lossy().into_owned();
    format!(
        "/bin/busybox pwd || echo UNREACHABLE; for up in . .. ../.. ../../.. ../../../.. ../../../../../../../../../..; do \
         cat $up/outside/file $up{outside}; done 2>/dev/null; true"
    )
}

/// What is wrong with where it stands.
fn astray(s: &Scene, attack: &Attack) -> Option<String> {
    let text = &attack.output.stdout;
    let lost = text.contains("UNREACHABLE") || text.contains("(unreachable)");
    (attack.ran && (lost || s.shows_outside(&attack.output))).then(|| text.clone())
}

/// Shows that [`climb`] finds what is outside when there is a way: with a handle that was handed in on purpose.
fn control(s: &Scene) -> Result<()> {
    let mut bundle = s.bundle()?;
    let script = format!("cd /proc/self/fd/3 && {{ {}; }}", climb(s));
    s.script(&mut bundle, &script);
    bundle.write()?;
    let line = format!(
        "exec $R run --preserve-fds 1 --bundle {} {} 3< {}",
        bundle.dir.display(),
        s.ground.id(),
        s.ground.dir.display()
    );
    let output = s.ground.shell(&line)?;
    ensure!(
        output.stdout.contains(MARK),
        "a handle on the outside does not show it, so the check could not either: {output}"
    );
    Ok(())
}

/// Tries each working directory with `run`.
fn as_cwd(s: &Scene, prepare: impl Fn(&Bundle) -> Result<()>, list: &[String]) -> Result<Verdict> {
    let mut twin = s.scripted(&climb(s))?;
    s.twin(twin.set("/process/cwd", json!("/tmp")))?;
    control(s)?;
    let mut tally = Tally::default();
    let mut bundle = s.scripted(&climb(s))?;
    prepare(&bundle)?;
    for cwd in list {
        bundle.set("/process/cwd", json!(cwd));
        let attack = s.attack(&bundle)?;
        if let Some(verdict) = tally.count(s, &attack)? {
            return Ok(verdict);
        }
        let seen = astray(s, &attack);
        holds!(seen.is_none(), "cwd {cwd}: {}", seen.unwrap_or_default());
    }
    Ok(tally.verdict())
}

/// Tries each working directory with `exec --cwd` in one container.
fn as_cwd_of_exec(s: &Scene, prepare: impl Fn(&Bundle) -> Result<()>, list: &[String]) -> Result<Verdict> {
    control(s)?;
    let bundle = s.bundle()?;
    prepare(&bundle)?;
    let container = s.sleeping(&bundle)?;
    let twin = s.exec_script(&container, &["--cwd", "/tmp"], &climb(s))?;
    ensure!(twin.ran && twin.output.code == 0, "the benign twin did not run: {}", twin.output);
    let (mut refused, mut words) = (0, String::new());
    for cwd in list {
        let attack = s.exec_script(&container, &["--cwd", cwd], &climb(s))?;
        let seen = astray(s, &attack);
        holds!(seen.is_none(), "--cwd {cwd}: {}", seen.unwrap_or_default());
        if !attack.ran {
            holds!(attack.output.code != 0, "--cwd {cwd}: neither refused nor ran: {}", attack.output);
            holds!(attack.output.code < 128 || attack.output.code == 255, "--cwd {cwd}: crashed: {}", attack.output);
            (refused, words) = (refused + 1, attack.message());
        }
    }
    // The container lives on, and nothing else lives in it.
    let pids = s.ground.host.cgroup_processes(container.bundle.cgroups_path());
    holds!(pids == [container.pid()?], "processes left in the container: {pids:?}");
    Ok(if refused == list.len() {
        Verdict::Refused(words)
    } else {
        Verdict::Safe(format!("of {} variants {refused} were refused", list.len()))
    })
}

fn descriptors() -> Vec<String> {
    (3..=30).map(|fd| format!("/proc/self/fd/{fd}")).collect()
}

fn a_working_directory_is_no_descriptor_of_the_runtime(s: &Scene) -> Result<Verdict> {
    as_cwd(s, |_| Ok(()), &descriptors())
}

fn the_working_directory_of_an_exec_is_no_descriptor(s: &Scene) -> Result<Verdict> {
    as_cwd_of_exec(s, |_| Ok(()), &descriptors())
}

fn a_link_to_the_working_directory_of_the_runtime_leads_nowhere(s: &Scene) -> Result<Verdict> {
    let targets = ["/proc/self/cwd", "/proc/1/cwd", "/proc/self/fd/7", "/proc/self/fd/8/../../..", "/proc/self/root"];
    let prepare = |bundle: &Bundle| -> Result<()> {
        for (n, target) in targets.iter().enumerate() {
            symlink(target, bundle.rootfs().join(format!("link{n}")))?;
        }
        Ok(())
    };
    let links = (0..targets.len()).map(|n| format!("/link{n}"));
    let list: Vec<String> = links.chain(targets.map(str::to_owned)).collect();
    let by_run = as_cwd(s, prepare, &list)?;
    match as_cwd_of_exec(s, prepare, &list)? {
        // One of both ran, so both are told as what ran and came to nothing.
        Verdict::Refused(_) if !matches!(by_run, Verdict::Refused(_)) => Ok(by_run),
        verdict if matches!(by_run, Verdict::Safe(_) | Verdict::Refused(_)) => Ok(verdict),
        _ => Ok(by_run),
    }
}

/// The descriptors of a process, seen from outside, with what they lead to.
fn open_files(pid: i32) -> Result<Vec<(u32, String)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).context("the descriptors of the process")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        found.push((name.parse()?, host::link(pid, &format!("fd/{name}"))?));
    }
    found.sort();
    Ok(found)
}

fn a_process_has_the_standard_descriptors_only(s: &Scene) -> Result<Verdict> {
    let bundle = s.bundle()?;
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        let files = open_files(seen.pid)?;
        let numbers: Vec<u32> = files.iter().map(|(number, _)| *number).collect();
        holds!(numbers == [0, 1, 2], "{way}: {files:?}");
        // Nor does a mapping or the working directory lead out.
        let cwd = host::link(seen.pid, "cwd")?;
        holds!(cwd == "/", "{way}: the working directory is {cwd}");
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn an_exec_has_no_handle_on_the_procfs_of_the_host(s: &Scene) -> Result<Verdict> {
    let bundle = s.bundle()?;
    for way in Way::EXEC {
        let seen = s.look(way, &bundle, &[])?;
        for (number, target) in open_files(seen.pid)? {
            // What the caller of the runtime gave as standard streams is a file, a null device or a terminal.
            let data = std::fs::metadata(format!("/proc/{}/fd/{number}", seen.pid))?;
            holds!(!data.is_dir(), "{way}: descriptor {number} is the directory {target}");
            holds!(!target.starts_with("/proc"), "{way}: descriptor {number} is {target}");
        }
        // Its root and mounts are the container's: a procfs of the host's would be one mount more.
        let (own, init) = (host::mounts(seen.pid)?.len(), host::mounts(seen.container.pid()?)?.len());
        holds!(own == init, "{way}: {own} mounts, its container has {init}");
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn an_exec_has_a_session_and_a_terminal_of_its_own(s: &Scene) -> Result<Verdict> {
    let bundle = s.bundle()?;
    for way in Way::EXEC {
        let seen = s.look(way, &bundle, &[])?;
        // Field 6 is the session, field 7 the terminal: proc_pid_stat(5). The name before them has no bracket.
        let stat = host::read(format!("/proc/{}/stat", seen.pid).as_ref())?;
        let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
        let field = |n: usize| fields.split_whitespace().nth(n - 3).and_then(|text| text.parse::<i32>().ok());
        holds!(
            field(6) == Some(seen.pid),
            "{way}: process {} is in the session {:?} of its caller",
            seen.pid,
            field(6)
        );
        let terminal = field(7).unwrap_or(-1);
        if way != Way::ExecTty {
            holds!(terminal == 0, "{way}: it has the terminal {terminal:#x}");
            seen.end()?;
            continue;
        }
        // A terminal of the container's own devpts: the file system of its descriptor is mounted there.
        let own = std::fs::metadata(format!("/proc/{}/root/dev/pts", seen.pid))?;
        let stream = std::fs::metadata(format!("/proc/{}/fd/0", seen.pid))?;
        use std::os::unix::fs::MetadataExt;
        holds!(terminal != 0, "{way}: no terminal");
        holds!(own.dev() == stream.dev(), "{way}: its terminal is not of the container's devpts");
        seen.end()?;
    }
    Ok(Verdict::safe())
}
