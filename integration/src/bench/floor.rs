//! The floor: `integration/floor/`, compiled by build.rs, makes the container of the benchmark's bundle with only the
//! system calls that are necessary. Here it is put on disk, gets its arguments, and is compared with a real runtime.

use super::contender::Contender;
use super::setup::Setup;
use crate::bundle::Bundle;
use crate::host::{self, Host};
use crate::process::eventually;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/floor"));

/// The program, and what it is told of the host.
#[derive(Clone, Debug)]
pub struct Floor {
    pub program: PathBuf,
    /// The profile as BPF instructions, if anybody here could compile it.
    filter: Option<PathBuf>,
    /// Its word for each hierarchy, and where that is mounted.
    hierarchies: BTreeMap<PathBuf, &'static str>,
}

impl Floor {
    /// Writes the program into `dir`. Only where controllers are in version 1 hierarchies: it has no device filter for
    /// version 2.
    pub fn new(dir: &Path, host: &Host) -> Result<Option<Self>> {
        if !host.controllers.contains_key("devices") {
            return Ok(None);
        }
        let word = |controller: &str| match controller {
            "devices" => "devices",
            "cpuset" => "cpuset",
            "memory" => "memory",
            _ => "other",
        };
        let mut hierarchies = BTreeMap::new();
        for (controller, mount) in &host.controllers {
            let place = hierarchies.entry(mount.clone()).or_insert("other");
            if word(controller) != "other" {
                *place = word(controller);
            }
        }
        hierarchies.extend(host.unified.iter().map(|mount| (mount.clone(), "unified")));
        let program = dir.join("floor");
        std::fs::create_dir_all(dir)?;
        std::fs::write(&program, PROGRAM)?;
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755))?;
        Ok(Some(Self { program, filter: None, hierarchies }))
    }

    /// Lets casemate compile the profile of a bundle.
    pub fn compile_filter(&mut self, casemate: &Path, filtered: &Bundle) -> Result<()> {
        let file = self.program.with_file_name("filter");
        let mut command = Command::new(casemate);
        command.args(["seccomp", "compile"]).arg(filtered.dir.join("config.json")).arg("-o").arg(&file);
        let output = command.output().context("start casemate")?;
        ensure!(output.status.success(), "the filter: {}", String::from_utf8_lossy(&output.stderr).trim());
        self.filter = Some(file);
        Ok(())
    }

    /// Whether it can run containers with the profile.
    pub fn has_filter(&self) -> bool {
        self.filter.is_some()
    }

    /// Makes the cgroups above the containers', as runtimes do.
    pub fn make_parents(&self, bundle: &Bundle) -> Result<()> {
        for (mount, kind) in &self.hierarchies {
            let mut dir = mount.clone();
            let parent = Path::new(bundle.cgroups_path().trim_start_matches('/')).parent().context("no parent")?;
            for name in parent {
                let above = dir.clone();
                dir.push(name);
                if !dir.is_dir() {
                    std::fs::create_dir(&dir).with_context(|| format!("mkdir \"{}\"", dir.display()))?;
                }
                for file in ["cpuset.cpus", "cpuset.mems"].iter().filter(|_| *kind == "cpuset") {
                    std::fs::write(dir.join(file), host::read(&above.join(file))?)?;
                }
            }
        }
        Ok(())
    }

    /// The command line for a bundle; `state` is the directory it makes.
    pub fn words(&self, bundle: &Bundle, state: &Path) -> Result<Vec<String>> {
        let spec = |pointer: &str| bundle.spec.pointer(pointer);
        let root = spec("/root/path").and_then(Value::as_str).context("no root")?;
        let filter = match (&self.filter, spec("/linux/seccomp")) {
            (_, None) => "-".into(),
            (filter, Some(_)) => filter.as_ref().context("no filter")?.to_string_lossy().into_owned(),
        };
        let limit = spec("/linux/resources/memory/limit").map_or("-".to_owned(), Value::to_string);
        let mut words = vec![self.program.to_string_lossy().into_owned(), state.to_string_lossy().into_owned()];
        words.extend([bundle.dir.join(root).to_string_lossy().into_owned(), filter, limit]);
        for (mount, kind) in &self.hierarchies {
            let dir = mount.join(bundle.cgroups_path().trim_start_matches('/'));
            words.push(format!("{kind}:{}", dir.display()));
        }
        words.push("--".to_owned());
        let args = spec("/process/args").and_then(Value::as_array).context("no arguments")?;
        words.extend(args.iter().filter_map(Value::as_str).map(str::to_owned));
        Ok(words)
    }

    /// Removes what a failed one left.
    pub fn clear(&self, bundle: &Bundle, state: &Path) -> Result<()> {
        for mount in self.hierarchies.keys() {
            let dir = mount.join(bundle.cgroups_path().trim_start_matches('/'));
            if dir.is_dir() {
                eventually("the floor's cgroup can be removed", || Ok(std::fs::remove_dir(&dir).ok()))?;
            }
        }
        if state.is_dir() { Ok(std::fs::remove_dir_all(state)?) } else { Ok(()) }
    }
}

