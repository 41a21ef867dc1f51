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
    pub const SYNCHRONOUS: u64 = 16;
    pub const MANDLOCK: u64 = 64;
    pub const DIRSYNC: u64 = 128;
    pub const NOSYMFOLLOW: u64 = 1 << 8;
    pub const NOATIME: u64 = 1 << 10;
    pub const NODIRATIME: u64 = 1 << 11;
    pub const UNBINDABLE: u64 = 1 << 17;
    pub const PRIVATE: u64 = 1 << 18;
    pub const SLAVE: u64 = 1 << 19;
    pub const SHARED: u64 = 1 << 20;
    pub const I_VERSION: u64 = 1 << 23;
    pub const STRICTATIME: u64 = 1 << 24;
    pub const LAZYTIME: u64 = 1 << 25;
}

/// What one option means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Sets and clears attributes of the mount.
    Attribute { set: u64, clear: u64 },
    /// The same, down the whole tree.
    Recursive { set: u64, clear: u64 },
    /// Takes back one way of keeping access times, if it is the one that holds.
    NotAtime { way: u64, recursive: bool },
    /// Switches a flag of the filesystem on or off: fsconfig(2)'s word for it, and the flag of mount(2).
    Filesystem { word: &'static str, flag: u64, on: bool },
    /// A propagation type.
    Propagation { kind: u64, recursive: bool },
    /// bind or rbind.
    Bind { recursive: bool },
    /// Changes the mount that is there.
    Remount,
    /// Copies the directory that a tmpfs covers into it.
    CopyUp,
    /// The one that only mount(2) can say, on or off.
    Iversion(bool),
    /// An id-mapped mount.
    IdMap,
    /// What is so anyway.
    Nothing,
}

use Meaning::{
    Attribute, Bind, CopyUp, Filesystem, IdMap, Iversion, NotAtime, Nothing, Propagation, Recursive, Remount,
};

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
const fn not_atime(way: u64, recursive: bool) -> Meaning {
    NotAtime { way, recursive }
}
const fn on(word: &'static str, flag: u64) -> Meaning {
    Filesystem { word, flag, on: true }
}
const fn off(word: &'static str, flag: u64) -> Meaning {
    Filesystem { word, flag, on: false }
}
const fn propagation(kind: u64, recursive: bool) -> Meaning {
    Propagation { kind, recursive }
}

