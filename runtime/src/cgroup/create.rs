//! Making the directories of a container.

use std::cell::OnceCell;

use super::dir::{Dir, keyed};
use super::join::Join;
use super::layout::Version;
use super::path::{Path, Record};
use super::{Cgroup, Error, Place};

/// A container's place in every hierarchy, opened and found to be free.
#[derive(Debug)]
pub struct Prepared {
    spots: Vec<Spot>,
}

#[derive(Debug)]
struct Spot {
    record: Record,
    mount: Dir,
    /// The directory above the container's, if it exists already and is not the mount itself.
    parent: Option<Dir>,
    /// The container's directory, if someone made it before us.
    existing: Option<Dir>,
}

/// A directory that this process made.
#[derive(Debug)]
pub(super) struct Made {
    mount: std::rc::Rc<Dir>,
    path: String,
}

impl Prepared {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let mut spots = Vec::with_capacity(path.records.len());
        for record in &path.records {
            let mount = Dir::open_mount(record.version, &record.mount_point)?;
            let (above, leaf) = split(&record.path);
            let parent = if above.is_empty() { None } else { mount.open(above)? };
            let existing = match &parent {
                Some(parent) => parent.open(leaf)?,
                None if above.is_empty() => mount.open(leaf)?,
                None => None,
            };
            if let Some(dir) = &existing {
                refuse_occupied(dir)?;
                refuse_frozen(record, dir)?;
            }
            spots.push(Spot { record: record.clone(), mount, parent, existing });
        }
        Ok(Self { spots })
    }

    pub(super) fn create(self) -> Result<(Cgroup, Join), Error> {
        let mut made = Vec::new();
        match self.make_all(&mut made) {
            Ok(places) => {
                let cgroup = Cgroup { places, created: made };
                match cgroup.join(None, &[]) {
                    Ok(join) => Ok((cgroup, join)),
                    Err(error) => {
                        cgroup.undo();
                        Err(error)
                    }
                }
            }
            Err(error) => {
                undo(&made);
                Err(error)
            }
        }
    }

    fn make_all(self, made: &mut Vec<Made>) -> Result<Vec<Place>, Error> {
        let mut places = Vec::with_capacity(self.spots.len());
        // On a hybrid host the controllers that matter are on v1; one that is not is enabled when a
        // limit needs it, so that nothing is written to the root of a hierarchy without need.
        let unified_only = self.spots.iter().all(|s| s.record.version == Version::V2);
        for spot in self.spots {
            let (record, dir) = spot.make(unified_only, made)?;
            places.push(Place { record, dir: OnceCell::from(Some(dir)) });
        }
        Ok(places)
    }
}

impl Spot {
    fn make(self, unified_only: bool, made: &mut Vec<Made>) -> Result<(Record, Dir), Error> {
        let Self { record, mount, parent, existing } = self;
        let mount = std::rc::Rc::new(mount);
        let (above, leaf) = split(&record.path);
        let made_above = parent.is_none() && !above.is_empty();
        let parent = if made_above { Some(make_above(&mount, above, made)?) } else { parent };
        let parent = parent.as_ref().unwrap_or(&mount);
        if unified_only {
            hand_down(&mount, above, None)?;
        }
        let is_new = existing.is_none() && parent.mkdir(leaf)?;
        if is_new {
            made.push(Made { mount: mount.clone(), path: record.path.clone() });
        }
        let dir = match existing {
            Some(dir) => dir,
            None => parent.open(leaf)?.ok_or(Error::Gone)?,
        };
        if !is_new {
            // Someone may have moved in between the first look and now.
            refuse_occupied(&dir)?;
        }
        if !is_new || !above.is_empty() {
            // A new cgroup is frozen from birth below a frozen one. Nothing can freeze the root.
            refuse_frozen(&record, &dir)?;
        }
        if record.controllers.iter().any(|c| c == "cpuset") {
            fill_cpuset(&mount, &record.path, parent, &dir, is_new)?;
        }
        Ok((record, dir))
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Makes the directories above the container's that are missing, and opens the last.
fn make_above(mount: &std::rc::Rc<Dir>, above: &str, made: &mut Vec<Made>) -> Result<Dir, Error> {
    let mut at: Option<Dir> = None;
    for (end, component) in prefixes(above) {
        let here = at.as_ref().unwrap_or(mount);
        if here.mkdir(component)? {
            made.push(Made { mount: mount.clone(), path: above.get(..end).unwrap_or(above).to_owned() });
        }
        at = Some(here.open(component)?.ok_or(Error::Gone)?);
    }
    at.ok_or(Error::Gone)
}

/// The components of a path, each with the end of the prefix that it closes.
fn prefixes(path: &str) -> impl Iterator<Item = (usize, &str)> {
    path.split('/').filter(|component| !component.is_empty()).scan(0, |end, component| {
        *end += component.len() + usize::from(*end > 0);
        Some((*end, component))
    })
}

/// Refuses a cgroup with processes in it or below it.
fn refuse_occupied(dir: &Dir) -> Result<(), Error> {
    let mut pids = Vec::new();
    super::processes::collect(dir, &mut pids)?;
    if pids.is_empty() { Ok(()) } else { Err(Error::NotEmpty { cgroup: dir.name.clone(), processes: pids.len() }) }
}

/// Refuses a frozen cgroup: a process that joins one never returns from the kernel.
fn refuse_frozen(record: &Record, dir: &Dir) -> Result<(), Error> {
    let frozen = match record.version {
        Version::V2 => dir.read("cgroup.events")?.and_then(|text| keyed(&text, "frozen")) == Some(1),
        Version::V1 if record.controllers.iter().any(|c| c == "freezer") => {
            dir.read("freezer.state")?.is_some_and(|state| state.trim() != "THAWED")
        }
        Version::V1 => false,
    };
    if frozen { Err(Error::Frozen { cgroup: dir.name.clone() }) } else { Ok(()) }
}

/// Gives a v1 cpuset cgroup its parent's cpus and memory nodes if it has none: an empty one lets
/// nobody join (`ENOSPC`). The parents may be as empty, when they were just made.
fn fill_cpuset(mount: &Dir, path: &str, parent: &Dir, dir: &Dir, is_new: bool) -> Result<(), Error> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let mut value = set(parent, file)?;
        if value.is_empty() {
            value = set(mount, file)?;
            let above = split(path).0;
            for (end, _) in prefixes(above) {
                let Some(at) = mount.open(above.get(..end).unwrap_or(above))? else { return Err(Error::Gone) };
                match set(&at, file)? {
                    own if own.is_empty() => at.write(file, &value)?,
                    own => value = own,
                }
            }
        }
        // A new one is empty, or a copy already (cgroup.clone_children).
        if is_new || set(dir, file)?.is_empty() {
            dir.write(file, &value)?;
        }
    }
    Ok(())
}

