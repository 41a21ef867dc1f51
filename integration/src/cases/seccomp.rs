//! Seccomp: actions, arguments, architectures, flags, and the notify listener.

use crate::bundle::Bundle;
use crate::case::{Ground, same};
use crate::cases::terminal::receive;
use crate::host;
use crate::process::{DEADLINE, readable_within};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::os::unix::net::UnixListener;

crate::cases! {
    without_a_profile_there_is_no_filter;
    a_profile_is_a_filter_of_init_and_exec;
    errno_is_returned;
    errno_defaults_to_eperm;
    the_default_errno_of_the_profile_is_used;
    kill_process_ends_the_program;
    trap_raises_sigsys;
    arguments_are_compared;
    masked_comparison_is_made;
    names_unknown_to_the_kernel_are_skipped;
    a_syscall_newer_than_the_profile_is_enosys;
    an_allow_list_lets_a_program_run;
    a_profile_with_no_new_privs_is_applied;
    a_profile_without_no_new_privs_works_for_an_unprivileged_user;
    several_architectures_are_accepted;
    flags_are_accepted [Differs("filter flags are applied")];
    an_unknown_action_is_refused;
    an_unknown_operator_is_refused;
    an_unknown_architecture_is_refused;
    an_unknown_flag_is_refused;
    a_profile_that_denies_execve_is_explained [Differs("the error names the profile")];
    notify_as_the_default_action_is_refused;
    the_listener_receives_the_state_and_the_descriptor;
    a_missing_listener_is_refused;
    the_syscall_of_a_notified_process_waits_for_the_listener;
}

fn with(g: &Ground, profile: Value) -> Result<Bundle> {
    let mut bundle = g.bundle()?;
    bundle.set("/linux/seccomp", profile);
    Ok(bundle)
}

/// A profile that allows everything but these rules.
fn allow_but(rules: &Value) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": rules})
}

/// What the probe says to `probe try WORDS` under a profile.
fn attempt(g: &Ground, profile: Value, words: &[&str]) -> Result<String> {
    let mut bundle = with(g, profile)?;
    bundle.args(&[&["/bin/probe", "try"], words].concat());
    Ok(g.run(&bundle)?.success()?.stdout.trim().to_owned())
}

fn without_a_profile_there_is_no_filter(g: &Ground) -> Result<()> {
    same("mode", host::status(g.sleeping(&g.bundle()?)?.pid()?, "Seccomp")?.as_str(), "0")
}

fn a_profile_is_a_filter_of_init_and_exec(g: &Ground) -> Result<()> {
    let rules = json!([{"names": ["sysinfo"], "action": "SCMP_ACT_ERRNO"}]);
    let c = g.sleeping(&with(g, allow_but(&rules))?)?;
    same("mode of init", host::status(c.pid()?, "Seccomp")?.as_str(), "2")?;
    same("mode of exec", c.exec_probe(&[])?["status"]["Seccomp"].as_str(), Some("2"))?;
    let filters = host::status(c.pid()?, "Seccomp_filters")?;
    ensure!(filters.parse::<u32>()? >= 1, "{filters} filters");
    same(
        "exec",
        c.exec(&[], &["/bin/probe", "try", "sysinfo"])?.success()?.stdout.trim(),
        "Operation not permitted (os error 1)",
    )
}

fn errno_is_returned(g: &Ground) -> Result<()> {
    let rules = json!([{"names": ["sysinfo"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]);
    same("denied", attempt(g, allow_but(&rules), &["sysinfo"])?.as_str(), "No space left on device (os error 28)")?;
    same("another", attempt(g, allow_but(&rules), &["mkdir", "/x"])?.as_str(), "ok")
}

fn errno_defaults_to_eperm(g: &Ground) -> Result<()> {
    let rules = json!([{"names": ["sysinfo"], "action": "SCMP_ACT_ERRNO"}]);
    same("denied", attempt(g, allow_but(&rules), &["sysinfo"])?.as_str(), "Operation not permitted (os error 1)")
}

/// Every syscall the probe, busybox and the last steps of a runtime need.
fn allow_list() -> Value {
    let names = "access arch_prctl brk capget capset chdir clone clone3 close close_range dup dup2 dup3 epoll_create1 \
        epoll_ctl epoll_pwait eventfd2 execve execveat exit exit_group faccessat faccessat2 fchdir fchmod fchown fcntl \
        fstat fstatfs fsync futex getcwd getdents64 getegid geteuid getgid getpgrp getpid getppid getrandom getrlimit \
        getsid getsockopt gettid getuid ioctl keyctl lseek lstat madvise mkdir mkdirat mmap mprotect mremap munmap \
        nanosleep clock_nanosleep newfstatat open openat openat2 pipe pipe2 poll ppoll prctl pread64 prlimit64 pwrite64 \
        read readlink readlinkat readv recvfrom recvmsg rseq rt_sigaction rt_sigprocmask rt_sigreturn sched_getaffinity \
        sched_yield seccomp select sendmsg sendto set_robust_list set_tid_address setgid setgroups setpgid setsid \
        setuid sigaltstack socketpair stat statfs statx tgkill umask uname unlink unlinkat wait4 write writev";
    json!(names.split_whitespace().collect::<Vec<_>>())
}

fn listed(errno: Option<u32>) -> Value {
    let mut profile = json!({"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": allow_list(), "action": "SCMP_ACT_ALLOW"}]});
    if let Some(errno) = errno {
        profile["defaultErrnoRet"] = json!(errno);
    }
    profile
}

