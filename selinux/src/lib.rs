//! SELinux security contexts for container runtimes: read strictly, compare, print as the kernel prints them.
//!
//! Everything here is a decision on given text and facts. No file is opened and no system call is made: what is to be
//! written where is answered, and who calls writes it. That is all a runtime needs of SELinux, so libselinux, which
//! reads the policy and its configuration, is not linked.
//!
//! ```
//! use casemate_selinux::{Context, LabelFile, MountContext, mount_option};
//!
//! let process: Context = "system_u:system_r:container_t:s0:c392,c107".parse()?;
//! assert_eq!(process.to_string(), "system_u:system_r:container_t:s0:c107,c392");
//! assert_eq!(LabelFile::Exec.path(), "self/attr/exec");
//!
//! let mounts: Context = "system_u:object_r:container_file_t:s0:c107,c392".parse()?;
//! assert_eq!(process.mcs_pair(), mounts.mcs_pair());
//! assert_eq!(mount_option(&mounts, MountContext::Context)?.0, "context");
//! # Ok::<(), casemate_selinux::Invalid>(())
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod categories;
mod context;
mod enabled;
mod invalid;
mod label_file;
mod level;
mod mount;

pub use categories::{Categories, McsPair};
pub use context::Context;
pub use enabled::{SELINUX_MAGIC, Selinuxfs};
pub use invalid::{Invalid, Part};
pub use label_file::LabelFile;
pub use level::{Level, Range};
pub use mount::{MountContext, mount_option};
