//! The tool: arguments in, text or JSON out. Programs that offer it print what comes back and end with the status.
//!
//! Nothing here touches the system: what has to be read, written or asked of the kernel goes through a [`Host`].

mod options;
mod show;
mod source;

use crate::bpf::SeccompData;
use crate::compile::Filter;
use std::io;

/// What the tool needs of the program that offers it.
pub trait Host {
    /// The contents of a file; `-` is standard input.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;

    /// Writes a file.
    ///
    /// # Errors
    /// What the system says.
    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()>;

    /// The version of the running kernel; `None` where it is not known.
    fn kernel(&self) -> Option<(u32, u32)>;

    /// Makes these calls under the filter, in a process where none of them can really happen.
    ///
    /// # Errors
    /// Why the kernel cannot be asked, in words.
    fn live(&self, filter: &Filter, calls: &[SeccompData]) -> Result<Vec<Live>, String>;
}

/// What the kernel did with a call under a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// It would have made the call, or handed it to a tracer or a listener.
    LetThrough,
    /// It returned this errno.
    Errno(u16),
    /// It sent SIGSYS with this data.
    Trap(u16),
    /// The process died.
    Killed,
}

/// What the tool says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// For standard output.
    pub stdout: Vec<u8>,
    /// For standard error.
    pub stderr: String,
    /// The exit code: 0 all is well; 1 there are differences, findings or failed cases; 2 it could not be done.
    pub status: u8,
}

/// How the tool is used, for `--help`, when it is called `program`.
#[must_use]
pub fn usage(program: &str) -> String {
    USAGE.replace("seccomp-profile", program)
}

const USAGE: &str = "usage: seccomp-profile list
       seccomp-profile explain PROFILE [SYSCALL [ARG...]]
       seccomp-profile diff PROFILE PROFILE
       seccomp-profile lint PROFILE
       seccomp-profile test [--live] PROFILE CASES
       seccomp-profile compile PROFILE [-o FILE]
       seccomp-profile disasm PROFILE

PROFILE is the name of a family (see list), a seccomp profile, or a config.json, whose linux.seccomp is taken; - is
standard input. Several joined by + count together, the strictest answer wins: restricted+config.json, overlay+default.

list tells the families and the overlay's tokens.
explain tells what happens to SYSCALL (a name, or a number; prefixed by an architecture as in x86:socketcall) with the
arguments given (decimal or 0x...; 0 where missing), and which rule is responsible; without SYSCALL, what happens to each
call of the native architecture with arguments of 0.
diff tells what the second profile lets through (+) or refuses (-) other than the first one, or answers otherwise (~).
lint tells holes and slips. test runs the cases of a TOML or JSON file, with --live under the running kernel too.
compile writes the filter as the kernel takes it (struct sock_filter, 8 bytes each) to FILE or, with -o -, to standard
output; without -o it only tells the size and the flags. disasm writes it as text.

options: --caps none|docker|all|CAP_A,CAP_B   the bounding set that families are resolved for; docker when not given
         --allow TOKEN,TOKEN                  rules of the overlay that are taken away
         --arch x86_64|aarch64                the native architecture; this machine's when not given
         --format text|json
exit codes: 0 all is well; 1 differences, findings or failed cases; 2 it could not be done";

/// Runs the tool; `program` is how it is called, for its usage.
#[must_use]
pub fn run(program: &str, args: &[&str], host: &dyn Host) -> Output {
    match options::parse(program, args).and_then(|options| show::run(&options, host)) {
        Ok(output) => output,
        Err(why) => Output { stdout: Vec::new(), stderr: format!("{why}\n"), status: 2 },
    }
}
