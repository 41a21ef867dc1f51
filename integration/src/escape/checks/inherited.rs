//! Descriptors of the runtime and of its caller: none reaches a program, and none is a way out by the working directory or
//! by `/proc/self/exe`.

use super::paths::volume;
use crate::escape::check::Verdict;
use crate::escape::created::{Creation, same_file, works_inside};
use crate::escape::outside::MARK;
use crate::escape::scene::{RAN, Scene};
use crate::escape::way::Way;
use crate::process::{DEADLINE, eventually};
use crate::{holds, host};
use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{CWD, Mode, OFlags, SealFlags, StatVfsMountFlags, fcntl_get_seals, fstatvfs, openat};
use rustix::io::Errno;
use serde_json::json;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::Path;

crate::checks! {
    "B1" the_program_has_the_standard_descriptors_and_no_others;
    "B1" a_descriptor_beside_those_that_are_passed_on_is_closed;
    "B2" no_descriptor_of_the_runtime_is_a_working_directory;
    "B2" a_working_directory_that_is_gone_or_elsewhere_is_refused_or_inside;
    "B3" the_program_of_the_runtime_cannot_be_written_through_proc;
    "B3" the_program_of_the_runtime_is_a_sealed_copy [Own("init is a sealed memfd"), Levels(&["privileged", "baseline", "restricted"])];
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

fn the_program_has_the_standard_descriptors_and_no_others(s: &Scene) -> Result<Verdict> {
    let _leaked = leaked(s)?;
    let bundle = s.bundle()?;
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(format!("/proc/{}/fd", seen.pid))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let target = std::fs::read_link(entry.path())?;
            holds!(["0", "1", "2"].contains(&&*name), "{way}: descriptor {name} is {}", target.display());
            numbers.push(name);
        }
        ensure!(numbers.len() == 3, "{way}: descriptors {numbers:?}");
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

fn no_descriptor_of_the_runtime_is_a_working_directory(s: &Scene) -> Result<Verdict> {
    let _leaked = leaked(s)?;
    let script = "pwd -P | sed 's/^/CWD /'; cat ./secret ../secret dir/file; for d in .. ../.. ../../.. ../../../..; do ls $d/.probe \
        || ls $d/outside; done";
    let script = format!("{{ {script}; }} 2> /dev/null; true");
    let wrong = |stdout: &str| stdout.contains(MARK) || stdout.contains("secret") || stdout.contains("CWD (");
    let mut benign = s.scripted(&script)?;
    benign.set("/process/cwd", json!("/tmp"));
    s.twin(&benign)?;
    let container = s.sleeping(&s.bundle()?)?;
    let (mut refused, mut ran, mut message) = (0, 0, String::new());
    for fd in (3..16).chain([20]) {
        let mut bundle = s.scripted(&script)?;
        let direct = format!("/proc/self/fd/{fd}");
        symlink(&direct, bundle.rootfs().join("link"))?;
        // By its own path and by a link in the image, in turn.
        let cwd = if fd % 2 == 0 { "/link" } else { &*direct };
        bundle.set("/process/cwd", json!(cwd));
        let init = s.attack(&bundle)?;
        let exec = s.exec_script(&container, &["--cwd", &direct], &script)?;
        for (what, attack) in [("run", init), ("exec", exec)] {
            if attack.ran {
                holds!(!wrong(&attack.output.stdout), "{what} in descriptor {fd}: {}", attack.output.stdout);
                ran += 1;
            } else {
                ensure!(attack.output.code != 0, "{what} neither ran nor failed: {}", attack.output);
                (refused, message) = (refused + 1, attack.message());
            }
        }
        std::fs::remove_dir_all(&bundle.dir)?;
    }
    Ok(if ran == 0 { Verdict::Refused(message) } else { Verdict::Safe(format!("{ran} inside, {refused} refused")) })
}

fn a_working_directory_that_is_gone_or_elsewhere_is_refused_or_inside(s: &Scene) -> Result<Verdict> {
    let (outside, host) = (s.outside.path("dir").display().to_string(), volume(s, "volume")?.display().to_string());
    let magic = format!("/proc/1/root{outside}");
    let climbing = format!("/tmp/../../../../../../../..{outside}");
    let places =
        ["/proc/self/cwd", "/proc/1/cwd", "/proc/1/root", &outside, &host, &magic, &climbing, "/cwd", "/deleted"];
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
        symlink("/proc/1/cwd", bundle.rootfs().join("cwd"))?;
        symlink("/proc/self/fd/0/deleted", bundle.rootfs().join("deleted"))?;
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

/// The descriptor of the program that a container's first process is before `start`.
fn program(s: &Scene) -> Result<(OwnedFd, bool)> {
    let created = match s.create(&s.bundle()?)? {
        Creation::Made(created) => created,
        Creation::Refused(attack) => bail!("it was refused: {}", attack.output),
    };
    let path = format!("/proc/{}/exe", created.pid);
    let exe = openat(CWD, &*path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).context("open its exe")?;
    let hosts = same_file(Path::new(&path), &s.ground.runtime.path)?;
    created.end()?;
    Ok((exe, hosts))
}

fn the_program_of_the_runtime_cannot_be_written_through_proc(s: &Scene) -> Result<Verdict> {
    let (exe, hosts) = program(s)?;
    if fstatvfs(&exe)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(Verdict::Safe("on a read-only mount".to_owned()));
    }
    // Nothing is written. A sealed memfd can be opened for writing all the same; it is the seal that counts.
    let path = format!("/proc/self/fd/{}", exe.as_raw_fd());
    let opened = openat(CWD, &*path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    match opened {
        Err(Errno::ROFS | Errno::PERM | Errno::ACCESS) => {
            Ok(Verdict::Safe("it cannot be opened for writing".to_owned()))
        }
        Err(Errno::TXTBSY) if hosts => Ok(Verdict::Unsafe("it is the runtime's file, and only busy".to_owned())),
        Err(error) => bail!("open for writing: {error}"),
        Ok(writable) => {
            let seals = fcntl_get_seals(&writable).unwrap_or(SealFlags::empty());
            holds!(
                seals.contains(SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW),
                "it can be written: {seals:?}"
            );
            Ok(Verdict::Safe("a sealed copy".to_owned()))
        }
    }
}

fn the_program_of_the_runtime_is_a_sealed_copy(s: &Scene) -> Result<Verdict> {
    let (exe, hosts) = program(s)?;
    holds!(!hosts, "it is the file of the runtime");
    let wanted = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    let seals = fcntl_get_seals(&exe).unwrap_or(SealFlags::empty());
    holds!(seals.contains(wanted), "its seals are {seals:?}");
    Ok(Verdict::safe())
}
