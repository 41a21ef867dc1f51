//! Single words: ids, users, signals, levels, labels, paths, variables. The first byte of an input says which is read.

use crate::facts;
use casemate::cgroup;
use casemate::cli::{ContainerId, Signal, User, parse_id};
use casemate::listen::Activation;
use casemate::plan::mount_options::{MountOptions, attr};
use casemate::plan::{clean, security, sysctl_name, sysctl_namespace};
use casemate::policy::catalogue::Standard;
use casemate::policy::{Date, Level, Mode, Rule};
use casemate_selinux::{Categories, Context};
use seccomp_profiles::{CapabilitySet, Syscall};
use std::ffi::CStr;
use std::str::FromStr;

type Read = fn(&str);

/// By the first byte, from `a` on.
const WORDS: [Read; 12] =
    [container_id, user, signal, policy, context, activation, path, cgroups_path, sysctl, capability, date, syscall];

pub fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    if let Some(read) = WORDS.get(usize::from(first.wrapping_sub(b'a'))) {
        read(text);
    }
}

fn container_id(text: &str) {
    if let Ok(id) = text.parse::<ContainerId>() {
        assert_eq!(id.as_str(), text);
        assert!(!text.contains(['/', '\0', '\n', ' ']) && !text.starts_with(['.', '-']) && text.len() <= 255);
    }
}

fn user(text: &str) {
    if let Ok(user) = text.parse::<User>() {
        let again = user.gid.map_or(user.uid.to_string(), |gid| format!("{}:{gid}", user.uid));
        assert_eq!(again, text, "read from another text than it has");
        assert!(user.uid != u32::MAX && user.gid != Some(u32::MAX));
    }
    assert!(parse_id(text).is_none_or(|id| id.to_string() == text));
}

fn signal(text: &str) {
    if let Ok(signal) = text.parse::<Signal>() {
        assert!((0..=64).contains(&signal.number()));
    }
}

fn policy(text: &str) {
    fn same<T: FromStr + ToString>(text: &str) {
        assert!(text.parse::<T>().map_or(true, |value| value.to_string() == text));
    }
    same::<Level>(text);
    same::<Rule>(text);
    assert!(text.parse::<Mode>().map_or(true, |mode| mode.word() == text));
    assert!(text.parse::<Standard>().map_or(true, |standard| standard.word() == text));
}

fn context(text: &str) {
    if let Ok(context) = text.parse::<Context>() {
        let again: Context = context.to_string().parse().unwrap();
        assert_eq!(again, context);
        // What goes into an option of mount(2) must not end it.
        assert!(!context.to_string().contains(['"', '\0', '\n', ' ']));
    }
    // Either answer; what counts is that there is one.
    let _list = Categories::parse(text);
}

fn activation(text: &str) {
    let mut words = text.split('\n');
    let (fds, pid, names) = (words.next(), words.next(), words.next());
    if let Ok(Some(activation)) = Activation::parse(fds, pid, names.map(str::to_owned), 42) {
        assert!((1..=1024).contains(&activation.fds));
        assert!(activation.env().iter().all(|entry| entry.starts_with("LISTEN_")));
    }
}

fn path(text: &str) {
    let clean_path = clean(text);
    assert!(clean_path.starts_with('/'));
    assert!(clean_path == "/" || clean_path.split('/').skip(1).all(|part| !["", ".", ".."].contains(&part)));
    assert_eq!(clean(&clean_path), clean_path);
}

fn cgroups_path(text: &str) {
    for facts in [facts::hybrid(), facts::unified()] {
        let Ok(path) = cgroup::Path::from_spec(Some(text), "c1", &facts.cgroups) else { continue };
        for record in path.records {
            assert!(record.path.split('/').all(|part| !["", ".", ".."].contains(&part)), "{record:?}");
            assert!(!record.path.contains(['\0', '\n']), "{record:?}");
        }
    }
}

fn sysctl(text: &str) {
    let Some(name) = sysctl_name(text) else { return };
    // None, or a name; asked for what it does not do.
    let _namespace = sysctl_namespace(&name);
}

fn capability(text: &str) {
    assert!(security::capability_bit(text).is_none_or(|bit| bit.is_power_of_two() && bit < 1 << 41));
    // The same word, read by the other crate.
    let _set = CapabilitySet::from_names(text.split(','));
}

fn date(text: &str) {
    if let Ok(seconds) = text.parse::<u64>() {
        let Date { year, month, day } = Date::of_unix(seconds);
        assert!((1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day));
    }
}

fn syscall(text: &str) {
    assert!(Syscall::from_name(text).is_none_or(|call| call.name() == text));
    // An environment's entry as C sees it: nothing behind a NUL.
    let _entry = CStr::from_bytes_until_nul(text.as_bytes());
}

/// `options` of a mount, divided by line breaks.
pub fn mount_options(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let options: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let parsed = MountOptions::parse(&options);
    for all in [parsed.own, parsed.tree, parsed.all_attributes()] {
        assert_eq!(all.set & all.clear & !attr::ATIME, 0, "set and cleared");
        assert!(all.clear & attr::ATIME == 0 || all.clear & attr::ATIME == attr::ATIME);
        assert!([0, attr::NOATIME, attr::STRICTATIME].contains(&(all.set & attr::ATIME)));
    }
    let twice = MountOptions::parse(&[options.clone(), options].concat());
    assert_eq!((parsed.own, parsed.tree, parsed.bind), (twice.own, twice.tree, twice.bind), "said twice");
}
