//! The file that a runtime reads first.

use crate::escape::check::Verdict;
use crate::escape::scene::{RAN, Scene};
use crate::holds;
use crate::process::Output;
use anyhow::{Context, Result};
use std::os::unix::fs::symlink;
use std::time::Duration;

crate::checks! {
    "G9" a_config_file_that_is_no_regular_file_does_not_hang;
    "G9" a_config_file_that_is_a_link_to_a_hosts_file_shows_nothing_of_it;
    "G9" a_hostile_config_file_neither_crashes_nor_hangs_the_runtime;
    "G9" a_config_file_that_can_be_read_in_two_ways_is_refused [Own("what was reviewed is what runs")];
    "G9" a_hostile_process_file_neither_crashes_nor_hangs_exec;
}

/// Longer than any of these takes, shorter than the suite's own patience.
const PATIENCE: Duration = Duration::from_secs(5);

fn a_config_file_that_is_no_regular_file_does_not_hang(s: &Scene) -> Result<Verdict> {
    let bundle = s.scripted("true")?;
    s.twin(&bundle)?;
    let file = bundle.dir.join("config.json");
    for what in ["a FIFO", "a link to a FIFO", "a directory", "a socket", "/dev/zero", "a terminal"] {
        if file.is_dir() {
            std::fs::remove_dir(&file)?
        } else {
            std::fs::remove_file(&file)?
        }
        let fifo = bundle.dir.join("fifo");
        match what {
            "a FIFO" => drop(s.host("mkfifo", &[&file.to_string_lossy()])?.success()?),
            "a link to a FIFO" => {
                s.host("mkfifo", &[&fifo.to_string_lossy()])?.success()?;
                symlink("fifo", &file)?;
            }
            "a directory" => std::fs::create_dir(&file)?,
            "a socket" => drop(std::os::unix::net::UnixListener::bind(&file)?),
            "/dev/zero" => symlink("/dev/zero", &file)?,
            _ => symlink("/dev/ptmx", &file)?,
        }
        let dir = bundle.dir.to_string_lossy().into_owned();
        // An endless file must not take the machine's memory either.
        let mut command = std::process::Command::new("prlimit");
        let run = s.ground.command(&["run", "--bundle", &dir, &s.ground.id()]);
        command.arg("--as=4000000000").arg("--").arg(run.get_program()).args(run.get_args());
        let output = s.ground.recorder.start(command, None)?.wait(PATIENCE);
        if let Some(verdict) = s.must_refuse(what, &output)? {
            return Ok(verdict);
        }
    }
    Ok(Verdict::Refused("6 kinds".to_owned()))
}

fn a_config_file_that_is_a_link_to_a_hosts_file_shows_nothing_of_it(s: &Scene) -> Result<Verdict> {
    let bundle = s.scripted("true")?;
    s.twin(&bundle)?;
    let file = bundle.dir.join("config.json");
    std::fs::remove_file(&file)?;
    symlink(s.outside.path("secret"), &file)?;
    let output = s.ground.call(&["run", "--bundle", &bundle.dir.to_string_lossy(), &s.ground.id()])?;
    let shown = format!("{}{}", output.stdout, output.stderr).contains(crate::escape::outside::MARK);
    holds!(!shown, "its content is in the message: {output}");
    Ok(s.must_refuse("a link", &Ok(output))?.unwrap_or(Verdict::Refused("no JSON".to_owned())))
}