fn the_default_errno_of_the_profile_is_used(g: &Ground) -> Result<()> {
    same(
        "denied",
        attempt(g, listed(Some(28)), &["personality", "0"])?.as_str(),
        "No space left on device (os error 28)",
    )
}

fn an_allow_list_lets_a_program_run(g: &Ground) -> Result<()> {
    same("denied", attempt(g, listed(None), &["personality", "0"])?.as_str(), "Operation not permitted (os error 1)")?;
    let seen = g.probe(&with(g, listed(None))?)?;
    same("mode", seen["status"]["Seccomp"].as_str(), Some("2"))
}

fn kill_process_ends_the_program(g: &Ground) -> Result<()> {
    for action in ["SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD"] {
        let mut bundle = with(g, allow_but(&json!([{"names": ["sysinfo"], "action": action}])))?;
        g.run(bundle.args(&["/bin/probe", "try", "sysinfo"]))?.exits(159)?;
        g.run(bundle.args(&["/bin/probe", "try", "mkdir", "/x"]))?.success()?;
    }
    Ok(())
}

fn trap_raises_sigsys(g: &Ground) -> Result<()> {
    let mut bundle = with(g, allow_but(&json!([{"names": ["sysinfo"], "action": "SCMP_ACT_TRAP"}])))?;
    g.run(bundle.args(&["/bin/probe", "try", "sysinfo"]))?.exits(159).map(drop)
}

