//! `seccomp-profile`: the library's tool as a program of its own.

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    ExitCode::from(seccomp_profiles::machine::run("seccomp-profile", &args))
}
