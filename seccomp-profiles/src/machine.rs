//! This machine, for the [`tool`](crate::tool): its files, and its kernel.

use crate::SeccompData;
use crate::compile::Filter;
use crate::tool::{self, Host, Live};
use std::fs;
use std::io::{self, Read, Write};

/// The machine that the program runs on.
#[derive(Clone, Copy, Debug)]
pub struct Machine;

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
        use crate::sandbox::{MARKER, Outcome, Outer, run};
        let outcomes = run(&filter.insns, calls, Outer::Errno).map_err(|why| format!("live: {why}"))?;
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

/// Runs the tool on this machine and prints what it says; the exit code.
///
/// `program` is how the tool is called, for its usage.
pub fn run(program: &str, args: &[&str]) -> u8 {
    let output = tool::run(program, args, &Machine);
    eprint!("{}", output.stderr);
    match io::stdout().write_all(&output.stdout) {
        Ok(()) => output.status,
        // Whoever reads has seen enough.
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => output.status,
        Err(why) => {
            eprintln!("write standard output: {why}");
            2
        }
    }
}
