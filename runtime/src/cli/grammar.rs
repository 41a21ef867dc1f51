//! The argv grammar engines speak, which is that of Go's `flag` package.
//!
//! `-flag` and `--flag` are one; a value follows as `=value` or as the next argument, whatever
//! that looks like; a switch may be written `--switch=false`; a repeated flag takes the last
//! value, or collects them; `-` and what starts without a dash is an operand; `--` ends the flags.
//! Letters are not bundled: `-td` is the flag "td".
//!
//! clap has none of this, so arguments are brought into its form here, from the same definitions
//! clap parses, documents and completes. Pure: nothing but the arguments is looked at.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use clap::{ArgAction, Command};

/// Where flags may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Before the first operand. All from there on are operands, whatever they look like: they
    /// are another program's command line, or name the command.
    First,
    /// Anywhere; engines put them first, people often behind the id.
    Any,
}

/// An argument list sorted into flags and operands.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sorted {
    /// Flags as `--name` or `--name=value`, each switch and each single value at most once.
    pub flags: Vec<OsString>,
    /// The operands.
    pub operands: Vec<OsString>,
}

/// Why an argument list could not be sorted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// `-h`, `-help` or `--help`.
    Help,
    /// A flag that is not in the definition, as it was written.
    Unknown(String),
    /// A flag at the end of the list that needs a value.
    NoValue(String),
    /// A switch with something other than a truth value.
    NotBoolean {
        /// The switch.
        flag: String,
        /// What was given.
        value: String,
    },
}

impl std::fmt::Display for Fault {
    /// The wording is Go's where callers search for it (podman: "flag needs an argument").
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Help => f.write_str("help requested"),
            Fault::Unknown(flag) => write!(f, "flag provided but not defined: -{flag}"),
            Fault::NoValue(flag) => write!(f, "flag needs an argument: -{flag}"),
            Fault::NotBoolean { flag, value } => {
                write!(f, "invalid boolean value \"{value}\" for -{flag}: want true or false")
            }
        }
    }
}

/// Sorts `args`, which are what follows the command's name, by the flags of `definition`.
///
/// # Errors
/// The first [`Fault`] from the left.
pub(super) fn sort(definition: &Command, args: &[OsString], order: Order) -> Result<Sorted, Fault> {
    let mut flags: Vec<(String, Option<OsString>)> = Vec::new();
    let mut operands = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let Some((written, inline)) = split_flag(arg) else {
            if arg == "--" {
                operands.extend(rest.by_ref().cloned());
            } else {
                operands.push(arg.clone());
                if order == Order::First {
                    operands.extend(rest.by_ref().cloned());
                }
            }
            continue;
        };
        let Some(flag) = find(definition, &written) else {
            return Err(Fault::Unknown(written));
        };
        let name = flag.get_id().to_string();
        match flag.get_action() {
            ArgAction::SetTrue => {
                flags.retain(|(other, _)| *other != name);
                match inline {
                    None => flags.push((name, None)),
                    Some(value) => match truth(&value) {
                        Some(true) => flags.push((name, None)),
                        Some(false) => {}
                        None => {
                            let value = value.to_string_lossy().into_owned();
                            return Err(Fault::NotBoolean { flag: written, value });
                        }
                    },
                }
            }
            ArgAction::Help => return Err(Fault::Help),
            action => {
                let value = match inline {
                    Some(value) => value,
                    None => rest.next().cloned().ok_or(Fault::NoValue(written))?,
                };
                if !matches!(action, ArgAction::Append) {
                    flags.retain(|(other, _)| *other != name);
                }
                flags.push((name, Some(value)));
            }
        }
    }
    let flags = flags
        .into_iter()
        .map(|(name, value)| {
            let mut flag = OsString::from("--");
            flag.push(name);
            if let Some(value) = value {
                flag.push("=");
                flag.push(value);
            }
            flag
        })
        .collect();
    Ok(Sorted { flags, operands })
}

/// The name and the inline value of a flag; `None` for an operand and for `--`.
fn split_flag(arg: &OsStr) -> Option<(String, Option<OsString>)> {
    let bytes = arg.as_bytes();
    let body = bytes.strip_prefix(b"-")?;
    let body = body.strip_prefix(b"-").unwrap_or(body);
    if body.is_empty() {
        return None;
    }
    let end = body.iter().position(|&byte| byte == b'=');
    let (name, value) = match end {
        Some(end) => {
            let (name, value) = body.split_at(end);
            (name, value.get(1..).map(|value| OsString::from_vec(value.to_vec())))
        }
        None => (body, None),
    };
    Some((String::from_utf8_lossy(name).into_owned(), value))
}

