//! Descriptors that a caller hands over or asks for, with lies about them.

use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::process::Output;
use crate::{holds, host};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

crate::checks! {
    "G7" a_false_count_of_descriptors_opens_nothing;
    "G8" a_console_socket_that_is_none_is_refused;
    "G8" a_console_socket_that_closes_or_is_not_read_leaves_nothing;
}

/// The descriptors the probe sees, with what they are.
fn descriptors(output: &Output) -> Result<Vec<(i32, String)>> {
    let seen: Value = output.json()?;
    let map = seen["descriptors"].as_object().context("no descriptors")?;
    map.iter().map(|(fd, to)| Ok((fd.parse()?, to.as_str().unwrap_or_default().to_owned()))).collect()
}

fn a_false_count_of_descriptors_opens_nothing(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.args(&["/bin/probe"]).write()?;
    let given = s.ground.dir.join("given");
    std::fs::write(&given, "given\n")?;
    let container = s.sleeping(&s.bundle()?)?;
    let run = |before: &str, flags: &str, after: &str| {
        let dir = bundle.dir.display().to_string();
        s.ground.shell(&format!("{before} exec $R run {flags} --bundle {dir} {} {after}", s.ground.id()))
    };
    let exec = |before: &str, flags: &str, after: &str| {
        s.ground.shell(&format!("{before} exec $R exec {flags} {} /bin/probe {after}", container.id))
    };
    let (one, gap) = (format!("3< {}", given.display()), format!("3< {0} 5< {0}", given.display()));
    let twin = run("", "--preserve-fds 1", &one)?.success()?;
    anyhow::ensure!(descriptors(&twin)?.iter().any(|(fd, to)| *fd == 3 && to.ends_with("given")), "{twin}");
    let pid = "export LISTEN_PID=$$;";
    for (before, flags, after) in [
        ("", "--preserve-fds 3", gap.as_str()),
        ("", "--preserve-fds 40", &one),
        ("", "--preserve-fds 1000000", &one),
        ("", "--preserve-fds 4294967296", &one),
        ("", "--preserve-fds 4294967295", &one),
        ("", "--preserve-fds=-1", &one),
        ("", "--preserve-fds=-2147483648", &one),
        ("", "--preserve-fds 0x3", &one),
        ("", "--preserve-fds 18446744073709551615", &one),
        (&format!("export LISTEN_FDS=40; {pid}"), "", &one),
        (&format!("export LISTEN_FDS=-1; {pid}"), "", &one),
        (&format!("export LISTEN_FDS=4294967297; {pid}"), "", &one),
        (&format!("export LISTEN_FDS=1000000; {pid}"), "--preserve-fds 1000000", &one),
    ] {
        for (command, call) in [("run", &run as &dyn Fn(&str, &str, &str) -> Result<Output>), ("exec", &exec)] {
            let what = format!("{command}: {before}{flags} {after}");
            let output = call(before, flags, after);
            let crashed = output.as_ref().is_ok_and(|output| output.code >= 128 && output.code != 255);
            holds!(output.is_ok() && !crashed, "{what}: hangs or crashes: {output:?}");
            let output = output?;
            if output.code != 0 {
                continue;
            }
            for (fd, to) in descriptors(&output)? {
                let fine = fd < 3 || to.ends_with("/given");
                holds!(fine, "{what}: the program has {fd} -> {to}");
            }
        }
    }
    Ok(Verdict::safe())
}

/// `create` with a terminal and this console socket.
fn with_console(s: &Scene, socket: &str) -> Result<Output> {
    let mut bundle = s.scripted("sleep 1000")?;
    bundle.set("/process/terminal", json!(true));
    let container = s.ground.container(&bundle);
    let output = container.create(&["--console-socket", socket]);
    let deleted = container.call("delete", &["--force"])?;
    anyhow::ensure!(deleted.code == 0, "{deleted}");
    std::fs::remove_dir_all(&bundle.dir)?;
    output
}

fn a_console_socket_that_is_none_is_refused(s: &Scene) -> Result<Verdict> {
    let at = |name: &str| s.ground.dir.join(name);
    let listener = UnixListener::bind(at("good"))?;
    with_console(s, &at("good").to_string_lossy())?.success().context("the benign twin")?;
    drop(listener);
    let datagram = UnixDatagram::bind(at("datagram"))?;
    std::os::unix::fs::symlink("nosuch", at("dangling"))?;
    s.host("mkfifo", &[&at("fifo").to_string_lossy()])?.success()?;
    let files: [PathBuf; 8] = [
        at("good"),
        at("datagram"),
        at("dangling"),
        at("fifo"),
        at("nosuch"),
        s.outside.path("file"),
        s.outside.path("dir"),
        "/dev/null".into(),
    ];
    for path in &files {
        let what = format!("console socket \"{}\"", path.display());
        if let Some(verdict) = s.must_refuse(&what, &with_console(s, &path.to_string_lossy()))? {
            return Ok(verdict);
        }
    }
    for text in ["", "@abstract", &"x".repeat(5000)] {
        if let Some(verdict) = s.must_refuse("console socket", &with_console(s, text))? {
            return Ok(verdict);
        }
    }
    drop(datagram);
    Ok(Verdict::Refused(format!("{} kinds", files.len() + 3)))
}

fn a_console_socket_that_closes_or_is_not_read_leaves_nothing(s: &Scene) -> Result<Verdict> {
    for what in ["nobody reads", "closes at once"] {
        let path = s.ground.dir.join(what.replace(' ', "-"));
        let listener = Arc::new(UnixListener::bind(&path)?);
        listener.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let closer = (what == "closes at once").then(|| {
            let (listener, stop) = (Arc::clone(&listener), Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    drop(listener.accept());
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            })
        });
        let before = std::fs::read_dir("/proc/self/fd")?.count();
        let mut results = Vec::new();
        for _ in 0..5 {
            results.push(with_console(s, &path.to_string_lossy()));
        }
        stop.store(true, Ordering::Relaxed);
        if let Some(closer) = closer {
            closer.join().map_err(|_| anyhow::anyhow!("the closer panicked"))?;
        }
        for output in &results {
            if let Some(verdict) = s.withstands(what, output)? {
                return Ok(verdict);
            }
        }
        let left = s.left()?;
        holds!(left.is_empty(), "{what}: left {}", left.join(", "));
        anyhow::ensure!(std::fs::read_dir("/proc/self/fd")?.count() <= before, "descriptors of the suite's own");
    }
    let alive = s.ground.host.cgroup_processes(&s.ground.cgroup);
    holds!(alive.iter().all(|pid| !host::is_alive(*pid)), "processes {alive:?}");
    Ok(Verdict::safe())
}
