//! `--pid-file`: the pid in digits, without a newline, since engines parse the whole file as a number.

use crate::error::{Call, Error, Kind, Result};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Writes the file, in place of one that is there. It appears complete: engines read it while the runtime still runs.
///
/// # Errors
/// The path has no file name; what openat(2), write(2) and renameat(2) report.
pub fn write(path: &Path, pid: Pid) -> Result<()> {
    let temporary = temporary(path)?;
    let file = match create(&temporary) {
        // Left by a runtime that was killed in here.
        Err(Errno::EXIST) => {
            rustix::fs::unlinkat(CWD, &temporary, AtFlags::empty()).call("unlink", temporary.display())?;
            create(&temporary)
        }
        created => created,
    };
    let mut file = File::from(file.call("open", temporary.display())?);
    let written = write!(file, "{pid}")
        .call("write", temporary.display())
        .and_then(|()| rustix::fs::renameat(CWD, &temporary, CWD, path).call("rename", path.display()));
    written.inspect_err(|_| {
        // The error that led here is the one to report.
        rustix::fs::unlinkat(CWD, &temporary, AtFlags::empty()).ok();
    })
}

fn create(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::from_raw_mode(0o644))
}

/// `.name` next to `name`, as engines that watch the directory expect.
fn temporary(path: &Path) -> Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return Err(Error::new(Kind::Usage, format!("pid file \"{}\" has no file name", path.display())));
    };
    let mut hidden = OsString::from(".");
    hidden.push(name);
    Ok(path.with_file_name(hidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("casemate-pid-file-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn pid(number: i32) -> Pid {
        Pid::from_raw(number).unwrap()
    }

    fn names(directory: &Path) -> Vec<OsString> {
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn file_holds_digits_and_nothing_else_and_replaces_an_older_one() {
        let directory = directory("digits");
        let path = directory.join("init.pid");
        std::fs::write(&path, "1234567890").unwrap();
        std::fs::write(directory.join(".init.pid"), "left over").unwrap();
        write(&path, pid(77)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"77");
        assert_eq!(names(&directory), ["init.pid"]);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn symbolic_link_in_place_of_the_file_is_replaced_and_not_followed() {
        let directory = directory("link");
        let path = directory.join("init.pid");
        std::fs::write(directory.join("victim"), "keep").unwrap();
        std::os::unix::fs::symlink("victim", &path).unwrap();
        std::os::unix::fs::symlink("victim", directory.join(".init.pid")).unwrap();
        write(&path, pid(77)).unwrap();
        assert_eq!(std::fs::read(directory.join("victim")).unwrap(), b"keep");
        assert!(std::fs::symlink_metadata(&path).unwrap().is_file());
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn failure_leaves_nothing_behind() {
        let directory = directory("fails");
        let path = directory.join("taken");
        std::fs::create_dir(&path).unwrap();
        let error = write(&path, pid(77)).unwrap_err().to_string();
        assert!(error.starts_with("rename ") && error.ends_with("is a directory"), "{error}");
        assert_eq!(names(&directory), ["taken"]);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn path_without_a_name_is_refused() {
        assert_eq!(write(Path::new("/"), pid(1)).unwrap_err().kind, Kind::Usage);
    }
}
