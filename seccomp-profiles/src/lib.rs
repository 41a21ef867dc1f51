//! OCI seccomp profiles: reading, compiling to BPF, interpreting, explaining.
//!
//! ```
//! use seccomp_profiles::{Action, Arch, Profile, SeccompData, compile};
//!
//! let profile = Profile::from_json(
//!     br#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}"#,
//! )?;
//! let filter = compile(&profile, Arch::X86_64)?;
//! assert_eq!(filter.verdict(&SeccompData::new(Arch::X86_64, 0, [0; 6])), Action::Allow);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The rooms, in the order of the data: [`families`] and [`overlay`] (profiles that come with the crate, resolved for a
//! [`capability`] set), [`profile`] (the specification's words), [`template`] (the engines' format, resolved to a profile),
//! [`syscalls`] (names and numbers), [`compile`](mod@compile) (one profile, or several layers as one filter), [`bpf`]
//! (instructions and actions), [`interpret`] (a filter run without a kernel), [`explain`] (which rule is responsible),
//! [`diff`] and [`lint`] (profiles compared and judged), [`strictness`] (whether one filter is as strict as another),
//! [`cases`] (tests of a profile), [`disasm`] (a filter as text), [`tool`] (all of it as a command), [`record`] (a profile
//! made of calls that were seen); and with the feature `libseccomp` the `oracle`: the same profile compiled by libseccomp.
//! All of that is pure: loading a filter is the runtime's business. Two rooms are not: [`sandbox`] (calls made under a
//! filter, to see what the kernel does) and [`machine`] (the tool's files and kernel). docs/seccomp.md has the semantics.

pub mod bpf;
pub mod capability;
pub mod cases;
pub mod compile;
pub mod diff;
pub mod disasm;
pub mod explain;
pub mod families;
pub mod interpret;
pub mod lint;
pub mod machine;
#[cfg(feature = "libseccomp")]
pub mod oracle;
pub mod overlay;
pub mod profile;
pub mod record;
pub mod sandbox;
pub mod strictness;
pub mod syscalls;
pub mod template;
pub mod tool;
mod witness;

pub use bpf::{Action, Insn, SeccompData};
pub use capability::CapabilitySet;
pub use compile::{CompileError, Decisions, Filter, Layer, compile, compile_layers, flag};
pub use interpret::denies_execve;
pub use overlay::Overlay;
pub use profile::Profile;
pub use syscalls::{Arch, Syscall};
