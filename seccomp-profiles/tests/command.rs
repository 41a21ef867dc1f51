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
    assert_eq!(output.status.code(), Some(2));
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
    assert!(error(&["lint"]).starts_with("usage: seccomp-profile"));
    assert!(error(&["compile", "/nonexistent"]).starts_with("read \"/nonexistent\": "));
    assert!(error(&["compile", "README.md"]).contains("\"README.md\": seccomp profile: "));
    assert!(error(&["explain", "one-call.json", "nocall"]).contains("\"nocall\" is neither a known system call nor"));
    assert!(error(&["explain", "one-call.json", "vax:read"]).contains("unknown architecture \"vax\""));
    assert!(error(&["explain", "one-call.json", "open", "1", "2", "3", "4", "5", "6", "7"]).contains("7 arguments"));
    assert!(error(&["explain", "one-call.json", "aarch64:open"]).contains("aarch64 has no system call \"open\""));
}

fn fails(args: &[&str]) -> String {
    let output = tool(args);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A file with this text for a test, removed by it.
fn file(name: &str, text: &str) -> String {
    let file = temp_dir().join(format!("seccomp-profile-{}-{name}", id()));
    assert!(fs::write(&file, text).is_ok());
    file.to_string_lossy().into_owned()
}

#[test]
fn list_tells_families_and_tokens() {
    let text = out(&["list"]);
    for word in ["default", "restricted", "minimal", "strict", "nested", "debug", "terminal-input", "io-uring"] {
        assert!(text.lines().any(|line| line.starts_with(word)), "{word}: {text}");
    }
    assert!(!text.contains('\x1b'));
    let json: serde_json::Value = serde_json::from_str(&out(&["list", "--format", "json"])).unwrap();
    assert_eq!(json["families"][5]["name"], "strict");
}

#[test]
fn explain_gives_the_familys_reason_and_each_layers_word() {
    let refused = out(&["explain", "restricted", "ptrace"]);
    assert_eq!(
        refused.trim_end(),
        "ERRNO(1): no rule matches: the default action; no debugger: the way into every other \
                                    process of the container"
    );
    let layered = out(&["explain", "default+overlay", "ioctl", "0", "0x100005412"]);
    assert!(
        layered.starts_with("ERRNO(1)\n  overlay: ERRNO(1): overlay, token \"terminal-input\": TIOCSTI"),
        "{layered}"
    );
    assert!(layered.contains("\n  default: ALLOW: rule 0"), "{layered}");
    assert!(
        out(&["explain", "--allow=terminal-input", "default+overlay", "ioctl", "0", "0x5412"]).starts_with("ALLOW")
    );
    assert!(out(&["explain", "--caps", "SYS_ADMIN", "default", "mount"]).starts_with("ALLOW"));
    assert!(out(&["explain", "--arch=aarch64", "default", "openat"]).starts_with("ALLOW"));
    assert!(out(&["explain", "--format=json", "strict", "fork"]).contains("\"action\": \"ERRNO(1)\""));
}

#[test]
fn diff_goes_by_meaning_in_both_directions() {
    assert_eq!(out(&["diff", "default", "default"]), "");
    // The same said otherwise.
    let one = file(
        "one.json",
        r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read","execve"],"action":"SCMP_ACT_ALLOW"}]}"#,
    );
    let other = file(
        "other.json",
        r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["execve"],"action":"SCMP_ACT_ALLOW"},
           {"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":5,"op":"SCMP_CMP_GE"}]},
           {"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":5,"op":"SCMP_CMP_LT"}]}]}"#,
    );
    let same = out(&["diff", &one, &other]);
    fs::remove_file(&one).unwrap();
    fs::remove_file(&other).unwrap();
    assert_eq!(same, "");
    let there = fails(&["diff", "default", "restricted"]);
    let find = |call: &str| there.lines().find(|line| line.contains(call)).unwrap_or_default().to_owned();
    assert!(find(" ptrace(").starts_with("-"), "{there}");
    assert!(find(" *(").contains("x86"), "{there}");
    assert!(find(" socket(").contains("arg0"), "{there}");
    let back = fails(&["diff", "restricted", "default", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&back).unwrap();
    let ptrace = json.as_array().unwrap().iter().find(|found| found["call"] == "ptrace").unwrap();
    assert_eq!((&ptrace["change"], &ptrace["right"]), (&"wider".into(), &"ALLOW".into()));
}