fn personality_rule(op: &str, value: u64, value_two: u64) -> Value {
    let args = json!([{"index": 0, "value": value, "valueTwo": value_two, "op": op}]);
    allow_but(&json!([{"names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28, "args": args}]))
}

fn arguments_are_compared(g: &Ground) -> Result<()> {
    for (op, value, denied, allowed) in [
        ("SCMP_CMP_EQ", 8, "8", "0"),
        ("SCMP_CMP_NE", 0, "8", "0"),
        ("SCMP_CMP_GT", 4, "8", "0"),
        ("SCMP_CMP_GE", 8, "8", "0"),
        ("SCMP_CMP_LT", 4, "0", "8"),
        ("SCMP_CMP_LE", 0, "0", "8"),
    ] {
        let answer = |argument: &str| attempt(g, personality_rule(op, value, 0), &["personality", argument]);
        ensure!(answer(denied)?.contains("os error 28"), "{op}: {denied} is allowed");
        same(op, answer(allowed)?.as_str(), "ok")?;
    }
    Ok(())
}

fn masked_comparison_is_made(g: &Ground) -> Result<()> {
    let profile = personality_rule("SCMP_CMP_MASKED_EQ", 8, 8);
    ensure!(attempt(g, profile.clone(), &["personality", "8"])?.contains("os error 28"), "8 & 8 == 8 is allowed");
    same("0 & 8", attempt(g, profile, &["personality", "0"])?.as_str(), "ok")
}

fn names_unknown_to_the_kernel_are_skipped(g: &Ground) -> Result<()> {
    let rules = json!([{"names": ["nosuchsyscall", "sysinfo"], "action": "SCMP_ACT_ERRNO"}]);
    ensure!(attempt(g, allow_but(&rules), &["sysinfo"])?.contains("os error 1"), "sysinfo is allowed");
    Ok(())
}

fn a_syscall_newer_than_the_profile_is_enosys(g: &Ground) -> Result<()> {
    ensure!(attempt(g, listed(None), &["unknown-syscall"])?.contains("os error 38"), "not ENOSYS");
    Ok(())
}

fn a_profile_with_no_new_privs_is_applied(g: &Ground) -> Result<()> {
    let mut bundle = with(g, listed(None))?;
    bundle.set("/process/noNewPrivileges", json!(true)).set("/process/user", json!({"uid": 1000, "gid": 1000}));
    let seen = g.probe(&bundle)?;
    same("mode", seen["status"]["Seccomp"].as_str(), Some("2"))?;
    same("no_new_privs", seen["status"]["NoNewPrivs"].as_str(), Some("1"))
}

fn a_profile_without_no_new_privs_works_for_an_unprivileged_user(g: &Ground) -> Result<()> {
    let mut bundle = with(g, allow_but(&json!([{"names": ["sysinfo"], "action": "SCMP_ACT_ERRNO"}])))?;
    bundle
        .set("/process/user", json!({"uid": 1000, "gid": 1000}))
        .set("/process/capabilities", crate::bundle::capabilities(&[]));
    let seen = g.probe(&bundle)?;
    same("mode", seen["status"]["Seccomp"].as_str(), Some("2"))?;
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        same(set, seen["status"][set].as_str(), Some("0000000000000000"))?;
    }
    same("no_new_privs", seen["status"]["NoNewPrivs"].as_str(), Some("0"))
}

fn several_architectures_are_accepted(g: &Ground) -> Result<()> {
    let mut profile = allow_but(&json!([{"names": ["sysinfo"], "action": "SCMP_ACT_ERRNO"}]));
    profile["architectures"] = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"]);
    ensure!(attempt(g, profile, &["sysinfo"])?.contains("os error 1"), "sysinfo is allowed");
    Ok(())
}

fn flags_are_accepted(g: &Ground) -> Result<()> {
    for flag in ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"] {
        let mut profile = allow_but(&json!([{"names": ["sysinfo"], "action": "SCMP_ACT_ERRNO"}]));
        profile["flags"] = json!([flag]);
        ensure!(attempt(g, profile, &["sysinfo"])?.contains("os error 1"), "{flag}: sysinfo is allowed");
    }
    Ok(())
}

fn refused(g: &Ground, pointer: &str, value: Value) -> Result<()> {
    let args = json!([{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]);
    let mut bundle =
        with(g, allow_but(&json!([{"names": ["personality"], "action": "SCMP_ACT_ERRNO", "args": args}])))?;
    g.run(&bundle)?.success()?;
    bundle.set(&format!("/linux/seccomp{pointer}"), value);
    let output = g.run(&bundle)?;
    ensure!(output.code == 1, "{output}");
    Ok(())
}

fn an_unknown_action_is_refused(g: &Ground) -> Result<()> {
    refused(g, "/syscalls/0/action", json!("SCMP_ACT_BANANA"))?;
    refused(g, "/defaultAction", json!("SCMP_ACT_BANANA"))
}

fn an_unknown_operator_is_refused(g: &Ground) -> Result<()> {
    refused(g, "/syscalls/0/args/0/op", json!("SCMP_CMP_BANANA"))
}

fn an_unknown_architecture_is_refused(g: &Ground) -> Result<()> {
    refused(g, "/architectures", json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_BANANA"]))
}

fn an_unknown_flag_is_refused(g: &Ground) -> Result<()> {
    refused(g, "/flags", json!(["SECCOMP_FILTER_FLAG_BANANA"]))
}

fn a_profile_that_denies_execve_is_explained(g: &Ground) -> Result<()> {
    let output = g.run(&with(g, json!({"defaultAction": "SCMP_ACT_ERRNO"}))?)?.exits(1)?;
    ensure!(output.says("seccomp") && output.says("execve"), "{output}");
    Ok(())
}

fn notify_as_the_default_action_is_refused(g: &Ground) -> Result<()> {
    g.run(&with(g, json!({"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/nosuch"}))?)?.exits(1).map(drop)
}

fn notifying(g: &Ground, path: &std::path::Path) -> Result<Bundle> {
    let mut profile = allow_but(&json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}]));
    profile["listenerPath"] = json!(path);
    profile["listenerMetadata"] = json!("some metadata");
    with(g, profile)
}

fn the_listener_receives_the_state_and_the_descriptor(g: &Ground) -> Result<()> {
    let path = g.dir.join("seccomp.sock");
    let listener = UnixListener::bind(&path)?;
    let mut bundle = notifying(g, &path)?;
    let c = g.container(bundle.args(&["/bin/sleep", "1000"]));
    // The filter may be loaded at create or at start.
    let script = g.recorder.start(c.create_command(&[])?, None)?;
    script.wait(DEADLINE)?.success()?;
    let start = g.recorder.start(c.command("start", &[]), None)?;
    let (fd, text) = receive(&listener)?;
    start.wait(DEADLINE)?.success()?;
    let state: Value = serde_json::from_str(&text)?;
    same("fds", state["fds"].clone(), json!(["seccompFd"]))?;
    same("metadata", state["metadata"].as_str(), Some("some metadata"))?;
    same("pid", state["pid"].as_i64(), Some(i64::from(c.pid()?)))?;
    same("id", state["state"]["id"].as_str(), Some(c.id.as_str()))?;
    drop(fd);
    Ok(())
}

fn a_missing_listener_is_refused(g: &Ground) -> Result<()> {
    g.run(&notifying(g, &g.dir.join("nosuch"))?)?.refused("no such file or directory").map(drop)
}

fn the_syscall_of_a_notified_process_waits_for_the_listener(g: &Ground) -> Result<()> {
    let path = g.dir.join("seccomp.sock");
    let listener = UnixListener::bind(&path)?;
    let mut bundle = notifying(g, &path)?;
    let c = g.container(bundle.args(&["/bin/probe", "try", "mkdir", "/x"]));
    let running = c.run_in_background(&[])?;
    let (fd, _) = receive(&listener)?;
    ensure!(readable_within(&fd, DEADLINE)?, "no notification");
    same("output while waiting", running.stdout()?.as_str(), "")?;
    // Without a listener the kernel answers ENOSYS.
    drop(fd);
    let output = running.wait(DEADLINE)?.success()?;
    ensure!(output.stdout.contains("os error 38"), "{output}");
    Ok(())
}
