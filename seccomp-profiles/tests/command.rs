//! The tool `seccomp-profile`, run as a user runs it.

use std::env::temp_dir;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, id};

#[expect(clippy::expect_used, reason = "a test fails by it")]
fn tool(args: &[&str]) -> Output {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/profiles");
    Command::new(env!("CARGO_BIN_EXE_seccomp-profile"))
        .current_dir(directory)
        .args(args)
        .output()
        .expect("the tool runs")
}

fn out(args: &[&str]) -> String {
    let output = tool(args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn error(args: &[&str]) -> String {
    let output = tool(args);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn compile_writes_the_filter_that_disasm_shows() {
    let file = temp_dir().join(format!("seccomp-profile-{}.bpf", id()));
    out(&["compile", "docker-20.10.json", "-o", &file.to_string_lossy()]);
    let bytes = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let lines = out(&["disasm", "docker-20.10.json"]).lines().count();
    assert_eq!(bytes.len(), 8 * lines);
    // ld [4]: the audit value.
    assert_eq!(bytes[..8], [0x20, 0, 0, 0, 4, 0, 0, 0]);
    assert_eq!(tool(&["compile", "docker-20.10.json", "-o", "-"]).stdout, bytes);
    assert_eq!(out(&["compile", "docker-20.10.json"]), format!("{lines} instructions, flags 0x4\n"));
}

#[test]
fn unknown_names_are_warned_of() {
    let output = tool(&["compile", "docker-20.10.json"]);
    let warnings = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success());
    for line in warnings.lines() {
        assert!(line.starts_with("warning: unknown system call \""), "{line}");
    }
}

#[test]
fn explain_names_the_verdict_and_the_rule() {
    let explain = |args: &[&str]| out(&[&["explain", "docker-20.10.json"], args].concat());
    assert_eq!(explain(&["read"]), "ALLOW: rule 0 (\"accept\" and others)\n");
    assert_eq!(explain(&["mount"]), "ERRNO(1): no rule matches: the default action\n");
    assert!(explain(&["personality", "0x20008"]).starts_with("ALLOW: rule "));
    assert!(explain(&["personality", "1"]).starts_with("ERRNO(1)"));
    assert!(explain(&["personality", "-1"]).starts_with("ERRNO(1)"));
    assert!(explain(&["469"]).starts_with("ERRNO(38): newer than"));
    assert!(explain(&["x86:socketcall", "1"]).starts_with("ALLOW"));
    assert!(explain(&["aarch64:read"]).starts_with("KILL_PROCESS: the profile does not list"));
    let all = explain(&[]);
    assert!(all.lines().any(|line| line.starts_with("reboot") && line.contains("ERRNO(1)")), "{all}");
}

#[test]
fn a_config_json_is_taken_too() {
    let file = temp_dir().join(format!("seccomp-profile-{}.json", id()));
    let config = r#"{"ociVersion":"1.2.0","linux":{"seccomp":{"defaultAction":"SCMP_ACT_LOG"}}}"#;
    fs::write(&file, config).unwrap();
    let explained = out(&["explain", &file.to_string_lossy(), "read"]);
    fs::remove_file(&file).unwrap();
    assert_eq!(explained, "LOG: no rule matches: the default action\n");
}

#[test]
fn a_wrong_word_in_a_config_json_is_named() {
    let file = temp_dir().join(format!("seccomp-profile-wrong-{}.json", id()));
    fs::write(&file, r#"{"linux":{"seccomp":{"defaultAction":"SCMP_ACT_DENY"}}}"#).unwrap();
    let message = error(&["compile", &file.to_string_lossy()]);
    fs::remove_file(&file).unwrap();
    assert!(message.contains("unknown action \"SCMP_ACT_DENY\""), "{message}");
}

#[test]
fn mistakes_are_told() {
    assert!(error(&[]).starts_with("usage: seccomp-profile"));
    assert!(error(&["lint", "x"]).starts_with("usage: seccomp-profile"));
    assert!(error(&["compile", "/nonexistent"]).starts_with("read \"/nonexistent\": "));
    assert!(error(&["compile", "README.md"]).contains("\"README.md\": seccomp profile: "));
    assert!(error(&["explain", "one-call.json", "nocall"]).contains("\"nocall\" is neither a known system call nor"));
    assert!(error(&["explain", "one-call.json", "vax:read"]).contains("unknown architecture \"vax\""));
    assert!(error(&["explain", "one-call.json", "open", "1", "2", "3", "4", "5", "6", "7"]).contains("7 arguments"));
    assert!(error(&["explain", "one-call.json", "aarch64:open"]).contains("aarch64 has no system call \"open\""));
}
