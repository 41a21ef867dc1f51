//! Handles on the host's files that a runtime or its caller holds: none reaches a program, and none is its working
//! directory.

use super::volumes::volume;
use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::created::{Creation, works_inside};
use crate::escape::outside::MARK;
use crate::escape::scene::{Attack, RAN, Scene};
use crate::escape::tally::Tally;
use crate::escape::way::Way;
use crate::process::{DEADLINE, eventually};
use crate::{holds, host};
use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{CWD, Mode, OFlags, openat};
use serde_json::json;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::Path;

crate::checks! {
    "B1" the_program_has_the_standard_descriptors_and_no_others [Advisory("runc", "CVE-2024-21626")];
    "B1" a_descriptor_beside_those_that_are_passed_on_is_closed;
    "B2" a_working_directory_that_is_gone_or_elsewhere_is_refused_or_inside [Advisory("runc", "CVE-2024-21626")];
    "CVE-2024-21626" a_working_directory_is_no_descriptor_of_the_runtime [Advisory("runc", "CVE-2024-21626")];
    "CVE-2024-21626" the_working_directory_of_an_exec_is_no_descriptor [Advisory("runc", "CVE-2024-21626")];
    "CVE-2024-21626" a_link_to_a_working_directory_of_the_runtime_leads_an_exec_nowhere [
        Advisory("runc", "CVE-2024-21626")
    ];
    "CVE-2016-8649" an_exec_has_no_handle_on_the_procfs_of_the_host;
}

