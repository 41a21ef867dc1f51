//! What the program must not have of its caller: signals, umask, terminal, keys, and what prctl(2) sets.

use crate::bundle::capabilities;
use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::escape::way::Way;
use crate::{holds, host};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt;

crate::checks! {
    "A5" nothing_of_the_callers_prctl_state_reaches_the_program;
    "A9" no_signal_is_blocked_whatever_the_caller_blocks;
    "A9" no_signal_is_ignored_whatever_the_caller_ignores [Own("signals are reset")];
    "A9" the_umask_is_that_of_the_configuration;
    "A9" the_oom_score_is_that_of_the_configuration;
    "A9" the_program_is_in_a_session_of_its_own_without_the_callers_terminal;
    "A10" the_session_keyring_of_the_caller_is_out_of_reach;
    "A10" two_containers_do_not_share_a_session_keyring;
    "A11" the_audit_id_is_not_changed;
}

fn nothing_of_the_callers_prctl_state_reaches_the_program(s: &Scene) -> Result<Verdict> {
    s.ground.caller("exec setpriv --pdeathsig KILL -- \"$@\"")?;
    let bundle = s.bundle()?;
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        let is = |name: &str| seen.inside["attributes"][name].as_i64();
        let all = ["keepcaps", "parent_death_signal"];
        holds!(all.iter().all(|name| is(name) == Some(0)), "{way}: {}", seen.inside["attributes"]);
        // Every program of its own user's is dumpable but those that changed ids, which this one did not.
        holds!(is("dumpable") == Some(1), "{way}: dumpable {:?}", is("dumpable"));
        // SECBIT_KEEP_CAPS and SECBIT_NO_SETUID_FIXUP let capabilities survive what should take them away.
        holds!(is("securebits").is_some_and(|bits| bits & 0b1_0100 == 0), "{way}: securebits {:?}", is("securebits"));
        seen.end()?;
    }
    Ok(Verdict::safe())
}

