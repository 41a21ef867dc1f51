//! Many containers at a time: nothing lost, nothing left, and how long it took.

use crate::options::LoadOptions;
use anyhow::{Result, bail};
use std::process::ExitCode;

/// Runs the load of each runtime in turn and prints a table.
pub fn run(options: &LoadOptions) -> Result<ExitCode> {
    bail!("not built yet: {options:?}")
}