/// Fails unless the floor and a runtime make the same container, without and with the profile. Gives how many facts were
/// compared.
pub fn compare(floor: (&Contender, &Setup), runtime: (&Contender, &Setup), host: &Host) -> Result<usize> {
    let mut count = 0;
    for filtered in [false, true] {
        if filtered && floor.0.floor.as_ref().is_some_and(|floor| !floor.has_filter()) {
            continue;
        }
        let (ours, theirs) = (Setup::sleeping(floor.1, filtered), Setup::sleeping(runtime.1, filtered));
        let ours = facts_of_running(floor.0, ours, host, |id| {
            let state: Value = serde_json::from_slice(&std::fs::read(floor.0.root.join(id).join("state.json"))?)?;
            Ok(state["pid"].as_str().context("no pid")?.parse()?)
        });
        let theirs = facts_of_running(runtime.0, theirs, host, |id| {
            let output =
                Command::new(&runtime.0.path).arg("--root").arg(&runtime.0.root).args(["state", id]).output()?;
            let state: Value = serde_json::from_slice(&output.stdout)?;
            Ok(i32::try_from(state["pid"].as_i64().context("no pid")?)?)
        });
        let (ours, theirs) = (ours.context("the floor")?, theirs.context(runtime.0.name.clone())?);
        for (fact, value) in &theirs {
            ensure!(
                ours.get(fact) == Some(value),
                "{fact} of the floor: {:?}, of the runtime: {value:?}",
                ours.get(fact)
            );
        }
        ensure!(ours.len() == theirs.len(), "the floor has {} facts, the runtime {}", ours.len(), theirs.len());
        count += theirs.len();
    }
    Ok(count)
}

/// Runs a container in the foreground, looks at it, kills it.
fn facts_of_running(
    contender: &Contender,
    bundle: &Bundle,
    host: &Host,
    pid: impl Fn(&str) -> Result<i32>,
) -> Result<BTreeMap<String, String>> {
    let words = contender.run_words(bundle, "compared")?;
    let (program, args) = words.split_first().context("no program")?;
    let mut command = Command::new(program);
    let mut child = command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let looked = eventually("the container's program runs", || {
        let found = pid("compared").ok();
        Ok(found
            .filter(|pid| host::read(&PathBuf::from(format!("/proc/{pid}/comm"))).is_ok_and(|name| name == "sleep")))
    })
    .and_then(|pid| Ok((pid, facts(pid, bundle, host)?)));
    if let Ok((pid, _)) = &looked {
        host::kill(*pid)?;
    } else {
        child.kill()?;
    }
    child.wait()?;
    Ok(looked?.1)
}

/// What the kernel says of a container's process, without what is different each time.
fn facts(pid: i32, bundle: &Bundle, host: &Host) -> Result<BTreeMap<String, String>> {
    let mut facts = BTreeMap::new();
    let mut add = |name: String, value: String| facts.insert(name, value.replace(bundle.cgroups_path(), "CGROUP"));
    for mount in host::mounts(pid)? {
        // Of the root it matters which options it has; each setup has its own.
        let what = if mount.point == "/" { String::new() } else { mount.root };
        let (options, propagation) = (mount.options.join(","), mount.propagation.join(","));
        add(
            format!("mount {}", mount.point),
            format!("{what} {options} {propagation} {} {}", mount.kind, mount.super_options),
        );
    }
    let status = host::read(&PathBuf::from(format!("/proc/{pid}/status")))?;
    for line in status.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let fixed = ["Umask", "Uid", "Gid", "Groups", "NoNewPrivs", "Threads", "SigBlk", "SigCgt"].contains(&name);
        // Signals that the caller ignores stay ignored: casemate resets them, the container does not need it.
        if fixed || ["Cap", "Seccomp", "Speculation"].iter().any(|start| name.starts_with(start)) {
            add(name.to_owned(), value.trim().to_owned());
        }
    }
    for file in ["cgroup", "limits", "environ", "cmdline", "oom_score_adj", "loginuid", "uid_map"] {
        add(file.to_owned(), String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/{file}"))?).into_owned());
    }
    for name in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
        let own = host::link(pid, &format!("ns/{name}"))? != host::link("self", &format!("ns/{name}"))?;
        add(format!("namespace {name}"), if own { "its own" } else { "the host's" }.to_owned());
    }
    for (dir, what) in [("root/dev", "device"), ("fd", "descriptor")] {
        for entry in std::fs::read_dir(format!("/proc/{pid}/{dir}"))? {
            let (entry, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
            let (link, data) = (std::fs::read_link(&path).unwrap_or_default(), path.symlink_metadata()?);
            let facts = format!("{:o} {} {}:{} {}", data.mode(), data.rdev(), data.uid(), data.gid(), link.display());
            add(format!("{what} {}", entry.to_string_lossy()), facts);
        }
    }
    add("devices.list".to_owned(), host.cgroup("devices", bundle.cgroups_path(), "devices.list")?);
    Ok(facts)
}