/// Looks on every way, called by somebody who blocks and ignores signals; the field of the status must be empty.
fn signals(s: &Scene, field: &str, preparation: &str) -> Result<Verdict> {
    s.ground.caller(&format!("exec perl -MPOSIX -e '{preparation} exec @ARGV or exit 127' -- \"$@\""))?;
    let bundle = s.bundle()?;
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        let set = host::status(seen.pid, field)?;
        // Rust's runtime ignores SIGPIPE in the probe itself.
        let left = u64::from_str_radix(&set, 16)? & !(1 << 12);
        holds!(left == 0, "{way}: {field} {set}");
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn no_signal_is_blocked_whatever_the_caller_blocks(s: &Scene) -> Result<Verdict> {
    signals(s, "SigBlk", "sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGUSR1, SIGTERM, SIGHUP));")
}

fn no_signal_is_ignored_whatever_the_caller_ignores(s: &Scene) -> Result<Verdict> {
    signals(s, "SigIgn", "$SIG{$_} = q(IGNORE) for qw(USR1 USR2 HUP QUIT);")
}

fn the_umask_is_that_of_the_configuration(s: &Scene) -> Result<Verdict> {
    for (callers, umask) in [("0", 0o027), ("0777", 0o077)] {
        s.ground.caller(&format!("umask {callers}; exec \"$@\""))?;
        let mut bundle = s.bundle()?;
        bundle.set("/process/user/umask", json!(umask));
        for way in Way::ALL {
            let seen = s.look(way, &bundle, &[])?;
            let is = u32::from_str_radix(&host::status(seen.pid, "Umask")?, 8)?;
            holds!(is == umask, "{way}: umask {is:o} instead of {umask:o}, the caller's is {callers}");
            seen.end()?;
        }
    }
    Ok(Verdict::safe())
}

fn the_oom_score_is_that_of_the_configuration(s: &Scene) -> Result<Verdict> {
    s.ground.caller("echo 700 > /proc/self/oom_score_adj; exec \"$@\"")?;
    for wanted in [650, 1000] {
        let mut bundle = s.bundle()?;
        bundle.set("/process/oomScoreAdj", json!(wanted));
        for way in Way::ALL {
            let seen = s.look(way, &bundle, &[])?;
            let is = host::read(format!("/proc/{}/oom_score_adj", seen.pid).as_ref())?;
            holds!(is == wanted.to_string(), "{way}: oom_score_adj {is} instead of {wanted}");
            seen.end()?;
        }
    }
    Ok(Verdict::safe())
}

fn the_program_is_in_a_session_of_its_own_without_the_callers_terminal(s: &Scene) -> Result<Verdict> {
    // The caller leads a session that has a terminal: /dev/ptmx with TIOCSPTLCK and TIOCGPTN, and its other end.
    let terminal = "POSIX::setsid(); $^F = 9; open($m, q(+<), q(/dev/ptmx)); $n = pack(q(i), 0);
        ioctl($m, 0x40045431, $n); ioctl($m, 0x80045430, $n); $n = unpack(q(i), $n); open($s, q(+<), qq(/dev/pts/$n));";
    s.ground.caller(&format!("exec perl -MPOSIX -e '{terminal} exec @ARGV or exit 127' -- \"$@\""))?;
    let bundle = s.bundle()?;
    for way in [Way::CreateStart, Way::Run, Way::Exec, Way::ExecCap] {
        let seen = s.look(way, &bundle, &[])?;
        let inside = &seen.inside;
        holds!(inside["session"] == inside["pid"], "{way}: pid {} in session {}", inside["pid"], inside["session"]);
        holds!(inside["terminal"]["controlling"] == false, "{way}: it controls a terminal of the caller's");
        seen.end()?;
    }
    let tty = s.look(Way::ExecTty, &s.bundle()?, &[])?;
    ensure!(tty.inside["terminal"]["controlling"] == true, "not even a terminal of its own is seen");
    let own = std::fs::metadata(format!("/proc/{}/root/dev/pts", tty.pid)).context("its devpts")?;
    let stream = std::fs::metadata(format!("/proc/{}/fd/0", tty.pid)).context("its standard input")?;
    holds!(own.dev() == stream.dev(), "exec --tty: its terminal is not of the container's devpts");
    tty.end()?;
    Ok(Verdict::safe())
}

/// The id of the session keyring, and the keys in it; `None` where the filter denies the question.
fn keyring(seen: &Value) -> Result<Option<(i64, Vec<i64>)>> {
    let keyring = &seen["keyring"];
    if keyring["error"].as_str().is_some_and(|error| error.contains("not permitted")) {
        return Ok(None);
    }
    let keys = keyring["keys"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect();
    Ok(Some((keyring["id"].as_i64().with_context(|| format!("keyring {keyring}"))?, keys)))
}

fn the_session_keyring_of_the_caller_is_out_of_reach(s: &Scene) -> Result<Verdict> {
    let probe = std::env::current_exe()?.with_file_name("probe").to_string_lossy().into_owned();
    let words = ["key", "of-the-caller"];
    ensure!(s.host(&probe, &words)?.code == 0, "no key can be added to the caller's keyring");
    let looked = (|| {
        let own: Value = s.host(&probe, &["keyring"])?.json()?;
        let (own, planted) = keyring(&json!({"keyring": own}))?.context("the caller has no keyring")?;
        ensure!(!planted.is_empty(), "the planted key is not seen by the caller");
        let bundle = s.bundle()?;
        for way in Way::ALL {
            let seen = s.look(way, &bundle, &[])?;
            if let Some((id, keys)) = keyring(&seen.inside)? {
                holds!(id != own, "{way}: the program has the caller's session keyring {own}");
                holds!(!keys.iter().any(|key| planted.contains(key)), "{way}: the caller's keys {keys:?}");
            }
            seen.end()?;
        }
        Ok(Verdict::safe())
    })();
    ensure!(s.host(&probe, &["unlink-key", "of-the-caller"])?.code == 0, "the planted key cannot be removed");
    looked
}

fn two_containers_do_not_share_a_session_keyring(s: &Scene) -> Result<Verdict> {
    let mut known = Vec::new();
    for way in Way::INIT {
        let mut bundle = s.bundle()?;
        bundle.set("/process/capabilities", capabilities(&["CAP_NET_BIND_SERVICE"]));
        let seen = s.look(way, &bundle, &[])?;
        match keyring(&seen.inside)? {
            None => return Ok(Verdict::Safe("the calls for keyrings are denied".to_owned())),
            Some((id, _)) => {
                holds!(!known.contains(&id), "{way}: session keyring {id} is another container's");
                known.push(id);
            }
        }
    }
    Ok(Verdict::safe())
}

fn the_audit_id_is_not_changed(s: &Scene) -> Result<Verdict> {
    // The kernel's audit log goes by it: a container that loses its caller's, or could set it, acts as somebody else.
    let read = |pid: &str| host::read(format!("/proc/{pid}/loginuid").as_ref());
    let Ok(own) = read("self") else {
        return Ok(Verdict::Safe("the kernel has no audit ids".to_owned()));
    };
    let bundle = s.bundle()?;
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        let is = read(&seen.pid.to_string())?;
        holds!(is == own || is == u32::MAX.to_string(), "{way}: loginuid {is}, the caller's is {own}");
        seen.end()?;
    }
    Ok(Verdict::safe())
}
