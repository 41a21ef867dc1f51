//! What the runtime remembers of a container between its commands, and whether the container is alive.
//!
//! One directory for each container below `--root`, named by the id and locked by whoever changes the container:
//!
//! | name | written by | meaning |
//! |---|---|---|
//! | `state.json` | `create`, twice | the [`Record`]: first before anything is made on the host, then with init in it |
//! | `config.json` | `create` | the configuration as it was used, for `exec` |
//! | `start` | `create` | the socket init waits at; while it exists the container is in the created state |
//! | `notify` | `create` | the socket that stands for `$NOTIFY_SOCKET`, or a directory with it |
//!
//! The status is never stored. [`Container::status`] derives it from what is: the pidfd, the socket, the freezer and
//! the lock. Nothing in the record is believed without a check: a pid counts only together with the time its process
//! started and the boot it belongs to, and is signalled only through a pidfd that was opened before that check.
//!
//! ```text
//! Store (--root) --create/lock/entry--> Entry (directory, lock) --read--> Record --Process::open--> pidfd
//! ```
//!
//! Commands that only look (`state`, `list`, `kill`, `ps`, `events`) take no lock: the record is replaced by rename(2),
//! so a reader finds the old one or the new one.

mod container;
mod entry;
mod lock;
mod process;
pub mod procfs;
mod record;
mod store;

pub use container::{Container, of_cgroup};
pub use entry::{CONFIG, Entry, NOTIFY, START, STATE, Unknown};
pub use process::{InitProcess, Process};
pub use record::{MAX_BYTES, Phase, Record, VERSION, now};
pub use store::Store;

#[cfg(test)]
pub(crate) use {process::tests::Sleeper, record::tests::record, store::tests::Scratch};
