//! What a runtime remembers between commands, and whom it signals because of it.

use crate::case::Container;
use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::process::{DEADLINE, Output, eventually};
use crate::{holds, host};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

crate::checks! {
    "CVE-2021-41091" the_state_of_a_container_is_out_of_reach_of_other_users;
    "G2" a_symbolic_link_in_the_place_of_a_container_is_not_followed;
    "G2" a_root_that_others_may_change_is_refused [Own("who may write the state decides who gets signals")];
    "G3" a_damaged_record_is_an_error_and_no_more;
    "G3" a_record_with_the_pid_of_another_process_signals_nobody;
    "G3" a_record_of_another_container_is_refused [Own("a record is bound to its id and its boot")];
    "G4" a_pid_that_was_used_again_gets_no_signal;
    "G5" of_many_creates_of_one_id_at_most_one_succeeds;
    "G5" create_exec_and_delete_of_one_id_at_once_leave_nothing;
}

/// A process of the host's that must live on.
struct Bystander(Child);

impl Bystander {
    fn start() -> Result<Self> {
        Ok(Self(Command::new("/bin/sleep").arg("1000").spawn().context("start a bystander")?))
    }

    fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }

    /// Whether it lives and is not stopped.
    fn is_well(&self) -> Result<bool> {
        Ok(host::status(self.pid(), "State")?.starts_with('S'))
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        // Our child: one that is dead already is reaped all the same.
        let _gone = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Everything below a directory, itself first.
fn walk(path: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    found.push(path.to_owned());
    if std::fs::symlink_metadata(path)?.is_dir() {
        for entry in std::fs::read_dir(path)? {
            walk(&entry?.path(), found)?;
        }
    }
    Ok(())
}

fn the_state_of_a_container_is_out_of_reach_of_other_users(s: &Scene) -> Result<Verdict> {
    // As an engine may have made it, and with a caller whose umask takes nothing away.
    let root = &s.ground.root;
    std::fs::create_dir(root)?;
    std::fs::set_permissions(root, PermissionsExt::from_mode(0o755))?;
    let mut bundle = s.bundle()?;
    bundle.args(&["/bin/sleep", "1000"]).write()?;
    let id = s.ground.id();
    let script = format!("umask 0; $R create --bundle {} {id}", bundle.dir.display());
    s.ground.shell(&script)?.success()?;
    for phase in ["created", "running"] {
        for entry in std::fs::read_dir(root)? {
            let entry = entry?.path();
            let mut all = Vec::new();
            walk(&entry, &mut all)?;
            for path in all {
                let data = std::fs::symlink_metadata(&path)?;
                let owner = (data.uid(), data.gid());
                holds!(owner == (0, 0), "{phase}: \"{}\" is owned by {owner:?}", path.display());
                // What lies in a directory of 0700 is out of reach whatever its own mode is.
                let guarded = path != entry && std::fs::symlink_metadata(&entry)?.mode() & 0o077 == 0;
                let open = data.mode() & 0o077 != 0 && !guarded;
                holds!(!open, "{phase}: \"{}\" has mode {:o}", path.display(), data.mode() & 0o7777);
            }
        }
        if phase == "created" {
            s.ground.call(&["start", &id])?.success()?;
        }
    }
    Ok(Verdict::safe())
}

fn a_symbolic_link_in_the_place_of_a_container_is_not_followed(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    // A benign container, from which a state is copied to where the link leads.
    let container = s.sleeping(&bundle)?;
    let link = s.ground.root.join("link");
    bundle.args(&["/bin/true"]).write()?;
    let bundle_flag = bundle.dir.to_string_lossy().into_owned();
    for target in [s.outside.path("dir"), s.outside.path("nosuch"), PathBuf::from(&container.id)] {
        symlink(&target, &link)?;
        for words in [&["create", "--bundle", &bundle_flag][..], &["delete", "--force"], &["state"]] {
            let mut words = words.to_vec();
            words.push("link");
            let output = s.ground.call(&words)?;
            // The last link leads to a container: another name for it, which says the same and does not remove it.
            let other_name = !target.is_absolute() && words[0] == "state";
            let refused = output.code != 0 || words[0] == "delete";
            if !refused && !other_name {
                std::fs::remove_file(&link)?;
            }
            holds!(refused || other_name, "{} \"link\" -> {}: {output}", words[0], target.display());
        }
        let changed = s.outside.path("dir/file").exists() && !s.outside.path("nosuch").exists();
        holds!(changed, "\"link\" -> {}: followed", target.display());
        if std::fs::symlink_metadata(&link).is_ok() {
            std::fs::remove_file(&link)?;
        }
        holds!(container.status()? == "running", "\"link\" -> {}: reached the container", target.display());
    }
    Ok(Verdict::safe())
}

fn a_root_that_others_may_change_is_refused(s: &Scene) -> Result<Verdict> {
    let bundle = s.scripted("true")?;
    s.twin(&bundle)?;
    let root = s.ground.dir.join("root2");
    let run = || -> Result<Output> {
        let mut command = s.ground.runtime.command(&root, s.level);
        command.args(["run", "--bundle"]).arg(&bundle.dir).arg("x").current_dir(&s.ground.dir);
        s.ground.recorder.run(command)
    };
    std::fs::create_dir(&root)?;
    for (mode, owner) in [(0o777, 0), (0o770, 0), (0o700, 1000)] {
        std::fs::set_permissions(&root, PermissionsExt::from_mode(mode))?;
        std::os::unix::fs::chown(&root, Some(owner), Some(owner))?;
        if let Some(verdict) = s.must_refuse(&format!("--root of user {owner}, mode {mode:o}"), &run())? {
            return Ok(verdict);
        }
    }
    std::fs::remove_dir_all(&root)?;
    symlink(s.outside.path("empty"), &root)?;
    if let Some(verdict) = s.must_refuse("--root that is a symbolic link", &run())? {
        return Ok(verdict);
    }
    std::fs::remove_file(&root)?;
    Ok(Verdict::Refused("other owners, modes, links".to_owned()))
}

/// The file in which a runtime keeps its record of a container.
fn record(s: &Scene, id: &str) -> Result<PathBuf> {
    let names = ["state.json", "status"];
    let paths = names.iter().map(|name| s.ground.root.join(id).join(name));
    paths.into_iter().find(|path| path.is_file()).context("no record is known of this runtime")
}

/// A record that is put back as it was, whatever the verdict: without it the container could not be deleted.
struct Kept {
    path: PathBuf,
    good: Vec<u8>,
}

impl Kept {
    fn of(path: PathBuf) -> Result<Self> {
        let good = std::fs::read(&path)?;
        Ok(Self { path, good })
    }

    fn replace(&self, bytes: &[u8]) -> Result<()> {
        std::fs::write(&self.path, bytes).context("write the record")
    }

    fn put_back(&self) -> Result<()> {
        self.replace(&self.good)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // What cannot be put back is told by the sweep that follows.
        let _left = self.put_back();
    }
}

/// The commands that read a record, none of which may harm anybody because of a wrong one.
fn commands(container: &Container) -> Vec<Vec<String>> {
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
    let id = container.id.as_str();
    vec![
        words(&["state", id]),
        words(&["list"]),
        words(&["kill", id, "KILL"]),
        words(&["pause", id]),
        words(&["exec", id, "/bin/true"]),
        words(&["start", id]),
        words(&["ps", id]),
    ]
}

fn a_damaged_record_is_an_error_and_no_more(s: &Scene) -> Result<Verdict> {
    let container = s.sleeping(&s.bundle()?)?;
    let (pid, kept) = (container.pid()?, Kept::of(record(s, &container.id)?)?);
    let good = kept.good.clone();
    let text = String::from_utf8(good.clone()).context("the record is no text")?;
    let half = text.get(..text.len() / 2).context("the record is empty")?;
    let huge = regex_lite::Regex::new(&format!(r#":\s*{pid}\b"#))?;
    let damaged: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("truncated", half.as_bytes().to_vec()),
        ("null", b"null".to_vec()),
        ("an array", b"[]".to_vec()),
        ("zeroes", vec![0; good.len()]),
        ("not UTF-8", [&good[..good.len() / 2], b"\"\xff\xfe\"", &good[good.len() / 2..]].concat()),
        ("nested", ["[".repeat(10_000), "]".repeat(10_000)].concat().into_bytes()),
        ("nested objects", "{\"a\":".repeat(100_000).into_bytes()),
        ("a huge pid", huge.replace_all(&text, ":99999999999999999999").into_owned().into_bytes()),
        ("a negative pid", huge.replace_all(&text, ":-1").into_owned().into_bytes()),
        ("pid 0", huge.replace_all(&text, ":0").into_owned().into_bytes()),
        ("pid 1", huge.replace_all(&text, ":1").into_owned().into_bytes()),
    ];
    let bystander = Bystander::start()?;
    for (what, bytes) in &damaged {
        kept.replace(bytes)?;
        for words in commands(&container) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let output = s.ground.call(&words);
            let crashed = output.as_ref().is_ok_and(|o| {
                (o.code >= 128 && o.code != 255) || o.stderr.contains("goroutine ") || o.stderr.contains("panicked")
            });
            holds!(output.is_ok() && !crashed, "{what}: {} hangs or crashes: {output:?}", words[0]);
            holds!(host::is_alive(pid), "{what}: {} killed the container", words[0]);
        }
    }
    // A file of 100 MiB takes no memory before it is refused.
    std::fs::File::options().write(true).open(&kept.path)?.set_len(100 << 20)?;
    holds!(s.ground.call(&["state", &container.id]).is_ok(), "a record of 100 MiB: hangs");
    holds!(bystander.is_well()?, "a bystander was harmed");
    kept.put_back()?;
    ensure!(container.status()? == "running", "with its record as it was the container is there again");
    Ok(Verdict::safe())
}

/// Replaces `pid` wherever it is a whole number.
fn with_pid(value: &mut Value, pid: i32, other: i32) -> usize {
    match value {
        Value::Number(number) if number.as_i64() == Some(i64::from(pid)) => {
            *value = Value::from(other);
            1
        }
        Value::Array(items) => items.iter_mut().map(|item| with_pid(item, pid, other)).sum(),
        Value::Object(map) => map.values_mut().map(|item| with_pid(item, pid, other)).sum(),
        _ => 0,
    }
}

/// What must be true whatever is called on a container whose record names the bystander.
fn nobody_is_harmed(s: &Scene, container: &Container, bystander: &Bystander) -> Result<Option<String>> {
    let mut all = commands(container);
    all.push(["kill", "--all", &container.id, "KILL"].map(str::to_owned).to_vec());
    for words in all {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = s.ground.call(&words)?;
        if !bystander.is_well()? {
            return Ok(Some(format!("{} harmed another process", words[0])));
        }
        if words[0] == "exec" && output.code == 0 {
            return Ok(Some("exec ran in another process's namespaces".to_owned()));
        }
    }
    Ok(None)
}

fn a_record_with_the_pid_of_another_process_signals_nobody(s: &Scene) -> Result<Verdict> {
    let container = s.sleeping(&s.bundle()?)?;
    let (pid, kept) = (container.pid()?, Kept::of(record(s, &container.id)?)?);
    let bystander = Bystander::start()?;
    let mut changed: Value = serde_json::from_slice(&kept.good).context("the record is no JSON")?;
    ensure!(with_pid(&mut changed, pid, bystander.pid()) > 0, "the record has no pid");
    kept.replace(changed.to_string().as_bytes())?;
    let harm = nobody_is_harmed(s, &container, &bystander)?;
    holds!(harm.is_none(), "{}", harm.unwrap_or_default());
    Ok(Verdict::safe())
}

fn a_record_of_another_container_is_refused(s: &Scene) -> Result<Verdict> {
    let (first, second) = (s.sleeping(&s.bundle()?)?, s.sleeping(&s.bundle()?)?);
    let kept = Kept::of(record(s, &first.id)?)?;
    let (good, foreign) = (kept.good.clone(), std::fs::read(record(s, &second.id)?)?);
    let of_another_boot = |bytes: &[u8]| -> Result<Vec<u8>> {
        let mut record: Value = serde_json::from_slice(bytes)?;
        record["init"]["boot_id"] = Value::from("00000000-0000-4000-8000-000000000000");
        Ok(record.to_string().into_bytes())
    };
    let twice = String::from_utf8(good.clone())?.replacen('{', "{\"version\":1,", 1).into_bytes();
    let trailing = [&good[..], b"{}"].concat();
    let records = [("another's", foreign), ("another boot's", of_another_boot(&good)?), ("a key twice", twice)];
    for (what, bytes) in records.into_iter().chain([("text behind it", trailing)]) {
        kept.replace(&bytes)?;
        for words in [&["kill", &first.id, "KILL"][..], &["exec", &first.id, "/bin/true"], &["pause", &first.id]] {
            let output = s.ground.call(words)?;
            holds!(output.code != 0, "{what}: {} was not refused", words[0]);
        }
        kept.put_back()?;
        holds!(first.status()? == "running" && second.status()? == "running", "{what}: a container was harmed");
    }
    Ok(Verdict::safe())
}

fn a_pid_that_was_used_again_gets_no_signal(s: &Scene) -> Result<Verdict> {
    let container = s.sleeping(&s.bundle()?)?;
    let pid = container.pid()?;
    host::kill(pid)?;
    let proc = PathBuf::from(format!("/proc/{pid}"));
    eventually("init is reaped", || Ok((!proc.exists()).then_some(())))?;
    // The suite has a pid namespace of its own, in which it alone takes numbers.
    let mut tries = 0;
    let bystander = loop {
        std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).context("write ns_last_pid")?;
        let bystander = Bystander::start()?;
        tries += 1;
        if bystander.pid() == pid {
            break bystander;
        }
        ensure!(tries < 50, "pid {pid} was not given out again");
    };
    let harm = nobody_is_harmed(s, &container, &bystander)?;
    holds!(harm.is_none(), "{}", harm.unwrap_or_default());
    let status = container.status()?;
    holds!(status == "stopped", "its state is \"{status}\"");
    let deleted = container.call("delete", &["--force"])?;
    holds!(bystander.is_well()?, "delete --force harmed another process");
    deleted.success()?;
    Ok(Verdict::safe())
}

