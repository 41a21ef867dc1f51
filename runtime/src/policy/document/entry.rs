//! One `key = value` of a policy file, and where it stands.

use crate::error::{Error, Kind, Result};
use crate::policy::date::Date;
use crate::policy::enforcement::Said;
use std::fmt;
use std::str::FromStr;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A file under its name.
#[derive(Clone, Copy)]
pub(super) struct File<'a> {
    pub(super) path: &'a str,
    pub(super) text: &'a str,
}

impl File<'_> {
    /// What is wrong at an offset of the text: `FILE:LINE:COLUMN: what`.
    #[cold]
    #[inline(never)]
    pub(super) fn wrong(self, at: usize, what: &dyn fmt::Display) -> Error {
        let before = self.text.get(..at).unwrap_or(self.text);
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Error::new(Kind::InvalidConfig, format!("{}:{column}: {what}", self.origin(at)))
            .hint("docs/policy.md has the format")
    }

    /// `FILE:LINE`.
    #[inline(never)]
    fn origin(self, at: usize) -> String {
        let before = self.text.get(..at).unwrap_or(self.text);
        format!("{}:{}", self.path, before.bytes().filter(|byte| *byte == b'\n').count() + 1)
    }
}

/// A key with its value, or an element of an array with the key of the array.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    file: File<'a>,
    pub(super) key: &'a str,
    at: usize,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Entry<'a> {
    /// What is wrong with the value.
    #[cold]
    pub(super) fn wrong(self, what: &dyn fmt::Display) -> Error {
        self.file.wrong(self.value.span().start, what)
    }

    /// A key that means nothing here.
    #[cold]
    #[inline(never)]
    pub(super) fn unknown(self) -> Error {
        self.file.wrong(self.at, &format_args!("unknown key \"{}\"", self.key))
    }

    /// The line of the key.
    pub(super) fn origin(self) -> String {
        self.file.origin(self.at)
    }

    /// A value with the line of its key.
    pub(super) fn said<T>(self, value: T) -> Said<T> {
        Said { value, origin: self.origin() }
    }

    #[cold]
    #[inline(never)]
    fn want(self, what: &str) -> Error {
        self.wrong(&format_args!("{}: want {what}, not {}", self.key, self.value.get_ref().type_str()))
    }

    #[inline(never)]
    pub(super) fn text(self) -> Result<&'a str> {
        self.value.get_ref().as_str().ok_or_else(|| self.want("a string"))
    }

    /// A word of a list of words.
    pub(super) fn word<T: FromStr<Err = String>>(self) -> Result<Said<T>> {
        let value = self.text()?.parse().map_err(|why: String| self.wrong(&why))?;
        Ok(self.said(value))
    }

    /// The same, as the key.
    pub(super) fn key_word<T: FromStr<Err = String>>(self) -> Result<T> {
        self.key.parse().map_err(|why: String| self.file.wrong(self.at, &why))
    }

    /// Text for people: one line, and something on it.
    pub(super) fn line(self) -> Result<Said<String>> {
        let text = self.text()?;
        if text.trim().is_empty() || text.contains(char::is_control) {
            return Err(self.wrong(&format_args!("{}: want one line of text", self.key)));
        }
        Ok(self.said(text.to_owned()))
    }

    /// An absolute path, in one spelling only, without the slash at its end.
    pub(super) fn path(self) -> Result<Said<String>> {
        let text = self.text()?;
        let path = text.strip_suffix('/').unwrap_or(text);
        let parts = path.strip_prefix('/').map(|rest| rest.split('/'));
        let clean = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(char::is_control);
        if !parts.is_some_and(|mut parts| parts.all(clean)) {
            let what = "want an absolute path below \"/\", without \".\", \"..\" and \"//\"";
            return Err(self.wrong(&format_args!("{}: {what}", self.key)));
        }
        Ok(self.said(path.to_owned()))
    }

    pub(super) fn date(self) -> Result<Said<Date>> {
        let date = self.value.get_ref().as_datetime().filter(|it| it.time.is_none() && it.offset.is_none());
        let date = date.and_then(|it| it.date).ok_or_else(|| self.want("a date such as 2027-06-30, without quotes"))?;
        Ok(self.said(Date { year: date.year, month: date.month, day: date.day }))
    }

    pub(super) fn is_integer(self, wanted: &str) -> bool {
        self.value.get_ref().as_integer().is_some_and(|it| it.radix() == 10 && it.as_str() == wanted)
    }

    #[inline(never)]
    pub(super) fn array(self) -> Result<Vec<Entry<'a>>> {
        let items = self.value.get_ref().as_array().ok_or_else(|| self.want("an array"))?;
        Ok(items.iter().map(|value| Entry { at: value.span().start, value, ..self }).collect())
    }

    /// The entries of a table, in the order of the file.
    #[inline(never)]
    pub(super) fn table(self) -> Result<Vec<Entry<'a>>> {
        let table = self.value.get_ref().as_table().ok_or_else(|| self.want("a table"))?;
        Ok(entries(self.file, table))
    }
}

/// The entries of a table, in the order of the file: the first mistake is the one that is told.
pub(super) fn entries<'a>(file: File<'a>, table: &'a DeTable<'a>) -> Vec<Entry<'a>> {
    let mut entries: Vec<Entry<'a>> = Vec::new();
    for (key, value) in table {
        let at = key.span().start;
        let place = entries.partition_point(|entry| entry.at < at);
        entries.insert(place, Entry { file, key: key.get_ref(), at, value });
    }
    entries
}
