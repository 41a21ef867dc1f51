//! The mounts that a program makes, with the attributes that they have in the end.

use super::super::Handle;
use super::super::mount_options::{attr, ms};
use super::clean;
use crate::program::{Attributes, Op, Target};
use std::collections::BTreeMap;

/// Attributes that take something away from a mount; those of access times do not.
const STRICT: u64 = attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC | attr::NOSYMFOLLOW;
const SCRATCH: u64 = attr::NOSUID | attr::NODEV | attr::NOEXEC;

/// What comes in from the host's mounts.
const RECEIVES: u8 = 1;
/// What goes out to those that hang together with it.
const SENDS: u8 = 2;

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Something of the host's.
    Host(Handle),
    /// A new filesystem.
    New {
        /// Its type.
        fstype: String,
        /// Parameters, in their order.
        options: Vec<(String, Option<String>)>,
        /// `MS_*`, where mount(2) makes it.
        flags: Option<u64>,
        /// With a copy of what it covers.
        copy_up: bool,
    },
    /// Whatever is at the destination: a remount of something that this program did not mount itself.
    There,
}

/// What is known of attributes: bits in `set` are set, bits in `clear` are not, the others are as the source has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    set: u64,
    clear: u64,
}

impl Known {
    fn apply(&mut self, change: &Attributes) {
        let (set, clear) = (change.set & STRICT, change.clear & STRICT);
        self.set = self.set & !clear | set;
        self.clear = self.clear & !set | clear & !set;
    }

    fn within(self, other: Known) -> bool {
        other.set & !self.set == 0 && self.clear & !other.clear == 0
    }
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// Where; `/` for the root.
    pub destination: String,
    /// What.
    pub source: Source,
    own: Known,
    /// Of mounts below it that come with it.
    below: Known,
    propagation: (u8, u8),
}

impl Mounted {
    /// A filesystem that policy gives for a directory of a root that it makes read-only: private, limited, and empty or
    /// with a copy of what is there.
    pub fn is_scratch(&self) -> bool {
        let Source::New { fstype, options, flags: None, .. } = &self.source else { return false };
        let limited = options.iter().any(|(key, value)| {
            key == "size" && value.as_ref().is_some_and(|v| v.parse::<u64>().is_ok_and(|size| size > 0))
        });
        fstype == "tmpfs" && limited && self.own.set & SCRATCH == SCRATCH
    }

    /// A remount of what is there anyway, that gives nothing.
    fn only_takes_away(&self) -> bool {
        let nothing = Known::default();
        self.source == Source::There
            && self.own.within(nothing)
            && self.below.within(nothing)
            && self.propagation == (0, 0)
    }

    /// Whether a path lies on it, where nothing is mounted in between.
    fn holds(&self, path: &str) -> bool {
        let rest = path.strip_prefix(self.destination.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether its own attributes make it read-only.
    pub fn is_readonly(&self) -> bool {
        self.own.set & attr::RDONLY != 0
    }

    /// The same mount in another plan: on the same place and of the same thing, whatever its attributes.
    fn is(&self, other: &Mounted) -> bool {
        let same = match (&self.source, &other.source) {
            (Source::New { fstype: one, .. }, Source::New { fstype: another, .. }) => one == another,
            (one, another) => one == another,
        };
        same && self.destination == other.destination
    }

    /// What this one gives beyond `other`, which is the same mount.
    fn excess(&self, other: &Mounted) -> Option<&'static str> {
        if !self.own.within(other.own) || !self.below.within(other.below) {
            return Some("attributes that took something away are missing");
        }
        let more = |now: u8, before: u8| now & !before != 0;
        if more(self.propagation.0, other.propagation.0) || more(self.propagation.1, other.propagation.1) {
            return Some("it propagates further");
        }
        let (
            Source::New { fstype, options, flags, copy_up },
            Source::New { options: before, flags: flags_before, copy_up: copy_before, .. },
        ) = (&self.source, &other.source)
        else {
            return None;
        };
        let strict = ms::RDONLY | ms::NOSUID | ms::NODEV | ms::NOEXEC | ms::NOSYMFOLLOW;
        let flags_fit = match (flags, flags_before) {
            (Some(now), Some(before)) => before & strict & !now == 0 && before & !strict == now & !strict,
            (now, before) => now == before,
        };
        if !flags_fit || copy_up != copy_before {
            return Some("it is mounted in another way");
        }
        parameters(fstype, options, before)
    }
}

/// Parameters that say something else, unless they narrow.
fn parameters(
    fstype: &str,
    now: &[(String, Option<String>)],
    before: &[(String, Option<String>)],
) -> Option<&'static str> {
    // The last one of a name counts.
    let map = |list: &[(String, Option<String>)]| {
        let mut map: BTreeMap<String, Option<String>> = BTreeMap::new();
        map.extend(list.iter().cloned());
        map
    };
    let (mut now, mut before) = (map(now), map(before));
    for key in now.keys().chain(before.keys()).cloned().collect::<Vec<_>>() {
        if now.get(&key) == before.get(&key) {
            now.remove(&key);
            before.remove(&key);
        }
    }
    for (key, value) in &now {
        let narrows = match (fstype, key.as_str(), before.get(key)) {
            ("proc", "subset", None) => value.as_deref() == Some("pid"),
            ("proc", "hidepid", None) => true,
            // A label where there was none.
            (_, "context", None) => true,
            // A limit where there was none.
            ("tmpfs", "size" | "nr_inodes" | "nr_blocks", None) => {
                value.as_ref().is_some_and(|v| v.parse::<u64>().is_ok_and(|limit| limit > 0))
            }
            _ => false,
        };
        if !narrows {
            return Some("its parameters are other ones");
        }
    }
    before.keys().any(|key| !now.contains_key(key)).then_some("parameters are missing")
}