fn set(dir: &Dir, file: &str) -> Result<String, Error> {
    Ok(dir.read(file)?.unwrap_or_default().trim().to_owned())
}

/// Enables controllers in `cgroup.subtree_control` from the root of the unified hierarchy down to
/// `above`: one of them, or all that the root has.
///
/// A controller that cannot be enabled is no error here. Who needs it finds it missing and says so;
/// who does not, as most do, is not kept from starting.
pub(super) fn hand_down(mount: &Dir, above: &str, only: Option<&str>) -> Result<(), Error> {
    let available = mount.read("cgroup.controllers")?.unwrap_or_default();
    let wanted: Vec<&str> = available.split_whitespace().filter(|c| only.is_none_or(|only| only == *c)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let deepest = if above.is_empty() { None } else { mount.open(above)? };
    if missing(deepest.as_ref().unwrap_or(mount), &wanted)?.is_empty() {
        // A cgroup can only enable what all above it have enabled.
        return Ok(());
    }
    let mut at: Option<Dir> = None;
    let mut ends = prefixes(above);
    loop {
        let dir = at.as_ref().unwrap_or(mount);
        let missing = missing(dir, &wanted)?;
        let all = missing.iter().map(|c| format!("+{c}")).collect::<Vec<_>>().join(" ");
        if !missing.is_empty() && dir.try_write("cgroup.subtree_control", &all).is_err() {
            for one in missing {
                // One controller that is refused takes the others of the same write with it; see above
                // for why the one that is refused is not an error.
                let _refused = dir.try_write("cgroup.subtree_control", &format!("+{one}"));
            }
        }
        let Some((end, _)) = ends.next() else { return Ok(()) };
        at = Some(mount.open(above.get(..end).unwrap_or(above))?.ok_or(Error::Gone)?);
    }
}

fn missing<'a>(dir: &Dir, wanted: &[&'a str]) -> Result<Vec<&'a str>, Error> {
    let enabled = dir.read("cgroup.subtree_control")?.unwrap_or_default();
    Ok(wanted.iter().copied().filter(|w| !enabled.split_whitespace().any(|e| e == *w)).collect())
}

impl Cgroup {
    /// Removes what [`super::Driver::create`] made, after a failure before the container existed.
    /// Directories that others use by now stay.
    pub fn undo(&self) {
        undo(&self.created);
    }
}

fn undo(made: &[Made]) {
    for Made { mount, path } in made.iter().rev() {
        let (above, leaf) = split(path);
        let parent = if above.is_empty() { None } else { mount.open(above).ok().flatten() };
        if parent.is_some() || above.is_empty() {
            // A parent we made may have got other children since (EBUSY): then it stays, rightly.
            let _busy = parent.as_ref().unwrap_or(mount).rmdir(leaf);
        }
    }
}
