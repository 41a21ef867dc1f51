//! The error of the library: what was being done, on what, which call, what the kernel said, what to do about it.
//!
//! Shown as one line, because engines keep one line. Errno texts are Go's lower-case wording, because engines match it
//! (`docs/runc-compat.md`, "Texts that engines look for").

use rustix::io::Errno;
use std::fmt;

/// What callers can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No such container, file or process.
    NotFound,
    /// A container with that id exists.
    AlreadyExists,
    /// The container is not in a state that allows the command.
    WrongState,
    /// The configuration is not valid, or asks for what cannot be had together.
    InvalidConfig,
    /// The configuration asks for something that this version or this host does not have.
    Unsupported,
    /// Policy refuses it.
    Denied,
    /// Init failed while it set up the container or its process.
    InitFailed,
    /// The command line is not valid.
    Usage,
    /// A system call failed.
    System,
}

/// An error of the runtime. `Display` gives the whole line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What callers match on.
    pub kind: Kind,
    message: String,
    hint: Option<String>,
}

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error in casemate's own words.
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), hint: None }
    }

    /// A system call that failed on an object: `openat2 "/x": no such file or directory`.
    pub fn call(call: &str, object: impl fmt::Display, errno: impl Into<Errno>) -> Error {
        let errno = errno.into();
        let kind = if errno == Errno::NOENT { Kind::NotFound } else { Kind::System };
        Error::new(kind, format!("{call} \"{object}\": {}", errno_text(errno)))
    }

    /// The same error, with what was being done in front.
    pub fn context(mut self, during: impl fmt::Display) -> Error {
        self.message = format!("{during}: {}", self.message);
        self
    }

    /// The same error as another kind.
    pub fn as_kind(mut self, kind: Kind) -> Error {
        self.kind = kind;
        self
    }

    /// The same error, with what else went wrong behind.
    pub fn and(mut self, more: impl fmt::Display) -> Error {
        self.message = format!("{}; {more}", self.message);
        self
    }

    /// What the reader can do about it; the first hint, nearest to the cause, stays.
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint.get_or_insert(hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// Adds context to the error of a result.
pub trait Context<T> {
    /// See [`Error::context`].
    fn context(self, during: impl fmt::Display) -> Result<T>;
    /// See [`Error::hint`].
    fn hint(self, hint: &str) -> Result<T>;
}

impl<T> Context<T> for Result<T> {
    fn context(self, during: impl fmt::Display) -> Result<T> {
        self.map_err(|e| e.context(during))
    }
    fn hint(self, hint: &str) -> Result<T> {
        self.map_err(|e| e.hint(hint))
    }
}

/// Names a system call that failed: `.call("mkdirat", path)`.
pub trait Call<T> {
    /// See [`Error::call`].
    fn call(self, call: &str, object: impl fmt::Display) -> Result<T>;
}

impl<T> Call<T> for std::result::Result<T, Errno> {
    fn call(self, call: &str, object: impl fmt::Display) -> Result<T> {
        self.map_err(|e| Error::call(call, object, e))
    }
}

impl<T> Call<T> for std::result::Result<T, nix::errno::Errno> {
    fn call(self, call: &str, object: impl fmt::Display) -> Result<T> {
        self.map_err(|e| Error::call(call, object, Errno::from_raw_os_error(e as i32)))
    }
}

impl<T> Call<T> for std::io::Result<T> {
    fn call(self, call: &str, object: impl fmt::Display) -> Result<T> {
        self.map_err(|e| match Errno::from_io_error(&e) {
            Some(errno) => Error::call(call, object, errno),
            None => Error::new(Kind::System, format!("{call} \"{object}\": {}", e.kind())),
        })
    }
}

/// What Go prints for an errno: the C library's text in lower case, with Go's own exceptions.
pub fn errno_text(errno: Errno) -> String {
    let raw = errno.raw_os_error();
    let text = match errno {
        Errno::NOTSUP => "operation not supported",
        _ => return strerror(raw),
    };
    text.to_string()
}

/// std's text is `Text (os error N)`; only the text, in lower case, except where it is a name.
fn strerror(raw: i32) -> String {
    let text = std::io::Error::from_raw_os_error(raw).to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    match (chars.next(), text.chars().nth(1)) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errno_texts_are_the_ones_that_engines_match() {
        for (errno, text) in [
            (Errno::NOENT, "no such file or directory"),
            (Errno::ACCESS, "permission denied"),
            (Errno::PERM, "operation not permitted"),
            (Errno::NOTDIR, "not a directory"),
            (Errno::ISDIR, "is a directory"),
            (Errno::SRCH, "no such process"),
            (Errno::INVAL, "invalid argument"),
            (Errno::NOTSUP, "operation not supported"),
        ] {
            assert_eq!(errno_text(errno), text);
        }
    }

    #[test]
    fn the_hint_nearest_to_the_cause_stays() {
        let e = Error::call("mkdirat", "/x", Errno::ROFS).hint("inner").context("create c").hint("outer");
        assert_eq!(e.to_string(), "create c: mkdirat \"/x\": read-only file system (hint: inner)");
    }
}
