//! Links in an image, and what they must not lead a runtime to: the kinds of link, and the matrix of a field of the
//! configuration against all of them.

use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::created::{Created, Creation};
use crate::escape::outside::MARK;
use crate::escape::scene::{Attack, Scene};
use crate::process::Output;
use anyhow::{Context, Result, bail, ensure};
use std::os::unix::fs::symlink;
use std::path::Path;

/// Where a link leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// The target's path on the host.
    Absolute,
    /// The same, by `..` from wherever the link is.
    Climbing,
    /// Through the root of process 1: while a container is made, that is the host's.
    Magic,
    /// To something missing in a directory outside.
    Dangling,
    /// To itself.
    Loop,
    /// Over 64 links to the target.
    Chain,
    /// To the target, in a text of 4095 bytes.
    Long,
    /// To a directory beside it, in the image.
    Inside,
}

impl Link {
    /// The ways out, and what a resolver may stumble over.
    pub const ALL: [Self; 7] =
        [Self::Absolute, Self::Climbing, Self::Magic, Self::Dangling, Self::Loop, Self::Chain, Self::Long];
    /// One of each way out, where there are many places to try.
    pub const FEW: [Self; 3] = [Self::Absolute, Self::Magic, Self::Dangling];

    /// Puts the link at `place`, instead of what is there, towards `target` in the outside tree.
    pub fn put(self, s: &Scene, place: &Path, target: &str) -> Result<()> {
        match std::fs::symlink_metadata(place) {
            Ok(data) if data.is_dir() => std::fs::remove_dir_all(place)?,
            Ok(_) => std::fs::remove_file(place)?,
            Err(_) => std::fs::create_dir_all(place.parent().context("no parent")?)?,
        }
        let target = s.outside.path(target).to_string_lossy().into_owned();
        let text = match self {
            Self::Absolute => target,
            Self::Climbing => format!("{}{target}", "../".repeat(30).trim_end_matches('/')),
            Self::Magic => format!("/proc/1/root{target}"),
            Self::Dangling => s.outside.path("empty/missing").to_string_lossy().into_owned(),
            Self::Loop => place.file_name().context("no name")?.to_string_lossy().into_owned(),
            Self::Inside => {
                std::fs::create_dir_all(place.parent().context("no parent")?.join("beside/it"))?;
                "beside/it".to_owned()
            }
            Self::Chain => {
                let dir = place.parent().context("no parent")?;
                symlink(target, dir.join("chain64"))?;
                for n in 1..64 {
                    symlink(format!("chain{}", n + 1), dir.join(format!("chain{n}")))?;
                }
                "chain1".to_owned()
            }
            Self::Long => format!("/{}{}", "./".repeat((4095 - target.len()) / 2), target.trim_start_matches('/')),
        };
        symlink(&text, place).with_context(|| format!("symlink \"{}\"", place.display()))
    }
}

/// What is looked at when the runtime did not refuse.
#[derive(Clone, Copy)]
pub enum Look<'a> {
    /// The created container from outside; gives what is wrong.
    Created(&'a dyn Fn(&Created) -> Result<Option<String>>),
    /// What a script printed that ran as its program; gives what is wrong.
    Ran(&'a str, &'a dyn Fn(&Output) -> Option<String>),
}

/// One field: the path in the root filesystem that is a link, where in the outside tree it leads, and what uses it.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    pub link: &'a str,
    pub target: &'a str,
    pub kinds: &'a [Link],
    /// Writes the field into the configuration.
    pub ask: &'a dyn Fn(&mut Bundle) -> Result<()>,
    pub look: Look<'a>,
    /// Whether a link there has to be refused: there is no good meaning for it.
    pub must_refuse: bool,
}

impl<'a> Field<'a> {
    /// A field that is tried with every kind of link.
    pub fn new(link: &'a str, target: &'a str, ask: &'a dyn Fn(&mut Bundle) -> Result<()>, look: Look<'a>) -> Self {
        Self { link, target, kinds: &Link::ALL, ask, look, must_refuse: false }
    }
}

/// How the cells of a row ended.
#[derive(Default, Debug)]
pub struct Tally {
    held: usize,
    refused: usize,
    message: String,
}

impl Tally {
    /// The verdict when nothing was wrong in any cell.
    pub fn verdict(self) -> Verdict {
        match self.held {
            0 => Verdict::Refused(self.message),
            held => Verdict::Safe(format!("held in {held} cells, refused in {}", self.refused)),
        }
    }

    /// Counts a cell that ended well.
    pub fn count(&mut self, refused: Option<String>) {
        match refused {
            Some(message) => (self.refused, self.message) = (self.refused + 1, message),
            None => self.held += 1,
        }
    }
}

