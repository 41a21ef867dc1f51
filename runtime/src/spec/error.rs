//! Why a JSON file of the spec could not be read.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::file::{MAX_BYTES, MAX_DEPTH};
use crate::error::{Error, Kind, errno_text};

/// Why a configuration, a process or a set of resources could not be read.
#[derive(Debug)]
pub enum SpecError {
    /// The bundle has no `config.json`.
    NotFound {
        /// The bundle.
        bundle: PathBuf,
    },
    /// A system call on the file failed.
    Io {
        /// The file, or `stdin`.
        path: PathBuf,
        /// The call: `open`, `fstat` or `read`.
        call: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file is a directory, a FIFO, a socket or a device.
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// There are more than [`MAX_BYTES`] bytes.
    TooLarge,
    /// A byte sequence is not UTF-8, which RFC 8259 demands of JSON.
    NotUtf8 {
        /// Line of the first bad byte, from 1.
        line: usize,
        /// Byte column of it in the line, from 1.
        column: usize,
    },
    /// Arrays and objects are nested more than [`MAX_DEPTH`] deep.
    TooDeep {
        /// Line where the limit is passed, from 1.
        line: usize,
        /// Byte column of it in the line, from 1.
        column: usize,
    },
    /// The text is not JSON, or a value is not of the type the spec gives its field.
    Json {
        /// Where in the document, as `process.args[0]`; empty for the whole of it.
        at: String,
        /// Line, from 1.
        line: usize,
        /// Byte column in the line, from 1.
        column: usize,
        /// What is wrong there.
        what: String,
    },
    /// An error in the content of a file, with the file's name.
    InFile {
        /// The file.
        path: PathBuf,
        /// The error.
        source: Box<SpecError>,
    },
}

impl SpecError {
    /// Turns a missing file into the message that names the bundle.
    pub(super) fn in_bundle(self, bundle: &Path) -> SpecError {
        match self {
            SpecError::Io { call: "open", source, .. } if source.kind() == io::ErrorKind::NotFound => {
                SpecError::NotFound { bundle: bundle.to_path_buf() }
            }
            other => other,
        }
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The first words are those of the de facto standard, which callers search for.
            SpecError::NotFound { bundle } => {
                write!(f, "JSON specification file config.json not found in bundle \"{}\"", bundle.display())
            }
            SpecError::Io { path, call, source } => {
                write!(f, "{call} \"{}\": {}", path.display(), io_text(source))
            }
            SpecError::NotRegular { path } => write!(f, "\"{}\" is not a regular file", path.display()),
            SpecError::TooLarge => write!(f, "file is larger than {MAX_BYTES} bytes"),
            SpecError::NotUtf8 { line, column } => write!(f, "line {line} column {column}: text is not UTF-8"),
            SpecError::TooDeep { line, column } => {
                write!(f, "line {line} column {column}: nested more than {MAX_DEPTH} deep")
            }
            SpecError::Json { at, line, column, what } if at.is_empty() => {
                write!(f, "line {line} column {column}: {what}")
            }
            SpecError::Json { at, line, column, what } => {
                write!(f, "{at}: line {line} column {column}: {what}")
            }
            SpecError::InFile { path, .. } => write!(f, "read \"{}\"", path.display()),
        }
    }
}

impl std::error::Error for SpecError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SpecError::InFile { source, .. } => Some(source.as_ref()),
            // The io::Error is part of the message, in the wording engines need.
            _ => None,
        }
    }
}

/// What the kernel said, in the words engines look for.
fn io_text(error: &io::Error) -> String {
    match rustix::io::Errno::from_io_error(error) {
        Some(errno) => errno_text(errno),
        None => error.to_string(),
    }
}

impl From<SpecError> for Error {
    fn from(error: SpecError) -> Error {
        match error {
            SpecError::NotFound { .. } => {
                Error::new(Kind::InvalidConfig, error.to_string()).hint("`casemate spec --bundle DIR` writes one")
            }
            SpecError::Io { .. } => Error::new(Kind::System, error.to_string()),
            SpecError::InFile { path, source } => {
                Error::from(*source).context(format_args!("read \"{}\"", path.display()))
            }
            other => Error::new(Kind::InvalidConfig, other.to_string()),
        }
    }
}
