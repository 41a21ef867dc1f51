//! Socket activation: descriptors that a service manager gave the caller for the container's service
//! (sd_listen_fds(3)).
//!
//! They are descriptors 3 and up, before those of `--preserve-fds`, and keep their numbers in the container.

use crate::error::{Call, Error, Kind, Result};
use rustix::io::Errno;
use std::env;
use std::fs;

/// The first descriptor (`SD_LISTEN_FDS_START`).
const FIRST: u32 = 3;

/// The most that are taken: the kernel's default limit of open files. More is a mistake in the variable.
const MOST: u32 = 1024;

/// What the service manager gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// Number of descriptors, from 3; at least 1.
    pub fds: u32,
    /// Their names, separated by colons, if there are any.
    names: Option<String>,
}

impl Activation {
    /// What this process was given; nothing when it was not activated, or `LISTEN_PID` is another process's.
    ///
    /// # Errors
    /// [`Kind::Usage`] for values that are no numbers, and for a descriptor that is not open: the container would take
    /// whatever gets that number later for a socket of its service.
    pub fn from_env() -> Result<Option<Activation>> {
        let var = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let (fds, pid, names) = (var("LISTEN_FDS"), var("LISTEN_PID"), var("LISTEN_FDNAMES"));
        let activation = Activation::parse(fds.as_deref(), pid.as_deref(), names, std::process::id())?;
        if let Some(activation) = &activation {
            activation.check_open()?;
        }
        Ok(activation)
    }

    /// The same for given values; `own` is the caller's pid.
    ///
    /// # Errors
    /// [`Kind::Usage`] for values that are no numbers, or more than 1024 descriptors.
    pub fn parse(fds: Option<&str>, pid: Option<&str>, names: Option<String>, own: u32) -> Result<Option<Activation>> {
        let Some(fds) = fds else { return Ok(None) };
        let number = |name: &str, value: &str| {
            let wrong = || Error::new(Kind::Usage, format!("{name}=\"{}\" is not a number", value.escape_debug()));
            value.parse::<u32>().map_err(|_| wrong())
        };
        // The variables of somebody further up, inherited by mistake.
        if pid.map(|pid| number("LISTEN_PID", pid)).transpose()?.is_some_and(|pid| pid != own) {
            return Ok(None);
        }
        match number("LISTEN_FDS", fds)? {
            0 => Ok(None),
            fds if fds > MOST => {
                Err(Error::new(Kind::Usage, format!("LISTEN_FDS={fds} is more than {MOST} descriptors")))
            }
            fds => Ok(Some(Activation { fds, names })),
        }
    }

    /// What the container's environment gets. Its service is process 1 of its pid namespace.
    pub fn env(&self) -> Vec<String> {
        let mut env = vec![format!("LISTEN_FDS={}", self.fds), "LISTEN_PID=1".to_owned()];
        env.extend(self.names.iter().map(|names| format!("LISTEN_FDNAMES={names}")));
        env
    }

    fn check_open(&self) -> Result<()> {
        for fd in FIRST..FIRST + self.fds {
            // The link exists as long as the descriptor; a descriptor that is only a number cannot be borrowed.
            match fs::symlink_metadata(format!("/proc/self/fd/{fd}")) {
                Ok(_) => {}
                Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => {
                    let what = format!("LISTEN_FDS={}: descriptor {fd} is not open", self.fds);
                    return Err(Error::new(Kind::Usage, what));
                }
                Err(error) => return Err(error).call("lstat", format_args!("/proc/self/fd/{fd}")),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(fds: &str, pid: Option<&str>) -> Result<Option<Activation>> {
        Activation::parse(Some(fds), pid, None, 42)
    }

    #[test]
    fn descriptors_are_ours_when_listen_pid_is_ours_or_unset() {
        for pid in [None, Some("42")] {
            let activation = parse("2", pid).unwrap().unwrap();
            assert_eq!(activation.fds, 2);
            assert_eq!(activation.env(), ["LISTEN_FDS=2", "LISTEN_PID=1"]);
        }
        assert_eq!(parse("2", Some("43")).unwrap(), None);
        assert_eq!(parse("0", None).unwrap(), None);
        assert_eq!(Activation::parse(None, Some("42"), None, 42).unwrap(), None);
    }

    #[test]
    fn names_are_passed_on() {
        let activation = Activation::parse(Some("2"), None, Some("http:https".into()), 42).unwrap().unwrap();
        assert_eq!(activation.env().last().unwrap(), "LISTEN_FDNAMES=http:https");
    }

    #[test]
    fn values_that_are_no_numbers_are_refused() {
        for (fds, pid) in [("-1", None), ("x", None), ("4294967296", None), ("9999", None), ("1", Some("x"))] {
            assert_eq!(parse(fds, pid).unwrap_err().kind, Kind::Usage, "{fds} {pid:?}");
        }
    }

    #[test]
    fn descriptor_that_is_not_open_is_refused() {
        let activation = Activation { fds: MOST, names: None };
        let error = activation.check_open().unwrap_err().to_string();
        assert!(error.ends_with("is not open"), "{error}");
    }
}
