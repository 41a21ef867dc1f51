//! A call that was denied, in words.

use super::super::printable;
use crate::error::errno_text;
use rustix::io::Errno;
use seccomp_profiles::{Arch, Syscall};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A call as the kernel saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its ABI.
    pub arch: Arch,
    /// Its number, with the x32 bit.
    pub number: u32,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It returned this errno.
    Errno(u16),
    /// The thread got SIGSYS: its process was killed, unless it handles that. The arguments are not known.
    Signal,
}

/// A denied call of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The call, as it was the first time.
    pub call: Call,
    /// The pid in the host's first pid namespace.
    pub pid: u32,
    /// The name of the thread.
    pub comm: String,
    /// What became of it.
    pub outcome: Outcome,
    /// How often.
    pub count: u64,
}

/// CLONE_NEW*, by name.
const NAMESPACES: [(u64, &str); 7] = [
    (0x0002_0000, "CLONE_NEWNS"),
    (0x0200_0000, "CLONE_NEWCGROUP"),
    (0x0400_0000, "CLONE_NEWUTS"),
    (0x0800_0000, "CLONE_NEWIPC"),
    (0x1000_0000, "CLONE_NEWUSER"),
    (0x2000_0000, "CLONE_NEWPID"),
    (0x4000_0000, "CLONE_NEWNET"),
];

/// Families of sockets that profiles speak of.
const FAMILIES: [(u64, &str); 8] = [
    (1, "AF_UNIX"),
    (2, "AF_INET"),
    (10, "AF_INET6"),
    (16, "AF_NETLINK"),
    (17, "AF_PACKET"),
    (31, "AF_BLUETOOTH"),
    (38, "AF_ALG"),
    (40, "AF_VSOCK"),
];

impl Call {
    /// Its name, with the ABI where that is not the usual one.
    pub fn name(&self) -> String {
        let name = Syscall::from_number(self.arch, self.number);
        let name = name.map_or_else(|| self.number.to_string(), |call| call.name().to_owned());
        if self.arch == Arch::X86_64 { name } else { format!("{}:{name}", self.arch.name()) }
    }

    /// The first arguments, the first one by name where profiles have names for it.
    fn text(&self) -> String {
        let name = self.name();
        let [first, second, third, ..] = self.arguments;
        let first = match name.as_str() {
            "socket" | "socketpair" => {
                let known = FAMILIES.iter().find(|(family, _)| *family == first & 0xffff_ffff);
                known.map_or_else(|| number(first), |(_, word)| (*word).to_owned())
            }
            "clone" | "unshare" => {
                let mut words = String::new();
                let mut rest = first;
                for (bit, word) in NAMESPACES.into_iter().filter(|(bit, _)| first & bit != 0) {
                    rest &= !bit;
                    words = words + word + "|";
                }
                match rest {
                    0 if !words.is_empty() => words.trim_end_matches('|').to_owned(),
                    rest => words + &number(rest),
                }
            }
            _ => number(first),
        };
        format!("{name}({first}, {}, {}, ...)", number(second), number(third))
    }
}

fn number(value: u64) -> String {
    if value < 10 { value.to_string() } else { format!("{value:#x}") }
}

impl Denied {
    /// The call with its arguments where they are known.
    pub fn call_text(&self) -> String {
        match self.outcome {
            Outcome::Errno(_) => self.call.text(),
            Outcome::Signal => format!("{}(?)", self.call.name()),
        }
    }

    /// What became of it.
    pub fn outcome_text(&self) -> String {
        match self.outcome {
            Outcome::Errno(0) => "returned 0".to_owned(),
            Outcome::Errno(errno) => errno_text(Errno::from_raw_os_error(i32::from(errno))),
            Outcome::Signal => "SIGSYS".to_owned(),
        }
    }

    /// One line: who, what, and what became of it.
    pub fn line(&self) -> String {
        format!("{} {}: {}: {}", self.pid, printable(&self.comm), self.call_text(), self.outcome_text())
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let mut value = json!({"syscall": self.call.name(), "number": self.call.number, "pid": self.pid,
            "comm": self.comm, "count": self.count});
        if let Some(object) = value.as_object_mut() {
            match self.outcome {
                Outcome::Errno(errno) => {
                    object.insert("errno".into(), errno.into());
                    object.insert("args".into(), self.call.arguments.to_vec().into());
                }
                Outcome::Signal => {
                    object.insert("signal".into(), "SIGSYS".into());
                }
            }
        }
        value
    }
}

/// A table of denied calls, the most frequent first.
pub fn table(denied: &[Denied]) -> String {
    let mut sorted: Vec<&Denied> = denied.iter().collect();
    sorted.sort_by_key(|one| (std::cmp::Reverse(one.count), one.pid, one.call.number));
    let mut text = format!("{:>8}  {:>8}  {:<16} {:<24} {}\n", "COUNT", "PID", "PROCESS", "ANSWER", "SYSCALL");
    for one in sorted {
        // Writing to a string cannot fail.
        let _written = writeln!(
            text,
            "{:>8}  {:>8}  {:<16} {:<24} {}",
            one.count,
            one.pid,
            printable(&one.comm),
            one.outcome_text(),
            one.call_text()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(name: &str, arguments: [u64; 6]) -> Denied {
        let number = Syscall::from_name(name).unwrap().number(Arch::X86_64).unwrap();
        let call = Call { arch: Arch::X86_64, number, arguments };
        Denied { call, pid: 7, comm: "a\x1bb".into(), outcome: Outcome::Errno(1), count: 3 }
    }

    #[test]
    fn a_line_says_who_what_and_why() {
        let socket = denied("socket", [38, 5, 0, 0, 0, 0]);
        assert_eq!(socket.line(), "7 a?b: socket(AF_ALG, 5, 0, ...): operation not permitted");
        let unshare = denied("unshare", [0x1002_0000, 0, 0, 0, 0, 0]);
        assert_eq!(unshare.call_text(), "unshare(CLONE_NEWNS|CLONE_NEWUSER, 0, 0, ...)");
        let clone = denied("clone", [0x1000_0011, 16, 0, 0, 0, 0]);
        assert_eq!(clone.call_text(), "clone(CLONE_NEWUSER|0x11, 0x10, 0, ...)");
        let killed = Denied { outcome: Outcome::Signal, ..denied("ptrace", [0; 6]) };
        assert_eq!(killed.line(), "7 a?b: ptrace(?): SIGSYS");
        assert_eq!(killed.json()["signal"], "SIGSYS");
        assert_eq!(socket.json()["args"][0], 38);
    }

    #[test]
    fn the_table_begins_with_what_happens_most() {
        let (one, two) = (denied("mount", [0; 6]), Denied { count: 9, ..denied("socket", [0; 6]) });
        let text = table(&[one, two]);
        assert!(text.find("socket") < text.find("mount"), "{text}");
    }
}
