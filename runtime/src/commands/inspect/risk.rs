//! The forty calls that a seccomp filter is judged by, and what a chain of filters says to each.
//!
//! Chosen are the calls by which containers were left or the kernel was taken, those that undo other protections, and
//! those with much code behind them that few programs need. Arguments stand where they make the difference.

use seccomp_profiles::interpret::Program;
use seccomp_profiles::{Action, Arch, Insn, SeccompData, Syscall};
use serde::Serialize;

/// A call, with the capability that the kernel asks for beside the filter.
pub struct Risk {
    /// How it is shown.
    pub name: &'static str,
    call: &'static str,
    arch: Arch,
    args: [u64; 3],
    /// The bit of the capability in the user namespace of the container; `None` when anybody may.
    pub capability: Option<u8>,
    /// What it is dangerous for.
    pub reason: &'static str,
}

const ANYBODY: Option<u8> = None;
const NET_RAW: Option<u8> = Some(13);
const DAC_READ_SEARCH: Option<u8> = Some(2);
const SYS_MODULE: Option<u8> = Some(16);
const SYS_RAWIO: Option<u8> = Some(17);
const SYS_ADMIN: Option<u8> = Some(21);
const SYS_BOOT: Option<u8> = Some(22);
const SYS_TIME: Option<u8> = Some(25);
const MKNOD: Option<u8> = Some(27);
const SYSLOG: Option<u8> = Some(34);

const NEWUSER: u64 = 0x1000_0000;

const fn risk(
    name: &'static str,
    call: &'static str,
    args: [u64; 3],
    capability: Option<u8>,
    reason: &'static str,
) -> Risk {
    Risk { name, call, arch: Arch::NATIVE, args, capability, reason }
}

