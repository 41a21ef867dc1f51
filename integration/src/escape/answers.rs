//! What a filter or the kernel says to the probe's calls, of the container's program and of an exec'd one.

use crate::bundle::{Bundle, capabilities};
use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::process::{DEADLINE, eventually};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;

/// The profile of the suite: casemate's family `default` for Docker's capabilities, as a case of `seccomp_tool` holds it to.
pub const PROFILE: &str = include_str!("../../profiles/default.json");

/// The answers to calls, by name.
pub type Answers = BTreeMap<String, String>;

/// What each runtime's control has shown: it is the same for all checks.
static REACHED: Mutex<BTreeMap<PathBuf, BTreeSet<String>>> = Mutex::new(BTreeMap::new());

/// Every capability there is, by number.
const CAPABILITIES: &str = "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE \
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE \
    SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL \
    SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE";

/// Whether a call did not get to what it is about: a filter's answer, or the kernel's to who lacks a capability.
pub fn denied(answer: &str) -> bool {
    ["EPERM", "EACCES", "ENOSYS", "SIGSYS"].contains(&answer)
}

/// The suite's profile.
pub fn profile() -> Result<Value> {
    serde_json::from_str(PROFILE).context("the suite's profile")
}

/// A profile that allows everything but these rules.
pub fn allow_but(rules: &Value) -> Value {
    json!({"defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "syscalls": rules})
}

impl Scene<'_> {
    /// A bundle with all capabilities that this host has to give, where the level lets it: what is denied then, is denied
    /// by a filter and by nothing else.
    pub fn capable(&self) -> Result<Bundle> {
        match self.level {
            None | Some("privileged") => self.all_capabilities(),
            Some(_) => self.bundle(),
        }
    }

    fn all_capabilities(&self) -> Result<Bundle> {
        let mut bundle = self.ground.bundle()?;
        let own = u64::from_str_radix(&crate::host::status(std::process::id().cast_signed(), "CapBnd")?, 16)?;
        let all = CAPABILITIES.split_whitespace().enumerate();
        let names: Vec<String> =
            all.filter(|(n, _)| own >> n & 1 == 1).map(|(_, name)| format!("CAP_{name}")).collect();
        bundle.set("/process/capabilities", capabilities(&names.iter().map(String::as_str).collect::<Vec<_>>()));
        Ok(bundle)
    }

    /// The answers to the calls of these groups: to the container's program, and to a program of `exec`.
    pub fn answers(&self, bundle: &Bundle, groups: &[&str]) -> Result<[(&'static str, Answers); 2]> {
        let mut bundle = bundle.clone();
        let container = self.ground.container(bundle.args(&[&["/bin/probe", "calls", "stay"], groups].concat()));
        let running = container.run_in_background(&[])?;
        let mut printed = String::new();
        let init = eventually("the answers to the probe's calls", || {
            printed = running.stdout()?;
            Ok(serde_json::from_str(&printed).ok())
        });
        let init = init.with_context(|| format!("{printed}{}", running.stderr().unwrap_or_default()))?;
        let output = container.exec(&[], &[&["/bin/probe", "calls"], groups].concat())?.success()?;
        let exec = serde_json::from_str(&output.stdout).with_context(|| format!("{output}"))?;
        container.call("delete", &["--force"])?.success()?;
        running.wait(DEADLINE)?;
        Ok([("run", init), ("exec", exec)])
    }

    /// The control: the calls of these groups that get to this kernel without a filter and with all capabilities.
    pub fn reached(&self, groups: &[&str]) -> Result<BTreeSet<String>> {
        let runtime = self.ground.runtime.path.clone();
        let mut known = REACHED.lock().map_err(|_| anyhow::anyhow!("another check has panicked"))?;
        if !known.contains_key(&runtime) {
            self.ground.level(self.level.map(|_| "privileged"));
            let answers = self.answers(&self.all_capabilities()?, &[]);
            self.ground.level(self.level);
            let [(_, init), _] = answers?;
            let reached = init.into_iter().filter(|(_, answer)| !denied(answer)).map(|(name, _)| name);
            known.insert(runtime.clone(), reached.collect());
        }
        let all = known.get(&runtime).into_iter().flatten();
        let of = |name: &&String| name.split_once('/').is_some_and(|(group, _)| groups.contains(&group));
        Ok(all.filter(of).cloned().collect())
    }

    /// `SAFE` when under this bundle every call of these groups is denied that gets to this kernel without a filter; the
    /// ordinary calls, which every program makes, must not be denied.
    pub fn denies(&self, bundle: &Bundle, groups: &[&str]) -> Result<Verdict> {
        self.denies_but(bundle, groups, &[])
    }

    /// The same, without a word about some calls of the groups.
    pub fn denies_but(&self, bundle: &Bundle, groups: &[&str], but: &[&str]) -> Result<Verdict> {
        let groups = &[groups, &["ordinary"]].concat();
        let mut reached = self.reached(groups)?;
        reached.retain(|name| !but.contains(&name.as_str()));
        let count = reached.iter().filter(|name| !name.starts_with("ordinary/")).count();
        ensure!(count > 0, "none of the calls gets to this kernel, even without a filter");
        let mut through = Vec::new();
        for (way, answers) in self.answers(bundle, groups)? {
            for name in &reached {
                match (answers.get(name), name.starts_with("ordinary/")) {
                    (Some(answer), true) => {
                        ensure!(!denied(answer), "{way}: an ordinary call is denied too: {name}: {answer}");
                    }
                    (Some(answer), false) if !denied(answer) => through.push(format!("{way}: {name}: {answer}")),
                    (None, _) if way == "run" => bail!("{name} was not tried"),
                    _ => {}
                }
            }
        }
        Ok(match through.is_empty() {
            true => Verdict::Safe(format!("{count} calls denied")),
            false => Verdict::Unsafe(through.join("; ")),
        })
    }
}
