//! Bounded reading of the JSON files a caller names.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::{SpecError, place};

/// Size limit of every JSON input, in bytes: 4 MiB. The largest real ones are 0.1 MB.
pub const MAX_BYTES: usize = 4 << 20;

/// Limit of nested arrays and objects. The spec's own deepest path has eight levels; parts for
/// other platforms are skipped, not understood, and get the rest.
pub const MAX_DEPTH: usize = 64;

/// Reads `bytes` as one JSON document, and nothing behind it.
///
/// Beyond JSON's own rules these are errors: more than [`MAX_BYTES`], text that is not UTF-8,
/// nesting beyond [`MAX_DEPTH`], a key that occurs twice in an object (parsers differ in which of
/// the two they take, so that what was reviewed need not be what runs), a NUL in a string, and
/// anything but white space behind the document.
///
/// # Errors
/// [`SpecError`] with line, column and the path of the offending value.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, SpecError> {
    if bytes.len() > MAX_BYTES {
        return Err(SpecError::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (line, column) = position(bytes, error.valid_up_to());
        SpecError::NotUtf8 { line, column }
    })?;
    if let Some(offset) = depth_exceeded_at(bytes) {
        let (line, column) = position(bytes, offset);
        return Err(SpecError::TooDeep { line, column });
    }
    // The path of an error would cost bookkeeping for every value, so it is looked up only when there is an error.
    serde_json::from_str(text).map_err(|error| {
        let place = format!(" at line {} column {}", error.line(), error.column());
        let told = error.to_string();
        let what = told.strip_suffix(&place).unwrap_or(&told).to_owned();
        let at =
            if error.is_data() { place::path(text, offset(text, error.line(), error.column())) } else { String::new() };
        SpecError::Json { at, line: error.line(), column: error.column(), what }
    })
}

/// The offset of a line and a byte column, both from 1; the reverse of [`position`].
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    before + column
}

/// Reads the file at `path` as one JSON document.
///
/// The file has to be a regular one. It may be a symbolic link, as bundles made by hand have; a
/// FIFO or a device gives an error, where a plain open or read could wait for ever.
///
/// # Errors
/// As [`parse`], and what open(2), fstat(2) and read(2) report.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, SpecError> {
    let io = |call| move |source| SpecError::Io { path: path.to_path_buf(), call, source };
    // O_NONBLOCK has no effect on regular files; it makes the open of a FIFO return at once.
    // O_NOCTTY: opening a terminal must not make it ours.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)
        .map_err(io("open"))?;
    let bytes = read_regular(file, path)?;
    parse(&bytes).map_err(|error| SpecError::InFile { path: path.to_path_buf(), source: Box::new(error) })
}

/// Reads all of a file that was opened without blocking; `path` is what errors call it.
///
/// # Errors
/// A file that is not a regular one or is larger than [`MAX_BYTES`], and what fstat(2) and read(2) report.
pub fn read_regular(file: std::fs::File, path: &Path) -> Result<Vec<u8>, SpecError> {
    let io = |call| move |source| SpecError::Io { path: path.to_path_buf(), call, source };
    if !file.metadata().map_err(io("fstat"))?.is_file() {
        return Err(SpecError::NotRegular { path: path.to_path_buf() });
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(io("read"))?;
    if bytes.len() > MAX_BYTES {
        return Err(SpecError::InFile { path: path.to_path_buf(), source: Box::new(SpecError::TooLarge) });
    }
    Ok(bytes)
}

/// Reads all of `input` as one JSON document; `name` is what errors call it.
///
/// For input whose end is its writer's business, such as the `-` of `update --resources -`.
///
/// # Errors
/// As [`parse`], and what read(2) reports.
pub fn read<T: DeserializeOwned>(input: impl io::Read, name: &Path) -> Result<T, SpecError> {
    let mut bytes = Vec::new();
    let limit = MAX_BYTES as u64 + 1;
    input.take(limit).read_to_end(&mut bytes).map_err(|source| SpecError::Io {
        path: name.to_path_buf(),
        call: "read",
        source,
    })?;
    parse(&bytes).map_err(|error| SpecError::InFile { path: name.to_path_buf(), source: Box::new(error) })
}

/// Offset of the bracket that passes [`MAX_DEPTH`].
///
/// Only brackets outside strings count. In text that is no JSON the count means nothing, which
/// does no harm: the parser then reports its own error.
fn depth_exceeded_at(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (offset, byte) in bytes.iter().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Some(offset);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Line and byte column, from 1, of an offset.
fn position(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = bytes.get(..offset).unwrap_or(bytes);
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
    (line, column)
}
