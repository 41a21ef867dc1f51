//! The filter itself, as the kernel shows it from outside, and what a program under it notices.

use crate::escape::answers::{allow_but, denied, profile};
use crate::escape::check::Verdict;
use crate::escape::scene::{Attack, Scene};
use crate::escape::way::Way;
use crate::process::readable_within;
use crate::{holds, host};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

crate::checks! {
    "D18" every_way_in_has_the_filter_and_one_thread;
    "D18" a_filter_is_in_force_without_a_profile [Levels(&["baseline", "restricted"])];
    "D19" a_denied_call_is_in_the_audit_log_when_the_profile_says_so;
    "D20" calls_that_libc_tries_first_are_never_refused_with_eperm;
    "D20" ordinary_programs_run_under_the_profile;
    "D20" ordinary_programs_run_without_a_profile [Levels(&["baseline", "restricted"])];
}

fn filtered(s: &Scene, profile: Option<Value>, ways: &[Way]) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    if let Some(profile) = profile {
        bundle.set("/linux/seccomp", profile);
    }
    for way in ways {
        let seen = s.look(*way, &bundle, &[])?;
        let (mode, filters) = (host::status(seen.pid, "Seccomp")?, host::status(seen.pid, "Seccomp_filters")?);
        let threads = host::status(seen.pid, "Threads")?;
        holds!(mode == "2", "{way}: seccomp mode {mode}");
        holds!(filters.parse::<u32>()? >= 1, "{way}: {filters} filters");
        holds!(threads == "1", "{way}: {threads} threads");
        let inits = host::status(seen.container.pid()?, "Seccomp_filters")?;
        holds!(filters == inits, "{way}: {filters} filters, the container's program has {inits}");
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn every_way_in_has_the_filter_and_one_thread(s: &Scene) -> Result<Verdict> {
    filtered(s, Some(profile()?), &Way::ALL)
}

fn a_filter_is_in_force_without_a_profile(s: &Scene) -> Result<Verdict> {
    filtered(s, None, &[Way::Run, Way::Exec])
}

/// The kernel's messages from now on.
struct Messages(std::fs::File);

impl Messages {
    fn open() -> Result<Self> {
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open("/dev/kmsg");
        let file = file.context("open \"/dev/kmsg\"")?;
        rustix::fs::seek(&file, rustix::fs::SeekFrom::End(0)).context("seek to the end of \"/dev/kmsg\"")?;
        Ok(Self(file))
    }

    /// Whether one of the messages not yet read, or of those that come within a moment, is a seccomp record of this
    /// program: a thread of the kernel's writes them.
    fn tell_of(&mut self, program: &str) -> Result<bool> {
        let mut record = [0; 8192];
        loop {
            match self.0.read(&mut record) {
                Ok(0) => return Ok(false),
                Ok(n) => {
                    let text = String::from_utf8_lossy(record.get(..n).unwrap_or_default()).into_owned();
                    if text.contains("type=1326") && text.contains(&format!("exe=\"{program}\"")) {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !readable_within(&self.0, Duration::from_millis(300))? {
                        return Ok(false);
                    }
                }
                // Records that were overwritten before they were read.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
                Err(error) => return Err(error).context("read \"/dev/kmsg\""),
            }
        }
    }
}

fn a_denied_call_is_in_the_audit_log_when_the_profile_says_so(s: &Scene) -> Result<Verdict> {
    let Ok(mut messages) = Messages::open() else {
        return Ok(Verdict::Unavailable("audit", "needs /dev/kmsg".to_owned()));
    };
    let rule = |action: &str| allow_but(&json!([{"names": ["sysinfo"], "action": action}]));
    // The twin: an action that the kernel logs by itself.
    let (mut flagged, killed) = (rule("SCMP_ACT_ERRNO"), rule("SCMP_ACT_KILL_PROCESS"));
    flagged["flags"] = json!(["SECCOMP_FILTER_FLAG_LOG"]);
    let mut told = |profile: &Value, n: u32| {
        let mut bundle = s.bundle()?;
        let program = format!("/bin/{}-{n}", s.ground.id());
        std::fs::copy(bundle.rootfs().join("bin/probe"), bundle.rootfs().join(program.trim_start_matches('/')))?;
        let output = s.ground.run(bundle.set("/linux/seccomp", profile.clone()).args(&[&program, "try", "sysinfo"]))?;
        Ok::<_, anyhow::Error>((output, messages.tell_of(&program)?))
    };
    // The kernel drops records when there are too many of them. So a record is missing only when those of the twin directly
    // before and after it are there, and that more than once.
    let end = Instant::now() + Duration::from_secs(12);
    let (mut twin_before, mut missing) = (false, 0);
    for n in 0.. {
        let (output, seen) = told(&flagged, n)?;
        let ran = output.stdout.contains("Operation not permitted");
        if !ran {
            return s.refused(&Attack { output, ran })?.context("neither refused nor ran");
        }
        if seen {
            return Ok(Verdict::safe());
        }
        let twin = told(&killed, n)?.1;
        missing += u32::from(twin_before && twin);
        twin_before = twin;
        if missing >= 3 {
            return Ok(Verdict::Unsafe("a call was denied without a record".to_owned()));
        }
        if Instant::now() > end {
            break;
        }
    }
    Ok(Verdict::Unavailable("audit", "needs seccomp records in the kernel's messages".to_owned()))
}

fn calls_that_libc_tries_first_are_never_refused_with_eperm(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.set("/linux/seccomp", profile()?);
    for (way, answers) in s.answers(&bundle, &["fallbacks", "future"])? {
        for (name, answer) in &answers {
            let hidden = name == "fallbacks/clone3" || name.starts_with("future/");
            holds!(answer == "ENOSYS" || !hidden && !denied(answer), "{way}: {name}: {answer}");
        }
    }
    Ok(Verdict::safe())
}

/// Pipes, children, files, signals, sockets: what scripts are made of.
const PROGRAMS: &str = "set -e; d=/tmp/d; mkdir $d; seq 1 1000 | sort -r | head -n 3 | wc -l | grep -q 3; \
    ( cd $d && echo a > a && ln -s a b && cp -a a c && cat b c | grep -c a ) > $d/n; grep -qx 2 $d/n; \
    sleep 5 & kill $!; wait $! || true; timeout 5 true; date > /dev/null 2>&1 || env > /dev/null; \
    id > /dev/null; df / > /dev/null; stat $d > /dev/null; touch $d/t; chmod 600 $d/t; rm -r $d; \
    ps > /dev/null; echo ALL-RAN";

fn ordinary_programs(s: &Scene, profile: Option<Value>) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    // A directory to write to at every level.
    bundle.mount("/tmp", "tmpfs", "tmpfs", &["nosuid", "nodev", "mode=1777"]);
    bundle.sh(PROGRAMS);
    if let Some(profile) = profile {
        bundle.set("/linux/seccomp", profile);
    }
    let output = s.ground.run(&bundle)?;
    holds!(output.code == 0 && output.stdout.contains("ALL-RAN"), "{output}");
    let container = s.sleeping(&bundle)?;
    let output = container.exec(&[], &["/bin/sh", "-c", PROGRAMS])?;
    holds!(output.code == 0 && output.stdout.contains("ALL-RAN"), "exec: {output}");
    Ok(Verdict::safe())
}

fn ordinary_programs_run_under_the_profile(s: &Scene) -> Result<Verdict> {
    ordinary_programs(s, Some(profile()?))
}

fn ordinary_programs_run_without_a_profile(s: &Scene) -> Result<Verdict> {
    ordinary_programs(s, None)
}
