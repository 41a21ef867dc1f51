//! Seccomp profiles about the last calls of init itself: `execve` and `exit_group`.

use crate::bundle::{Bundle, capabilities};
use crate::case::{Ground, same};
use crate::cases::terminal::receive;
use crate::process::{DEADLINE, readable_within};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

crate::cases! {
    a_profile_of_execve_and_exit_lets_a_program_run [CasemateOnly("the filter is loaded last")];
    a_program_that_cannot_be_run_is_told_without_exit_group [CasemateOnly("the filter is loaded last")];
    an_execve_is_notified_and_continued [CasemateOnly("the filter is loaded last")];
}

/// A static x86-64 program of one page that makes one call: `exit(42)`, and has no need of another.
#[rustfmt::skip]
const EXIT_42: [u8; 132] = [
    // ELF header: 64 bits, little endian, executable, x86-64, entry 0x400078, program headers at 64.
    0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    2, 0, 62, 0, 1, 0, 0, 0, 0x78, 0, 0x40, 0, 0, 0, 0, 0,
    64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0,
    // One segment: the whole file, readable and executable, at 0x400000.
    1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0,
    132, 0, 0, 0, 0, 0, 0, 0, 132, 0, 0, 0, 0, 0, 0, 0,
    0, 0x10, 0, 0, 0, 0, 0, 0,
    // mov edi, 42; mov eax, 60; syscall
    0xbf, 42, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05,
];

fn executable(bundle: &Bundle, name: &str, content: &[u8]) -> Result<()> {
    let path = bundle.rootfs().join(name);
    std::fs::write(&path, content)?;
    Ok(std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))?)
}

fn profile(default: &str, names: &[&str], action: &str) -> Value {
    json!({"defaultAction": default, "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": names, "action": action}]})
}

fn a_profile_of_execve_and_exit_lets_a_program_run(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    executable(&bundle, "exit42", &EXIT_42)?;
    bundle.args(&["/exit42"]).set("/process/capabilities", capabilities(&[]));
    let names = ["execve", "exit", "exit_group"];
    bundle.set("/linux/seccomp", profile("SCMP_ACT_ERRNO", &names, "SCMP_ACT_ALLOW"));
    for uid in [0, 1000] {
        for no_new_privileges in [false, true] {
            bundle.set("/process/user", json!({"uid": uid, "gid": uid}));
            bundle.set("/process/noNewPrivileges", json!(no_new_privileges));
            let output = g.run(&bundle)?.exits(42);
            output.with_context(|| format!("uid {uid}, noNewPrivileges {no_new_privileges}"))?;
        }
    }
    Ok(())
}

fn a_program_that_cannot_be_run_is_told_without_exit_group(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    executable(&bundle, "script", b"#!/nope\n")?;
    executable(&bundle, "exit42", &EXIT_42)?;
    for action in ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD"] {
        bundle.set("/linux/seccomp", profile("SCMP_ACT_ALLOW", &["exit_group"], action));
        g.run(bundle.args(&["/exit42"]))?.exits(42)?;
        let c = g.container(bundle.args(&["/script"]));
        c.run(&[])?.exits(1)?.refused("no such file or directory")?;
        same("processes", g.host.cgroup_processes(bundle.cgroups_path()), Vec::<i32>::new())?;
        c.call("state", &[])?.refused("does not exist")?;
    }
    Ok(())
}

/// Receives one notification (seccomp_unotify(2)), lets the call go on, and gives the pid it came from.
fn let_go_on(listener: &OwnedFd) -> Result<u64> {
    const RECEIVE: libc::c_ulong = 0xc050_2100;
    const SEND: libc::c_ulong = 0xc018_2101;
    const CONTINUE: u64 = 1;
    ensure!(readable_within(listener, DEADLINE)?, "no notification");
    // struct seccomp_notif: id; pid and flags; struct seccomp_data. struct seccomp_notif_resp: id; val; error and flags.
    let mut notification = [0u64; 10];
    // SAFETY: the kernel writes a struct seccomp_notif of 80 bytes into the live array of 80 bytes.
    #[allow(unsafe_code)]
    let received = unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, notification.as_mut_ptr()) };
    ensure!(received == 0, "receive: {}", std::io::Error::last_os_error());
    let answer = [notification[0], 0, CONTINUE << 32];
    // SAFETY: the kernel reads a struct seccomp_notif_resp of 24 bytes from the live array of 24 bytes.
    #[allow(unsafe_code)]
    let sent = unsafe { libc::ioctl(listener.as_raw_fd(), SEND, answer.as_ptr()) };
    ensure!(sent == 0, "send: {}", std::io::Error::last_os_error());
    Ok(notification[1] & u64::from(u32::MAX))
}

/// Takes the listener of one process, lets its execve go on, and compares the pids of both messages.
fn agent(socket: &UnixListener) -> Result<OwnedFd> {
    let (listener, text) = receive(socket)?;
    let state: Value = serde_json::from_str(&text)?;
    same("pid", state["pid"].as_u64(), Some(let_go_on(&listener)?))?;
    Ok(listener)
}

fn an_execve_is_notified_and_continued(g: &Ground) -> Result<()> {
    let path = g.dir.join("seccomp.sock");
    let socket = UnixListener::bind(&path)?;
    let mut notifying = profile("SCMP_ACT_ALLOW", &["execve"], "SCMP_ACT_NOTIFY");
    notifying["listenerPath"] = json!(path);
    let mut bundle = g.bundle()?;
    let c = g.container(bundle.set("/linux/seccomp", notifying).args(&["/bin/sleep", "1000"]));
    c.create(&[])?.success()?;
    let start = g.recorder.start(c.command("start", &[]), None)?;
    let first = agent(&socket)?;
    start.wait(DEADLINE)?.success()?;
    c.wait_for_program()?;
    let exec = g.recorder.start(g.command(&["exec", &c.id, "/bin/busybox", "echo", "ran"]), None)?;
    let second = agent(&socket)?;
    same("output", exec.wait(DEADLINE)?.success()?.stdout.as_str(), "ran\n")?;
    drop((first, second));
    Ok(())
}
