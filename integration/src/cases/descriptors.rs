//! What is handed over to the program: descriptors, LISTEN_FDS, NOTIFY_SOCKET, the pidfd socket.

use crate::case::{Container, Ground, same};
use crate::cases::terminal::receive;
use crate::host;
use crate::process::{DEADLINE, Running, eventually, readable_within};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;

crate::cases! {
    only_the_standard_descriptors_are_open;
    descriptors_the_caller_leaked_are_closed;
    preserved_descriptors_arrive_with_their_numbers;
    a_preserved_descriptor_that_is_not_open_is_refused;
    a_gap_among_the_preserved_descriptors_is_refused [CasemateOnly("a gap is not filled with descriptors of its own")];
    listen_fds_are_passed_with_pid_1;
    listen_fds_of_another_pid_are_ignored [Differs("LISTEN_PID is compared with the caller's")];
    listen_fds_and_preserved_fds_add_up;
    exec_and_run_see_the_same_descriptors;
    a_closed_standard_input_becomes_dev_null [Differs("a closed standard stream becomes /dev/null")];
    readiness_is_forwarded_to_the_notify_socket;
    the_container_cannot_put_files_beside_the_notify_socket [Differs("its directory is mounted read-only")];
    a_service_that_is_never_ready_can_be_deleted [Differs("the lock is given back before the wait")];
    the_pidfd_of_init_is_sent [Differs("--pidfd-socket")];
    the_pidfd_of_an_exec_is_sent [Differs("--pidfd-socket")];
}

fn numbers(seen: &Value) -> Result<Vec<String>> {
    Ok(seen["descriptors"].as_object().context("descriptors")?.keys().cloned().collect())
}

/// Runs the probe through a shell: `before` comes before the command, `flags` after `run`, `after` are redirections.
fn run_probe(g: &Ground, before: &str, flags: &str, after: &str) -> Result<Value> {
    let mut bundle = g.bundle()?;
    bundle.args(&["/bin/probe"]).write()?;
    std::fs::write(g.dir.join("one"), "one")?;
    let script = format!("{before} exec $R run {flags} --bundle {} {} {after}", bundle.dir.display(), g.id());
    g.shell(&script)?.success()?.json()
}

fn only_the_standard_descriptors_are_open(g: &Ground) -> Result<()> {
    let seen = g.probe(&g.bundle()?)?;
    same("descriptors", numbers(&seen)?, vec!["0", "1", "2"])
}

fn descriptors_the_caller_leaked_are_closed(g: &Ground) -> Result<()> {
    let seen = run_probe(g, "", "", "3< / 4< /etc 9< /proc")?;
    same("descriptors", numbers(&seen)?, vec!["0", "1", "2"])
}

fn preserved_descriptors_arrive_with_their_numbers(g: &Ground) -> Result<()> {
    let seen = run_probe(g, "", "--preserve-fds 2", "3< $OUT/one 4< /dev/null 5< /etc")?;
    same("descriptors", numbers(&seen)?, vec!["0", "1", "2", "3", "4"])?;
    ensure!(seen["descriptors"]["3"].as_str().is_some_and(|path| path.ends_with("/one")), "{}", seen["descriptors"]);
    Ok(())
}

fn a_preserved_descriptor_that_is_not_open_is_refused(g: &Ground) -> Result<()> {
    let bundle = g.bundle()?;
    bundle.write()?;
    let script = format!("exec $R run --preserve-fds 30 --bundle {} {}", bundle.dir.display(), g.id());
    g.shell(&script)?.refused("").map(drop)
}

fn a_gap_among_the_preserved_descriptors_is_refused(g: &Ground) -> Result<()> {
    let bundle = g.bundle()?;
    bundle.write()?;
    // run has a descriptor of its own for signals, which must not get the number that is missing.
    for command in ["run", "run --detach", "create"] {
        let (dir, id) = (bundle.dir.display(), g.id());
        let script = format!("exec $R {command} --preserve-fds 3 --bundle {dir} {id} 3< /dev/null 5< /dev/null");
        g.shell(&script)?.refused("file descriptor 4: it is not open")?;
    }
    let c = g.sleeping(&g.bundle()?)?;
    let script = format!("exec $R exec --preserve-fds 3 {} /bin/true 3< /dev/null 5< /dev/null", c.id);
    g.shell(&script)?.refused("file descriptor 4: it is not open").map(drop)
}

fn listen_fds_are_passed_with_pid_1(g: &Ground) -> Result<()> {
    let seen = run_probe(g, "export LISTEN_FDS=1 LISTEN_PID=$$;", "", "3< $OUT/one 4< /etc")?;
    same("descriptors", numbers(&seen)?, vec!["0", "1", "2", "3"])?;
    let env = seen["env"].to_string();
    ensure!(env.contains("LISTEN_FDS=1") && env.contains("LISTEN_PID=1\""), "{env}");
    Ok(())
}

fn listen_fds_of_another_pid_are_ignored(g: &Ground) -> Result<()> {
    let seen = run_probe(g, "export LISTEN_FDS=1 LISTEN_PID=1;", "", "3< $OUT/one")?;
    same("descriptors", numbers(&seen)?, vec!["0", "1", "2"])?;
    ensure!(!seen["env"].to_string().contains("LISTEN_FDS"), "{}", seen["env"]);
    Ok(())
}

fn listen_fds_and_preserved_fds_add_up(g: &Ground) -> Result<()> {
    let seen = run_probe(g, "export LISTEN_FDS=1 LISTEN_PID=$$;", "--preserve-fds 1", "3< $OUT/one 4< /dev/null")?;
    same("descriptors", numbers(&seen)?, vec!["0", "1", "2", "3", "4"])
}

