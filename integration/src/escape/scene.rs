//! The scene of one check: a ground of its own, a tree outside that must stay as it is, and the acts of an attack: the
//! benign twin that must run, the attack that must be refused or come to nothing, the look at what runs.

use crate::bundle::{Bundle, capabilities};
use crate::case::{Container, Ground};
use crate::escape::check::Verdict;
use crate::escape::outside::{MARK, Outside};
use crate::host;
use crate::process::{DEADLINE, Output};
use anyhow::{Result, bail, ensure};
use serde_json::json;
use std::cell::RefCell;
use std::time::Duration;

/// What one check has to itself.
#[derive(Debug)]
pub struct Scene<'a> {
    pub ground: Ground<'a>,
    /// casemate's level; `None` for another runtime.
    pub level: Option<&'static str>,
    pub outside: Outside,
    /// Runs of a race.
    pub races: usize,
    /// The container that the last look by `exec` was in: the next one is in the same, if it is of the same bundle.
    pub visited: RefCell<Option<(String, Bundle)>>,
}

/// Printed first by every script of [`Scene::script`]: the container's program ran.
pub const RAN: &str = "PROGRAM-RAN";

/// The longest that a runtime may take over an attack: it must not hang on what an image has prepared.
pub const ATTACK_DEADLINE: Duration = Duration::from_secs(10);

/// How a call that was an attack ended.
#[derive(Debug)]
pub struct Attack {
    pub output: Output,
    /// Whether the container's program ran, by its own words.
    pub ran: bool,
}

