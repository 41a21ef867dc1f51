//! Sizes of memory in bytes with binary units: `512m`, `1.5GiB`.

/// Reads a limit of memory: -1 for none, or a size.
///
/// Units are powers of 1024, in either case, with or without `b` or `ib` behind the letter, as
/// engines and people write them: `k`, `kb`, `KiB` are one.
///
/// # Errors
/// A message that names the text, when it is no size or has more than 2⁶³-1 bytes.
pub fn parse_limit(text: &str) -> Result<i64, String> {
    if text == "-1" {
        return Ok(-1);
    }
    parse(text).ok_or_else(|| format!("invalid size \"{text}\": want bytes, a number with k, m, g or t, or -1"))
}

fn parse(text: &str) -> Option<i64> {
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.')? + 1;
    let (number, unit) = text.split_at_checked(end)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let shift = match unit.strip_suffix('b').map_or(unit.as_str(), |unit| unit.strip_suffix('i').unwrap_or(unit)) {
        "" if unit != "ib" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    i64::try_from(scaled(number, 1 << shift)?).ok()
}

/// `number`, in digits with at most one point among them, times `scale`, rounded down.
pub(super) fn scaled(number: &str, scale: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    // Eighteen digits are finer than any unit here; what follows cannot change the result by one.
    let fraction = fraction.get(..18).unwrap_or(fraction);
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()? };
    let divisor = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    u128::from(whole).checked_mul(scale)?.checked_add(u128::from(part).checked_mul(scale)? / divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary() {
        for (text, bytes) in [
            ("0", 0),
            ("-1", -1),
            ("32", 32),
            ("32b", 32),
            ("32k", 32 << 10),
            ("32K", 32 << 10),
            ("32kb", 32 << 10),
            ("32KiB", 32 << 10),
            ("32 MB", 32 << 20),
            ("1.5g", 3 << 29),
            (".5g", 1 << 29),
            ("2t", 2 << 40),
            ("1p", 1 << 50),
            ("100663296", 100_663_296),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(parse_limit(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "b",
            "m",
            "-2",
            "-1m",
            "1x",
            "1ib",
            "1bb",
            "1kk",
            "1  k",
            " 1",
            "0x10",
            "1e3",
            "1.2.3",
            ".",
            "9223372036854775808",
            "8192p",
            "\u{661}",
        ] {
            assert!(parse_limit(text).unwrap_err().starts_with("invalid size"), "{text}");
        }
    }
}
