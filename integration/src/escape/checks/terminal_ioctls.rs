//! A container that has its caller's terminal as standard input: what it pushes there would be read by the caller's shell.

use crate::bundle::Bundle;
use crate::escape::answers::allow_but;
use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::holds;
use crate::process::{DEADLINE, Output, typed};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::process::Command;

crate::checks! {
    "CVE-2017-5226" a_program_cannot_type_into_its_callers_terminal;
    "CVE-2016-10124" an_exec_cannot_type_into_its_callers_terminal;
    "CVE-2019-10063" a_rule_against_tiocsti_ignores_the_upper_half;
    "CVE-2023-28100" a_rule_against_tioclinux_ignores_the_upper_half;
}

/// Runs a command on a terminal, and then reads what was typed there meanwhile without anybody typing.
fn on_a_terminal(s: &Scene, command: &str) -> Result<(Output, String)> {
    let read = "echo; echo BEGIN; dd bs=64 count=1 2>/dev/null; echo; echo END";
    let mut script = Command::new("script");
    let line = format!("stty -icanon -echo min 0 time 0; {command}; {read}");
    script.args(["-qec", &line, "/dev/null"]).current_dir(&s.ground.dir);
    let output = s.ground.recorder.start(script, None)?.wait(DEADLINE)?;
    let (_, typed) = output.stdout.split_once("BEGIN").unwrap_or_default();
    let typed = typed.split("END").next().unwrap_or_default().trim().to_owned();
    Ok((output, typed))
}

/// What a host's program can type into its own terminal: nothing since `dev.tty.legacy_tiocsti` is 0.
fn unavailable(s: &Scene) -> Result<Option<Verdict>> {
    let (output, typed) = on_a_terminal(s, "perl -e 'my $letter = \"P\"; ioctl(STDIN, 0x5412, $letter) or warn $!'")?;
    ensure!(output.stdout.contains("END"), "{output}");
    let words = "needs a kernel that lets programs type into their terminal (sysctl dev.tty.legacy_tiocsti)".to_owned();
    Ok((!typed.contains('P')).then_some(Verdict::Unavailable("tiocsti", words)))
}

fn push_to_caller(s: &Scene, command: &Command, answer: &str) -> Result<Verdict> {
    let (output, input) = on_a_terminal(s, &typed(command))?;
    ensure!(output.stdout.contains(answer), "the program did not run: {output}");
    holds!(!input.contains('P'), "typed into the caller's terminal: {input:?}");
    Ok(Verdict::safe())
}

/// A bundle whose program tries it, without a filter where the level lets it.
fn pushing(s: &Scene) -> Result<Bundle> {
    let mut bundle = s.bundle()?;
    s.script(&mut bundle, "/bin/probe try push");
    Ok(bundle)
}

fn a_program_cannot_type_into_its_callers_terminal(s: &Scene) -> Result<Verdict> {
    if let Some(verdict) = unavailable(s)? {
        return Ok(verdict);
    }
    let bundle = pushing(s)?;
    bundle.write()?;
    let (dir, id) = (bundle.dir.to_string_lossy().into_owned(), s.ground.id());
    push_to_caller(s, &s.ground.command(&["run", "--bundle", &dir, &id]), crate::escape::scene::RAN)
}

fn an_exec_cannot_type_into_its_callers_terminal(s: &Scene) -> Result<Verdict> {
    if let Some(verdict) = unavailable(s)? {
        return Ok(verdict);
    }
    let container = s.sleeping(&s.bundle()?)?;
    let id = container.id.clone();
    for flags in [&["exec"][..], &["exec", "--tty"]] {
        let words = [flags, &[&id, "/bin/probe", "try", "push"]].concat();
        // Its own terminal it may type into, where there is one and no filter: it reads that itself.
        let answers = ["ok", "os error"];
        let (output, input) = on_a_terminal(s, &typed(&s.ground.command(&words)))?;
        ensure!(answers.iter().any(|answer| output.stdout.contains(answer)), "the program did not run: {output}");
        holds!(!input.contains('P'), "{flags:?}: typed into the caller's terminal: {input:?}");
    }
    Ok(Verdict::safe())
}

/// A profile that allows all but one ioctl, as engines write it: the mask says which bits count.
fn without_ioctl(command: u64) -> Value {
    let condition = json!({"index": 1, "value": 0xffff_ffff_u64, "valueTwo": command, "op": "SCMP_CMP_MASKED_EQ"});
    allow_but(&json!([{"names": ["ioctl"], "action": "SCMP_ACT_ERRNO", "args": [condition]}]))
}

/// Of the terminal's ioctls the denied ones that the profile names, with any upper half.
fn only(s: &Scene, command: u64, name: &str) -> Result<Verdict> {
    let mut bundle = s.capable()?;
    bundle.set("/linux/seccomp", without_ioctl(command));
    let all = s.reached(&["terminal"])?;
    let others: Vec<&str> = all.iter().map(String::as_str).filter(|other| !other.contains(name)).collect();
    s.denies_but(&bundle, &["terminal"], &others)
}

fn a_rule_against_tiocsti_ignores_the_upper_half(s: &Scene) -> Result<Verdict> {
    only(s, 0x5412, "(TIOCSTI)")
}

fn a_rule_against_tioclinux_ignores_the_upper_half(s: &Scene) -> Result<Verdict> {
    only(s, 0x541c, "(TIOCLINUX)")
}