/// All of them.
pub const RISKS: [Risk; 40] = [
    // New privileges inside a namespace of one's own: nearly every exploit of the last years begins here.
    risk("clone(CLONE_NEWUSER)", "clone", [NEWUSER, 0, 0], ANYBODY, "all capabilities in a new namespace"),
    risk("clone3", "clone3", [0, 88, 0], ANYBODY, "its flags cannot be filtered"),
    risk("unshare(CLONE_NEWUSER)", "unshare", [NEWUSER, 0, 0], ANYBODY, "all capabilities in a new namespace"),
    risk("setns", "setns", [3, 0, 0], SYS_ADMIN, "enters namespaces of others"),
    // Mounts undo masks, read-only paths and the root.
    risk("mount", "mount", [0, 0, 0], SYS_ADMIN, "uncovers what is masked"),
    risk("umount2", "umount2", [0, 0, 0], SYS_ADMIN, "uncovers what is masked"),
    risk("pivot_root", "pivot_root", [0, 0, 0], SYS_ADMIN, "another root"),
    risk("fsopen", "fsopen", [0, 0, 0], SYS_ADMIN, "parses filesystems in the kernel"),
    risk("move_mount", "move_mount", [0, 0, 0], SYS_ADMIN, "uncovers what is masked"),
    risk("mount_setattr", "mount_setattr", [0, 0, 0], SYS_ADMIN, "makes read-only mounts writable"),
    risk("open_by_handle_at", "open_by_handle_at", [3, 0, 0], DAC_READ_SEARCH, "files outside of the root"),
    risk("mknod(S_IFBLK)", "mknod", [0, 0o060_600, 0x801], MKNOD, "disks as files"),
    // Other processes.
    risk("ptrace", "ptrace", [16, 1, 0], ANYBODY, "takes over processes"),
    risk("process_vm_writev", "process_vm_writev", [1, 0, 0], ANYBODY, "writes memory of processes"),
    risk("pidfd_getfd", "pidfd_getfd", [3, 0, 0], ANYBODY, "takes descriptors of processes"),
    risk("ioctl(TIOCSTI)", "ioctl", [0, 0x5412, 0], ANYBODY, "types into the terminal it shares"),
    risk("ioctl(TIOCLINUX)", "ioctl", [0, 0x541c, 0], ANYBODY, "types into the console"),
    // Keyrings are not namespaced but by user.
    risk("keyctl", "keyctl", [0, 0, 0], ANYBODY, "keys of other containers"),
    risk("add_key", "add_key", [0, 0, 0], ANYBODY, "keys of other containers"),
    risk("request_key", "request_key", [0, 0, 0], ANYBODY, "runs a program of the host's"),
    // Code of the kernel that exploits were written for, again and again.
    risk("io_uring_setup", "io_uring_setup", [1, 0, 0], ANYBODY, "calls past the filter, and many flaws"),
    risk("bpf", "bpf", [5, 0, 0], ANYBODY, "programs in the kernel"),
    risk("userfaultfd", "userfaultfd", [0, 0, 0], ANYBODY, "holds the kernel still in a race"),
    risk("perf_event_open", "perf_event_open", [0, 0, 0], ANYBODY, "watches the kernel, and many flaws"),
    risk("modify_ldt", "modify_ldt", [1, 0, 0], ANYBODY, "segments for 16-bit programs"),
    risk("socket(AF_ALG)", "socket", [38, 5, 0], ANYBODY, "ciphers in the kernel, and many flaws"),
    risk("socket(AF_VSOCK)", "socket", [40, 1, 0], ANYBODY, "speaks to the hypervisor"),
    risk("socket(AF_PACKET)", "socket", [17, 3, 0], NET_RAW, "reads and forges packets"),
    risk("seccomp(NEW_LISTENER)", "seccomp", [1, 8, 0], ANYBODY, "answers calls of its children"),
    risk("personality(READ_IMPLIES_EXEC)", "personality", [0x40_0000, 0, 0], ANYBODY, "no memory protection"),
    // The machine itself.
    risk("init_module", "init_module", [0, 0, 0], SYS_MODULE, "code in the kernel"),
    risk("finit_module", "finit_module", [3, 0, 0], SYS_MODULE, "code in the kernel"),
    risk("kexec_load", "kexec_load", [0, 0, 0], SYS_BOOT, "another kernel"),
    risk("reboot", "reboot", [0xfee1_dead, 0x2812_1969, 0x0123_4567], SYS_BOOT, "ends the machine"),
    risk("clock_settime", "clock_settime", [0, 0, 0], SYS_TIME, "the clock of the host"),
    risk("iopl", "iopl", [3, 0, 0], SYS_RAWIO, "input and output past the kernel"),
    risk("swapon", "swapon", [0, 0, 0], SYS_ADMIN, "any file as memory"),
    risk("syslog", "syslog", [3, 0, 4096], SYSLOG, "addresses in the kernel's log"),
    // Other ways into the kernel: each is a table of calls that a filter may not know.
    Risk {
        name: "32-bit calls (int 0x80)",
        call: "getpid",
        arch: Arch::X86,
        args: [0; 3],
        capability: None,
        reason: "a second table of calls",
    },
    Risk {
        name: "x32 calls",
        call: "getpid",
        arch: Arch::X32,
        args: [0; 3],
        capability: None,
        reason: "a third table of calls",
    },
];

/// What happens to one of the calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The call.
    pub call: &'static str,
    /// What the filters answer, as seccomp(2) names it: `ERRNO(1)`, `ALLOW`.
    pub answer: String,
    /// No filter refuses it.
    pub let_through: bool,
    /// The capability that the kernel asks for and the container cannot have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacks: Option<String>,
    /// What it is dangerous for.
    pub reason: &'static str,
}

impl Verdict {
    /// Whether neither the filters nor a missing capability stand in the way.
    pub fn is_open(&self) -> bool {
        self.let_through && self.lacks.is_none()
    }
}

/// Runs all calls through a chain of filters, the oldest first; `bounding` is the bounding set.
///
/// # Errors
/// A filter with instructions that seccomp-profiles does not know: then nothing is claimed.
pub fn verdicts(filters: &[Vec<u64>], bounding: u64) -> Result<Vec<Verdict>, String> {
    let programs: Vec<Program> = filters
        .iter()
        .map(|filter| Program::new(&filter.iter().copied().map(instruction).collect::<Vec<_>>()))
        .collect::<Result<_, _>>()
        .map_err(|invalid| invalid.to_string())?;
    let calls = RISKS.iter().filter_map(|risk| {
        let number = Syscall::from_name(risk.call)?.number(risk.arch)?;
        let [a, b, c] = risk.args;
        let answer = combined(&programs, &SeccompData::new(risk.arch, number, [a, b, c, 0, 0, 0]));
        let lacks = risk.capability.filter(|bit| bounding & (1 << bit) == 0);
        Some(Verdict {
            call: risk.name,
            answer: answer.to_string(),
            let_through: !answer.refuses(),
            lacks: lacks.and_then(|bit| crate::host::capability_names(1 << bit).pop()),
            reason: risk.reason,
        })
    });
    Ok(calls.collect())
}

