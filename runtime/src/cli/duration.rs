//! Durations as Go writes them: `5s`, `1m30s`, `1.5h`.

use std::time::Duration;

/// Nanoseconds of each unit.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a duration: decimal numbers, each with its unit, added up; or `0`.
///
/// # Errors
/// A message that names the text, when it is no duration, is negative, or has more than the
/// 2⁶³-1 nanoseconds (292 years) of a Go duration.
pub fn parse(text: &str) -> Result<Duration, String> {
    let invalid = || format!("invalid duration \"{text}\": want numbers with units, such as 5s or 1m30s");
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale).ok_or_else(invalid)?;
        let nanoseconds = super::size::scaled(number, scale).ok_or_else(invalid)?;
        total = total.checked_add(nanoseconds).ok_or_else(invalid)?;
        rest = next;
    }
    match u64::try_from(total) {
        Ok(nanoseconds) if i64::try_from(nanoseconds).is_ok() => Ok(Duration::from_nanos(nanoseconds)),
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_read() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("5s", 5_000_000_000),
            ("1m30s", 90_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("100ms", 100_000_000),
            ("1h2m3s4ms5us6ns", 3_723_004_005_006),
            ("3\u{b5}s", 3_000),
            ("+1s", 1_000_000_000),
            ("0.0000000001s", 0),
            ("9223372036854775807ns", 9_223_372_036_854_775_807),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "5", "s", "-5s", "5 s", "1d", "5S", ".s", "1..5s", "+", "1s2", "9223372036854775808ns", "9e9s"]
        {
            assert!(parse(text).unwrap_err().starts_with("invalid duration"), "{text}");
        }
    }
}
