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

/// Keeps out of the release binary what nothing reads: tables for unwinding, where a panic aborts, and one record per
/// relocation. Every linker that can link it knows these options, or says that it ignores them.
fn smaller() {
    println!("cargo:rerun-if-changed=no-unwind.ld");
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        let script = std::path::absolute("no-unwind.ld").unwrap_or_else(|_| "no-unwind.ld".into());
        println!("cargo:rustc-link-arg-bins=-Wl,--no-eh-frame-hdr,-T,{}", script.display());
    }
    // A static program relocates itself, with the code of the C library that it is linked with.
    let is_static = std::env::var("CARGO_CFG_TARGET_FEATURE").is_ok_and(|f| f.split(',').any(|f| f == "crt-static"));
    if is_static
        && std::env::var("HOST") == std::env::var("TARGET")
        && glibc().is_some_and(|version| version >= (2, 36))
    {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of the C library here: "glibc 2.36".
fn glibc() -> Option<(u32, u32)> {
    let out = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok().filter(|o| o.status.success())?;
    let text = String::from_utf8(out.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
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
