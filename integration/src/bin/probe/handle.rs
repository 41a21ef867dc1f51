//! File handles: a file by its number in its file system, whatever is mounted where.

use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::process::ExitCode;

/// The most bytes a handle has (MAX_HANDLE_SZ).
const SPACE: usize = 128;

/// `struct file_handle` of open_by_handle_at(2).
#[repr(C)]
struct Handle {
    length: u32,
    kind: i32,
    bytes: [u8; SPACE],
}

/// Prints the handle of a file: its kind and its bytes in hexadecimal.
pub fn show(path: &str) -> ExitCode {
    let Ok(path) = CString::new(path) else { return ExitCode::FAILURE };
    let mut handle = Handle { length: SPACE as u32, kind: 0, bytes: [0; SPACE] };
    let mut mount = 0_i32;
    // SAFETY: a string that ends in NUL, a handle with the space it says it has, and an integer, all live.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::syscall(libc::SYS_name_to_handle_at, libc::AT_FDCWD, path.as_ptr(), &raw mut handle, &raw mut mount, 0)
    };
    let bytes = handle.bytes.get(..handle.length as usize).filter(|_| result == 0);
    let Some(bytes) = bytes else {
        eprintln!("name_to_handle_at: {}", std::io::Error::last_os_error());
        return ExitCode::FAILURE;
    };
    print!("{}:", handle.kind);
    bytes.iter().for_each(|byte| print!("{byte:02x}"));
    println!();
    ExitCode::SUCCESS
}

/// Opens a handle for reading, in the file system of `place`, and prints what is in the file.
pub fn open(text: &str, place: &str) -> ExitCode {
    let Some(mut handle) = parse(text) else { return ExitCode::from(2) };
    let place = match std::fs::File::open(place) {
        Ok(place) => place,
        Err(error) => {
            eprintln!("open {place}: {error}");
            return ExitCode::FAILURE;
        }
    };
    // SAFETY: a live descriptor, and a handle as long as it says it is.
    #[allow(unsafe_code)]
    let fd = unsafe {
        libc::syscall(libc::SYS_open_by_handle_at, place.as_raw_fd(), &raw mut handle, libc::O_RDONLY | libc::O_CLOEXEC)
    };
    if fd < 0 {
        eprintln!("open_by_handle_at: {}", std::io::Error::last_os_error());
        return ExitCode::FAILURE;
    }
    print!("{}", std::fs::read_to_string(format!("/proc/self/fd/{fd}")).unwrap_or_default());
    ExitCode::SUCCESS
}

fn parse(text: &str) -> Option<Handle> {
    let (kind, digits) = text.split_once(':')?;
    let mut bytes = [0; SPACE];
    let length = digits.len() / 2;
    for (n, byte) in bytes.get_mut(..length)?.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    Some(Handle { length: u32::try_from(length).ok()?, kind: kind.parse().ok()?, bytes })
}
