//! The mount options of runtime-spec 1.3 (config.md, "Linux mount options"), as one table.

use crate::program::Attributes;

/// `MOUNT_ATTR_*` of mount_setattr(2).
pub mod attr {
    #![allow(missing_docs)]
    pub const RDONLY: u64 = 0x1;
    pub const NOSUID: u64 = 0x2;
    pub const NODEV: u64 = 0x4;
    pub const NOEXEC: u64 = 0x8;
    pub const ATIME: u64 = 0x70;
    pub const NOATIME: u64 = 0x10;
    pub const STRICTATIME: u64 = 0x20;
    pub const NODIRATIME: u64 = 0x80;
    pub const NOSYMFOLLOW: u64 = 0x20_0000;
}

/// `MS_*` of mount(2).
pub mod ms {
    #![allow(missing_docs)]
    pub const RDONLY: u64 = 1;
    pub const NOSUID: u64 = 2;
    pub const NODEV: u64 = 4;
    pub const NOEXEC: u64 = 8;
    pub const NOSYMFOLLOW: u64 = 1 << 8;
    pub const NOATIME: u64 = 1 << 10;
    pub const NODIRATIME: u64 = 1 << 11;
    pub const UNBINDABLE: u64 = 1 << 17;
    pub const PRIVATE: u64 = 1 << 18;
    pub const SLAVE: u64 = 1 << 19;
    pub const SHARED: u64 = 1 << 20;
    pub const I_VERSION: u64 = 1 << 23;
    pub const STRICTATIME: u64 = 1 << 24;
}

/// What one option means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Sets and clears attributes of the mount.
    Attribute { set: u64, clear: u64 },
    /// The same, down the whole tree.
    Recursive { set: u64, clear: u64 },
    /// A flag of the filesystem that fsconfig(2) knows by this name.
    Filesystem(&'static str),
    /// A propagation type.
    Propagation { kind: u64, recursive: bool },
    /// bind or rbind.
    Bind { recursive: bool },
    /// Changes the mount that is there.
    Remount,
    /// Copies the directory that a tmpfs covers into it.
    CopyUp,
    /// The one that only mount(2) can say.
    Iversion,
    /// An id-mapped mount.
    IdMap,
    /// What is so anyway.
    Nothing,
}

use Meaning::{Attribute, Bind, CopyUp, Filesystem, IdMap, Iversion, Nothing, Propagation, Recursive, Remount};

const fn set(set: u64) -> Meaning {
    Attribute { set, clear: 0 }
}
const fn clear(clear: u64) -> Meaning {
    Attribute { set: 0, clear }
}
const fn atime(set: u64) -> Meaning {
    Attribute { set, clear: attr::ATIME }
}
const fn rset(set: u64) -> Meaning {
    Recursive { set, clear: 0 }
}
const fn rclear(clear: u64) -> Meaning {
    Recursive { set: 0, clear }
}
const fn ratime(set: u64) -> Meaning {
    Recursive { set, clear: attr::ATIME }
}
const fn propagation(kind: u64, recursive: bool) -> Meaning {
    Propagation { kind, recursive }
}

/// Every option by name, sorted. `norelatime` and `rnorelatime` change nothing: since Linux 2.6.30 relative atime is
/// what a mount has unless `noatime` or `strictatime` is asked for. `silent` and `loud` are about printk only.
static OPTIONS: &[(&str, Meaning)] = &[
    ("async", Filesystem("async")),
    ("atime", atime(0)),
    ("bind", Bind { recursive: false }),
    ("defaults", Nothing),
    ("dev", clear(attr::NODEV)),
    ("diratime", clear(attr::NODIRATIME)),
    ("dirsync", Filesystem("dirsync")),
    ("exec", clear(attr::NOEXEC)),
    ("idmap", IdMap),
    ("iversion", Iversion),
    ("lazytime", Filesystem("lazytime")),
    ("loud", Nothing),
    ("mand", Filesystem("mand")),
    ("noatime", atime(attr::NOATIME)),
    ("nodev", set(attr::NODEV)),
    ("nodiratime", set(attr::NODIRATIME)),
    ("noexec", set(attr::NOEXEC)),
    ("noiversion", Nothing),
    ("nolazytime", Filesystem("nolazytime")),
    ("nomand", Filesystem("nomand")),
    ("norelatime", Nothing),
    ("nostrictatime", atime(0)),
    ("nosuid", set(attr::NOSUID)),
    ("nosymfollow", set(attr::NOSYMFOLLOW)),
    ("private", propagation(ms::PRIVATE, false)),
    ("ratime", ratime(0)),
    ("rbind", Bind { recursive: true }),
    ("rdev", rclear(attr::NODEV)),
    ("rdiratime", rclear(attr::NODIRATIME)),
    ("relatime", atime(0)),
    ("remount", Remount),
    ("rexec", rclear(attr::NOEXEC)),
    ("ridmap", IdMap),
    ("rnoatime", ratime(attr::NOATIME)),
    ("rnodev", rset(attr::NODEV)),
    ("rnodiratime", rset(attr::NODIRATIME)),
    ("rnoexec", rset(attr::NOEXEC)),
    ("rnorelatime", Nothing),
    ("rnostrictatime", ratime(0)),
    ("rnosuid", rset(attr::NOSUID)),
    ("rnosymfollow", rset(attr::NOSYMFOLLOW)),
    ("ro", set(attr::RDONLY)),
    ("rprivate", propagation(ms::PRIVATE, true)),
    ("rrelatime", ratime(0)),
    ("rro", rset(attr::RDONLY)),
    ("rrw", rclear(attr::RDONLY)),
    ("rshared", propagation(ms::SHARED, true)),
    ("rslave", propagation(ms::SLAVE, true)),
    ("rstrictatime", ratime(attr::STRICTATIME)),
    ("rsuid", rclear(attr::NOSUID)),
    ("rsymfollow", rclear(attr::NOSYMFOLLOW)),
    ("runbindable", propagation(ms::UNBINDABLE, true)),
    ("rw", clear(attr::RDONLY)),
    ("shared", propagation(ms::SHARED, false)),
    ("silent", Nothing),
    ("slave", propagation(ms::SLAVE, false)),
    ("strictatime", atime(attr::STRICTATIME)),
    ("suid", clear(attr::NOSUID)),
    ("symfollow", clear(attr::NOSYMFOLLOW)),
    ("sync", Filesystem("sync")),
    ("tmpcopyup", CopyUp),
    ("unbindable", propagation(ms::UNBINDABLE, false)),
];

