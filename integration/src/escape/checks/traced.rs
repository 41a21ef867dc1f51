//! What the runtime's own processes do, call by call: what they execute, open, and connect to.

use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::scene::{RAN, Scene};
use crate::escape::trace::{Call, Trace};
use crate::holds;
use crate::process::{DEADLINE, eventually};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

crate::checks! {
    "G11" no_command_executes_anything_but_init_hooks_and_the_program [Needs(Strace), Own("nothing is a shell's or found in PATH")];
    "CVE-2020-15257" no_command_makes_or_reaches_an_abstract_socket [Needs(Strace)];
    "CVE-2019-14271" nothing_of_the_image_is_opened_but_what_the_plan_names [Needs(Strace), Own("the plan has a closed list")];
    "CVE-2026-41567" nothing_of_a_running_container_is_opened_by_exec_but_its_users [Needs(Strace), Own("the plan has a closed list")];
}

const CALLS: &str = "execve,execveat,socket,bind,connect,open,openat,openat2,pivot_root,setns";
const HOOK: &str = "/bin/busybox";
const PROGRAM: &str = "/bin/sh";

/// A bundle with a hook, and with files that a careless process would load.
fn bundle(s: &Scene) -> Result<Bundle> {
    let mut bundle = s.scripted("exit 0")?;
    bundle.set("/hooks/createRuntime", json!([{"path": HOOK, "args": ["true"]}]));
    let root = bundle.rootfs();
    for dir in ["lib64", "lib/x86_64-linux-gnu", "usr/bin"] {
        std::fs::create_dir_all(root.join(dir))?;
    }
    let files = ["etc/ld.so.preload", "etc/ld.so.cache", "etc/nsswitch.conf", "etc/resolv.conf", "etc/localtime"];
    for file in files.iter().chain(&["lib/x86_64-linux-gnu/libnss_files.so.2", "usr/bin/newuidmap"]) {
        std::fs::write(root.join(file), "loaded from the image\n")?;
    }
    Ok(bundle)
}

/// The calls of each command, by its name.
type Commands = Vec<(String, Vec<Call>)>;