/// The ways to spoil a document that was good, with its text afterwards.
fn spoiled(good: &str) -> Vec<(&'static str, Vec<u8>)> {
    let with = |from: &str, to: &str| good.replacen(from, to, 1).into_bytes();
    let insert = |text: &str| with("{", &format!("{{{text},"));
    vec![
        ("empty", Vec::new()),
        ("a NUL", vec![0]),
        ("a NUL behind it", [good.as_bytes(), b"\0"].concat()),
        ("a NUL in a string", with("\"inside\"", "\"in\\u0000side\"")),
        ("a raw NUL in a string", with("\"inside\"", "\"in\0side\"")),
        ("a lone surrogate", with("\"inside\"", "\"\\ud800\"")),
        ("a reversed pair", with("\"inside\"", "\"\\udc00\\ud800\"")),
        (
            "not UTF-8",
            [good.replacen("\"inside\"", "\"@\"", 1).as_bytes()]
                .concat()
                .iter()
                .map(|b| if *b == b'@' { 0xff } else { *b })
                .collect(),
        ),
        ("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("arrays 100,000 deep", insert(&format!("\"x\":{}{}", "[".repeat(100_000), "]".repeat(100_000)))),
        ("objects 100,000 deep", insert(&format!("\"x\":{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000)))),
        ("arrays without an end", "[".repeat(1_000_000).into_bytes()),
        ("a huge number", insert(&format!("\"x\":{}", "9".repeat(100_000)))),
        ("a huge exponent", insert("\"x\":1e999999999")),
        ("100,000 keys", insert(&(0..100_000).map(|n| format!("\"k{n}\":1")).collect::<Vec<_>>().join(","))),
        ("a string without an end", with("\"inside\"", "\"inside")),
        ("8 MiB of white space", [" ".repeat(8 << 20).as_bytes(), good.as_bytes()].concat()),
    ]
}

fn a_hostile_config_file_neither_crashes_nor_hangs_the_runtime(s: &Scene) -> Result<Verdict> {
    let bundle = s.scripted("true")?;
    s.twin(&bundle)?;
    let good = bundle.spec.to_string();
    for (what, bytes) in spoiled(&good) {
        std::fs::write(bundle.dir.join("config.json"), bytes)?;
        let output = s.ground.call(&["run", "--bundle", &bundle.dir.to_string_lossy(), &s.ground.id()]);
        if let Some(verdict) = s.withstands(what, &output)? {
            return Ok(verdict);
        }
    }
    Ok(Verdict::safe())
}

fn a_config_file_that_can_be_read_in_two_ways_is_refused(s: &Scene) -> Result<Verdict> {
    let bundle = s.scripted("true")?;
    s.twin(&bundle)?;
    let good = bundle.spec.to_string();
    let insert = |text: &str| good.replacen('{', &format!("{{{text},"), 1);
    for (what, text) in [
        ("a byte order mark", format!("\u{feff}{good}")),
        ("a comment", format!("// comment\n{good}")),
        ("a comment within", good.replacen('{', "{/* comment */", 1)),
        ("a trailing comma", format!("{},}}", good.trim_end_matches('}'))),
        ("text behind it", format!("{good}{good}")),
        ("a key twice", insert("\"ociVersion\":\"1.0.2\"")),
        ("a key twice, escaped", insert("\"oci\\u0056ersion\":\"1.0.2\"")),
        ("a key twice, deep", good.replacen("\"uid\":", "\"uid\":0,\"uid\":", 1)),
        ("a NUL in a string", good.replacen("\"inside\"", "\"in\\u0000side\"", 1)),
        ("a lone surrogate", good.replacen("\"inside\"", "\"\\ud800\"", 1)),
        ("64 levels and more", insert(&format!("\"x\":{}{}", "[".repeat(65), "]".repeat(65)))),
        ("over 4 MiB", insert(&format!("\"x\":\"{}\"", "x".repeat(4 << 20)))),
        ("NaN", insert("\"x\":NaN")),
        ("single quotes", good.replacen("\"inside\"", "'inside'", 1)),
    ] {
        anyhow::ensure!(text != good, "{what}: nothing was changed");
        bundle.write_text(&text)?;
        let output = s.ground.call(&["run", "--bundle", &bundle.dir.to_string_lossy(), &s.ground.id()]);
        if let Some(verdict) = s.must_refuse(what, &output)? {
            return Ok(verdict);
        }
    }
    Ok(Verdict::Refused("14 kinds".to_owned()))
}

fn a_hostile_process_file_neither_crashes_nor_hangs_exec(s: &Scene) -> Result<Verdict> {
    let bundle = s.bundle()?;
    let container = s.sleeping(&bundle)?;
    let mut process = bundle.spec["process"].clone();
    process["args"] = serde_json::json!(["/bin/sh", "-c", format!("echo {RAN} inside")]);
    let good = process.to_string();
    let file = s.ground.dir.join("process.json");
    let exec = || -> Result<Output> {
        let command = s.ground.command(&["exec", "--process", &file.to_string_lossy(), &container.id]);
        s.ground.recorder.start(command, None)?.wait(PATIENCE)
    };
    std::fs::write(&file, &good)?;
    let twin = exec()?.success().context("the benign twin")?;
    anyhow::ensure!(twin.stdout.contains(RAN), "{twin}");
    let marked = good.replacen("\"cwd\"", "\"hostname\":\"inside\",\"cwd\"", 1);
    for (what, bytes) in spoiled(&marked) {
        std::fs::write(&file, bytes)?;
        let output = exec();
        let crashed = |o: &Output| {
            (o.code >= 128 && o.code != 255) || ["goroutine ", "panicked"].iter().any(|w| o.stderr.contains(w))
        };
        holds!(output.as_ref().is_ok_and(|output| !crashed(output)), "{what}: hangs or crashes: {output:?}");
        holds!(container.status()? == "running", "{what}: the container is gone");
    }
    std::fs::remove_file(&file)?;
    s.host("mkfifo", &[&file.to_string_lossy()])?.success()?;
    holds!(exec().is_ok(), "a FIFO: hangs");
    Ok(Verdict::safe())
}
