//! `check`: config.json as a pipeline hands it over, to the report in each of its formats. The host is this one.

use crate::config::draw;
use casemate::cli::{Check, CheckConfig, CheckFormat, Globals, LogFormat};
use casemate::commands::check;
use casemate::commands::doctor::Colour;
use casemate::log::Log;
use casemate::policy::Level;
use casemate::policy::catalogue::Standard;
use rustix::fs::{MemfdFlags, memfd_create};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;

pub fn run(data: &[u8]) {
    let mut file = std::fs::File::from(memfd_create("config.json", MemfdFlags::CLOEXEC).unwrap());
    file.write_all(data).unwrap();
    let draw = draw(data) as usize;
    let standards = Standard::ALL.iter().copied().map(Some).chain([None]);
    let config = CheckConfig {
        path: Some(format!("/proc/self/fd/{}", file.as_raw_fd()).into()),
        // With a level the policy of this host is not asked.
        level: Some(Level::ALL[draw % Level::ALL.len()]),
        standard: standards.cycle().nth(draw / 3 % (Standard::ALL.len() + 1)).flatten(),
        as_written: draw / 32 % 2 == 0,
        format: [CheckFormat::Text, CheckFormat::Json, CheckFormat::Sarif][draw / 64 % 3],
    };
    let (format, log) = (config.format, Log::new(None, LogFormat::Text, false));
    let mut out = Vec::new();
    match check::run(&Check::Config(config), &Globals::default(), Colour::Off, &log, &mut out) {
        Ok(_) if format == CheckFormat::Text => assert!(out.ends_with(b"\n")),
        Ok(_) => drop(serde_json::from_slice::<serde_json::Value>(&out).unwrap()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