/// What has been traced, by runtime and level: two checks look at the same calls.
static TRACED: Mutex<BTreeMap<(PathBuf, Option<&'static str>), Commands>> = Mutex::new(BTreeMap::new());

/// Every command on a container, traced once for a runtime at a level.
fn all_commands(s: &Scene) -> Result<Commands> {
    let mut known = TRACED.lock().map_err(|_| anyhow::anyhow!("another check has panicked"))?;
    match known.entry((s.ground.runtime.path.clone(), s.level)) {
        Entry::Occupied(commands) => Ok(commands.get().clone()),
        Entry::Vacant(place) => Ok(place.insert(trace_all_commands(s)?).clone()),
    }
}

fn trace_all_commands(s: &Scene) -> Result<Commands> {
    let mut bundle = bundle(s)?;
    bundle.write()?;
    let dir = bundle.dir.to_string_lossy().into_owned();
    let mut traced = Vec::new();
    let (calls, output) = Trace::run(s, &s.ground.command(&["run", "--bundle", &dir, &s.ground.id()]), CALLS)?;
    ensure!(output.stdout.contains(RAN), "run under strace: {output}");
    traced.push(("run".to_owned(), calls));
    // create is followed until the container has ended: init is its child.
    s.script(&mut bundle, "exec sleep 1000");
    let container = s.ground.container(&bundle);
    let (trace, command) = Trace::of(s, &container.create_command(&[])?, CALLS)?;
    let creating = s.ground.recorder.start(command, None)?;
    eventually("it is created", || Ok(container.status().is_ok_and(|status| status == "created").then_some(())))?;
    traced.push(("start".to_owned(), Trace::run(s, &container.command("start", &[]), CALLS)?.0));
    let id = container.id.clone();
    let resources = s.ground.dir.join("resources.json");
    std::fs::write(&resources, "{\"pids\":{\"limit\":100}}")?;
    let spec = s.ground.dir.join("spec");
    std::fs::create_dir(&spec)?;
    let (resources, spec) = (resources.to_string_lossy().into_owned(), spec.to_string_lossy().into_owned());
    let own: &[&[&str]] = &[
        &["explain", "--bundle", &dir],
        &["check", &dir],
        &["inspect", &id],
        &["doctor"],
        &["seccomp", "list"],
        &["completion", "bash"],
        &["man"],
    ];
    let common: &[&[&str]] = &[
        &["exec", &id, PROGRAM, "-c", "exit 0"],
        &["state", &id],
        &["list"],
        &["ps", "--format", "json", &id],
        &["events", "--stats", &id],
        &["update", "--resources", &resources, &id],
        &["pause", &id],
        &["resume", &id],
        &["features"],
        &["spec", "--bundle", &spec],
        &["kill", &id, "KILL"],
    ];
    for words in common.iter().chain(if s.level.is_some() { own } else { &[] }) {
        let command = s.ground.command(words);
        // What another runtime does not know it refuses, traced all the same.
        let (calls, output) = Trace::run(s, &command, CALLS)?;
        let graded = ["inspect", "check", "doctor"].contains(&words[0]);
        ensure!(s.level.is_none() || output.code == 0 || graded, "under strace: {output}");
        traced.push((words[0].to_owned(), calls));
    }
    container.wait_until("stopped")?;
    traced.push(("delete".to_owned(), Trace::run(s, &container.command("delete", &[]), CALLS)?.0));
    creating.wait(DEADLINE)?;
    traced.push(("create".to_owned(), trace.calls()?));
    ensure!(traced.iter().all(|(_, calls)| !calls.is_empty()), "a trace is empty");
    Ok(traced)
}

/// Whether this is the execution of the sealed copy of init, by descriptor.
fn is_init(call: &Call) -> bool {
    call.name == "execveat" && call.arguments.contains("</memfd:init>") && call.arguments.contains("AT_EMPTY_PATH")
}

fn no_command_executes_anything_but_init_hooks_and_the_program(s: &Scene) -> Result<Verdict> {
    let (mut inits, mut commands) = (0, 0);
    for (command, calls) in all_commands(s)? {
        commands += 1;
        let mut gone = BTreeSet::new();
        let executed = calls.iter().filter(|call| call.name.starts_with("exec"));
        for (n, call) in executed.enumerate() {
            // `doctor` asks whether a filter lets the call through, with nothing to execute.
            let asks = call.arguments.starts_with("-1, NULL") && call.failed();
            if gone.contains(&call.pid) || asks {
                continue;
            }
            let path = call.texts().first().copied().unwrap_or_default().to_owned();
            let own = n == 0 && path == s.ground.runtime.path.to_string_lossy();
            let named = call.name == "execve" && [HOOK, PROGRAM].contains(&path.as_str());
            holds!(own || is_init(call) || named, "{command}: {}({}) = {}", call.name, call.arguments, call.result);
            holds!(!call.failed(), "{command}: {}({}) = {}", call.name, call.arguments, call.result);
            inits += usize::from(is_init(call));
            if named {
                // From here on it is not the runtime's process.
                gone.insert(call.pid);
            }
        }
    }
    ensure!(inits == 3, "init was executed {inits} times, not for run, create and exec");
    Ok(Verdict::Safe(format!("{commands} commands")))
}

fn no_command_makes_or_reaches_an_abstract_socket(s: &Scene) -> Result<Verdict> {
    // The control: strace shows one that is made.
    let mut perl = Command::new("perl");
    perl.args(["-e", "use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un(qq(\\0control)))"]);
    let (calls, _) = Trace::run(s, &perl, CALLS)?;
    let abstracts =
        |call: &&Call| ["bind", "connect"].contains(&call.name.as_str()) && call.arguments.contains("sun_path=@");
    ensure!(calls.iter().any(|call| abstracts(&call)), "strace does not show an abstract socket");
    let mut sockets = 0;
    for (command, calls) in all_commands(s)? {
        sockets += calls.iter().filter(|call| ["bind", "connect"].contains(&call.name.as_str())).count();
        let found = calls.iter().find(abstracts);
        holds!(found.is_none(), "{command}: {found:?}");
    }
    Ok(Verdict::Safe(format!("{sockets} addresses, all of them paths")))
}

/// What may be opened in the image, and why: the targets of mounts with the directories that lead there, what is masked
/// or read-only, device nodes, the working directory. By O_PATH, which reads nothing; or with O_EXCL, as the new target
/// of a mount. At `restricted` the scratch directories as well, whose content (here none) is copied.
fn is_planned(path: &str) -> bool {
    let below = ["/dev", "/proc", "/sys"].iter().any(|top| path.starts_with(&format!("{top}/")));
    below || ["", "/", ".", "/.", "/dev", "/proc", "/sys", "/run", "/tmp", "/var", "/var/tmp"].contains(&path)
}

/// The one file of the image that is read, before init runs: HOME is the user's there. /etc/group likewise.
fn is_read(path: &str) -> bool {
    ["/etc/passwd", "/etc/group"].contains(&path)
}

/// Whether it is allowed to open `path` of the container like this.
fn allowed(call: &Call, path: &str) -> bool {
    let new = call.arguments.contains("O_EXCL");
    if is_read(path) {
        // Or by the descriptor that was found like this and looked at.
        let again = call.arguments.contains("</proc>, \"") && call.arguments.contains("/fd/");
        return (call.arguments.contains("RESOLVE_IN_ROOT") || again) && !call.arguments.contains("O_WRONLY");
    }
    let listed = ["/run", "/tmp", "/var/tmp"].contains(&path) && call.arguments.contains("O_DIRECTORY");
    is_planned(path) && (call.arguments.contains("O_PATH") || new || listed)
}

fn nothing_of_the_image_is_opened_but_what_the_plan_names(s: &Scene) -> Result<Verdict> {
    let bundle = bundle(s)?;
    bundle.write()?;
    let rootfs = bundle.rootfs().to_string_lossy().into_owned();
    let dir = bundle.dir.to_string_lossy().into_owned();
    let (calls, output) = Trace::run(s, &s.ground.command(&["run", "--bundle", &dir, &s.ground.id()]), CALLS)?;
    ensure!(output.stdout.contains(RAN), "run under strace: {output}");
    let (mut inside, mut gone, mut seen) = (BTreeSet::new(), BTreeSet::new(), 0);
    for call in &calls {
        if call.name == "pivot_root" {
            inside.insert(call.pid);
        }
        if call.name == "execve" && call.texts().first().is_some_and(|path| [HOOK, PROGRAM].contains(path)) {
            gone.insert(call.pid);
        }
        if gone.contains(&call.pid) || !call.name.starts_with("open") {
            continue;
        }
        let Some(opened) = call.opened() else { continue };
        let path = match opened.strip_prefix(&rootfs) {
            Some(path) => path,
            None if inside.contains(&call.pid) => opened,
            None => continue,
        };
        seen += 1;
        holds!(allowed(call, path), "opened \"{path}\" of the image: {}({})", call.name, call.arguments);
    }
    ensure!(inside.len() == 1 && seen > 20, "the trace shows {seen} opens in the image");
    Ok(Verdict::Safe(format!("{seen} opens")))
}

fn nothing_of_a_running_container_is_opened_by_exec_but_its_users(s: &Scene) -> Result<Verdict> {
    let container = s.sleeping(&bundle(s)?)?;
    let mut seen = 0;
    for flags in [&[][..], &["--user", "1000:1000"], &["--cwd", "/tmp"], &["--cap", "CAP_NET_BIND_SERVICE"]] {
        let mut words = vec!["exec"];
        words.extend(flags);
        let script = format!("echo {RAN}");
        words.extend([container.id.as_str(), PROGRAM, "-c", &script]);
        let (calls, output) = Trace::run(s, &s.ground.command(&words), CALLS)?;
        ensure!(output.stdout.contains(RAN), "exec {flags:?} under strace: {output}");
        let main = calls.first().context("an empty trace")?.pid;
        let (mut joined, mut gone) = (false, BTreeSet::new());
        for call in &calls {
            joined |= call.name == "setns";
            if call.name == "execve" && call.texts().first() == Some(&PROGRAM) {
                gone.insert(call.pid);
            }
            if gone.contains(&call.pid) || !call.name.starts_with("open") || call.failed() {
                continue;
            }
            // The casemate process reaches in by the root of the container's init; what joined is there.
            let through_proc = |text: &&str| text.starts_with("/proc/") && text.contains("/root/");
            let reaches_in = call.arguments.contains("</>, ") || call.texts().iter().any(through_proc);
            if !reaches_in && (call.pid == main || !joined) {
                continue;
            }
            seen += 1;
            let path = call.opened().unwrap_or_default();
            holds!(allowed(call, path), "exec {flags:?} opened \"{path}\": {}({})", call.name, call.arguments);
        }
    }
    ensure!(seen > 0, "the trace shows no open in the container");
    Ok(Verdict::Safe(format!("{seen} opens")))
}