/// Tries a field with all its links, after its benign twin: the same with a file or a directory where the link would be.
/// Returns what is `UNSAFE`, or counts.
pub fn row(s: &Scene, field: &Field, tally: &mut Tally) -> Result<Option<Verdict>> {
    twin(s, field, Place::Filled)?;
    links(s, field, tally)
}

/// The benign twin of a field, which must hold.
pub fn twin(s: &Scene, field: &Field, place: Place) -> Result<()> {
    match cell(s, field, place)? {
        Cell::Held => Ok(()),
        Cell::Refused(message) => bail!("the benign twin of {} was refused: {message}", field.link),
        Cell::Wrong(why) => bail!("the benign twin of {} is wrong: {why}", field.link),
    }
}

/// Tries a field whose benign twin has been run with all its links.
pub fn links(s: &Scene, field: &Field, tally: &mut Tally) -> Result<Option<Verdict>> {
    for link in field.kinds {
        let what = format!("{} ({link:?})", field.link);
        match cell(s, field, Place::Link(*link)).with_context(|| what.clone())? {
            Cell::Held if field.must_refuse => return Ok(Some(Verdict::Unsafe(format!("{what}: not refused")))),
            Cell::Held => tally.count(None),
            Cell::Refused(message) => tally.count(Some(message)),
            Cell::Wrong(why) => return Ok(Some(Verdict::Unsafe(format!("{what}: {why}")))),
        }
    }
    Ok(None)
}

/// The verdict on fields that make one row of the table.
pub fn matrix(s: &Scene, fields: &[Field]) -> Result<Verdict> {
    let mut tally = Tally::default();
    for field in fields {
        if let Some(verdict) = row(s, field, &mut tally)? {
            return Ok(verdict);
        }
    }
    Ok(tally.verdict())
}

/// What is where a field's path leads.
#[derive(Clone, Copy)]
pub enum Place {
    /// What the image has there.
    AsItIs,
    /// What the link would lead to: a file or a directory.
    Filled,
    Link(Link),
}

enum Cell {
    Held,
    Refused(String),
    Wrong(String),
}

fn cell(s: &Scene, field: &Field, is: Place) -> Result<Cell> {
    let mut bundle = s.bundle()?;
    let place = bundle.rootfs().join(field.link.trim_start_matches('/'));
    match is {
        Place::Link(link) => link.put(s, &place, field.target)?,
        Place::AsItIs => {}
        Place::Filled if s.outside.path(field.target).is_dir() => std::fs::create_dir_all(&place)?,
        Place::Filled => {
            std::fs::create_dir_all(place.parent().context("no parent")?)?;
            std::fs::write(&place, "")?;
        }
    }
    let before = s.outside.entries()?;
    let result = tried(s, field, &mut bundle)?;
    let after = s.outside.entries()?;
    std::fs::remove_dir_all(&bundle.dir)?;
    Ok(match after.iter().find(|(path, state)| before.get(*path) != Some(state)) {
        Some((path, state)) => Cell::Wrong(format!("{} outside is now {state}", path.display())),
        None if before.len() != after.len() => Cell::Wrong("something outside is gone".to_owned()),
        None => result,
    })
}

fn tried(s: &Scene, field: &Field, bundle: &mut Bundle) -> Result<Cell> {
    if let Look::Ran(script, _) = field.look {
        s.script(bundle, script);
    }
    (field.ask)(bundle)?;
    match field.look {
        Look::Created(look) => match s.create(bundle)? {
            Creation::Refused(attack) => refusal(s, &attack),
            Creation::Made(created) => {
                let wrong = match created.strays(&s.outside)? {
                    Some(stray) => Some(stray),
                    None => look(&created)?,
                };
                created.end()?;
                Ok(wrong.map_or(Cell::Held, Cell::Wrong))
            }
        },
        Look::Ran(_, look) => {
            let attack = s.attack(bundle)?;
            if !attack.ran {
                return refusal(s, &attack);
            }
            if attack.output.code >= 128 {
                return Ok(Cell::Wrong(format!("it was killed, or crashed: {}", attack.output)));
            }
            ensure!(attack.output.code == 0, "the program failed: {}", attack.output);
            Ok(match attack.output.stdout.contains(MARK) {
                true => Cell::Wrong(format!("it sees what is outside: {}", attack.output.stdout)),
                false => look(&attack.output).map_or(Cell::Held, Cell::Wrong),
            })
        }
    }
}

fn refusal(s: &Scene, attack: &Attack) -> Result<Cell> {
    match s.refused(attack)? {
        Some(Verdict::Refused(message)) => Ok(Cell::Refused(message)),
        Some(Verdict::Unsafe(why)) => Ok(Cell::Wrong(why)),
        other => bail!("neither refused nor ran: {other:?}"),
    }
}