/// The flag of `definition` that is written `written`. The id of every flag is its long name.
fn find<'a>(definition: &'a Command, written: &str) -> Option<&'a clap::Arg> {
    definition.get_arguments().find(|arg| {
        arg.get_long().is_some_and(|long| long == written)
            || arg.get_short().is_some_and(|short| written.chars().eq([short]))
    })
}

/// The words Go's `strconv.ParseBool` takes.
fn truth(value: &OsStr) -> Option<bool> {
    match value.to_str()? {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    fn definition() -> Command {
        Command::new("x")
            .arg(Arg::new("root").long("root"))
            .arg(Arg::new("bundle").long("bundle").short('b'))
            .arg(Arg::new("debug").long("debug").action(ArgAction::SetTrue))
            .arg(Arg::new("tty").long("tty").short('t').action(ArgAction::SetTrue))
            .arg(Arg::new("env").long("env").short('e').action(ArgAction::Append))
            .arg(crate::cli::argument::help())
    }

    fn sorted(line: &str, order: Order) -> String {
        let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        match sort(&definition(), &args, order) {
            Ok(sorted) => {
                let text = |list: &[OsString]| {
                    list.iter().map(|arg| arg.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
                };
                format!("{} | {}", text(&sorted.flags), text(&sorted.operands))
            }
            Err(fault) => fault.to_string(),
        }
    }

    #[test]
    fn flags_are_read_as_go_reads_them() {
        for (line, want) in [
            ("", " | "),
            ("--root /x a", "--root=/x | a"),
            ("--root=/x a", "--root=/x | a"),
            ("-root /x a", "--root=/x | a"),
            ("-root=/x a", "--root=/x | a"),
            ("-b /x a", "--bundle=/x | a"),
            ("-b=/x a", "--bundle=/x | a"),
            ("--b /x a", "--bundle=/x | a"),
            ("--root= a", "--root= | a"),
            ("--root=a=b", "--root=a=b | "),
            ("--root /x --debug --root=/y", "--debug --root=/y | "),
            ("--root --debug", "--root=--debug | "),
            ("--root -1", "--root=-1 | "),
            ("--root -- a", "--root=-- | a"),
            ("--debug --debug", "--debug | "),
            ("--debug=true", "--debug | "),
            ("--debug=false", " | "),
            ("--debug --debug=0", " | "),
            ("--debug=false --debug", "--debug | "),
            ("-debug=T", "--debug | "),
            ("-t -e A=1 -e B=2 --env=A=3", "--tty --env=A=1 --env=B=2 --env=A=3 | "),
            ("- a", " | - a"),
            ("-- --debug -x", " | --debug -x"),
            ("--debug -- a -- b", "--debug | a -- b"),
        ] {
            assert_eq!(sorted(line, Order::First), want, "{line}");
            assert_eq!(sorted(line, Order::Any), want, "{line}");
        }
    }

    #[test]
    fn flags_stop_at_the_first_operand_only_where_a_command_line_follows() {
        assert_eq!(sorted("-t a --debug -x", Order::First), "--tty | a --debug -x");
        assert_eq!(sorted("a --debug b -e A=1", Order::Any), "--debug --env=A=1 | a b");
        assert_eq!(sorted("a -x", Order::Any), "flag provided but not defined: -x");
        assert_eq!(sorted("a -- -x", Order::Any), " | a -x");
        assert_eq!(sorted("a -- -x", Order::First), " | a -- -x");
    }

    #[test]
    fn faults_have_the_words_callers_search_for() {
        for (line, want) in [
            ("-x", "flag provided but not defined: -x"),
            ("--no-such=1", "flag provided but not defined: -no-such"),
            ("-td", "flag provided but not defined: -td"),
            ("---debug", "flag provided but not defined: --debug"),
            ("-=a", "flag provided but not defined: -"),
            ("--root", "flag needs an argument: -root"),
            ("-b", "flag needs an argument: -b"),
            ("--debug=maybe", "invalid boolean value \"maybe\" for -debug: want true or false"),
            ("--debug=", "invalid boolean value \"\" for -debug: want true or false"),
            ("-h", "help requested"),
            ("--debug --help -x", "help requested"),
        ] {
            assert_eq!(sorted(line, Order::First), want, "{line}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_pass_through() {
        let args = [OsString::from("--root"), OsString::from_vec(vec![0xff]), OsString::from_vec(vec![b'-', 0xfe])];
        assert_eq!(sort(&definition(), &args, Order::First), Err(Fault::Unknown("\u{fffd}".into())));
        let sorted = sort(&definition(), &args[..2], Order::First).unwrap();
        assert_eq!(sorted.flags, [OsString::from_vec(b"--root=\xff".to_vec())]);
    }
}
