//! What the caller handed down besides its command line: descriptors, environment.

use crate::error::{Call, Error, Kind, Result};
use crate::listen::Activation;
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
    /// Secures this process against what it was started with: of its descriptors only those that were asked for will be
    /// passed on.
    ///
    /// # Errors
    /// A descriptor that is to be preserved and is not open.
    pub fn secure(preserve_fds: u32) -> Result<Caller> {
        let activation = Activation::from_env()?;
        let listening = activation.as_ref().map_or(0, |a| a.fds);
        let total = preserve_fds.saturating_add(listening).min(i32::MAX as u32 - 3);
        for fd in 3..3 + total {
            sys::descriptors::keep_on_exec(fd as i32).map_err(|_| {
                Error::new(Kind::Usage, format!("unable to preserve file descriptor {fd}: it is not open"))
                    .hint("--preserve-fds and LISTEN_FDS count descriptors from 3 on")
            })?;
        }
        sys::descriptors::close_on_exec_from(3 + total).call("close_range", "inherited descriptors")?;
        Ok(Caller { preserve_fds: total, env: activation.map_or_else(Vec::new, |a| a.env()) })
    }
}
