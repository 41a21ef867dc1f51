//! The administrator's policy on disk: `/etc/casemate/policy.toml`, then `/etc/casemate/policy.d/*.toml` by name.
//!
//! What these files say is what containers are confined by, so nobody but root may be able to say it: each file, and
//! each directory on the way to it, has to be root's and closed to others, and symbolic links are not followed. No files
//! are no policy; a file that cannot be read or understood is an error, and nothing is started.
//!
//! The place is fixed. Whoever may call casemate could otherwise choose the policy too.

use crate::error::{Call, Error, Kind, Result};
use crate::policy::{Date, Document};
use rustix::fs::{Dir, FileType, Mode, OFlags, fstat, open, openat};
use rustix::io::Errno;
use seccomp_profiles::Profile;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the policy is.
pub const DIRECTORY: &str = "/etc/casemate";

/// Largest policy file or profile, in bytes: 1 MiB.
pub const MAX_BYTES: u64 = 1 << 20;

/// Reads the policy. `None` where there is none: then the built-in defaults hold.
///
/// # Errors
/// [`Kind::Denied`] for a file or directory that somebody else could write, with the command that mends it; what
/// [`Document::parse`] reports; files that cannot be read.
pub fn read() -> Result<Option<Document>> {
    read_from(DIRECTORY)
}

/// The same from another directory, an absolute path. For tests.
///
/// # Errors
/// As [`read`].
pub fn read_from(directory: &str) -> Result<Option<Document>> {
    // The ordinary host has no policy and pays one call. What is there is opened again, step by step.
    match open(directory, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Ok(_) => {}
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(Error::call("open", directory, errno)),
    }
    let Some(dir) = open_directory(directory)? else { return Ok(None) };
    let mut files = Vec::new();
    let path = format!("{directory}/policy.toml");
    if let Some(text) = read_file(dir.as_fd(), "policy.toml", &path)? {
        files.push((path, text));
    }
    let path = format!("{directory}/policy.d");
    if let Some(fragments) = step(dir.as_fd(), "policy.d", &path)? {
        for name in names(fragments.as_fd(), &path)? {
            let path = format!("{path}/{name}");
            let text = read_file(fragments.as_fd(), &name, &path)?;
            // Removed since it was listed: what the rest says without it may not be what is meant.
            let text = text.ok_or_else(|| Error::call("openat", &path, Errno::NOENT))?;
            files.push((path, text));
        }
    }
    if files.is_empty() {
        return Ok(None);
    }
    Document::parse(&files, &mut read_profile).map(Some)
}

/// Today, in UTC: the day that exemptions expire by.
///
/// # Errors
/// A clock before 1970.
pub fn today() -> Result<Date> {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Ok(Date::of_unix(since.as_secs())),
        Err(_) => Err(Error::new(Kind::System, "the clock is before 1970").hint("set the clock: exemptions end by it")),
    }
}

/// Opens a directory by an absolute path, each one on the way checked; `None` where one is not there.
fn open_directory(path: &str) -> Result<Option<OwnedFd>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = open("/", flags, Mode::empty()).call("open", "/")?;
    check(at.as_fd(), "/", FileType::Directory)?;
    let mut walked = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        walked.push('/');
        walked.push_str(part);
        match step(at.as_fd(), part, &walked)? {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// Opens a directory in a directory.
fn step(dir: BorrowedFd<'_>, name: &str, path: &str) -> Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(dir, name, flags, Mode::empty()) {
        Ok(fd) => {
            check(fd.as_fd(), path, FileType::Directory)?;
            Ok(Some(fd))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::NOTDIR | Errno::LOOP) => Err(wrong_kind(path, "a directory")),
        Err(errno) => Err(Error::call("openat", path, errno)),
    }
}

/// The files of a directory that are policy, in the order in which they hold. Hidden ones are editors' business.
fn names(dir: BorrowedFd<'_>, path: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for item in Dir::read_from(dir).call("getdents64", path)? {
        let item = item.call("getdents64", path)?;
        let name = item.file_name().to_bytes();
        if name.ends_with(b".toml") && !name.starts_with(b".") {
            let name = std::str::from_utf8(name).map_err(|_| {
                let what = format!("\"{path}\" has a file whose name is not UTF-8: {:?}", item.file_name());
                Error::new(Kind::InvalidConfig, what).hint("rename it")
            })?;
            let place = names.partition_point(|other: &String| other.as_str() < name);
            names.insert(place, name.to_owned());
        }
    }
    Ok(names)
}

