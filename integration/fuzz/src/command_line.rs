//! The command line: one argument in a line, the program's name left out.

use casemate::cli;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

pub fn run(data: &[u8]) {
    // execve(2) ends an argument at a NUL.
    let args = data.split(|byte| matches!(byte, b'\n' | 0)).map(|arg| OsString::from_vec(arg.to_vec()));
    match cli::parse(std::iter::once(OsString::from("casemate")).chain(args)) {
        Ok((_, request)) => assert!(matches!(request.failure_code(), 1 | 2 | 255)),
        Err(usage) => {
            assert_eq!(usage.code == 0, usage.error.is_none(), "{usage:?}");
            assert!(!usage.help.is_empty() || usage.error.is_some(), "nothing is said");
        }
    }
}
