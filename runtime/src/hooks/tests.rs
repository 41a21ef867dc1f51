use super::*;
use std::path::{Path, PathBuf};

/// A directory that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("casemate-hooks-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    fn fd(&self) -> OwnedFd {
        std::fs::File::open(&self.0).unwrap().into()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn shell(script: &str) -> Hook {
    Hook { path: "/bin/sh".into(), args: vec!["sh".into(), "-c".into(), script.into()], ..Hook::default() }
}

fn run_in(dir: &Dir, hook: &Hook, state: &[u8]) -> Result<()> {
    run(hook, "prestart", 0, state, dir.fd().as_fd())
}

/// Runs the script and answers what it wrote to `out` in its working directory.
fn output_of(name: &str, hook: &Hook, state: &[u8]) -> String {
    let dir = Dir::new(name);
    run_in(&dir, hook, state).unwrap();
    std::fs::read_to_string(dir.0.join("out")).unwrap()
}

#[test]
fn hook_reads_a_state_larger_than_a_pipe_from_stdin() {
    let state = vec![b'x'; 3 << 20];
    assert_eq!(output_of("stdin", &shell("/usr/bin/wc -c >out"), &state).trim(), state.len().to_string());
}

#[test]
fn hook_that_never_reads_its_stdin_does_not_block() {
    run_in(&Dir::new("unread"), &shell("exit 0"), &vec![b'x'; 3 << 20]).unwrap();
}

#[test]
fn environment_is_exactly_that_of_the_hook() {
    let hook = Hook {
        path: "/bin/cat".into(),
        args: vec!["cat".into(), "/proc/self/environ".into(), "/nonexistent".into()],
        env: vec!["B=2".into(), "A=1".into(), "A=3".into(), "odd".into()],
        ..Hook::default()
    };
    let error = run_in(&Dir::new("env"), &hook, b"{}").unwrap_err().to_string();
    assert!(error.contains("stdout: B=2 A=1 A=3 odd , stderr: "), "{error}");
}

#[test]
fn absent_environment_is_empty() {
    let hook = Hook {
        path: "/usr/bin/wc".into(),
        args: ["wc", "-c", "/proc/self/environ", "/nonexistent"].map(String::from).to_vec(),
        ..Hook::default()
    };
    let error = run_in(&Dir::new("noenv"), &hook, b"{}").unwrap_err().to_string();
    assert!(error.contains("0 /proc/self/environ"), "{error}");
}

#[test]
fn path_is_argv0_when_there_are_no_args() {
    let dir = Dir::new("argv0");
    let script = dir.0.join("hook");
    std::fs::write(&script, "#!/bin/sh\necho $0 $# >out\n").unwrap();
    rustix::fs::chmod(&script, rustix::fs::Mode::RWXU).unwrap();
    let path = script.to_str().unwrap().to_owned();
    // Another test's fork may still hold the script open for writing.
    let mut outcome = run_in(&dir, &Hook { path: path.clone(), ..Hook::default() }, b"{}");
    while outcome.as_ref().is_err_and(|error| error.to_string().contains("text file busy")) {
        outcome = run_in(&dir, &Hook { path: path.clone(), ..Hook::default() }, b"{}");
    }
    outcome.unwrap();
    assert_eq!(std::fs::read_to_string(dir.0.join("out")).unwrap(), format!("{path} 0\n"));
}

#[test]
fn hook_works_in_the_given_directory_and_its_own_process_group() {
    let out = output_of("cwd", &shell("pwd >out; read -r _ _ _ _ pgrp _ </proc/self/stat; echo $$ $pgrp >>out"), b"{}");
    let mut lines = out.lines();
    assert!(lines.next().unwrap().contains("casemate-hooks-cwd"));
    let (pid, pgrp) = lines.next().unwrap().split_once(' ').unwrap();
    assert_eq!(pid, pgrp);
}

#[test]
fn no_descriptor_beyond_2_is_inherited() {
    let leaked = std::fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
    let hook = Hook {
        path: "/bin/ls".into(),
        args: ["ls", "/proc/self/fd", "/nonexistent"].map(String::from).to_vec(),
        ..Hook::default()
    };
    let error = run_in(&Dir::new("fds"), &hook, b"{}").unwrap_err().to_string();
    // 3 is ls's own, for the directory.
    assert!(error.contains("stdout: /proc/self/fd: 0 1 2 3, stderr: "), "{error}");
}

