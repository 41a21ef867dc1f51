//! Days of the calendar: an exemption ends on one.

use std::fmt;

/// A day of the Gregorian calendar, in UTC. The order is that of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// The year, from 1970 on where it comes from a clock.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

impl Date {
    /// The last day there is. A clock that says something later says this: whatever can expire has expired.
    pub const LAST: Date = Date { year: 9999, month: 12, day: 31 };

    /// The day of a moment, in seconds since 1970-01-01 00:00 UTC (clock_gettime(2), CLOCK_REALTIME).
    pub fn of_unix(seconds: u64) -> Date {
        let mut left = seconds / 86_400;
        for year in 1970..=Date::LAST.year {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let february = if leap { 29 } else { 28 };
            for (month, days) in (1..).zip([31_u8, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
                match u8::try_from(left) {
                    Ok(before) if before < days => return Date { year, month, day: before + 1 },
                    _ => left -= u64::from(days),
                }
            }
        }
        Date::LAST
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_the_days_that_date_says() {
        // `date -u -d @SECONDS +%F`
        for (seconds, day) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_709_164_800, "2024-02-29"),
            (1_798_675_199, "2026-12-30"),
            (1_798_761_600, "2027-01-01"),
            (4_107_542_400, "2100-03-01"),
            (253_402_300_799, "9999-12-31"),
            (u64::MAX, "9999-12-31"),
        ] {
            assert_eq!(Date::of_unix(seconds).to_string(), day);
        }
    }

    #[test]
    fn earlier_is_less() {
        let [a, b, c] = [1_709_164_800, 1_798_761_600, 4_107_542_400].map(Date::of_unix);
        assert!(a < b && b < c);
    }
}
