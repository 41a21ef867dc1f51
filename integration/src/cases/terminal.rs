//! Terminals: the console socket, the size, /dev/console, and the refusals.

use crate::bundle::Bundle;
use crate::case::{Ground, same};
use crate::process::{DEADLINE, eventually, readable_within};
use anyhow::{Context, Result, ensure};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

crate::cases! {
    the_console_socket_receives_one_terminal_and_its_name;
    the_program_has_the_terminal_as_its_streams;
    the_terminal_has_the_size_of_the_configuration;
    the_terminal_can_be_typed_into;
    dev_console_is_the_terminal;
    the_terminal_belongs_to_the_containers_devpts;
    exec_with_a_terminal_uses_the_console_socket;
    exec_tty_in_the_foreground_needs_a_terminal_of_the_caller;
    create_with_a_terminal_and_no_console_socket_is_refused;
    create_with_a_console_socket_and_no_terminal_is_refused;
    a_console_socket_that_does_not_exist_is_refused;
    a_console_size_without_a_terminal_is_ignored;
    the_terminal_is_owned_by_the_user;
}

/// One descriptor and the text that came with it.
pub fn receive(listener: &UnixListener) -> Result<(OwnedFd, String)> {
    ensure!(readable_within(listener, DEADLINE)?, "nobody connected");
    let (stream, _) = listener.accept()?;
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 4096];
    ensure!(readable_within(&stream, DEADLINE)?, "nothing was sent");
    let received = recvmsg(&stream, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(list) = message {
            descriptors.extend(list);
        }
    }
    same("descriptors", descriptors.len(), 1)?;
    // conmon: at least one byte of data, fewer than 4096.
    ensure!((1..4096).contains(&received.bytes), "{} bytes of data", received.bytes);
    let text = String::from_utf8_lossy(&bytes[..received.bytes]).into_owned();
    Ok((descriptors.pop().context("no descriptor")?, text))
}

fn with_terminal(g: &Ground) -> Result<Bundle> {
    let mut bundle = g.bundle()?;
    bundle.set("/process/terminal", json!(true));
    Ok(bundle)
}

fn socket(g: &Ground) -> Result<(UnixListener, PathBuf)> {
    let path = g.dir.join("console.sock");
    Ok((UnixListener::bind(&path)?, path))
}

/// Creates and starts a container with a terminal, and gives the master's end.
fn started<'a>(g: &'a Ground, bundle: &Bundle) -> Result<(File, String, crate::case::Container<'a>)> {
    let (listener, path) = socket(g)?;
    let c = g.container(bundle);
    c.create(&["--console-socket", &path.to_string_lossy()])?.success()?;
    let (master, name) = receive(&listener)?;
    c.start()?.success()?;
    Ok((File::from(master), name, c))
}

/// Reads the terminal until `enough`, at most until the deadline. The end of a terminal is EIO.
fn read_until(master: &mut File, enough: impl Fn(&str) -> bool) -> Result<String> {
    let mut text = String::new();
    while !enough(&text) {
        ensure!(readable_within(master, DEADLINE)?, "only read: {text}");
        let mut bytes = [0; 4096];
        match master.read(&mut bytes) {
            Ok(0) => break,
            Ok(length) => text.push_str(&String::from_utf8_lossy(&bytes[..length])),
            Err(error) if error.raw_os_error() == Some(libc::EIO) => break,
            Err(error) => return Err(error).context("read the terminal"),
        }
    }
    Ok(text)
}

fn probe(g: &Ground, bundle: &mut Bundle) -> Result<Value> {
    let (mut master, _, _c) = started(g, bundle.args(&["/bin/probe"]))?;
    let text = read_until(&mut master, |text| serde_json::from_str::<Value>(text.trim()).is_ok())?;
    serde_json::from_str(text.trim()).with_context(|| format!("no JSON: {text}"))
}

fn the_console_socket_receives_one_terminal_and_its_name(g: &Ground) -> Result<()> {
    let (master, name, _c) = started(g, with_terminal(g)?.args(&["/bin/sleep", "1000"]))?;
    ensure!(rustix::termios::isatty(&master), "not a terminal");
    ensure!(!name.trim().is_empty(), "no name");
    Ok(())
}

fn the_program_has_the_terminal_as_its_streams(g: &Ground) -> Result<()> {
    let seen = probe(g, &mut with_terminal(g)?)?;
    for name in ["stdin", "stdout", "stderr", "controlling"] {
        same(name, seen["terminal"][name].as_bool(), Some(true))?;
    }
    same("session", seen["session"].as_i64(), Some(1))?;
    let numbers: Vec<&String> = seen["descriptors"].as_object().context("descriptors")?.keys().collect();
    same("descriptors", numbers, vec!["0", "1", "2"])
}

