//! What can be said for every container, in a named profile and in an exemption alike.

use super::ReadProfile;
use super::entry::Entry;
use crate::error::Result;
use crate::policy::enforcement::{ExecMode, Said, SeccompChoice};
use crate::policy::level::{Level, Mode};
use crate::policy::rule::Rule;
use seccomp_profiles::{families, overlay};
use std::collections::BTreeMap;

/// Statements that override the level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `level`
    pub level: Option<Said<Level>>,
    /// `[rules]`
    pub modes: BTreeMap<Rule, Said<Mode>>,
    /// `seccomp.profile`
    pub seccomp: Option<Said<SeccompChoice>>,
    /// `seccomp.allow`
    pub overlay_allow: BTreeMap<String, Said<()>>,
    /// `binds.allow`
    pub binds_allow: BTreeMap<String, Said<()>>,
    /// `[exec]`
    pub exec: Option<Said<ExecMode>>,
}

impl Settings {
    /// Takes one entry in; false for a key that is none of these.
    pub(super) fn take(&mut self, entry: Entry<'_>, profile: ReadProfile<'_>) -> Result<bool> {
        match entry.key {
            "level" => self.level = Some(entry.word()?),
            "rules" => {
                for entry in entry.table()? {
                    self.modes.insert(entry.key_word()?, entry.word()?);
                }
            }
            "seccomp" => {
                for entry in entry.table()? {
                    match entry.key {
                        "profile" => self.seccomp = Some(entry.said(seccomp(entry, profile)?)),
                        "allow" => add_tokens(&mut self.overlay_allow, entry)?,
                        _ => return Err(entry.unknown()),
                    }
                }
            }
            "binds" => {
                for entry in entry.table()? {
                    match entry.key {
                        "allow" => {
                            for entry in entry.array()? {
                                let Said { value, origin } = entry.path()?;
                                self.binds_allow.insert(value, Said { value: (), origin });
                            }
                        }
                        _ => return Err(entry.unknown()),
                    }
                }
            }
            "exec" => self.exec = Some(exec(entry)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        let Settings { level, modes, seccomp, overlay_allow, binds_allow, exec } = self;
        let words = level.is_none() && seccomp.is_none() && exec.is_none();
        words && modes.is_empty() && overlay_allow.is_empty() && binds_allow.is_empty()
    }

    /// Lets `over` have its way: what it says replaces what is said here; what it allows is allowed as well.
    pub fn override_with(&mut self, over: &Settings) {
        let Settings { level, modes, seccomp, overlay_allow, binds_allow, exec } = over.clone();
        self.level = level.or(self.level.take());
        self.seccomp = seccomp.or(self.seccomp.take());
        self.exec = exec.or(self.exec.take());
        for (rule, said) in modes {
            self.modes.insert(rule, said);
        }
        for (token, said) in overlay_allow {
            self.overlay_allow.insert(token, said);
        }
        for (path, said) in binds_allow {
            self.binds_allow.insert(path, said);
        }
    }
}

/// A family by its name, or a profile by its path.
fn seccomp(entry: Entry<'_>, profile: ReadProfile<'_>) -> Result<SeccompChoice> {
    let text = entry.text()?;
    if text.starts_with('/') {
        let path = entry.path()?.value;
        let profile = profile(&path).map_err(|why| why.context(entry.origin()))?;
        return Ok(SeccompChoice::Profile { path, profile: Box::new(profile) });
    }
    let names = families::names();
    if !names.contains(&text) {
        let known = names.join(", ");
        let what = format_args!("unknown seccomp profile \"{text}\": want {known}, or an absolute path");
        return Err(entry.wrong(&what));
    }
    Ok(SeccompChoice::Family(text.to_owned()))
}

fn add_tokens(allow: &mut BTreeMap<String, Said<()>>, entry: Entry<'_>) -> Result<()> {
    let known = overlay::tokens().map_err(|why| entry.wrong(&why))?;
    for entry in entry.array()? {
        let text = entry.text()?;
        if !known.iter().any(|(token, _)| token == text) {
            let known: Vec<&str> = known.iter().map(|(token, _)| token.as_str()).collect();
            return Err(entry.wrong(&format_args!("unknown token \"{text}\": want {}", known.join(", "))));
        }
        allow.insert(text.to_owned(), entry.said(()));
    }
    Ok(())
}

/// A mode, and for one of them the argument lists.
fn exec(table: Entry<'_>) -> Result<Said<ExecMode>> {
    let (mut mode, mut probes) = (None, None);
    for entry in table.table()? {
        match entry.key {
            "mode" => mode = Some(entry),
            "probes" => {
                let mut lists = Vec::new();
                for list in entry.array()? {
                    let argv = list
                        .array()?
                        .into_iter()
                        .map(|arg| arg.text().map(str::to_owned))
                        .collect::<Result<Vec<_>>>()?;
                    if argv.is_empty() {
                        return Err(list.wrong(&"probes: an argument list has at least the program"));
                    }
                    lists.push(argv);
                }
                probes = Some((entry, lists));
            }
            _ => return Err(entry.unknown()),
        }
    }
    let mode = mode.ok_or_else(|| table.wrong(&"exec: mode is missing: want allow, probes or deny"))?;
    let value = match (mode.text()?, probes) {
        ("probes", Some((_, lists))) if !lists.is_empty() => ExecMode::Probes(lists),
        ("probes", _) => return Err(mode.wrong(&"exec: mode probes takes a list probes; for none at all say deny")),
        ("allow" | "deny", Some((probes, _))) => return Err(probes.wrong(&"exec: probes count in mode probes only")),
        ("allow", None) => ExecMode::Allow,
        ("deny", None) => ExecMode::Deny,
        (other, _) => {
            return Err(mode.wrong(&format_args!("exec: unknown mode \"{other}\": want allow, probes or deny")));
        }
    };
    Ok(mode.said(value))
}