/// Mounts in the making.
pub struct Table<'p> {
    handles: &'p [Handle],
    /// Attributes of clones that are not attached yet, by their handle.
    detached: BTreeMap<u32, (Known, Known, (u8, u8))>,
    /// The last one on a place hides those before it.
    pub mounts: Vec<Mounted>,
}

impl<'p> Table<'p> {
    pub fn new(handles: &'p [Handle]) -> Table<'p> {
        Table { handles, detached: BTreeMap::new(), mounts: Vec::new() }
    }

    pub fn take(&mut self, op: &Op) {
        match op {
            Op::AttachRoot { tree } => self.attach(tree.0, "/"),
            Op::Bind { tree, destination, .. } => self.attach(tree.0, destination),
            Op::Mount { fstype, destination, options, attributes, copy_up, legacy_flags, .. } => {
                let source = Source::New {
                    fstype: fstype.clone(),
                    options: options.clone(),
                    flags: *legacy_flags,
                    copy_up: *copy_up,
                };
                let mut mounted = Mounted {
                    destination: clean(destination),
                    source,
                    own: Known::default(),
                    below: Known::default(),
                    propagation: (0, 0),
                };
                // A new filesystem has what it is given.
                mounted.own.clear = STRICT;
                change(&mut mounted.own, &mut mounted.below, &mut mounted.propagation, attributes);
                self.mounts.push(mounted);
            }
            Op::SetMount { target: Target::Tree(tree), attributes } => {
                let (own, below, propagation) = self.detached.entry(tree.0).or_insert(CLONED);
                change(own, below, propagation, attributes);
            }
            Op::SetMount { target: Target::Root, attributes } => self.change("/", attributes),
            Op::SetMount { target: Target::Dev, attributes } => self.change("/dev", attributes),
            Op::SetMount { target: Target::Path(path), attributes } => self.change(&clean(path), attributes),
            _ => {}
        }
    }

    fn attach(&mut self, tree: u32, destination: &str) {
        let (own, below, propagation) = self.detached.get(&tree).copied().unwrap_or(CLONED);
        let handle = usize::try_from(tree).ok().and_then(|place| self.handles.get(place));
        let source = handle.map_or(Source::There, |handle| Source::Host(handle.clone()));
        self.mounts.push(Mounted { destination: clean(destination), source, own, below, propagation });
    }

    fn change(&mut self, path: &str, attributes: &Attributes) {
        if attributes.recursive {
            let prefix = if path == "/" { "/".to_string() } else { format!("{path}/") };
            for mounted in
                self.mounts.iter_mut().filter(|m| m.destination != path && m.destination.starts_with(&prefix))
            {
                change(&mut mounted.own, &mut mounted.below, &mut mounted.propagation, attributes);
            }
        }
        if !self.mounts.iter().any(|mounted| mounted.destination == path) {
            let there = Mounted {
                destination: path.to_string(),
                source: Source::There,
                own: Known::default(),
                below: Known::default(),
                propagation: (0, 0),
            };
            self.mounts.push(there);
        }
        if let Some(mounted) = self.mounts.iter_mut().rev().find(|mounted| mounted.destination == path) {
            change(&mut mounted.own, &mut mounted.below, &mut mounted.propagation, attributes);
        }
    }
}

/// A clone has the attributes of what it is a clone of, and is its peer.
const CLONED: (Known, Known, (u8, u8)) =
    (Known { set: 0, clear: 0 }, Known { set: 0, clear: 0 }, (RECEIVES | SENDS, RECEIVES | SENDS));

fn change(own: &mut Known, below: &mut Known, propagation: &mut (u8, u8), by: &Attributes) {
    let to = |now: u8| match by.propagation {
        ms::PRIVATE | ms::UNBINDABLE => 0,
        ms::SLAVE => now & RECEIVES,
        ms::SHARED => now | SENDS,
        _ => now,
    };
    own.apply(by);
    propagation.0 = to(propagation.0);
    if by.recursive {
        below.apply(by);
        propagation.1 = to(propagation.1);
    }
}

/// What the mounts `now` give beyond `before`: each mount of before has to be there, in its order, and only scratch
/// filesystems may be added, where one could write before.
pub fn excess(now: &[Mounted], before: &[Mounted]) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = before.iter().peekable();
    let mut passed: Vec<&Mounted> = Vec::new();
    for mounted in now {
        let place = &mounted.destination;
        if let Some(before) = rest.next_if(|before| mounted.is(before)) {
            found.extend(mounted.excess(before).map(|what| format!("mount on {place}: {what}")));
            passed.push(before);
        } else if mounted.only_takes_away() {
            continue;
        } else if !mounted.is_scratch() {
            found.push(format!("mount on {place}: it was not there before"));
        } else if before
            .first()
            .is_none_or(|root| mounted.propagation.0 & !(root.propagation.0 | root.propagation.1) != 0)
        {
            // With a root that is shared inside, it or what is below it, so is this.
            found.push(format!("mount on {place}: it propagates"));
        } else if passed.iter().rev().find(|below| below.holds(place)).is_none_or(|below| below.is_readonly()) {
            found.push(format!("mount on {place}: one could not write there before"));
        }
    }
    found.extend(rest.map(|gone| format!("mount on {}: what it covered is visible", gone.destination)));
    found
}
