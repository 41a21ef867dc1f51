//! b
use crate::options::BenchOptions;
use anyhow::Result;
use std::process::ExitCode;
pub fn run(_options: &BenchOptions) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
