//! Pressure stall information; `Documentation/accounting/psi.rst` of the kernel.

use rustix::io::Errno;
use serde::Serialize;

use crate::cgroup::Error;
use crate::cgroup::dir::{Dir, read_all};

/// How long tasks waited for one resource.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Pressure {
    /// Some task waited.
    pub some: PressureLine,
    /// All tasks waited.
    pub full: PressureLine,
}

/// Shares of time in percent, and the time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PressureLine {
    /// Over the last 10 seconds.
    pub avg10: f64,
    /// Over the last minute.
    pub avg60: f64,
    /// Over the last 5 minutes.
    pub avg300: f64,
    /// In microseconds since the cgroup was made.
    pub total: u64,
}

impl Pressure {
    /// Reads a `.pressure` file; `None` where the kernel does not count, or was told not to.
    pub(super) fn read(dir: &Dir, file: &str) -> Result<Option<Self>, Error> {
        match dir.open_file(file, rustix::fs::OFlags::RDONLY).and_then(read_all) {
            Ok(text) => Ok(Some(Self::parse(&text))),
            Err(Errno::NOENT | Errno::NODEV | Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(Error::call("read", format!("{}/{file}", dir.name), errno)),
        }
    }

    /// Reads the text of such a file; what is of another form is left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut pressure = Self::default();
        for line in text.lines() {
            let mut fields = line.split(' ');
            let entry = match fields.next() {
                Some("some") => &mut pressure.some,
                Some("full") => &mut pressure.full,
                _ => continue,
            };
            for (key, value) in fields.filter_map(|f| f.split_once('=')) {
                match key {
                    "avg10" => entry.avg10 = value.parse().unwrap_or_default(),
                    "avg60" => entry.avg60 = value.parse().unwrap_or_default(),
                    "avg300" => entry.avg300 = value.parse().unwrap_or_default(),
                    "total" => entry.total = value.parse().unwrap_or_default(),
                    _ => {}
                }
            }
        }
        pressure
    }
}