/// The names of all options that are implemented, for `features`.
pub fn names() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().filter(|(_, meaning)| *meaning != IdMap).map(|(name, _)| *name)
}

/// The options of one mount, understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Attributes of the mount itself; `recursive` is false.
    pub own: Attributes,
    /// Attributes of the whole tree; `recursive` is true.
    pub tree: Attributes,
    /// Propagation types in the order given.
    pub propagation: Vec<(u64, bool)>,
    /// Some(recursive) when it is a bind.
    pub bind: Option<bool>,
    /// Changes the mount that is there.
    pub remount: bool,
    /// tmpcopyup.
    pub copy_up: bool,
    /// iversion.
    pub iversion: bool,
    /// idmap or ridmap.
    pub id_map: bool,
    /// What the filesystem itself is to be told.
    pub data: Vec<(String, Option<String>)>,
}

impl MountOptions {
    /// Reads the options; the last of two that contradict each other wins, as in mount(8).
    pub fn parse(options: &[String]) -> MountOptions {
        let mut all = MountOptions { tree: Attributes { recursive: true, ..Default::default() }, ..Default::default() };
        for option in options {
            match OPTIONS.binary_search_by_key(&option.as_str(), |(name, _)| name) {
                Ok(at) => all.take(OPTIONS[at].1),
                Err(_) => all.data.push(match option.split_once('=') {
                    Some((key, value)) => (key.to_string(), Some(value.to_string())),
                    None => (option.clone(), None),
                }),
            }
        }
        all
    }

    fn take(&mut self, meaning: Meaning) {
        let apply = |attributes: &mut Attributes, set: u64, clear: u64| {
            attributes.set = (attributes.set & !clear) | set;
            attributes.clear = (attributes.clear & !set) | clear;
        };
        match meaning {
            Attribute { set, clear } => apply(&mut self.own, set, clear),
            Recursive { set, clear } => apply(&mut self.tree, set, clear),
            Filesystem(flag) => self.data.push((flag.to_string(), None)),
            Propagation { kind, recursive } => self.propagation.push((kind, recursive)),
            Bind { recursive } => self.bind = Some(recursive),
            Remount => self.remount = true,
            CopyUp => self.copy_up = true,
            Iversion => self.iversion = true,
            IdMap => self.id_map = true,
            Nothing => {}
        }
    }

    /// The same attributes as flags of mount(2).
    pub fn legacy_flags(&self) -> u64 {
        let table = [
            (attr::RDONLY, ms::RDONLY),
            (attr::NOSUID, ms::NOSUID),
            (attr::NODEV, ms::NODEV),
            (attr::NOEXEC, ms::NOEXEC),
            (attr::NOATIME, ms::NOATIME),
            (attr::STRICTATIME, ms::STRICTATIME),
            (attr::NODIRATIME, ms::NODIRATIME),
            (attr::NOSYMFOLLOW, ms::NOSYMFOLLOW),
        ];
        table.iter().filter(|(a, _)| self.own.set & a != 0).fold(ms::I_VERSION, |flags, (_, m)| flags | m)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> MountOptions {
        MountOptions::parse(&options.iter().map(|o| o.to_string()).collect::<Vec<_>>())
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(OPTIONS.is_sorted_by_key(|(name, _)| name));
    }

    #[test]
    fn the_last_of_two_contradicting_options_wins() {
        assert_eq!(parse(&["ro", "rw"]).own, Attributes { clear: attr::RDONLY, ..Default::default() });
        assert_eq!(parse(&["rw", "ro"]).own, Attributes { set: attr::RDONLY, ..Default::default() });
        let both = parse(&["strictatime", "noatime"]).own;
        // mount_setattr(2) wants the whole group cleared when one of it is set.
        assert_eq!((both.set & attr::ATIME, both.clear & attr::ATIME), (attr::NOATIME, attr::ATIME));
    }

    #[test]
    fn what_is_no_option_goes_to_the_filesystem() {
        let options = parse(&["nosuid", "size=64k", "newinstance", "mode=1777"]);
        assert_eq!(options.data.len(), 3);
        assert_eq!(options.data[1], ("newinstance".into(), None));
    }

    #[test]
    fn a_plain_and_a_recursive_option_are_kept_apart() {
        let options = parse(&["rbind", "ro", "rnosuid", "rprivate"]);
        assert_eq!(options.own.set, attr::RDONLY);
        assert_eq!((options.tree.set, options.tree.recursive), (attr::NOSUID, true));
        assert_eq!(options.propagation, [(ms::PRIVATE, true)]);
    }
}