/// As seccomp_run_filters() of the kernel: the newest is asked first, the strictest action counts, and of equal ones the
/// first that was given.
fn combined(programs: &[Program], data: &SeccompData) -> Action {
    let strictness = |action: Action| (action.to_ret() & 0xffff_0000).cast_signed();
    programs.iter().rev().fold(Action::Allow, |strictest, program| {
        let action = program.run(data);
        if strictness(action) < strictness(strictest) { action } else { strictest }
    })
}

/// `struct sock_filter` from its bytes.
fn instruction(word: u64) -> Insn {
    let [a, b, jt, jf, c, d, e, f] = word.to_ne_bytes();
    Insn { code: u16::from_ne_bytes([a, b]), jt, jf, k: u32::from_ne_bytes([c, d, e, f]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(insns: &[Insn]) -> Vec<u64> {
        insns
            .iter()
            .map(|i| {
                let (code, k) = (i.code.to_ne_bytes(), i.k.to_ne_bytes());
                u64::from_ne_bytes([code[0], code[1], i.jt, i.jf, k[0], k[1], k[2], k[3]])
            })
            .collect()
    }

    fn always(action: Action) -> Vec<u64> {
        words(&[Insn { code: 6, jt: 0, jf: 0, k: action.to_ret() }])
    }

    fn family(name: &str) -> Vec<u64> {
        let caps = seccomp_profiles::CapabilitySet::default();
        let profile = seccomp_profiles::families::load(name, &caps, Arch::NATIVE).unwrap();
        words(&seccomp_profiles::compile(&profile, Arch::NATIVE).unwrap().insns)
    }

    #[test]
    fn every_call_is_known_and_has_a_number() {
        assert_eq!(verdicts(&[], 0).unwrap().len(), RISKS.len());
        for risk in &RISKS {
            assert!(risk.capability.is_none_or(|bit| bit < 41), "{}", risk.name);
        }
    }

    #[test]
    fn without_a_filter_all_calls_are_let_through() {
        let none = verdicts(&[], 0).unwrap();
        assert!(none.iter().all(|verdict| verdict.let_through && verdict.answer == "ALLOW"));
        let mount = none.iter().find(|verdict| verdict.call == "mount").unwrap();
        assert_eq!((mount.lacks.as_deref(), mount.is_open()), (Some("CAP_SYS_ADMIN"), false));
        assert!(verdicts(&[], u64::MAX).unwrap().iter().all(Verdict::is_open));
    }

    #[test]
    fn the_strictest_of_all_filters_counts_and_of_equals_the_newest() {
        let answer = |filters: &[Vec<u64>]| verdicts(filters, 0).unwrap()[0].answer.clone();
        assert_eq!(answer(&[always(Action::Allow), always(Action::Errno(1))]), "ERRNO(1)");
        assert_eq!(answer(&[always(Action::Errno(1)), always(Action::Errno(38))]), "ERRNO(38)");
        assert_eq!(answer(&[always(Action::KillProcess), always(Action::Errno(38))]), "KILL_PROCESS");
        assert_eq!(answer(&[always(Action::Log), always(Action::Notify)]), "NOTIFY");
    }

    #[test]
    fn a_filter_of_unknown_instructions_is_no_verdict() {
        // BPF_ST: scratch memory.
        let filter = words(&[Insn { code: 2, jt: 0, jf: 0, k: 0 }, Insn { code: 6, jt: 0, jf: 0, k: 0 }]);
        assert!(verdicts(&[filter], 0).is_err());
    }

    #[test]
    fn the_default_family_refuses_what_leads_out() {
        let open: Vec<&str> =
            verdicts(&[family("default")], 0).unwrap().iter().filter(|v| v.let_through).map(|v| v.call).collect();
        for refused in ["clone(CLONE_NEWUSER)", "mount", "bpf", "keyctl", "io_uring_setup", "socket(AF_ALG)"] {
            assert!(!open.contains(&refused), "{refused}: {open:?}");
        }
        assert!(open.contains(&"32-bit calls (int 0x80)"));
        let restricted = verdicts(&[family("restricted")], 0).unwrap();
        assert_eq!(restricted.iter().find(|v| v.call == "x32 calls").unwrap().answer, "KILL_PROCESS");
    }
}
