//! What can be seen of one container: the answers of its probe, and what the kernel shows of its process from outside.

use super::ground::Container;
use super::probe::Answers;
use crate::error::{Call as _, Error, Kind, Result};
use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// A container that runs, or a process that was added to one and has ended.
#[derive(Default)]
pub struct View {
    /// What the probe tells.
    pub answers: Answers,
    /// `/proc/PID/status`.
    pub status: String,
    /// The container before it was started.
    pub waiting: Waiting,
    container: Option<Container>,
}

/// Init, while it waits for `start`.
#[derive(Clone, Debug, Default)]
pub struct Waiting {
    /// What `/proc/PID/exe` leads to.
    pub exe: String,
    /// Whether that is the file that the caller runs.
    pub exe_is_ours: bool,
    /// Who owns `/proc/PID/environ`: root, for a process that is not dumpable (proc(5)).
    pub owner: u32,
}

/// One line of `/proc/PID/mountinfo`.
pub struct MountLine<'a> {
    /// Where it is mounted.
    pub target: &'a str,
    /// Its own options.
    pub options: &'a str,
    /// The type of the filesystem.
    pub kind: &'a str,
}

impl MountLine<'_> {
    /// Whether it has an option.
    pub fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|one| one == option)
    }
}

impl View {
    /// Looks at init while it waits.
    ///
    /// # Errors
    /// A file of procfs cannot be read.
    pub fn waiting(pid: i32) -> Result<Waiting> {
        let path = format!("/proc/{pid}/exe");
        let exe = fs::read_link(&path).call("readlink", &path)?.display().to_string();
        let identity = |path: &str| fs::metadata(path).map(|file| (file.dev(), file.ino())).call("stat", path);
        let exe_is_ours = identity(&path)? == identity("/proc/self/exe")?;
        Ok(Waiting { exe, exe_is_ours, owner: owner(pid)? })
    }

    /// A container whose probe has answered.
    ///
    /// # Errors
    /// The answer is none; its status cannot be read.
    pub fn running(container: Container, waiting: Waiting, line: &str) -> Result<View> {
        let wrong = |error| Error::new(Kind::System, format!("the answer of the container: {error}"));
        let answers = serde_json::from_str(line).map_err(wrong)?;
        let path = format!("/proc/{}/status", container.pid);
        let status = fs::read_to_string(&path).call("read", &path)?;
        Ok(View { answers, status, waiting, container: Some(container) })
    }

    /// A container that waits for start.
    ///
    /// # Errors
    /// As [`View::waiting`].
    pub fn created(container: Container) -> Result<View> {
        Ok(View { waiting: View::waiting(container.pid)?, container: Some(container), ..View::default() })
    }

    /// A process of which only the status is known.
    pub fn of_status(status: String) -> View {
        View { status, ..View::default() }
    }

    /// The id of the container.
    pub fn id(&self) -> &str {
        self.container.as_ref().map_or("", |container| &container.id)
    }

    /// The pid of the container's first process; 0 for an added process.
    pub fn pid(&self) -> i32 {
        self.container.as_ref().map_or(0, |container| container.pid)
    }

    /// A field of the status.
    ///
    /// # Errors
    /// There is no such field.
    pub fn field(&self, name: &str) -> Result<&str> {
        let value = self.status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map(str::trim).ok_or_else(|| Error::new(Kind::System, format!("no {name} in /proc/PID/status")))
    }

    /// A number in a field of the status.
    ///
    /// # Errors
    /// There is no such number.
    pub fn number(&self, name: &str, radix: u32) -> Result<u64> {
        let text = self.field(name)?;
        u64::from_str_radix(text, radix)
            .map_err(|_| Error::new(Kind::System, format!("{name} in /proc/PID/status is \"{text}\"")))
    }

    /// A file of `/proc/PID`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.pid());
        fs::read_to_string(&path).call("read", &path)
    }

    /// What a link of `/proc/PID` leads to.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn link(&self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.pid());
        fs::read_link(&path).map(|link| link.display().to_string()).call("readlink", &path)
    }

    /// The numbers of the open descriptors.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn descriptors(&self) -> Result<Vec<String>> {
        let path = format!("/proc/{}/fd", self.pid());
        let entries = fs::read_dir(&path).and_then(Iterator::collect::<std::io::Result<Vec<_>>>).call("open", &path)?;
        let mut numbers: Vec<String> =
            entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Who owns the files of the process.
    ///
    /// # Errors
    /// They cannot be looked at.
    pub fn owner(&self) -> Result<u32> {
        owner(self.pid())
    }

    /// The device number of the filesystem behind a path inside the container; nothing where there is no such path.
    pub fn filesystem(&self, path: &str) -> Option<u64> {
        fs::metadata(format!("/proc/{}/root{path}", self.pid())).ok().map(|file| file.dev())
    }
}

fn owner(pid: i32) -> Result<u32> {
    let path = format!("/proc/{pid}/environ");
    fs::metadata(&path).map(|file| file.uid()).call("stat", &path)
}

/// The lines of a mountinfo, as proc_pid_mountinfo(5) has them.
pub fn mount_lines(table: &str) -> Vec<MountLine<'_>> {
    let line = |line| {
        let (left, right) = str::split_once(line, " - ")?;
        let mut fields = left.split(' ').skip(4);
        Some(MountLine { target: fields.next()?, options: fields.next()?, kind: right.split(' ').next()? })
    };
    table.lines().filter_map(line).collect()
}
