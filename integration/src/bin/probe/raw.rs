//! System calls by number.

/// A system call of up to three integers.
pub fn raw(number: libc::c_long, arguments: [i64; 3]) -> Result<(), rustix::io::Errno> {
    let [a, b, c] = arguments;
    // SAFETY: the numbers this is called with take integers only, or are given null pointers, which the kernel refuses.
    #[allow(unsafe_code)]
    let result = unsafe { libc::syscall(number, a, b, c) };
    if result < 0 {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        return Err(rustix::io::Errno::from_raw_os_error(errno));
    }
    Ok(())
}