/// Descriptors of the outside tree that every command of this check inherits: all free numbers up to 20.
fn leaked(s: &Scene) -> Result<Vec<OwnedFd>> {
    let mut leaked: Vec<OwnedFd> = Vec::new();
    while leaked.last().is_none_or(|fd| fd.as_raw_fd() < 20) {
        leaked.push(openat(CWD, &s.outside.dir, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?);
    }
    let listed = s.host("ls", &["/proc/self/fd/20/"])?;
    ensure!(listed.stdout.contains("secret"), "commands do not inherit the descriptors: {listed}");
    Ok(leaked)
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

fn the_program_has_the_standard_descriptors_and_no_others(s: &Scene) -> Result<Verdict> {
    let _leaked = leaked(s)?;
    let bundle = s.bundle()?;
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        let files = open_files(seen.pid)?;
        let numbers: Vec<u32> = files.iter().map(|(number, _)| *number).collect();
        holds!(numbers == [0, 1, 2], "{way}: {files:?}");
        let cwd = host::link(seen.pid, "cwd")?;
        holds!(cwd == "/", "{way}: the working directory is {cwd}");
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn a_descriptor_beside_those_that_are_passed_on_is_closed(s: &Scene) -> Result<Verdict> {
    let _leaked = leaked(s)?;
    let mut bundle = s.bundle()?;
    s.script(&mut bundle, "for f in /proc/self/fd/*; do echo FD $f; done");
    bundle.write()?;
    let dir = bundle.dir.display();
    let calls = [("", ""), ("", "--preserve-fds 1"), ("LISTEN_FDS=1 LISTEN_PID=$$", "")];
    for (environment, flags) in calls {
        let id = s.ground.id();
        let output =
            s.ground.shell(&format!("exec 3< /dev/null && {environment} exec $R run {flags} --bundle {dir} {id}"))?;
        ensure!(output.code == 0 && output.stdout.contains(RAN), "the benign twin did not run: {output}");
        let shown: Vec<&str> =
            output.stdout.lines().filter_map(|line| line.strip_prefix("FD /proc/self/fd/")).collect();
        // 3 may have been passed on, and the shell opens the directory to list it.
        let wrong = shown.iter().find(|fd| !["0", "1", "2", "3", "4"].contains(fd));
        holds!(wrong.is_none(), "{environment} {flags}: descriptor {} is open", wrong.unwrap_or(&""));
    }
    Ok(Verdict::safe())
}

fn a_working_directory_that_is_gone_or_elsewhere_is_refused_or_inside(s: &Scene) -> Result<Verdict> {
    let (outside, host) = (s.outside.path("dir").display().to_string(), volume(s, "volume")?.display().to_string());
    let magic = format!("/proc/1/root{outside}");
    let climbing = format!("/tmp/../../../../../../../..{outside}");
    // Links of the image, by their numbers.
    let links =
        ["/proc/1/cwd", "/proc/self/cwd", "/proc/self/fd/7", "/proc/self/fd/8/../../..", "/proc/self/fd/0/deleted"];
    let places =
        ["/proc/self/cwd", "/proc/1/cwd", "/proc/1/root", &outside, &host, &magic, &climbing].map(str::to_owned);
    let places = places.into_iter().chain((0..links.len()).map(|n| format!("/link{n}")));
    let _leaked = leaked(s)?;
    let mut twin = s.bundle()?;
    twin.set("/process/cwd", json!("/tmp"));
    match s.create(&twin)? {
        Creation::Made(created) => {
            ensure!(works_inside(created.pid)?, "the benign twin's working directory is not below its root");
            created.end()?;
        }
        Creation::Refused(attack) => bail!("the benign twin was refused: {}", attack.output),
    }
    ensure!(!left_outside(s, &twin.rootfs())?, "the suite cannot tell inside from outside");
    let (mut made, mut refused) = (0, 0);
    for place in places {
        let mut bundle = s.bundle()?;
        for (n, target) in links.iter().enumerate() {
            symlink(target, bundle.rootfs().join(format!("link{n}")))?;
        }
        bundle.set("/process/cwd", json!(place)).args(&["/bin/sleep", "1000"]);
        match s.create(&bundle)? {
            Creation::Refused(attack) => match s.refused(&attack)? {
                Some(Verdict::Refused(_)) => refused += 1,
                other => return Ok(other.unwrap_or_else(|| Verdict::Unsafe(format!("{place}: it ran")))),
            },
            Creation::Made(created) => {
                holds!(works_inside(created.pid)?, "{place}: the working directory is not below the root");
                let started = created.container.start()?;
                if started.code == 0 {
                    created.container.wait_for_program()?;
                    holds!(
                        works_inside(created.pid)?,
                        "{place}: the program's working directory is not below the root"
                    );
                }
                created.end()?;
                made += 1;
            }
        }
        std::fs::remove_dir_all(&bundle.dir)?;
    }
    Ok(Verdict::Safe(format!("{made} inside, {refused} refused")))
}

/// Whether a process that was left outside of its root counts as inside: the control.
fn left_outside(s: &Scene, rootfs: &Path) -> Result<bool> {
    let mut command = std::process::Command::new("nsenter");
    command.arg(format!("--root={}", rootfs.display())).arg(format!("--wd={}", s.outside.dir.display()));
    let running = s.ground.recorder.start(
        {
            command.args(["/bin/sleep", "1000"]);
            command
        },
        None,
    )?;
    let pid = running.child.id().cast_signed();
    let program = || Ok((host::command_line(pid)? == ["/bin/sleep", "1000"]).then_some(()));
    let inside = eventually("it sleeps", program).and_then(|()| works_inside(pid));
    host::kill(pid)?;
    running.wait(DEADLINE)?;
    inside
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

/// The numbers of what the caller leaves open, and of what a runtime may have opened beyond.
fn descriptors() -> Vec<String> {
    (3..=26).map(|fd| format!("/proc/self/fd/{fd}")).collect()
}

fn a_working_directory_is_no_descriptor_of_the_runtime(s: &Scene) -> Result<Verdict> {
    let mut twin = s.scripted(&climb(s))?;
    s.twin(twin.set("/process/cwd", json!("/tmp")))?;
    control(s)?;
    let _leaked = leaked(s)?;
    let mut tally = Tally::default();
    let mut bundle = s.scripted(&climb(s))?;
    for cwd in descriptors() {
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
    let _leaked = leaked(s)?;
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

fn the_working_directory_of_an_exec_is_no_descriptor(s: &Scene) -> Result<Verdict> {
    as_cwd_of_exec(s, |_| Ok(()), &descriptors())
}

fn a_link_to_a_working_directory_of_the_runtime_leads_an_exec_nowhere(s: &Scene) -> Result<Verdict> {
    let targets = ["/proc/self/cwd", "/proc/1/cwd", "/proc/self/fd/7", "/proc/self/fd/8/../../..", "/proc/self/root"];
    let prepare = |bundle: &Bundle| -> Result<()> {
        for (n, target) in targets.iter().enumerate() {
            symlink(target, bundle.rootfs().join(format!("link{n}")))?;
        }
        Ok(())
    };
    let links = (0..targets.len()).map(|n| format!("/link{n}"));
    as_cwd_of_exec(s, prepare, &links.chain(targets.map(str::to_owned)).collect::<Vec<_>>())
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
