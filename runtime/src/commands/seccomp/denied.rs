//! A call that was denied, in words.

use super::super::printable;
use crate::error::errno_text;
use rustix::io::Errno;
use seccomp_profiles::diff::columns;
use seccomp_profiles::record::FIRST_ARGUMENT;
use seccomp_profiles::{Arch, Syscall};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

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

    /// Processes of one name that are denied one call are told together, and apart where the first argument counts.
    fn kind(&self) -> Kind {
        let counts = Syscall::from_number(self.call.arch, self.call.number)
            .is_some_and(|call| FIRST_ARGUMENT.contains(&call.name()));
        let [first, ..] = self.call.arguments;
        (self.comm.clone(), self.call.arch, self.call.number, if counts { first } else { 0 }, self.outcome)
    }
}

type Kind = (String, Arch, u32, u64, Outcome);

/// Denials of one kind.
#[derive(Clone, Debug)]
struct Kin {
    first: Denied,
    pids: BTreeSet<u32>,
    count: u64,
}

/// Denied calls, counted.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    kinds: BTreeMap<Kind, Kin>,
}

impl Tally {
    /// Adds what was read, each process and call of it once.
    pub fn add(&mut self, denied: &[Denied]) {
        for one in denied {
            let new = || Kin { first: one.clone(), pids: BTreeSet::new(), count: 0 };
            let kin = self.kinds.entry(one.kind()).or_insert_with(new);
            kin.pids.insert(one.pid);
            kin.count = kin.count.saturating_add(one.count);
        }
    }

    /// A line for each kind that `before` does not have: who, what, and what became of it.
    pub fn lines_beyond(&self, before: &Tally) -> String {
        let new = self.kinds.iter().filter(|(kind, _)| !before.kinds.contains_key(*kind));
        new.map(|(_, Kin { first, .. })| {
            format!("{} {}: {}: {}\n", first.pid, printable(&first.comm), first.call_text(), first.outcome_text())
        })
        .collect()
    }

    /// Whether nothing was denied.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    fn sorted(&self) -> Vec<&Kin> {
        let mut sorted: Vec<&Kin> = Vec::with_capacity(self.kinds.len());
        for kin in self.kinds.values() {
            sorted.insert(sorted.partition_point(|before| before.count >= kin.count), kin);
        }
        sorted
    }

    /// A table, the most frequent first.
    pub fn table(&self) -> String {
        let header = ["COUNT", "PID", "PROCESS", "ANSWER", "SYSCALL"].map(str::to_owned);
        let rows = self.sorted().into_iter().map(|kin| {
            let pid = match kin.pids.len() {
                1 => kin.first.pid.to_string(),
                many => format!("{many} pids"),
            };
            let (who, what) = (printable(&kin.first.comm), kin.first.call_text());
            [kin.count.to_string(), pid, who, kin.first.outcome_text(), what]
        });
        columns([header].into_iter().chain(rows).collect())
    }

    /// The same for programs.
    pub fn json(&self) -> Vec<Value> {
        let all = self.sorted().into_iter().map(|Kin { first, pids, count }| {
            let mut value = json!({"syscall": first.call.name(), "number": first.call.number, "comm": first.comm,
                "pids": pids, "count": count});
            if let Some(object) = value.as_object_mut() {
                match first.outcome {
                    Outcome::Errno(errno) => {
                        object.insert("errno".into(), errno.into());
                        object.insert("args".into(), first.call.arguments.to_vec().into());
                    }
                    Outcome::Signal => {
                        object.insert("signal".into(), "SIGSYS".into());
                    }
                }
            }
            value
        });
        all.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(name: &str, arguments: [u64; 6]) -> Denied {
        let number = Syscall::from_name(name).unwrap().number(Arch::X86_64).unwrap();
        let call = Call { arch: Arch::X86_64, number, arguments };
        Denied { call, pid: 7, comm: "a\x1bb".into(), outcome: Outcome::Errno(1), count: 3 }
    }

    fn tally(denied: &[Denied]) -> Tally {
        let mut tally = Tally::default();
        tally.add(denied);
        tally
    }

    #[test]
    fn a_line_says_who_what_and_why() {
        let socket = denied("socket", [38, 5, 0, 0, 0, 0]);
        let line = |one: &Denied| tally(std::slice::from_ref(one)).lines_beyond(&Tally::default());
        assert_eq!(line(&socket), "7 a?b: socket(AF_ALG, 5, 0, ...): operation not permitted\n");
        let unshare = denied("unshare", [0x1002_0000, 0, 0, 0, 0, 0]);
        assert_eq!(unshare.call_text(), "unshare(CLONE_NEWNS|CLONE_NEWUSER, 0, 0, ...)");
        let clone = denied("clone", [0x1000_0011, 16, 0, 0, 0, 0]);
        assert_eq!(clone.call_text(), "clone(CLONE_NEWUSER|0x11, 0x10, 0, ...)");
        let killed = Denied { outcome: Outcome::Signal, ..denied("ptrace", [0; 6]) };
        assert_eq!(line(&killed), "7 a?b: ptrace(?): SIGSYS\n");
        assert_eq!(tally(&[killed]).json()[0]["signal"], "SIGSYS");
        assert_eq!(tally(&[socket]).json()[0]["args"][0], 38);
    }

    #[test]
    fn one_line_for_all_processes_of_a_name_and_one_for_each_family() {
        let mount = denied("mount", [4096, 0, 0, 0, 0, 0]);
        let again = Denied { pid: 8, count: 1, ..denied("mount", [8192, 0, 0, 0, 0, 0]) };
        let mut all = tally(&[mount.clone(), denied("socket", [38, 0, 0, 0, 0, 0])]);
        let before = all.clone();
        all.add(&[again, denied("socket", [17, 0, 0, 0, 0, 0])]);
        let new = all.lines_beyond(&before);
        assert!(new.contains("AF_PACKET") && !new.contains("mount"), "{new}");
        let table = all.table();
        assert!(table.contains("2 pids") && table.find("mount") < table.find("AF_ALG"), "{table}");
        assert_eq!(all.json()[0]["pids"], json!([7, 8]));
        assert_eq!(all.json()[0]["count"], 4);
    }
}
