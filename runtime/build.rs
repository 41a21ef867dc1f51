//! Compiles `init/` with the same rustc into a small static program that the binary embeds, and names the commit.
//!
//! Init has no dependencies, so one call of rustc is a complete build: it works the same under `cargo build`,
//! `cargo install`, from vendored sources and offline.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed=init");
    println!("cargo:rerun-if-changed=src/program/format.rs");
    println!("cargo:rerun-if-env-changed=CASEMATE_COMMIT");
    println!("cargo:rustc-env=CASEMATE_COMMIT={}", commit().unwrap_or_else(|| "unknown".into()));
    smaller();
    match init() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("cargo:warning=the embedded init does not compile: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn init() -> Result<(), String> {
    let var = |name: &str| std::env::var(name).map_err(|e| format!("{name}: {e}"));
    let out = PathBuf::from(var("OUT_DIR")?).join("init");
    let target = var("TARGET")?;
    let mut rustc = Command::new(var("RUSTC")?);
    // cargo hands build scripts the flags of the large binary; init has its own.
    rustc.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    rustc.args(["--edition", "2024", "--crate-name", "init", "--crate-type", "bin", "init/main.rs"]);
    rustc.args(["--target", &target]).arg("-o").arg(&out);
    for flag in [
        "opt-level=s",
        "panic=abort",
        "strip=symbols",
        "relocation-model=static",
        "codegen-units=1",
        "debuginfo=0",
        "overflow-checks=on",
        "link-arg=-nostartfiles",
        "link-arg=-nostdlib",
        "link-arg=-static",
        "link-arg=-no-pie",
        "link-arg=-Wl,--build-id=none,-z,noexecstack,-z,separate-code,--gc-sections,--no-dynamic-linker",
    ] {
        rustc.args(["-C", flag]);
    }
    if let Ok(linker) = std::env::var("RUSTC_LINKER") {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    let status = rustc.status().map_err(|e| format!("{:?}: {e}", rustc.get_program()))?;
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}

/// Keeps out of the release binary what nothing reads: tables for unwinding, where a panic aborts; a record of 24 bytes
/// for each relocation; functions that are there twice. A linker may not know an option, and a static program relocates
/// itself with the code of its C library, before 2.36 without knowing packed relocations: what makes a program that
/// runs is taken.
fn smaller() {
    println!("cargo:rerun-if-changed=no-unwind.ld");
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        let script = std::path::absolute("no-unwind.ld").unwrap_or_else(|_| "no-unwind.ld".into());
        let tables = format!("-Wl,--no-eh-frame-hdr,-T,{}", script.display());
        // A dynamic program with packed relocations would not start on a host whose C library is older than here.
        let is_static =
            std::env::var("CARGO_CFG_TARGET_FEATURE").is_ok_and(|all| all.split(',').any(|f| f == "crt-static"));
        let relocations = is_static.then_some("-Wl,-z,pack-relative-relocs");
        for option in [tables.as_str(), "-Wl,--icf=all"].into_iter().chain(relocations) {
            if makes_a_program(option).unwrap_or(false) {
                println!("cargo:rustc-link-arg-bins={option}");
            }
        }
    }
}

/// Whether a program that is linked like the large binary, and with this option, runs here.
fn makes_a_program(option: &str) -> Option<bool> {
    let var = |name: &str| std::env::var(name).ok();
    let directory = PathBuf::from(var("OUT_DIR")?);
    let (source, program) = (directory.join("program.rs"), directory.join("program"));
    std::fs::write(&source, "fn main() { println!(\"{:?}\", std::env::args()) }").ok()?;
    let mut rustc = Command::new(var("RUSTC")?);
    rustc.args(var("CARGO_ENCODED_RUSTFLAGS").iter().flat_map(|flags| flags.split('\x1f')).filter(|f| !f.is_empty()));
    rustc.args(["-C", "panic=abort", "-C", &format!("link-arg={option}"), "--target", &var("TARGET")?]);
    if let Some(linker) = var("RUSTC_LINKER") {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    let linked = rustc.arg("-o").arg(&program).arg(&source).output().ok()?.status.success();
    Some(linked && Command::new(&program).output().ok()?.status.success())
}

/// The commit of the sources, if they are a checkout or the packager says.
fn commit() -> Option<String> {
    if let Ok(commit) = std::env::var("CASEMATE_COMMIT") {
        return Some(commit);
    }
    let git = |args: &[&str]| {
        let out = Command::new("git").args(args).output().ok().filter(|o| o.status.success())?;
        Some(String::from_utf8(out.stdout).ok()?.trim().to_string())
    };
    // Sources that were vendored into another checkout are not of its commits.
    let top = std::fs::canonicalize(git(&["rev-parse", "--show-toplevel"])?).ok()?;
    if std::fs::canonicalize("..").ok()? != top {
        return None;
    }
    // Written by every commit, checkout and reset; HEAD itself is not.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    if std::path::Path::new(&log).exists() {
        println!("cargo:rerun-if-changed={log}");
    }
    git(&["rev-parse", "HEAD"])
}
