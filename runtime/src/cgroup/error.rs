//! What goes wrong with cgroups, in words that name the object, the call and the kernel's answer.

use std::fmt;

use rustix::io::Errno;

use crate::error::errno_text;

/// A failure of this room.
#[derive(Debug)]
pub enum Error {
    /// A system call on a cgroup or one of its files.
    Call {
        /// The system call, `openat2` for example.
        call: &'static str,
        /// The path it was about.
        object: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A value the kernel does not take.
    Write {
        /// The file written to.
        file: String,
        /// The value.
        value: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A file of the kernel whose contents are not what its documentation says.
    Content {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The systemd driver was asked for.
    NoSystemd,
    /// No cgroup hierarchy is mounted.
    NoHierarchy,
    /// Something that is no cgroup file system lies where one should be mounted.
    NotCgroupfs {
        /// The mount point.
        mount_point: String,
    },
    /// `linux.cgroupsPath` cannot be used.
    BadPath {
        /// The value.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The cgroup exists and processes run in it.
    NotEmpty {
        /// The cgroup.
        cgroup: String,
        /// How many.
        processes: usize,
    },
    /// The cgroup, or one above it, is frozen: joining it would hang.
    Frozen {
        /// The cgroup.
        cgroup: String,
    },
    /// A limit was asked for whose controller this host does not offer.
    NoController {
        /// The controller.
        controller: &'static str,
        /// The field of the spec that asked.
        field: String,
    },
    /// A value of `linux.resources` that means nothing, or nothing on this version of cgroups.
    BadValue {
        /// The field, `memory.swap` for example.
        field: String,
        /// What is wrong, the value included.
        reason: String,
    },
    /// A memory limit below what is in use.
    LimitBelowUsage {
        /// The field.
        field: &'static str,
        /// The limit in bytes.
        limit: i64,
        /// Bytes in use.
        usage: u64,
        /// The highest use so far in bytes.
        peak: Option<u64>,
    },
    /// Device rules that the v1 controller has no way to express.
    Devices {
        /// The rule.
        rule: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Something did not come about before its deadline.
    Deadline {
        /// What was waited for, with the cgroup's name.
        what: String,
    },
    /// The directories of the container are gone.
    Gone,
    /// More than one thing failed while cleaning up.
    Several(Vec<Error>),
}

impl Error {
    pub(super) fn call(call: &'static str, object: impl Into<String>, errno: Errno) -> Self {
        Self::Call { call, object: object.into(), errno }
    }

    /// Makes one error of all that were collected, or none.
    pub(super) fn collect(mut errors: Vec<Error>) -> Result<(), Error> {
        match errors.pop() {
            None => Ok(()),
            Some(only) if errors.is_empty() => Err(only),
            Some(last) => {
                errors.push(last);
                Err(Self::Several(errors))
            }
        }
    }

    /// Whether nothing failed but that processes are in a cgroup, or stay there.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        match self {
            Self::NotEmpty { .. } | Self::Deadline { .. } => true,
            Self::Several(errors) => errors.iter().all(Self::is_in_use),
            _ => false,
        }
    }

    /// The kernel's answer, where the failure was a system call.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Call { errno, .. } | Self::Write { errno, .. } => Some(*errno),
            _ => None,
        }
    }
}

/// What to do about a refused write, where that is known.
fn advice(file: &str, errno: Errno) -> &'static str {
    let name = file.rsplit('/').next().unwrap_or_default();
    match (name, errno) {
        ("cgroup.subtree_control", Errno::BUSY) => {
            ": processes run in this cgroup itself; move them to a child of it or choose another cgroupsPath"
        }
        (_, Errno::ROFS) => ": the cgroup hierarchy is mounted read-only",
        ("devices.allow", Errno::PERM) => ": the parent cgroup does not allow this device",
        (n, Errno::NODEV) if n.starts_with("blkio.") || n.starts_with("io.") => ": there is no such block device",
        (n, Errno::ACCESS | Errno::INVAL) if n.starts_with("cpuset.") => {
            ": the parent cgroup does not have all of these cpus or memory nodes"
        }
        (n, Errno::INVAL) if n.starts_with("cpu.rt_") => ": the parent cgroup has no real-time budget to give",
        (n, Errno::NOENT) if n.starts_with("memory.memsw.") || n.starts_with("memory.swap.") => {
            ": this kernel does not count swap (swapaccount=1)"
        }
        (n, Errno::NOENT) if n.contains("weight") => ": no block I/O scheduler with weights (bfq) is in use",
        ("devices.allow" | "devices.deny", Errno::INVAL) => ": the default cannot change while there are child cgroups",
        _ => "",
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { call, object, errno } => write!(f, "{call} \"{object}\": {}", errno_text(*errno)),
            Self::Write { file, value, errno } => {
                write!(f, "write \"{value}\" to \"{file}\": {}{}", errno_text(*errno), advice(file, *errno))
            }
            Self::Content { file, reason } => write!(f, "\"{file}\": {reason}"),
            Self::NoSystemd => {
                f.write_str("systemd cgroup flag passed, but systemd support for managing cgroups is not available")
            }
            Self::NoHierarchy => f.write_str(
                "no cgroup hierarchy is mounted in this mount namespace: mount cgroup2 on \"/sys/fs/cgroup\"",
            ),
            Self::NotCgroupfs { mount_point } => {
                write!(f, "\"{mount_point}\" is not a cgroup file system: refusing to make plain directories there")
            }
            Self::BadPath { path, reason } => write!(f, "cgroups path \"{}\": {reason}", path.escape_default()),
            Self::NotEmpty { cgroup, processes } => {
                write!(f, "container's cgroup is not empty: {processes} process(es) found in \"{cgroup}\"")
            }
            Self::Frozen { cgroup } => write!(f, "container's cgroup unexpectedly frozen: thaw \"{cgroup}\" first"),
            Self::NoController { controller, field } => {
                write!(f, "{field}: the {controller} cgroup controller is not available on this host")
            }
            Self::BadValue { field, reason } => write!(f, "{field}: {reason}"),
            Self::LimitBelowUsage { field, limit, usage, peak } => {
                write!(f, "unable to set {field} to {limit} (current usage: {usage}")?;
                if let Some(peak) = peak {
                    write!(f, ", peak usage: {peak}")?;
                }
                f.write_str("): choose a limit above the usage")
            }
            Self::Devices { rule, reason } => write!(f, "device rule \"{rule}\": {reason}"),
            Self::Deadline { what } => write!(f, "timed out waiting for {what}"),
            Self::Gone => f.write_str("the container's cgroup does not exist any more"),
            Self::Several(errors) => {
                for (i, error) in errors.iter().enumerate() {
                    if i > 0 {
                        f.write_str("; ")?;
                    }
                    write!(f, "{error}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Error {}
