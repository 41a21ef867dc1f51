//! Profiles that come with the crate: `profiles/*.json`, embedded, resolved for a container.
//!
//! | family | for |
//! |---|---|
//! | `default` | any image; what engines allow by default |
//! | `restricted` | any image that needs no debugger and no administrator's calls |
//! | `minimal` | servers and services that make no processes but their own |
//! | `strict` | one static server binary that changes no file |
//! | `nested` | builders: images built, containers started inside |
//! | `debug` | debuggers and profilers |
//!
//! Whatever `strict` lets through `minimal` does; so on to `restricted`, `default`, `debug`. `nested` lets through whatever
//! `default` does. `tests/families.rs` keeps the promise.

pub(crate) mod file;

use crate::capability::CapabilitySet;
use crate::compile::condition;
use crate::profile::{Action, Architecture, Profile, Rule};
use crate::syscalls::{Arch, Syscall};
use file::{Answer, Calls, File, FileRule};
use std::{error, fmt};

/// Names and texts, from the widest to the narrowest.
const FAMILIES: [(&str, &str); 6] = [
    ("debug", include_str!("../../profiles/debug.json")),
    ("nested", include_str!("../../profiles/nested.json")),
    ("default", include_str!("../../profiles/default.json")),
    ("restricted", include_str!("../../profiles/restricted.json")),
    ("minimal", include_str!("../../profiles/minimal.json")),
    ("strict", include_str!("../../profiles/strict.json")),
];

/// Why there is no such profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FamilyError {
    /// No family has this name.
    Unknown(String),
    /// The family is not written for this native architecture.
    Architecture(String, Arch),
    /// The embedded text is wrong: the name of the family and what is wrong. The tests keep it from happening.
    Text(String, String),
}

impl fmt::Display for FamilyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FamilyError::Unknown(name) => {
                write!(f, "unknown seccomp profile \"{name}\": there are {}", names().join(", "))
            }
            FamilyError::Architecture(name, arch) => write!(f, "seccomp profile \"{name}\" is not written for {arch}"),
            FamilyError::Text(name, why) => write!(f, "seccomp profile \"{name}\": {why}"),
        }
    }
}

impl error::Error for FamilyError {}

/// The names of all families, from the widest to the narrowest.
#[must_use]
pub fn names() -> [&'static str; 6] {
    FAMILIES.map(|(name, _)| name)
}

/// The profile of this family for a container with these capabilities (the bounding set) on a native `arch`, x86_64 or
/// aarch64. What a capability allows beyond the family's own is let through with the capability, as engines do.
///
/// # Errors
/// An unknown name, another architecture.
pub fn load(name: &str, caps: &CapabilitySet, arch: Arch) -> Result<Profile, FamilyError> {
    let file = open(name)?;
    let text = |why: String| FamilyError::Text(name.to_owned(), why);
    let mut syscalls = Vec::new();
    for rule in effective(&file)? {
        let caps = if file.without_capabilities { &CapabilitySet::EMPTY } else { caps };
        if rule.holds_with(caps) {
            push_rules(&rule, &mut syscalls).map_err(text)?;
        }
    }
    Ok(Profile {
        default_action: Action::Errno,
        default_errno_ret: Some(1),
        architectures: architectures(&file, arch)?,
        flags: None,
        listener_path: String::new(),
        listener_metadata: String::new(),
        syscalls,
    })
}

/// A family, for people.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Family {
    /// Its name.
    pub name: String,
    /// Whom it is for.
    pub summary: String,
    /// Calls that it lets through, always or under conditions, without or with a capability, and why.
    pub calls: Vec<(String, String)>,
    /// Calls of the family it begins with that it refuses, and why.
    pub refused: Vec<(String, String)>,
    /// Findings of lint that are meant to be there, and why.
    pub accepted: Vec<(String, String)>,
}

