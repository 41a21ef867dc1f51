//! Conditions as people write and read them: `arg0 & 0x7e020000 == 0`, `arg1 >= 3 and arg2 == 1`.

use super::clause::Cond;
use crate::profile::{Arg, Operator};
use crate::syscalls::Width;
use std::fmt::Write;

/// Reads conditions joined by "and". A mask stands only before `==`; values are decimal or 0x....
///
/// # Errors
/// What is no condition, in words.
pub(crate) fn parse(text: &str) -> Result<Vec<Arg>, String> {
    text.split(" and ").map(|one| parse_one(one).ok_or_else(|| unreadable(one))).collect()
}

fn unreadable(text: &str) -> String {
    format!("condition \"{text}\" is not like \"arg0 == 1\" or \"arg0 & 0xff == 1\"")
}

fn parse_one(text: &str) -> Option<Arg> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let index = |word: &str| word.strip_prefix("arg")?.parse().ok().filter(|index| *index <= 5);
    match words.as_slice() {
        [arg, "&", mask, "==", value] => {
            let (mask, value) = (number(mask)?, number(value)?);
            // Bits outside of the mask could never be met: a slip.
            let (value, value_two) = (value & !mask == 0).then_some((mask, value))?;
            Some(Arg { index: index(arg)?, value, value_two, op: Operator::MaskedEqual })
        }
        [arg, op, value] => {
            let op = match *op {
                "==" => Operator::Equal,
                "!=" => Operator::NotEqual,
                "<" => Operator::LessThan,
                "<=" => Operator::LessOrEqual,
                ">" => Operator::GreaterThan,
                ">=" => Operator::GreaterOrEqual,
                _ => return None,
            };
            Some(Arg { index: index(arg)?, value: number(value)?, value_two: 0, op })
        }
        _ => None,
    }
}

/// A number in decimal, in hexadecimal after 0x, or negative.
pub(crate) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok().or_else(|| text.parse::<i64>().ok().map(i64::cast_unsigned)),
    }
}

/// A number as people read it: short ones in decimal.
pub(crate) fn shown(value: u64) -> String {
    if value < 1024 { value.to_string() } else { format!("{value:#x}") }
}

/// Conditions in words, as an ABI of this width sees them.
pub(crate) fn words(conds: &[Cond], width: Width) -> String {
    let mut text = String::new();
    for cond in conds {
        let op = match cond.op {
            Operator::NotEqual => "!=",
            Operator::LessThan => "<",
            Operator::LessOrEqual => "<=",
            Operator::Equal | Operator::MaskedEqual => "==",
            Operator::GreaterOrEqual => ">=",
            Operator::GreaterThan => ">",
        };
        let all = match width {
            Width::Full64 => u64::MAX,
            Width::Low32 => 0xffff_ffff,
        };
        let and = if text.is_empty() { "" } else { " and " };
        let mask = if cond.mask == all { String::new() } else { format!(" & {:#x}", cond.mask) };
        // Writing to a String cannot fail.
        if write!(text, "{and}arg{}{mask} {op} {}", cond.index, shown(cond.value)).is_err() {
            return text;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written() {
        for text in ["arg0 == 1", "arg5 & 0x7e020000 == 0", "arg1 >= 0x5412 and arg2 != 3", "arg0 < 38"] {
            let conds: Vec<Cond> = parse(text).unwrap().iter().map(|arg| Cond::new(arg, arg.index as u8)).collect();
            assert_eq!(words(&conds, Width::Full64), text);
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in
            ["", "arg6 == 1", "arg0 = 1", "arg0 & 1 < 2", "arg0 == x", "arg0 == 1 or arg1 == 2", "arg0 & 1 == 2"]
        {
            assert!(parse(text).unwrap_err().contains("is not like"), "{text}");
        }
    }
}