#[test]
fn signals_are_at_their_defaults_whatever_the_caller_did() {
    // SIGPIPE is ignored in every Rust program; the mask is this thread's.
    nix::sys::signal::SigSet::all().thread_block().unwrap();
    let out = output_of("signals", &shell("grep -E '^Sig(Blk|Ign)' /proc/self/status >out"), b"{}");
    assert_eq!(out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

#[test]
fn failure_names_status_and_both_outputs_on_one_line() {
    let error = run_in(&Dir::new("fails"), &shell("echo some; echo words; echo bad >&2; exit 3"), b"{}").unwrap_err();
    assert_eq!(error.to_string(), "error running prestart hook #0: exit status 3, stdout: some words, stderr: bad");
}

#[test]
fn hook_killed_by_a_signal_is_named_so() {
    let error = run_in(&Dir::new("signal"), &shell("kill -SEGV $$"), b"{}").unwrap_err().to_string();
    assert!(error.contains("hook #0: killed by SIGSEGV, stdout: "), "{error}");
}

#[test]
fn endless_output_is_kept_to_its_end() {
    let script = "i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done; echo last; exit 1";
    let error = run_in(&Dir::new("flood"), &shell(script), b"{}").unwrap_err().to_string();
    assert!(error.contains("stdout: ...") && error.contains(" last, stderr: "), "{error}");
    assert!(error.len() < 8191);
}

#[test]
fn missing_program_is_an_error_that_names_it() {
    let hook = Hook { path: "/nonexistent/hook".into(), ..Hook::default() };
    let error = run_in(&Dir::new("missing"), &hook, b"{}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "error running prestart hook #0: execve \"/nonexistent/hook\": no such file or directory"
    );
    assert_eq!(error.kind, Kind::System);
}

#[test]
fn timeout_kills_the_whole_process_group() {
    let dir = Dir::new("timeout");
    let hook = Hook { timeout: Some(1), ..shell("sleep 1000 & echo $! >out; wait") };
    let error = run_in(&dir, &hook, b"{}").unwrap_err().to_string();
    assert!(error.contains("still running after its timeout of 1 s, killed"), "{error}");
    let child: i32 = std::fs::read_to_string(dir.0.join("out")).unwrap().trim().parse().unwrap();
    assert!(is_dead(child), "the hook's child {child} outlived the timeout");
}

/// Gone, or a zombie that waits for its new parent; waits for either.
fn is_dead(pid: i32) -> bool {
    let Ok(pidfd) = rustix::process::pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()) else { return true };
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 30, tv_nsec: 0 })).unwrap() == 1
}

#[test]
fn background_child_that_holds_the_outputs_is_not_waited_for() {
    let dir = Dir::new("background");
    run_in(&dir, &shell("sleep 1000 & echo $! >out"), b"{}").unwrap();
    let child: i32 = std::fs::read_to_string(dir.0.join("out")).unwrap().trim().parse().unwrap();
    rustix::process::kill_process(Pid::from_raw(child).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn run_all_stops_at_the_first_failure() {
    let dir = Dir::new("all");
    let hooks = [shell("echo 0 >>out"), shell("echo 1 >>out; exit 1"), shell("echo 2 >>out")];
    let error = run_all(&hooks, "poststart", b"{}", dir.fd().as_fd()).unwrap_err().to_string();
    assert!(error.starts_with("error running poststart hook #1: exit status 1"), "{error}");
    assert_eq!(std::fs::read_to_string(dir.0.join("out")).unwrap(), "0\n1\n");
}

#[test]
fn warn_all_continues_after_a_failure() {
    let dir = Dir::new("warn");
    let hooks = [shell("exit 1"), shell("echo 1 >>out"), shell("exit 2")];
    let warnings = warn_all(&hooks, "poststop", b"{}", dir.fd().as_fd());
    let texts: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 2);
    assert!(
        texts[0].contains("poststop hook #0: exit status 1") && texts[1].contains("poststop hook #2: exit status 2")
    );
    assert!(Path::new(&dir.0.join("out")).exists());
}

#[test]
fn relative_path_and_timeout_0_are_refused_before_anything_runs() {
    let relative = Hook { path: "bin/true".into(), ..Hook::default() };
    assert_eq!(
        validate(&relative, "createRuntime", 2).unwrap_err().to_string(),
        "createRuntime hook #2: path \"bin/true\" is not absolute"
    );
    for timeout in [0, -1] {
        let hook = Hook { path: "/bin/true".into(), timeout: Some(timeout), ..Hook::default() };
        assert_eq!(
            validate(&hook, "poststop", 0).unwrap_err().to_string(),
            format!("poststop hook #0: timeout {timeout} is not above 0 seconds")
        );
    }
}