/// How many at once, and how often: a hundred in all.
const AT_ONCE: usize = 5;
const ROUNDS: usize = 20;

fn of_many_creates_of_one_id_at_most_one_succeeds(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    let container = s.ground.container(bundle.args(&["/bin/sleep", "1000"]));
    for round in 0..ROUNDS {
        let creates = (0..AT_ONCE).map(|_| s.ground.recorder.start(container.create_command(&[])?, None));
        let creates = creates.collect::<Result<Vec<_>>>()?;
        let outputs = creates.into_iter().map(|running| running.wait(DEADLINE)).collect::<Result<Vec<_>>>();
        let Ok(outputs) = outputs else { return Ok(Verdict::Unsafe(format!("round {round}: hangs"))) };
        let succeeded = outputs.iter().filter(|output| output.code == 0).count();
        ensure!(round > 0 || succeeded > 0, "none succeeded: {}", outputs.first().context("no output")?);
        holds!(succeeded == 1, "round {round}: {succeeded} of {AT_ONCE} creates succeeded");
        let processes = s.ground.host.cgroup_processes(bundle.cgroups_path());
        let known = container.pid().map_err(|error| format!("{error:#}"));
        holds!(Ok(processes.clone()) == known.clone().map(|pid| vec![pid]), "round {round}: {processes:?}, {known:?}");
        container.call("delete", &["--force"])?.success()?;
        let left = s.left()?;
        holds!(left.is_empty(), "round {round}: left {}", left.join(", "));
    }
    Ok(Verdict::Safe(format!("{} creates", AT_ONCE * ROUNDS)))
}

