//! What the caller hands over, and names relative to its working directory.

use crate::bundle::Bundle;
use crate::case::{Container, Ground, same};
use crate::cases::terminal::receive;
use crate::host;
use anyhow::{Result, ensure};
use serde_json::json;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;

crate::cases! {
    a_relative_pid_file_is_the_callers;
    a_relative_log_is_the_callers;
    a_relative_console_socket_is_the_callers [Differs("sockets are relative to the caller's directory")];
    a_relative_pidfd_socket_is_the_callers [Differs("sockets are relative to the caller's directory")];
    a_host_file_on_stdin_keeps_its_owner [Differs("only what cannot be opened by name is given away")];
    a_terminal_of_the_host_keeps_its_owner [Differs("only what cannot be opened by name is given away")];
    a_pipe_on_a_stream_can_be_opened_by_the_user;
    closed_standard_streams_become_dev_null [Differs("a closed standard stream becomes /dev/null")];
}

/// A container that sleeps, not yet created, and its bundle on disk.
fn sleeper<'a>(g: &'a Ground, bundle: &mut Bundle) -> Container<'a> {
    g.container(bundle.args(&["/bin/sleep", "1000"]))
}

fn a_relative_pid_file_is_the_callers(g: &Ground) -> Result<()> {
    let c = sleeper(g, &mut g.bundle()?);
    c.create(&["--pid-file", "pid-of-init"])?.success()?;
    same("pid", host::read(&g.dir.join("pid-of-init"))?, c.pid()?.to_string())?;
    ensure!(!c.bundle.dir.join("pid-of-init").exists(), "it is in the bundle");
    c.start()?.success()?;
    c.exec(&["--detach", "--pid-file", "pid-of-exec"], &["/bin/sleep", "1000"])?.success()?;
    let pid: i32 = host::read(&g.dir.join("pid-of-exec"))?.parse()?;
    ensure!(host::is_alive(pid) && pid != c.pid()?, "pid {pid}");
    let mut bundle = g.bundle()?;
    g.container(bundle.args(&["/bin/true"])).run(&["--pid-file", "pid-of-run"])?.success()?;
    ensure!(g.dir.join("pid-of-run").is_file(), "no pid file of run");
    Ok(())
}

fn a_relative_log_is_the_callers(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let id = g.id();
    let dir = bundle.dir.to_string_lossy().into_owned();
    bundle.args(&["/nosuch"]).write()?;
    g.call(&["--log", "log", "create", "--bundle", &dir, &id])?.exits(1)?;
    ensure!(host::read(&g.dir.join("log"))?.contains("/nosuch"), "another log");
    ensure!(!bundle.dir.join("log").exists(), "it is in the bundle");
    Ok(())
}

fn a_relative_console_socket_is_the_callers(g: &Ground) -> Result<()> {
    let listener = UnixListener::bind(g.dir.join("console"))?;
    let mut bundle = g.bundle()?;
    let c = sleeper(g, bundle.set("/process/terminal", json!(true)));
    c.create(&["--console-socket", "console"])?.success()?;
    let (master, _) = receive(&listener)?;
    ensure!(rustix::termios::isatty(&master), "not a terminal");
    Ok(())
}

fn a_relative_pidfd_socket_is_the_callers(g: &Ground) -> Result<()> {
    let listener = UnixListener::bind(g.dir.join("pidfd"))?;
    let c = sleeper(g, &mut g.bundle()?);
    c.create(&["--pidfd-socket", "pidfd"])?.success()?;
    receive(&listener).map(drop)
}

/// A bundle of uid 1000 that runs `script`.
fn of_alice(g: &Ground, script: &str) -> Result<Bundle> {
    let mut bundle = g.bundle()?;
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000})).sh(script).write()?;
    Ok(bundle)
}

fn a_host_file_on_stdin_keeps_its_owner(g: &Ground) -> Result<()> {
    let file = g.dir.join("file");
    std::fs::write(&file, "of root\n")?;
    let bundle = of_alice(g, "cat; echo EVIL > /proc/self/fd/0")?;
    let output = g.shell(&format!("$R run --bundle {} {} < $OUT/file", bundle.dir.display(), g.id()))?;
    ensure!(output.code != 0 && output.says("ermission denied"), "{output}");
    same("read", output.stdout.as_str(), "of root\n")?;
    same("owner", std::fs::metadata(&file)?.uid(), 0)?;
    same("content", std::fs::read_to_string(&file)?.as_str(), "of root\n")?;
    // As standard output: what the open descriptor allows, and no more.
    let bundle = of_alice(g, "echo allowed; echo EVIL > /proc/self/fd/1")?;
    let output = g.shell(&format!("$R run --bundle {} {} > $OUT/file", bundle.dir.display(), g.id()))?;
    ensure!(output.code != 0 && output.says("ermission denied"), "{output}");
    same("owner", std::fs::metadata(&file)?.uid(), 0)?;
    same("content", std::fs::read_to_string(&file)?.as_str(), "allowed\n")
}

fn a_terminal_of_the_host_keeps_its_owner(g: &Ground) -> Result<()> {
    let bundle = of_alice(g, "echo allowed")?;
    let run = format!("$R run --bundle {} {}", bundle.dir.display(), g.id());
    let output = g.shell(&format!("exec script -qec '{run}; stat -c \"owner %u\" $(tty)' /dev/null"))?.success()?;
    ensure!(output.stdout.contains("allowed") && output.stdout.contains("owner 0"), "{output}");
    Ok(())
}

fn a_pipe_on_a_stream_can_be_opened_by_the_user(g: &Ground) -> Result<()> {
    let bundle = of_alice(g, "echo out > /proc/self/fd/1 && echo err > /proc/self/fd/2")?;
    let script = format!("(($R run --bundle {} {}; echo rc $?) | cat) 2>&1 | cat", bundle.dir.display(), g.id());
    let output = g.shell(&format!("({script}) 2>&1 | cat"))?.success()?;
    ensure!(output.stdout.contains("out\n") && output.stdout.contains("err\n"), "{output}");
    ensure!(output.stdout.contains("rc 0"), "{output}");
    Ok(())
}

fn closed_standard_streams_become_dev_null(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.args(&["/bin/probe"]).write()?;
    let run = |redirections: &str| -> Result<serde_json::Value> {
        let script = format!("exec $R run --bundle {} {} {redirections}", bundle.dir.display(), g.id());
        Ok(g.shell(&script)?.success()?.json()?["descriptors"].clone())
    };
    let seen = run("<&- 2>&-")?;
    same("descriptors", seen.as_object().map(serde_json::Map::len), Some(3))?;
    same("0 and 2", (seen["0"].as_str(), seen["2"].as_str()), (Some("/dev/null"), Some("/dev/null")))?;
    let seen = run("< /etc/passwd")?;
    ensure!(seen["0"] != "/dev/null" && seen["2"] != "/dev/null", "{seen}");
    Ok(())
}
