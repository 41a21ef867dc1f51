//! Tests of a profile: calls and what should happen to them, in TOML or JSON.
//!
//! ```toml
//! [[case]]
//! call = "socket"             # or "x86:socketcall", or a number
//! args = [38, 5, "0x0"]       # the others are 0
//! expect = "EPERM"            # allow, refuse, an errno's name or number, or an action as explain tells it
//! ```

use crate::bpf::{Action, SeccompData};
use crate::compile::condition::number;
use crate::syscalls::{Arch, Syscall};
use serde::{Deserialize, Serialize};

/// Cases as they are written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Written>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    call: String,
    #[serde(default)]
    args: Vec<Number>,
    expect: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Number {
    Plain(i64),
    Large(u64),
    Text(String),
}

/// A call and what should happen to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The call as it is written, with its arguments.
    pub title: String,
    /// The call.
    pub data: SeccompData,
    /// What should happen.
    pub expect: Expectation,
}

/// What should happen to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// It is made: ALLOW or LOG.
    Allow,
    /// It is not made, whatever the answer.
    Refuse,
    /// This very action.
    Action(Action),
}

impl Expectation {
    /// Whether an answer is as expected.
    #[must_use]
    pub fn is_met_by(self, action: Action) -> bool {
        match self {
            Expectation::Allow => matches!(action, Action::Allow | Action::Log),
            Expectation::Refuse => action.refuses(),
            Expectation::Action(expected) => action == expected,
        }
    }
}

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The call with its arguments.
    pub call: String,
    /// What should happen, as it is written.
    pub expect: String,
    /// What the interpreter says.
    pub answer: String,
    /// What the kernel did, where it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Whether all is as expected.
    pub passed: bool,
}

/// Reads cases for a native architecture: JSON where the text begins with a brace, TOML else.
///
/// # Errors
/// What cannot be read, or the first case that cannot be meant, in words.
pub fn parse(text: &str, native: Arch) -> Result<Vec<(Case, String)>, String> {
    let file: File = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|why| why.to_string())?
    } else {
        toml::from_str(text).map_err(|why| why.to_string())?
    };
    file.case.iter().map(|written| Ok((case(written, native)?, written.expect.clone()))).collect()
}

fn case(written: &Written, native: Arch) -> Result<Case, String> {
    let mut values = Vec::with_capacity(written.args.len());
    for arg in &written.args {
        values.push(match arg {
            Number::Plain(value) => value.cast_unsigned(),
            Number::Large(value) => *value,
            Number::Text(text) => number(text).ok_or_else(|| format!("\"{text}\" is no number"))?,
        });
    }
    let data = call(&written.call, &values, native)?;
    let args: Vec<String> = values.iter().map(|value| crate::compile::condition::shown(*value)).collect();
    let expect = expectation(&written.expect)
        .ok_or_else(|| format!("\"{}\": expect \"allow\", \"refuse\", an errno or an action", written.expect))?;
    Ok(Case { title: format!("{}({})", written.call, args.join(", ")), data, expect })
}

/// The call of a name or a number, perhaps behind `arch:`, with these arguments.
///
/// # Errors
/// What is unknown about it, in words.
pub fn call(text: &str, args: &[u64], native: Arch) -> Result<SeccompData, String> {
    let (arch, call) = match text.split_once(':') {
        Some((arch, call)) => {
            let known = || Arch::ALL.map(Arch::name).join(", ");
            (Arch::from_name(arch).ok_or_else(|| format!("unknown architecture \"{arch}\": {}", known()))?, call)
        }
        None => (native, text),
    };
    let number = match Syscall::from_name(call) {
        Some(known) => known.number(arch).ok_or_else(|| format!("{arch} has no system call \"{call}\""))?,
        None => {
            let number =
                number(call).ok_or_else(|| format!("\"{call}\" is neither a known system call nor a number"))?;
            u32::try_from(number).map_err(|_| format!("\"{call}\" is no number of a system call"))?
        }
    };
    if args.len() > 6 {
        return Err(format!("{} arguments, a system call has 6", args.len()));
    }
    let mut values = [0; 6];
    values.iter_mut().zip(args).for_each(|(value, arg)| *value = *arg);
    Ok(SeccompData::new(arch, number, values))
}

fn expectation(text: &str) -> Option<Expectation> {
    let errno = |number: u16| Some(Expectation::Action(Action::Errno(number)));
    let within = |name: &str| text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')')?.parse::<u16>().ok();
    match text {
        "allow" => Some(Expectation::Allow),
        "refuse" => Some(Expectation::Refuse),
        "ALLOW" => Some(Expectation::Action(Action::Allow)),
        "LOG" => Some(Expectation::Action(Action::Log)),
        "NOTIFY" => Some(Expectation::Action(Action::Notify)),
        "TRAP" => Some(Expectation::Action(Action::Trap(0))),
        "KILL_THREAD" => Some(Expectation::Action(Action::KillThread)),
        "KILL_PROCESS" => Some(Expectation::Action(Action::KillProcess)),
        "EPERM" => errno(1),
        "EACCES" => errno(13),
        "EINVAL" => errno(22),
        "ENOSYS" => errno(38),
        "EAFNOSUPPORT" => errno(97),
        _ => match (within("ERRNO"), within("TRACE")) {
            (Some(number), _) => errno(number),
            (None, Some(data)) => Some(Expectation::Action(Action::Trace(data))),
            (None, None) => errno(text.parse().ok()?),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_read_from_both_formats() {
        let toml = "[[case]]\ncall = \"socket\"\nargs = [38, \"0x5\", -1]\nexpect = \"EPERM\"\n";
        let json = r#"{"case":[{"call":"socket","args":[38,"0x5",-1],"expect":"EPERM"}]}"#;
        for text in [toml, json] {
            let cases = parse(text, Arch::X86_64).unwrap();
            assert_eq!(cases[0].0.data, SeccompData::new(Arch::X86_64, 41, [38, 5, u64::MAX, 0, 0, 0]));
            assert_eq!(cases[0].0.expect, Expectation::Action(Action::Errno(1)));
        }
    }

    #[test]
    fn expectations_are_words_errnos_or_actions() {
        assert_eq!(expectation("allow"), Some(Expectation::Allow));
        assert_eq!(expectation("38"), expectation("ENOSYS"));
        assert_eq!(expectation("ERRNO(38)"), expectation("ENOSYS"));
        assert_eq!(expectation("TRACE(3)"), Some(Expectation::Action(Action::Trace(3))));
        assert_eq!(expectation("perhaps"), None);
        assert!(Expectation::Allow.is_met_by(Action::Log) && !Expectation::Allow.is_met_by(Action::Notify));
    }

    #[test]
    fn a_case_that_cannot_be_meant_is_told() {
        let error = |line: &str| parse(&format!("[[case]]\n{line}"), Arch::X86_64).unwrap_err();
        assert!(error("call = \"nocall\"\nexpect = \"allow\"").contains("neither a known system call"));
        assert!(error("call = \"read\"\nexpect = \"never\"").contains("expect \"allow\""));
        assert!(error("call = \"read\"\nexpect = \"allow\"\nwhy = 1").contains("unknown field"));
    }
}
