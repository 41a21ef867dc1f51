//! `seccomp-profile`: the library's tool as a program of its own.

mod sandbox;

use seccomp_profiles::SeccompData;
use seccomp_profiles::compile::Filter;
use seccomp_profiles::tool::{self, Host, Live};
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::{env, fs};

/// This machine.
struct Machine;

impl Host for Machine {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        if path == "-" {
            let mut text = Vec::new();
            io::stdin().read_to_end(&mut text)?;
            return Ok(text);
        }
        fs::read(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        fs::write(path, bytes)
    }

    fn kernel(&self) -> Option<(u32, u32)> {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
        let mut numbers = release.split(|byte: char| !byte.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }

    #[cfg(target_arch = "x86_64")]
    fn live(&self, filter: &Filter, calls: &[SeccompData]) -> Result<Vec<Live>, String> {
        use sandbox::{MARKER, Outcome, Outer};
        let outcomes = sandbox::run(&filter.insns, calls, Outer::Errno).map_err(|why| format!("live: {why}"))?;
        let live = |outcome| match outcome {
            Outcome::Returned(value) if value == -i64::from(MARKER) => Live::LetThrough,
            // Every call is refused by the outer filter at least, so that it returns an errno.
            Outcome::Returned(value) => Live::Errno(u16::try_from(-value).unwrap_or(u16::MAX)),
            Outcome::Traced(_) => Live::LetThrough,
            Outcome::Trapped(data) => Live::Trap(data),
            Outcome::Killed => Live::Killed,
        };
        Ok(outcomes.into_iter().map(live).collect())
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn live(&self, _: &Filter, _: &[SeccompData]) -> Result<Vec<Live>, String> {
        Err("live: the kernel is asked on x86_64 only".to_owned())
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let output = tool::run(&args, &Machine);
    eprint!("{}", output.stderr);
    match io::stdout().write_all(&output.stdout) {
        Ok(()) => ExitCode::from(output.status),
        // Whoever reads has seen enough.
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(output.status),
        Err(why) => {
            eprintln!("write standard output: {why}");
            ExitCode::from(2)
        }
    }
}
