//! localtime_r(3): the only way to the host's time zone, and neither rustix nor nix has it.

/// A time in the host's time zone, to the minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// The year.
    pub year: i32,
    /// The month, 1 to 12.
    pub month: u8,
    /// The day of the month, 1 to 31.
    pub day: u8,
    /// The hour, 0 to 23.
    pub hour: u8,
    /// The minute, 0 to 59.
    pub minute: u8,
}

/// The local time of a number of seconds since 1970, UTC where the host has no time zone; `None` for a year that is
/// beyond an `int`.
pub fn local_time(seconds: i64) -> Option<LocalTime> {
    // SAFETY: all bytes zero are a `tm`: it has integers, and a pointer that may be null.
    let mut time: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to values of ours that live during the call, and the second is ours alone. That the C
    // library reads the variable TZ meanwhile is no race: nothing in this program sets variables.
    let result = unsafe { libc::localtime_r(&raw const seconds, &raw mut time) };
    if result.is_null() {
        return None;
    }
    let byte = |number: i32| u8::try_from(number).ok();
    Some(LocalTime {
        year: time.tm_year.checked_add(1900)?,
        month: byte(time.tm_mon + 1)?,
        day: byte(time.tm_mday)?,
        hour: byte(time.tm_hour)?,
        minute: byte(time.tm_min)?,
    })
}
