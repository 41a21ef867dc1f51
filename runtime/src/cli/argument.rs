//! The building blocks of the definitions: flags and operands, and reading what was given.
//!
//! The id of an argument is its long name, or the name of the operand. Values are kept as the
//! bytes they came in until the command's own reader knows what they are.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::id::ContainerId;

/// A flag without a value.
pub(super) fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
}

/// A flag with a value, of which the last one counts.
pub(super) fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help).value_parser(value_parser!(OsString))
}

/// A flag with a value that may be given several times.
pub(super) fn list(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    option(name, value, help).action(ArgAction::Append)
}

/// The flag that asks for help. clap's own speaks of a shorter help, which there is not.
pub(super) fn help() -> Arg {
    Arg::new("help").long("help").short('h').help("Print help").action(ArgAction::Help)
}

/// A flag that is accepted for old callers and does nothing.
pub(super) fn ignored(name: &'static str, value: &'static str) -> Arg {
    option(name, value, "accepted, without effect").hide(true)
}

/// An operand that has to be there.
pub(super) fn operand(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).help(help).required(true).value_parser(value_parser!(OsString))
}

/// The container's id.
pub(super) fn id() -> Arg {
    operand("container-id", "The container's id, unique below the root directory")
}

/// A command without arguments yet.
pub(super) fn command(name: &'static str, about: &'static str, long: &'static str) -> Command {
    Command::new(name)
        .about(about)
        .long_about(format!("{about}.\n\n{long}"))
        .disable_help_flag(true)
        .arg(help().display_order(usize::MAX))
}

/// A command whose only argument is the container's id.
pub(super) fn id_command(name: &'static str, about: &'static str, long: &'static str) -> Command {
    command(name, about, long).arg(id())
}

/// What was given for the arguments of one definition.
pub(super) struct Given(pub(super) ArgMatches);

impl Given {
    /// Whether a switch is on.
    pub(super) fn switch(&self, name: &str) -> bool {
        self.0.get_flag(name)
    }

    /// A path. An empty one counts as not given, as callers that always pass the flag expect.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.0.get_one::<OsString>(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, String> {
        self.0.get_one::<OsString>(name).map(|value| utf8(name, value)).transpose()
    }

    /// All texts given for a list, in order.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, String> {
        self.0.get_many::<OsString>(name).into_iter().flatten().map(|value| utf8(name, value)).collect()
    }

    /// A text read by `parse`, whose error gets the flag's name. An empty one counts as not given.
    pub(super) fn parsed<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
        match self.text(name)? {
            Some(text) if !text.is_empty() => {
                parse(&text).map(Some).map_err(|error| format!("option --{name}: {error}"))
            }
            _ => Ok(None),
        }
    }

    /// A decimal number.
    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        self.parsed(name, |text| text.parse().map_err(|_| format!("invalid number \"{text}\"")))
    }

    /// The container's id.
    pub(super) fn id(&self) -> Result<ContainerId, String> {
        // Text that is not UTF-8 is as wrong as any other here.
        self.text("container-id").ok().flatten().unwrap_or_default().parse()
    }
}

fn utf8(name: &str, value: &OsString) -> Result<String, String> {
    let text = value.to_str().ok_or_else(|| format!("argument {name}: {value:?} is not UTF-8"))?;
    Ok(text.to_owned())
}
