//! Signals by name or number.

use std::str::FromStr;

/// A signal to send, kill(2); 0 only asks whether the process is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(i32);

impl Signal {
    /// SIGTERM, the default of `kill`.
    pub const TERM: Signal = Signal(libc::SIGTERM);

    /// SIGKILL.
    pub const KILL: Signal = Signal(libc::SIGKILL);

    /// The number, 0 to 64.
    pub fn number(self) -> i32 {
        self.0
    }
}

/// First and last of the signals that have a number and no name.
const REAL_TIME: (i32, i32) = (34, 64);

const NAMES: [(&str, i32); 35] = [
    ("ABRT", libc::SIGABRT),
    ("ALRM", libc::SIGALRM),
    ("BUS", libc::SIGBUS),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("FPE", libc::SIGFPE),
    ("HUP", libc::SIGHUP),
    ("ILL", libc::SIGILL),
    ("INT", libc::SIGINT),
    ("IO", libc::SIGIO),
    ("IOT", libc::SIGIOT),
    ("KILL", libc::SIGKILL),
    ("PIPE", libc::SIGPIPE),
    ("POLL", libc::SIGPOLL),
    ("PROF", libc::SIGPROF),
    ("PWR", libc::SIGPWR),
    ("QUIT", libc::SIGQUIT),
    ("SEGV", libc::SIGSEGV),
    ("STKFLT", libc::SIGSTKFLT),
    ("STOP", libc::SIGSTOP),
    ("SYS", libc::SIGSYS),
    ("TERM", libc::SIGTERM),
    ("TRAP", libc::SIGTRAP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("USR1", libc::SIGUSR1),
    ("USR2", libc::SIGUSR2),
    ("VTALRM", libc::SIGVTALRM),
    ("WINCH", libc::SIGWINCH),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("RTMIN", REAL_TIME.0),
];

impl FromStr for Signal {
    type Err = String;

    /// Reads a number from 0 to 64, or a name in any case with or without `SIG`; also `RTMIN+N`,
    /// which images of systemd ask for as their stop signal.
    fn from_str(text: &str) -> Result<Signal, String> {
        let unknown = || format!("unknown signal \"{text}\"");
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return match text.parse::<i32>() {
                Ok(number) if number <= REAL_TIME.1 => Ok(Signal(number)),
                _ => Err(unknown()),
            };
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some(offset) = name.strip_prefix("RTMIN+") {
            let in_range = |offset: &i32| (0..=REAL_TIME.1 - REAL_TIME.0).contains(offset);
            let digits = !offset.is_empty() && offset.bytes().all(|byte| byte.is_ascii_digit());
            let offset = if digits { offset.parse::<i32>().ok().filter(in_range) } else { None };
            return offset.map(|offset| Signal(REAL_TIME.0 + offset)).ok_or_else(unknown);
        }
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| Signal(*number)).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read() {
        for (text, number) in [
            ("KILL", 9),
            ("SIGKILL", 9),
            ("kill", 9),
            ("SigTerm", 15),
            ("9", 9),
            ("0", 0),
            ("64", 64),
            ("WINCH", 28),
            ("SIGWINCH", 28),
            ("28", 28),
            ("SIGRTMIN+3", 37),
            ("RTMIN", 34),
        ] {
            assert_eq!(text.parse::<Signal>().map(Signal::number), Ok(number), "{text}");
        }
    }

    #[test]
    fn unknown_signals_are_named() {
        for text in ["", "SIG", "65", "-9", "+9", "9 ", "99999999999", "BANANA", "SIGSIGKILL", "RTMIN+31", "RTMIN+-1"] {
            assert_eq!(text.parse::<Signal>(), Err(format!("unknown signal \"{text}\"")));
        }
    }
}