/// Reads a file in a directory; `None` where it is not there.
fn read_file(dir: BorrowedFd<'_>, name: &str, path: &str) -> Result<Option<String>> {
    // O_NONBLOCK: a FIFO in its place must not hang us; the check refuses it.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = match openat(dir, name, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(None),
        // ENXIO is a socket's answer.
        Err(Errno::LOOP | Errno::NXIO) => return Err(wrong_kind(path, "a regular file")),
        Err(errno) => return Err(Error::call("openat", path, errno)),
    };
    check(fd.as_fd(), path, FileType::RegularFile)?;
    let mut bytes = Vec::with_capacity(8 << 10);
    std::fs::File::from(fd).take(MAX_BYTES + 1).read_to_end(&mut bytes).call("read", path)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::new(Kind::InvalidConfig, format!("\"{path}\" is larger than {MAX_BYTES} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|why| {
        let at = why.utf8_error().valid_up_to();
        let line = why.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        Error::new(Kind::InvalidConfig, format!("{path}:{line}: not UTF-8"))
    })?;
    Ok(Some(text))
}

/// Whether what was opened is of that type and root alone can change it. Access control lists need no look of their own:
/// the group's bits are the most that any of their entries grants (acl(5)).
fn check(fd: BorrowedFd<'_>, path: &str, want: FileType) -> Result<()> {
    let stat = fstat(fd).call("fstat", path)?;
    if FileType::from_raw_mode(stat.st_mode) != want {
        return Err(wrong_kind(path, if want == FileType::Directory { "a directory" } else { "a regular file" }));
    }
    let what = if stat.st_uid != 0 {
        format!("belongs to user {}, not to root", stat.st_uid)
    } else if stat.st_mode & 0o022 != 0 {
        format!("can be written by others than root (mode {:04o})", stat.st_mode & 0o7777)
    } else {
        return Ok(());
    };
    let error = Error::new(Kind::Denied, format!("policy is not to be trusted: \"{path}\" {what}"));
    Err(error.hint(format!("chown root: {path}; chmod go-w {path}")))
}

fn wrong_kind(path: &str, want: &str) -> Error {
    let what = format!("policy is not to be trusted: \"{path}\" is not {want}, or is a symbolic link");
    Error::new(Kind::Denied, what).hint(format!("put {want} there"))
}

/// Reads a seccomp profile that the policy names.
fn read_profile(path: &str) -> Result<Profile> {
    let missing = || Error::call("open", path, Errno::NOENT).as_kind(Kind::InvalidConfig);
    let (directory, name) = path.rsplit_once('/').ok_or_else(missing)?;
    let dir = open_directory(directory)?.ok_or_else(missing)?;
    let text = read_file(dir.as_fd(), name, path)?.ok_or_else(missing)?;
    let invalid = |why: String| Error::new(Kind::InvalidConfig, format!("\"{path}\": {why}"));
    // As in `Profile::from_json`; of text that is UTF-8 already, like the container's state.
    let profile = serde_json::from_str(&text).map_err(|why| invalid(format!("seccomp profile: {why}")))?;
    if is_template(&text) {
        let what = "is in the engines' own format, with rules for some capabilities or architectures only";
        return Err(invalid(what.to_owned()).hint("write the profile for one kind of container, as config.json has it"));
    }
    Ok(profile)
}

/// Whether a profile has keys of the engines' format. Read as a profile, which ignores them, it would allow what they are
/// there to withhold. A name in quotes with a colon behind it is a key, wherever it stands in JSON.
fn is_template(text: &str) -> bool {
    const KEYS: [&str; 4] = ["\"archMap\"", "\"includes\"", "\"excludes\"", "\"name\""];
    let is_key =
        |(at, key): (usize, &str)| text.get(at + key.len()..).is_some_and(|it| it.trim_start().starts_with(':'));
    KEYS.iter().any(|key| text.match_indices(key).any(is_key))
}

#[cfg(test)]
mod tests;