fn exec_and_run_see_the_same_descriptors(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    same("descriptors", numbers(&c.exec_probe(&[])?)?, numbers(&g.probe(&g.bundle()?)?)?)
}

fn a_closed_standard_input_becomes_dev_null(g: &Ground) -> Result<()> {
    let seen = run_probe(g, "", "", "<&-")?;
    for fd in numbers(&seen)? {
        ensure!(["0", "1", "2"].contains(&fd.as_str()), "descriptor {fd}: {}", seen["descriptors"]);
    }
    let first = seen["descriptors"]["0"].as_str().unwrap_or("/dev/null");
    ensure!(first == "/dev/null", "descriptor 0 is {first}");
    Ok(())
}

fn readiness_is_forwarded_to_the_notify_socket(g: &Ground) -> Result<()> {
    let path = g.dir.join("notify");
    let socket = UnixDatagram::bind(&path)?;
    let mut bundle = g.bundle()?;
    // busybox has no client for datagram sockets: the message is sent from outside, to the socket inside.
    bundle.args(&["/bin/sleep", "1000"]);
    let c = g.container(&bundle);
    let mut create = c.create_command(&[])?;
    create.env("NOTIFY_SOCKET", &path);
    g.recorder.run(create)?.success()?;
    let mut start = c.command("start", &[]);
    start.env("NOTIFY_SOCKET", &path);
    let starting = g.recorder.start(start, None)?;
    let inside = format!("/proc/{}/root/run/notify/notify.sock", c.pid()?);
    eventually("the notify socket is in the container", || Ok(std::path::Path::new(&inside).exists().then_some(())))?;
    c.wait_for_program()?;
    for message in ["STATUS=starting\n", "READY=1\n"] {
        UnixDatagram::unbound()?.send_to(message.as_bytes(), &inside)?;
    }
    // Read before start has ended: it may wait until its barrier, a descriptor that is dropped here, is closed.
    let mut received = String::new();
    while !received.contains("MAINPID=") || !received.contains("READY=1") {
        ensure!(readable_within(&socket, DEADLINE)?, "only received: {received}");
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer)?;
        received.push_str(&String::from_utf8_lossy(&buffer[..length]));
        received.push('\n');
    }
    let drain = std::thread::spawn(move || -> std::io::Result<()> {
        socket.set_read_timeout(Some(std::time::Duration::from_millis(200)))?;
        while socket.recv(&mut [0; 512]).is_ok() {}
        Ok(())
    });
    starting.wait(DEADLINE)?.success()?;
    drain.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    ensure!(received.contains("READY=1") && received.contains(&format!("MAINPID={}", c.pid()?)), "{received}");
    ensure!(!received.contains("STATUS="), "forwarded more than readiness: {received}");
    Ok(())
}

/// A service that runs, and the `start` that waits for it to be ready.
fn unready<'a>(g: &'a Ground, path: &Path) -> Result<(Container<'a>, Running)> {
    let mut bundle = g.bundle()?;
    bundle.args(&["/bin/sleep", "1000"]);
    let c = g.container(&bundle);
    let mut create = c.create_command(&[])?;
    create.env("NOTIFY_SOCKET", path);
    g.recorder.run(create)?.success()?;
    let mut start = c.command("start", &[]);
    start.env("NOTIFY_SOCKET", path);
    let starting = g.recorder.start(start, None)?;
    c.wait_for_program()?;
    Ok((c, starting))
}

fn the_container_cannot_put_files_beside_the_notify_socket(g: &Ground) -> Result<()> {
    let path = g.dir.join("notify");
    let _socket = UnixDatagram::bind(&path)?;
    let (c, starting) = unready(g, &path)?;
    let inside = format!("/proc/{}/root/run/notify", c.pid()?);
    let made = std::fs::create_dir(Path::new(&inside).join("made"));
    ensure!(made.is_err(), "the container can write into the state directory");
    c.kill("KILL")?.success()?;
    starting.wait(DEADLINE)?;
    Ok(())
}

fn a_service_that_is_never_ready_can_be_deleted(g: &Ground) -> Result<()> {
    let path = g.dir.join("notify");
    let _socket = UnixDatagram::bind(&path)?;
    let (c, starting) = unready(g, &path)?;
    c.call("delete", &["--force"])?.success()?;
    starting.wait(DEADLINE)?;
    Ok(())
}

fn pidfd_target(fd: &std::os::fd::OwnedFd) -> Result<String> {
    use std::os::fd::AsRawFd;
    let info = host::read(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()).as_ref())?;
    let line = info.lines().find_map(|line| line.strip_prefix("Pid:")).context("not a pidfd")?;
    Ok(line.trim().to_owned())
}

fn the_pidfd_of_init_is_sent(g: &Ground) -> Result<()> {
    let path = g.dir.join("pidfd.sock");
    let listener = UnixListener::bind(&path)?;
    let c = g.container(&g.bundle()?);
    c.create(&["--pidfd-socket", &path.to_string_lossy()])?.success()?;
    let (fd, _) = receive(&listener)?;
    same("pidfd", pidfd_target(&fd)?, c.pid()?.to_string())
}

fn the_pidfd_of_an_exec_is_sent(g: &Ground) -> Result<()> {
    let path = g.dir.join("pidfd.sock");
    let listener = UnixListener::bind(&path)?;
    let c = g.sleeping(&g.bundle()?)?;
    let file = g.dir.join("pid");
    let flags = ["--detach", "--pid-file", &file.to_string_lossy(), "--pidfd-socket", &path.to_string_lossy()];
    c.exec(&flags, &["/bin/sleep", "2000"])?.success()?;
    let (fd, _) = receive(&listener)?;
    same("pidfd", pidfd_target(&fd)?, std::fs::read_to_string(&file)?)
}