fn the_terminal_has_the_size_of_the_configuration(g: &Ground) -> Result<()> {
    let mut bundle = with_terminal(g)?;
    bundle.set("/process/consoleSize", json!({"height": 33, "width": 77}));
    same("rows and columns", probe(g, &mut bundle)?["terminal"]["size"].clone(), json!([33, 77]))
}

fn the_terminal_can_be_typed_into(g: &Ground) -> Result<()> {
    let mut bundle = with_terminal(g)?;
    bundle.sh("read line; echo \"got $line\"; exit 4");
    let (mut master, _, c) = started(g, &bundle)?;
    master.write_all(b"typed\n")?;
    ensure!(read_until(&mut master, |text| text.contains("got typed"))?.contains("got typed"), "no answer");
    c.wait_until("stopped")
}

fn dev_console_is_the_terminal(g: &Ground) -> Result<()> {
    let mut bundle = with_terminal(g)?;
    let seen = probe(g, &mut bundle)?;
    let console = seen["dev"]["console"]["device"].as_str().unwrap_or_default().to_owned();
    ensure!(console.starts_with("136:"), "/dev/console is {console}");
    same("standard input", seen["descriptors"]["0"].as_str().map(|path| path.starts_with("/dev/pts/")), Some(true))
}

fn the_terminal_belongs_to_the_containers_devpts(g: &Ground) -> Result<()> {
    let mut bundle = with_terminal(g)?;
    bundle.sh("tty; ls /dev/pts; echo end");
    let (mut master, _, _c) = started(g, &bundle)?;
    let text = read_until(&mut master, |text| text.contains("end"))?.replace('\r', "");
    ensure!(text.contains("/dev/pts/0") && text.contains("\n0"), "{text}");
    Ok(())
}

fn exec_with_a_terminal_uses_the_console_socket(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let (listener, path) = socket(g)?;
    c.exec(&["--tty", "--detach", "--console-socket", &path.to_string_lossy()], &["/bin/probe"])?.success()?;
    let (master, _) = receive(&listener)?;
    let mut master = File::from(master);
    let text = read_until(&mut master, |text| serde_json::from_str::<Value>(text.trim()).is_ok())?;
    let seen: Value = serde_json::from_str(text.trim())?;
    same("terminal", seen["terminal"]["controlling"].as_bool(), Some(true))
}

fn exec_tty_in_the_foreground_needs_a_terminal_of_the_caller(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    let command =
        format!("{} --root {} exec -t {} /bin/sh -c 'tty; exit 6'", g.runtime.path.display(), g.root.display(), c.id);
    // script(1) gives its child a terminal and hands on its exit code.
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).current_dir(&g.dir);
    let output = g.recorder.run(script)?.exits(6)?;
    ensure!(output.stdout.contains("/dev/pts/"), "{output}");
    Ok(())
}

fn create_with_a_terminal_and_no_console_socket_is_refused(g: &Ground) -> Result<()> {
    let output = g.container(&with_terminal(g)?).create(&[])?;
    output.refused("cannot allocate tty if ")?.refused(" will detach without setting console socket").map(drop)
}

fn create_with_a_console_socket_and_no_terminal_is_refused(g: &Ground) -> Result<()> {
    let (_listener, path) = socket(g)?;
    let output = g.container(&g.bundle()?).create(&["--console-socket", &path.to_string_lossy()])?;
    output.refused("cannot use console socket if ")?.refused(" will not detach or allocate tty").map(drop)
}

fn a_console_socket_that_does_not_exist_is_refused(g: &Ground) -> Result<()> {
    let output = g.container(&with_terminal(g)?).create(&["--console-socket", "/nosuch/socket"])?;
    output.refused("no such file or directory").map(drop)
}

fn a_console_size_without_a_terminal_is_ignored(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/process/consoleSize", json!({"height": 33, "width": 77}));
    g.run(&bundle)?.success().map(drop)
}

fn the_terminal_is_owned_by_the_user(g: &Ground) -> Result<()> {
    let mut bundle = with_terminal(g)?;
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000})).sh("stat -c %u /dev/pts/0; echo end");
    let (mut master, _, c) = started(g, &bundle)?;
    let text = read_until(&mut master, |text| text.contains("end"))?;
    ensure!(text.starts_with("1000"), "{text}");
    eventually("it ends", || Ok((c.status()? == "stopped").then_some(())))
}
