//! The administrator's policy: what the files say, each statement with its line. `docs/policy.md` has the format.
//!
//! Reading is strict: an unknown key, a word that means nothing and a statement that cannot have an effect are errors,
//! because whoever wrote them believes that they hold. Nothing is decided here; [`choose`](super::choose::choose) does.

mod entry;
mod exemption;
mod settings;

pub use exemption::Exemption;
pub use settings::Settings;

use super::enforcement::{Lacking, Said};
use super::level::Level;
use crate::error::{Error, Kind, Result};
use entry::{Entry, File};
use seccomp_profiles::Profile;
use std::collections::BTreeMap;
use toml::de::DeTable;

/// All files together. Where two contradict each other the later one holds; lists of what is allowed add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// No container below this one, exemptions apart.
    pub minimum: Option<Said<Level>>,
    /// What to do about a protection that cannot be had.
    pub lacking: Option<Said<Lacking>>,
    /// Annotations that only the engine writes: exemptions may go by them.
    pub engine_annotations: BTreeMap<String, Said<()>>,
    /// What holds for every container; the level is that of callers who name none.
    pub settings: Settings,
    /// In the order of the files: the first that matches applies.
    pub exemptions: Vec<Exemption>,
}

/// Named settings; of two with one name the later.
type Profiles = Vec<(String, Settings)>;

/// Reads a seccomp profile by its absolute path, with the checks that policy files get.
pub type ReadProfile<'a> = &'a mut dyn FnMut(&str) -> Result<Profile>;

impl Document {
    /// Reads files, each a path and its text, in the order in which they are to hold.
    ///
    /// # Errors
    /// [`Kind::InvalidConfig`] with `FILE:LINE:COLUMN` for text that is no TOML and for statements that mean nothing;
    /// for statements that exclude each other, also across files, with both lines; and what `profile` reports.
    pub fn parse(files: &[(String, String)], profile: ReadProfile<'_>) -> Result<Document> {
        let mut document = Document::default();
        let mut profiles = Profiles::new();
        for (path, text) in files {
            document.add(File { path, text }, &mut profiles, profile)?;
        }
        document.check(&profiles)?;
        Ok(document)
    }

    fn add(&mut self, file: File<'_>, profiles: &mut Profiles, read: ReadProfile<'_>) -> Result<()> {
        let table = DeTable::parse(file.text).map_err(|why| {
            let at = why.span().map_or(0, |span| span.start);
            file.wrong(at, &why.message())
        })?;
        let entries = entry::entries(file, table.get_ref());
        // First: with another version nothing else has to mean what it means here.
        match entries.iter().find(|entry| entry.key == "version") {
            Some(version) if version.is_integer("1") => {}
            Some(version) => return Err(version.wrong(&"version: this casemate reads version 1")),
            // A file of comments says nothing in any version.
            None if entries.is_empty() => {}
            None => return Err(file.wrong(0, &"version is missing: begin with version = 1")),
        }
        for entry in entries {
            match entry.key {
                "version" => {}
                "minimum" => self.minimum = Some(entry.word()?),
                "lacking" => self.lacking = Some(lacking(entry)?),
                "engine-annotations" => self.add_engine_annotations(entry)?,
                "profiles" => {
                    for entry in entry.table()? {
                        let mut settings = Settings::default();
                        for entry in entry.table()? {
                            if !settings.take(entry, read)? {
                                return Err(entry.unknown());
                            }
                        }
                        profiles.push((entry.key.to_owned(), settings));
                    }
                }
                "exemption" => {
                    for entry in entry.array()? {
                        self.exemptions.push(Exemption::read(entry, read)?);
                    }
                }
                _ => {
                    if !self.settings.take(entry, read)? {
                        return Err(entry.unknown());
                    }
                }
            }
        }
        Ok(())
    }

    fn add_engine_annotations(&mut self, entry: Entry<'_>) -> Result<()> {
        for entry in entry.array()? {
            let key = entry.line()?.value;
            if key.starts_with("io.casemate.") {
                return Err(entry.wrong(&format_args!("\"{key}\" is what the container itself asks for")));
            }
            self.engine_annotations.insert(key, entry.said(()));
        }
        Ok(())
    }

    /// What can be judged only when everything is read.
    fn check(&mut self, profiles: &Profiles) -> Result<()> {
        if let (Some(level), Some(minimum)) = (&self.settings.level, &self.minimum)
            && level.value < minimum.value
        {
            let what = format!("{}: level {} is below the minimum {}", level.origin, level.value, minimum.value);
            return Err(contradiction(format!("{what} ({})", minimum.origin)));
        }
        let mut names: Vec<Said<String>> = Vec::new();
        for exemption in &mut self.exemptions {
            let Said { value: name, origin } = &exemption.name;
            if let Some(Said { origin: first, .. }) = names.iter().find(|said| said.value == *name) {
                return Err(contradiction(format!("{origin}: there is an exemption \"{name}\" already ({first})")));
            }
            names.push(exemption.name.clone());
            if let Some((key, said)) =
                exemption.annotations.iter().find(|(key, _)| !self.engine_annotations.contains_key(key))
            {
                let what = format!("{}: exemption \"{name}\" goes by the annotation \"{key}\"", said.origin);
                return Err(contradiction(format!("{what}, which is not among the engine-annotations"))
                    .hint("name it there if nobody but the engine can write it"));
            }
            if let Some(named) = &exemption.profile {
                let settings = profiles.iter().rfind(|(name, _)| *name == named.value);
                let missing = || contradiction(format!("{}: there is no profile \"{}\"", named.origin, named.value));
                exemption.settings = settings.ok_or_else(missing)?.1.clone();
            }
        }
        Ok(())
    }
}

fn contradiction(what: String) -> Error {
    Error::new(Kind::InvalidConfig, what)
}

fn lacking(entry: Entry<'_>) -> Result<Said<Lacking>> {
    match entry.text()? {
        "report" => Ok(entry.said(Lacking::Report)),
        "refuse" => Ok(entry.said(Lacking::Refuse)),
        other => Err(entry.wrong(&format_args!("lacking: unknown word \"{other}\": want report or refuse"))),
    }
}

#[cfg(test)]
mod tests;
