//! Compiles `floor/` with the same rustc into the small static program that the benchmark compares with.
//!
//! It has no dependencies, so one call of rustc is a complete build.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// As casemate's init is compiled, so that what differs is what the two do.
const FLAGS: [&str; 12] = [
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
];

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed=floor");
    match floor() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("cargo:warning=the floor of the benchmark does not compile: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn floor() -> Result<(), String> {
    let var = |name: &str| std::env::var(name).map_err(|e| format!("{name}: {e}"));
    let out = PathBuf::from(var("OUT_DIR")?).join("floor");
    let mut rustc = Command::new(var("RUSTC")?);
    // cargo hands build scripts the flags of the suite.
    rustc.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    rustc.args(["--edition", "2024", "--crate-name", "floor", "--crate-type", "bin", "floor/main.rs"]);
    rustc.args(["--target", &var("TARGET")?]).arg("-o").arg(out);
    rustc.args(FLAGS.iter().flat_map(|flag| ["-C", flag]));
    if let Ok(linker) = std::env::var("RUSTC_LINKER") {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    let status = rustc.status().map_err(|e| format!("{:?}: {e}", rustc.get_program()))?;
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}
