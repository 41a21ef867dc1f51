//! What the caller handed down besides its command line: descriptors, environment.

use crate::error::{Call, Error, Kind, Result};
use crate::sys;

/// Descriptors and variables for the process.
#[derive(Debug, Default)]
pub struct Caller {
    /// How many descriptors from 3 on the process gets.
    pub preserve_fds: u32,
    /// Variables that go with them.
    pub env: Vec<String>,
}

impl Caller {
    /// Secures this process against what it was started with: nobody may look into it, and of its descriptors only
    /// those that were asked for will be passed on.
    ///
    /// # Errors
    /// A descriptor that is to be preserved and is not open.
    pub fn secure(preserve_fds: u32) -> Result<Caller> {
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
            .call("prctl", "PR_SET_DUMPABLE")?;
        // The engine's PR_SET_PDEATHSIG is for the runtime itself, never for what the runtime leaves behind.
        let (listening, env) = listen_fds();
        let total = preserve_fds.max(0) + listening;
        for fd in 3..3 + total {
            sys::descriptors::keep_on_exec(fd as i32).map_err(|_| {
                Error::new(Kind::Usage, format!("unable to preserve file descriptor {fd}: it is not open"))
                    .hint("--preserve-fds and LISTEN_FDS count descriptors from 3 on")
            })?;
        }
        sys::descriptors::close_on_exec_from(3 + total).call("close_range", "inherited descriptors")?;
        Ok(Caller { preserve_fds: total, env })
    }
}

/// Socket activation (sd_listen_fds(3)): the descriptors are passed on when they are meant for this process.
fn listen_fds() -> (u32, Vec<String>) {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u32>().ok());
    let mine = number("LISTEN_PID").is_none_or(|pid| pid == std::process::id());
    match number("LISTEN_FDS") {
        Some(count) if mine && (1..=1024).contains(&count) => {
            (count, vec![format!("LISTEN_FDS={count}"), "LISTEN_PID=1".into()])
        }
        _ => (0, Vec::new()),
    }
}