/// Every option by name, sorted. `norelatime` and `rnorelatime` change nothing: since Linux 2.6.30 relative atime is
/// what a mount has unless `noatime` or `strictatime` is asked for. `silent` and `loud` are about printk only.
static OPTIONS: &[(&str, Meaning)] = &[
    ("async", off("async", ms::SYNCHRONOUS)),
    ("atime", not_atime(attr::NOATIME, false)),
    ("bind", Bind { recursive: false }),
    ("defaults", Nothing),
    ("dev", clear(attr::NODEV)),
    ("diratime", clear(attr::NODIRATIME)),
    ("dirsync", on("dirsync", ms::DIRSYNC)),
    ("exec", clear(attr::NOEXEC)),
    ("idmap", IdMap),
    ("iversion", Iversion(true)),
    ("lazytime", on("lazytime", ms::LAZYTIME)),
    ("loud", Nothing),
    ("mand", on("mand", ms::MANDLOCK)),
    ("noatime", atime(attr::NOATIME)),
    ("nodev", set(attr::NODEV)),
    ("nodiratime", set(attr::NODIRATIME)),
    ("noexec", set(attr::NOEXEC)),
    ("noiversion", Iversion(false)),
    ("nolazytime", off("nolazytime", ms::LAZYTIME)),
    ("nomand", off("nomand", ms::MANDLOCK)),
    ("norelatime", Nothing),
    ("nostrictatime", not_atime(attr::STRICTATIME, false)),
    ("nosuid", set(attr::NOSUID)),
    ("nosymfollow", set(attr::NOSYMFOLLOW)),
    ("private", propagation(ms::PRIVATE, false)),
    ("ratime", not_atime(attr::NOATIME, true)),
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
    ("rnostrictatime", not_atime(attr::STRICTATIME, true)),
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
    ("sync", on("sync", ms::SYNCHRONOUS)),
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
    /// Flags that every filesystem has: fsconfig(2)'s word, the flag of mount(2), and whether it is switched on.
    pub flags: Vec<(&'static str, u64, bool)>,
    /// What this filesystem itself is to be told.
    pub data: Vec<(String, Option<String>)>,
}

impl MountOptions {
    /// Reads the options; the last of two that contradict each other wins, as in mount(8).
    pub fn parse(options: &[String]) -> MountOptions {
        let mut all = MountOptions { tree: Attributes { recursive: true, ..Default::default() }, ..Default::default() };
        for option in options {
            match OPTIONS.binary_search_by_key(&option.as_str(), |(name, _)| name) {
                Ok(at) => all.take(OPTIONS[at].1),
                Err(_) => all.data.extend(split(option)),
            }
        }
        all
    }

    fn take(&mut self, meaning: Meaning) {
        match meaning {
            Attribute { set, clear } => apply(&mut self.own, set, clear),
            Recursive { set, clear } => apply(&mut self.tree, set, clear),
            NotAtime { way, recursive } => {
                let attributes = if recursive { &mut self.tree } else { &mut self.own };
                let holds = attributes.set & attr::ATIME;
                if holds == way || holds == 0 {
                    apply(attributes, 0, attr::ATIME);
                }
            }
            Filesystem { word, flag, on } => {
                self.flags.retain(|(_, other, _)| *other != flag);
                self.flags.push((word, flag, on));
            }
            Propagation { kind, recursive } => self.propagation.push((kind, recursive)),
            Bind { recursive } => self.bind = Some(recursive.max(self.bind.unwrap_or(false))),
            Remount => self.remount = true,
            CopyUp => self.copy_up = true,
            Iversion(on) => self.iversion = on,
            IdMap => self.id_map = true,
            Nothing => {}
        }
    }

    /// The attributes of a mount with nothing below it, where plain and recursive options mean the same.
    pub fn all_attributes(&self) -> Attributes {
        let mut all = self.own;
        apply(&mut all, self.tree.set, self.tree.clear);
        all
    }

    /// The same, and the flags of the filesystem, as flags of mount(2).
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
        let set = self.all_attributes().set;
        let of_mount = table.iter().filter(|(a, _)| set & a != 0).map(|(_, m)| *m);
        let of_filesystem = self.flags.iter().filter(|(_, _, on)| *on).map(|(_, m, _)| *m);
        let counted = if self.iversion { ms::I_VERSION } else { 0 };
        of_mount.chain(of_filesystem).fold(counted, |all, flag| all | flag)
    }
}

fn apply(attributes: &mut Attributes, set: u64, clear: u64) {
    attributes.set = (attributes.set & !clear) | set;
    attributes.clear = (attributes.clear & !set) | clear;
}