fn create_exec_and_delete_of_one_id_at_once_leave_nothing(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    let container = s.ground.container(bundle.args(&["/bin/sleep", "1000"]));
    let mut succeeded = 0;
    for round in 0..ROUNDS {
        // Every second round begins with a container that runs.
        if round % 2 == 1 {
            container.create(&[])?.success().with_context(|| format!("round {round}"))?;
            container.start()?.success()?;
        }
        let commands = [
            container.create_command(&[])?,
            container.command("delete", &["--force"]),
            s.ground.command(&["exec", &container.id, "/bin/true"]),
            container.command("start", &[]),
            container.create_command(&[])?,
        ];
        let running = commands.into_iter().map(|command| s.ground.recorder.start(command, None));
        let running = running.collect::<Result<Vec<_>>>()?;
        let outputs = running.into_iter().map(|running| running.wait(DEADLINE)).collect::<Result<Vec<_>>>();
        let Ok(outputs) = outputs else { return Ok(Verdict::Unsafe(format!("round {round}: hangs"))) };
        for output in &outputs {
            succeeded += usize::from(output.code == 0);
            // 137 of exec is its program's, which ends with the container.
            let programs = output.code == 137 && output.line.contains(" exec ");
            let signal = output.code >= 128 && output.code != 255 && !programs;
            let crashed = signal || output.stderr.contains("goroutine ");
            holds!(!crashed, "round {round}: crashed: {output}");
        }
        let deleted = container.call("delete", &["--force"])?;
        holds!(deleted.code == 0, "round {round}: {deleted}");
        let left = s.left()?;
        holds!(left.is_empty(), "round {round}: left {}", left.join(", "));
    }
    Ok(Verdict::Safe(format!("{} commands, {succeeded} succeeded", AT_ONCE * ROUNDS)))
}