#[test]
fn lint_finds_what_is_wrong_and_says_so_by_its_exit_code() {
    out(&["lint", "default"]);
    out(&["lint", "overlay+restricted"]);
    let lint = |rules: &str| {
        let text = format!(
            r#"{{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86"],"syscalls":[
               {{"names":["execve","write"],"action":"SCMP_ACT_ALLOW"}},{rules}]}}"#
        );
        let file = file("lint.json", &text);
        let output = tool(&["lint", &file]);
        fs::remove_file(&file).unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let finds = |rules: &str, rule: &str, subject: &str| {
        let (status, text) = lint(rules);
        let found =
            text.lines().any(|line| line.starts_with("warning") && line.contains(rule) && line.contains(subject));
        assert!(status == Some(1) && found, "{rule} {subject}: {text}");
    };
    assert_eq!(lint(r#"{"names":["read"],"action":"SCMP_ACT_ALLOW"}"#).0, Some(0));
    finds(r#"{"names":["mount"],"action":"SCMP_ACT_ALLOW"}"#, "dangerous-call", "mount");
    finds(r#"{"names":["opne"],"action":"SCMP_ACT_ALLOW"}"#, "unknown-call", "opne");
    let not_alg =
        r#"{"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":38,"op":"SCMP_CMP_NE"}]}"#;
    finds(not_alg, "wide-compare", "socket");
    finds(not_alg, "multiplexed", "socketcall");
    let openat =
        r#"{"names":["openat"],"action":"SCMP_ACT_ALLOW","args":[{"index":2,"value":64,"op":"SCMP_CMP_MASKED_EQ"}]}"#;
    finds(&format!(r#"{openat},{{"names":["open"],"action":"SCMP_ACT_ALLOW"}}"#), "sibling-call", "open");
    finds(r#"{"names":["write"],"action":"SCMP_ACT_TRAP"}"#, "unreachable-rule", "write");
    let clone3 = r#"{"names":["clone"],"action":"SCMP_ACT_ALLOW"},{"names":["clone3","mseal"],"action":"SCMP_ACT_ERRNO","errnoRet":13}"#;
    finds(clone3, "no-fallback", "clone3");
    let shift = r#"{"names":["personality"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":4294967295,"valueTwo":8,"op":"SCMP_CMP_MASKED_EQ"}]}"#;
    assert_eq!(lint(shift).0, Some(0));
}

#[test]
fn lint_finds_what_no_container_survives() {
    let finds = |text: &str, words: &str| {
        let file = file("bad.json", text);
        let found = fails(&["lint", &file]);
        fs::remove_file(&file).unwrap();
        assert!(found.contains(words), "{words}: {found}");
    };
    finds(
        r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}"#,
        "no-execve",
    );
    finds(r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#, "invalid");
    finds(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#, "allow-by-default");
    finds(
        r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],
            "syscalls":[{"names":["clock_settime"],"action":"SCMP_ACT_ERRNO"}]}"#,
        "sibling-call",
    );
}

#[test]
fn cases_are_run_by_the_interpreter_and_the_kernel() {
    let cases = file(
        "cases.toml",
        "[[case]]\ncall = \"read\"\nexpect = \"allow\"\n\n[[case]]\ncall = \"socket\"\nargs = [\"0x100000026\", 5]\n\
         expect = \"EPERM\"\n\n[[case]]\ncall = \"clone3\"\nexpect = \"ENOSYS\"\n\n[[case]]\ncall = \"mount\"\n\
         expect = \"refuse\"\n",
    );
    let text = out(&["test", "overlay+default", &cases]);
    assert!(text.ends_with("4 cases, 0 failed\n"), "{text}");
    if cfg!(target_arch = "x86_64") {
        let text = out(&["test", "--live", "overlay+default", &cases]);
        assert!(text.contains("kernel: let through") && text.contains("kernel: ERRNO(38)"), "{text}");
        assert!(text.ends_with("4 cases, 0 failed\n"), "{text}");
    }
    let text = fails(&["test", "nested", &cases]);
    fs::remove_file(&cases).unwrap();
    assert!(text.contains("FAILED  mount()") && text.ends_with("4 cases, 2 failed\n"), "{text}");
}

#[test]
fn options_that_cannot_be_meant_are_told() {
    assert!(error(&["list", "--caps", "CAP_X"]).contains("unknown capability \"CAP_X\""));
    assert!(error(&["list", "--arch", "x86"]).contains("x86_64 or aarch64"));
    assert!(error(&["list", "--format"]).contains("--format needs a value"));
    assert!(error(&["list", "--live=yes"]).contains("--live takes no value"));
    assert!(error(&["list", "--frobnicate"]).contains("unknown option \"--frobnicate\""));
    assert!(error(&["explain", "overlay", "--allow", "everything"]).contains("unknown token \"everything\""));
    assert!(error(&["lint", "defualt"]).contains("families are debug, nested, default"));
}