/// One entry of `options` for the filesystem. mount(2) takes all of them as one text with commas between, so an entry
/// may hold several; a comma in double quotes (a label with categories) or behind a backslash (a path of overlayfs) is
/// part of a value. The quotes are mount(2)'s and no part of a label.
fn split(entry: &str) -> Vec<(String, Option<String>)> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in entry.chars() {
        quoted ^= c == '"';
        match parts.last_mut() {
            Some(part) if c != ',' || quoted || escaped => part.push(c),
            _ => parts.push(String::new()),
        }
        escaped = c == '\\' && !escaped;
    }
    parts.retain(|part| !part.is_empty());
    let pair = |part: String| match part.split_once('=') {
        Some((key, value)) if key.ends_with("context") => (key.to_string(), Some(value.replace('"', ""))),
        Some((key, value)) => (key.to_string(), Some(value.to_string())),
        None => (part, None),
    };
    parts.into_iter().map(pair).collect()
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

    /// All options that config.md 1.3 says MUST, SHOULD or MAY be there, but the two of id-mapped mounts.
    const SPEC: &str = "async atime bind defaults dev diratime dirsync exec iversion lazytime loud noatime nodev \
        nodiratime noexec noiversion nolazytime norelatime nostrictatime nosuid private ratime rbind rdev rdiratime \
        relatime remount rexec rnoatime rnodiratime rnoexec rnorelatime rnostrictatime rnosuid ro rprivate rrelatime \
        rro rrw rshared rslave rstrictatime rsuid runbindable rw shared silent slave strictatime suid sync tmpcopyup \
        unbindable mand nomand nosymfollow symfollow rnosymfollow rsymfollow rnodev";

    #[test]
    fn every_option_of_the_spec_is_understood_and_listed_in_features() {
        for option in SPEC.split_whitespace() {
            assert_eq!(parse(&[option]).data, [], "{option}");
            assert!(names().any(|name| name == option), "{option}");
        }
        assert_eq!(names().count(), SPEC.split_whitespace().count());
        for option in ["idmap", "ridmap"] {
            assert!(parse(&[option]).id_map && names().all(|name| name != option));
        }
    }

    #[test]
    fn every_plain_attribute_has_its_opposite_and_its_recursive_twin() {
        for (set, clear, bit) in [
            ("ro", "rw", attr::RDONLY),
            ("nosuid", "suid", attr::NOSUID),
            ("nodev", "dev", attr::NODEV),
            ("noexec", "exec", attr::NOEXEC),
            ("nodiratime", "diratime", attr::NODIRATIME),
            ("nosymfollow", "symfollow", attr::NOSYMFOLLOW),
        ] {
            assert_eq!((parse(&[set]).own.set, parse(&[clear]).own.clear), (bit, bit), "{set}");
            let (rset, rclear) = (format!("r{set}"), format!("r{clear}"));
            assert_eq!((parse(&[&rset]).tree.set, parse(&[&rclear]).tree.clear), (bit, bit), "{rset}");
            assert_eq!(parse(&[&rset]).own, Attributes::default(), "{rset}");
        }
    }

    #[test]
    fn an_access_time_option_takes_back_only_its_own_kind() {
        let way = |options: &[&str]| parse(options).own.set & attr::ATIME;
        assert_eq!(way(&["strictatime", "atime"]), attr::STRICTATIME);
        assert_eq!(way(&["noatime", "nostrictatime"]), attr::NOATIME);
        assert_eq!(way(&["noatime", "atime"]), 0);
        assert_eq!(way(&["noatime", "relatime"]), 0);
        assert_eq!(way(&["noatime", "norelatime"]), attr::NOATIME);
    }

    #[test]
    fn flags_of_the_filesystem_are_no_data_and_the_last_one_counts() {
        let options = parse(&["sync", "mand", "async", "dirsync", "noiversion"]);
        assert_eq!(options.data, []);
        assert_eq!(options.flags.iter().map(|(word, ..)| *word).collect::<Vec<_>>(), ["mand", "async", "dirsync"]);
        assert_eq!(options.legacy_flags(), ms::MANDLOCK | ms::DIRSYNC);
        assert!(!parse(&["iversion", "noiversion"]).iversion);
        assert_eq!(
            parse(&["iversion", "ro", "rnosuid", "sync"]).legacy_flags(),
            ms::I_VERSION | ms::RDONLY | ms::NOSUID | ms::SYNCHRONOUS
        );
    }

    #[test]
    fn one_entry_may_hold_several_options_as_for_mount_2() {
        let pair = |key: &str, value: &str| (key.to_string(), Some(value.to_string()));
        assert_eq!(parse(&["mode=755,size=64k"]).data, [pair("mode", "755"), pair("size", "64k")]);
        assert_eq!(parse(&["", ","]).data, []);
        assert_eq!(parse(&["lowerdir=/a\\,b"]).data, [pair("lowerdir", "/a\\,b")]);
        let label = "context=\"system_u:object_r:container_file_t:s0:c1,c2\"";
        assert_eq!(parse(&[label, "mode=1"]).data[0], pair("context", "system_u:object_r:container_file_t:s0:c1,c2"));
    }

    #[test]
    fn several_propagation_options_are_all_kept_in_order() {
        assert_eq!(parse(&["slave", "rshared"]).propagation, [(ms::SLAVE, false), (ms::SHARED, true)]);
    }

    #[test]
    fn of_bind_and_rbind_the_deeper_one_counts() {
        assert_eq!(parse(&["rbind", "bind"]).bind, Some(true));
        assert_eq!(parse(&["bind", "rbind"]).bind, Some(true));
        assert_eq!(parse(&["bind"]).bind, Some(false));
    }
}