impl Scene<'_> {
    /// Whether this is casemate at this level.
    pub fn at(&self, level: &str) -> bool {
        self.level == Some(level)
    }

    /// A new bundle that runs at this level: as Docker would write it, with another user at `restricted`.
    pub fn bundle(&self) -> Result<Bundle> {
        let mut bundle = self.ground.bundle()?;
        if self.at("restricted") {
            bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
            bundle.set("/process/capabilities", capabilities(&["CAP_NET_BIND_SERVICE"]));
        }
        Ok(bundle)
    }

    /// Makes `script` the bundle's program, in a shell that says first that it ran.
    pub fn script(&self, bundle: &mut Bundle, script: &str) {
        bundle.sh(&format!("echo {RAN}; {script}"));
    }

    /// A bundle whose program is a script.
    pub fn scripted(&self, script: &str) -> Result<Bundle> {
        let mut bundle = self.bundle()?;
        self.script(&mut bundle, script);
        Ok(bundle)
    }

    /// The benign twin of an attack, with the program of [`Scene::script`]: it must run to a good end, or the check says
    /// nothing about the runtime.
    pub fn twin(&self, bundle: &Bundle) -> Result<Output> {
        self.leave()?;
        let output = self.ground.run(bundle)?;
        ensure!(output.code == 0 && output.stdout.contains(RAN), "the benign twin did not run: {output}");
        Ok(output)
    }

    /// `run` of a bundle that is an attack. A runtime that hangs is killed, which [`Self::refused`] takes for a crash.
    pub fn attack(&self, bundle: &Bundle) -> Result<Attack> {
        self.leave()?;
        let (output, _) = self.ground.container(bundle).run_in_background(&[])?.wait_or_kill(ATTACK_DEADLINE)?;
        Ok(Attack { ran: output.stdout.contains(RAN), output })
    }

    /// The verdict when the runtime refused: [`Verdict::Refused`] when it left nothing, `UNSAFE` when it left something
    /// or crashed; `None` when the program ran.
    pub fn refused(&self, attack: &Attack) -> Result<Option<Verdict>> {
        if attack.ran {
            return Ok(None);
        }
        let Output { code, .. } = attack.output;
        if code == 0 {
            return Ok(Some(Verdict::Invalid(format!("neither refused nor ran: {}", attack.output))));
        }
        if code >= 128 && code != 255 {
            return Ok(Some(Verdict::Unsafe(format!("the runtime crashed or was killed: {}", attack.output))));
        }
        let left = self.left()?;
        Ok(Some(match left.is_empty() {
            true => Verdict::Refused(attack.message()),
            false => Verdict::Unsafe(format!("refused, but left {}", left.join(", "))),
        }))
    }

    /// Whether the runtime came back from something hostile in good order: `None` when it neither hung nor crashed and,
    /// where it said no, left nothing; otherwise the verdict against it.
    pub fn withstands(&self, what: &str, output: &Result<Output>) -> Result<Option<Verdict>> {
        let output = match output {
            Ok(output) => output,
            Err(error) if format!("{error:#}").contains("not ended after") => {
                return Ok(Some(Verdict::Unsafe(format!("{what}: the runtime hangs"))));
            }
            Err(error) => bail!("{what}: {error:#}"),
        };
        let fell = ["panic: ", "goroutine ", "panicked at"].iter().any(|word| output.stderr.contains(word));
        if fell || (output.code >= 128 && output.code != 255 && !output.stdout.contains(RAN)) {
            return Ok(Some(Verdict::Unsafe(format!("{what}: the runtime crashed: {output}"))));
        }
        let left = if output.code == 0 { Vec::new() } else { self.left()? };
        let why = || Verdict::Unsafe(format!("{what}: refused, but left {}", left.join(", ")));
        Ok((!left.is_empty()).then(why))
    }

    /// What must be refused: `None` when it was, in good order; otherwise the verdict against the runtime.
    pub fn must_refuse(&self, what: &str, output: &Result<Output>) -> Result<Option<Verdict>> {
        if let Some(verdict) = self.withstands(what, output)? {
            return Ok(Some(verdict));
        }
        let accepted = output.as_ref().is_ok_and(|output| output.code == 0 || output.stdout.contains(RAN));
        Ok(accepted.then(|| Verdict::Unsafe(format!("{what}: not refused"))))
    }

    /// What there is of any container of this scene: state, cgroups, processes, mounts.
    pub fn left(&self) -> Result<Vec<String>> {
        self.leave()?;
        let ground = &self.ground;
        let mut left = Vec::new();
        for entry in std::fs::read_dir(&ground.root).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') {
                left.push(format!("state {name}"));
            }
        }
        left.extend(ground.host.cgroup_processes(&ground.cgroup).iter().map(|pid| format!("process {pid}")));
        for dir in ground.host.cgroup_dirs(&format!("{}/", ground.cgroup)) {
            let inner = std::fs::read_dir(&dir)?.flatten().filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()));
            left.extend(inner.map(|entry| format!("cgroup {}", entry.path().display())));
        }
        let mounts = host::mounts("self")?;
        let below = mounts.iter().filter(|mount| std::path::Path::new(&mount.point).starts_with(&ground.dir));
        left.extend(below.map(|mount| format!("mount {}", mount.point)));
        Ok(left)
    }

    /// A running container whose program is `sleep`: the control of everything that is done to one.
    pub fn sleeping<'s>(&'s self, bundle: &Bundle) -> Result<Container<'s>> {
        self.ground.sleeping(bundle)
    }

    /// A container of this bundle whose program is `sleep`, for several looks by `exec`.
    pub fn visited<'s>(&'s self, bundle: &Bundle) -> Result<Container<'s>> {
        let same = |(_, known): &&(String, Bundle)| known.dir == bundle.dir && known.spec == bundle.spec;
        let known = self.visited.borrow().as_ref().filter(same).map(|(id, _)| id.clone());
        if let Some(id) = known {
            return Ok(Container { ground: &self.ground, id, bundle: bundle.clone() });
        }
        self.leave()?;
        let made = self.sleeping(bundle)?;
        *self.visited.borrow_mut() = Some((made.id.clone(), bundle.clone()));
        Ok(made)
    }

    /// Deletes the container of [`Self::visited`], if there is one: another of its bundle would have the same cgroup.
    pub fn leave(&self) -> Result<()> {
        match self.visited.take() {
            Some((id, _)) => self.ground.call(&["delete", "--force", &id])?.success().map(drop),
            None => Ok(()),
        }
    }

    /// `exec` of a script that says first that it ran.
    pub fn exec_script(&self, container: &Container, flags: &[&str], script: &str) -> Result<Attack> {
        let script = format!("echo {RAN}; {script}");
        let words = [&["exec"], flags, &[container.id.as_str(), "/bin/sh", "-c", &script]].concat();
        let command = self.ground.command(&words);
        let (output, _) = self.ground.recorder.start(command, None)?.wait_or_kill(ATTACK_DEADLINE)?;
        Ok(Attack { ran: output.stdout.contains(RAN), output })
    }

    /// Whether text that a container printed has the mark of the files outside in it.
    pub fn shows_outside(&self, output: &Output) -> bool {
        output.stdout.contains(MARK)
    }

    /// Runs a command of the host's.
    pub fn host(&self, program: &str, args: &[&str]) -> Result<Output> {
        let mut command = std::process::Command::new(program);
        command.args(args).current_dir(&self.ground.dir);
        self.ground.recorder.start(command, None)?.wait(DEADLINE)
    }
}

impl Attack {
    /// The last line the runtime said, shortened.
    pub fn message(&self) -> String {
        let line = self.output.stderr.trim_end().lines().last().unwrap_or_default();
        line.chars().take(300).collect()
    }
}