/// What is known about a family.
///
/// # Errors
/// An unknown name.
pub fn describe(name: &str) -> Result<Family, FamilyError> {
    let file = open(name)?;
    let mut calls: Vec<(String, String)> = Vec::new();
    for rule in effective(&file)?.into_iter().filter(|rule| rule.answer.is_none_or(|answer| answer == Answer::Allow)) {
        if !file.without_capabilities || rule.capabilities.is_empty() {
            for (call, reason) in rule.calls.0 {
                if let Err(place) = calls.binary_search_by(|(known, _)| known.as_str().cmp(call)) {
                    calls.insert(place, (call.into(), reason.into()));
                }
            }
        }
    }
    let owned = |Calls(words): Calls<'_>| words.into_iter().map(|(word, why)| (word.into(), why.into())).collect();
    let (refused, accepted) = (owned(file.remove), owned(file.accepted));
    Ok(Family { name: file.name.into(), summary: file.summary.into(), calls, refused, accepted })
}

fn open(name: &str) -> Result<File<'static>, FamilyError> {
    let (_, text) =
        FAMILIES.into_iter().find(|(known, _)| *known == name).ok_or_else(|| FamilyError::Unknown(name.to_owned()))?;
    serde_json::from_str(text).map_err(|why| FamilyError::Text(name.to_owned(), why.to_string()))
}

/// The rules of a file and, before them, what it takes from another one.
fn effective(file: &File<'static>) -> Result<Vec<FileRule<'static>>, FamilyError> {
    let mut rules = match file.from {
        None => Vec::new(),
        Some(from) => effective(&open(from)?)?,
    };
    let own: Vec<&str> = file.rules.iter().flat_map(|rule| rule.calls.names()).chain(file.remove.names()).collect();
    for rule in &mut rules {
        rule.calls.0.retain(|(name, _)| !own.contains(name));
    }
    rules.retain(|rule| !rule.calls.0.is_empty());
    rules.extend(file.rules.iter().cloned());
    Ok(rules)
}

fn push_rules(rule: &FileRule<'_>, syscalls: &mut Vec<Rule>) -> Result<(), String> {
    let names = known_names(&rule.calls)?;
    let (action, errno_ret) = match rule.answer {
        None | Some(Answer::Allow) => (Action::Allow, None),
        Some(Answer::Eperm) => (Action::Errno, Some(1)),
        Some(Answer::Enosys) => (Action::Errno, Some(38)),
    };
    if rule.when.is_empty() {
        syscalls.push(Rule { names, action, errno_ret, args: Vec::new() });
        return Ok(());
    }
    for line in &rule.when {
        let args = condition::parse(line)?;
        // In a profile two conditions on one argument are alternatives.
        if args.iter().enumerate().any(|(at, arg)| args.iter().skip(at + 1).any(|other| other.index == arg.index)) {
            return Err(format!("condition \"{line}\" speaks twice of one argument"));
        }
        syscalls.push(Rule { names: names.clone(), action, errno_ret, args });
    }
    Ok(())
}

/// The names, every one of which must be known: a slip would be a hole in a list of refusals.
pub(crate) fn known_names(calls: &Calls<'_>) -> Result<Vec<String>, String> {
    match calls.names().find(|name| Syscall::from_name(name).is_none()) {
        Some(unknown) => Err(format!("unknown system call \"{unknown}\"")),
        None => Ok(calls.names().map(str::to_owned).collect()),
    }
}

fn architectures(file: &File<'_>, native: Arch) -> Result<Vec<Architecture>, FamilyError> {
    let missing = || FamilyError::Architecture(file.name.into(), native);
    let inherited;
    let map = match (file.from, file.architectures.0.is_empty()) {
        (Some(from), true) => {
            inherited = open(from)?.architectures;
            &inherited
        }
        _ => &file.architectures,
    };
    let companions = map.get(native.name()).ok_or_else(missing)?;
    let word = |arch: Arch| match arch {
        Arch::X86_64 => Architecture::X86_64,
        Arch::X86 => Architecture::X86,
        Arch::X32 => Architecture::X32,
        Arch::Aarch64 => Architecture::Aarch64,
        Arch::Arm => Architecture::Arm,
    };
    let mut architectures = vec![word(native)];
    for name in companions.split_whitespace().filter(|name| *name != "alone") {
        let arch = Arch::from_name(name)
            .ok_or_else(|| FamilyError::Text(file.name.into(), format!("unknown architecture \"{name}\"")))?;
        architectures.push(word(arch));
    }
    Ok(architectures)
}
