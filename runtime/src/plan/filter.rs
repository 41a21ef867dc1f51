//! The seccomp filter: what policy puts below, and the config's profile, compiled to one program.

use super::SeccompLayer;
use super::finding::Findings;
use crate::program::Op;
use seccomp_profiles::{Arch, CapabilitySet, Decisions, Overlay, Profile, denies_execve, families, profile::Action};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Where the descriptor of a notify listener goes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// AF_UNIX socket of the agent.
    pub path: String,
    /// Opaque text for the agent.
    pub metadata: String,
}

/// What a filter is made of, for people; the filter itself is in the program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SeccompSummary {
    /// What policy puts below the config's profile, by name. The strictest answer of all counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<String>,
    /// The config's profile.
    #[serde(flatten)]
    pub profile: Option<ProfileSummary>,
}

/// What a profile says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProfileSummary {
    /// What happens to a call that no rule names.
    pub default_action: String,
    /// The architectures named.
    pub architectures: Vec<String>,
    /// The flags; none is the default.
    pub flags: Option<Vec<String>>,
    /// How many system calls, by action.
    pub syscalls: BTreeMap<String, usize>,
}

impl ProfileSummary {
    /// Counts what is in `profile`.
    fn of(profile: &Profile) -> ProfileSummary {
        let word = |action: Action, errno: Option<u32>| match errno {
            Some(errno) => format!("{} {errno}", action.word()),
            None => action.word().to_string(),
        };
        let mut names: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for rule in &profile.syscalls {
            let of_action = names.entry(word(rule.action, rule.errno_ret)).or_default();
            of_action.extend(rule.names.iter().map(String::as_str));
        }
        let mut syscalls = BTreeMap::new();
        syscalls.extend(names.into_iter().map(|(action, names)| (action, names.len())));
        ProfileSummary {
            default_action: word(profile.default_action, profile.default_errno_ret),
            architectures: profile.architectures.iter().map(|a| a.word().to_string()).collect(),
            flags: profile.flags.as_ref().map(|flags| flags.iter().map(|f| f.word().to_string()).collect()),
            syscalls,
        }
    }
}

impl SeccompLayer {
    /// What it is called in messages.
    fn name(&self) -> String {
        match self {
            SeccompLayer::Overlay { allow } if allow.is_empty() => "overlay".into(),
            SeccompLayer::Overlay { allow } => format!("overlay without {}", allow.join(", ")),
            SeccompLayer::Family { name } | SeccompLayer::Profile { name, .. } => format!("profile {name}"),
        }
    }

    /// What it says about each call; what is wrong with it, one sentence each.
    fn decisions(&self, capabilities: &CapabilitySet) -> Result<Decisions, Vec<String>> {
        let loaded;
        let profile = match self {
            SeccompLayer::Overlay { allow } => {
                let allow: Vec<&str> = allow.iter().map(String::as_str).collect();
                let overlay = Overlay::load(capabilities, &allow).map_err(|error| vec![error.to_string()])?;
                return Ok(Decisions::of_overlay(&overlay, NATIVE));
            }
            SeccompLayer::Family { name } => {
                loaded = families::load(name, capabilities, NATIVE).map_err(|error| vec![error.to_string()])?;
                &loaded
            }
            SeccompLayer::Profile { profile, .. } => profile,
        };
        Decisions::of_profile(profile, NATIVE).map_err(|error| error.problems)
    }
}

/// The ABI of this program, and so of the kernel below it.
const NATIVE: Arch = Arch::X86_64;

/// Where the config's profile stands; what lies below it takes its place where there is none.
const POINTER: &str = "/linux/seccomp";

/// A filter, ready to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// What loads it.
    pub load: Op,
    /// Where its listener goes, if it has one.
    pub listener: Option<Listener>,
    /// What it is made of.
    pub summary: SeccompSummary,
}

/// What the plan says of a filter, beside the operation that loads it.
pub type About = (SeccompSummary, Option<Listener>);

impl Filter {
    /// What is done, and what is said of it.
    pub fn apart(self) -> (Op, About) {
        (self.load, (self.summary, self.listener))
    }
}

/// Compiles `below` and the config's profile, for a process with these capabilities in its bounding set.
pub fn build(
    below: &[SeccompLayer],
    own: Option<&Profile>,
    bounding: u64,
    findings: &mut Findings,
    warnings: &mut Vec<String>,
) -> Option<Filter> {
    let before = findings.len();
    let mut joined: Option<Decisions> = None;
    let mut join = |name: Option<&str>, decisions: Result<Decisions, Vec<String>>| {
        let both = decisions.and_then(|next| match joined.take() {
            None => Ok(next),
            Some(first) => first.and(next).map_err(|error| error.problems),
        });
        match both {
            Ok(both) => joined = Some(both),
            Err(problems) => tell(name, problems, findings),
        }
    };
    for layer in below {
        join(Some(&layer.name()), layer.decisions(&CapabilitySet::from_bits(bounding)));
    }
    if let Some(profile) = own {
        join(None, Decisions::of_profile(profile, NATIVE).map_err(|error| error.problems));
    }
    let decisions = joined.filter(|_| findings.len() == before)?;
    let filter = match decisions.filter() {
        Ok(filter) => filter,
        Err(error) => {
            tell(None, error.problems, findings);
            return None;
        }
    };
    if !filter.warnings.is_empty() {
        warnings.push(format!("seccomp: {}", filter.warnings.join("; ")));
    }
    let layers: Vec<String> = below.iter().map(SeccompLayer::name).collect();
    if denies_execve(&filter, NATIVE) {
        // Init loads the filter last; the only call that follows is the container program's own execve.
        let below = if layers.is_empty() { String::new() } else { format!(", with {} below it,", layers.join(", ")) };
        let what = format!("seccomp: the profile{below} denies execve, so no program can be run under it");
        findings.invalid(POINTER, what);
        return None;
    }
    let listener = filter
        .notify
        .then(|| Listener { path: filter.listener_path.clone(), metadata: filter.listener_metadata.clone() });
    if listener.as_ref().is_some_and(|l| l.path.is_empty()) {
        findings.invalid(POINTER, "seccomp: SCMP_ACT_NOTIFY needs a listenerPath");
    }
    let words = filter.insns.iter().map(|i| {
        // struct sock_filter { u16 code; u8 jt, jf; u32 k; } in memory order.
        let (code, k) = (i.code.to_ne_bytes(), i.k.to_ne_bytes());
        u64::from_ne_bytes([code[0], code[1], i.jt, i.jf, k[0], k[1], k[2], k[3]])
    });
    let load = Op::Seccomp {
        flags: filter.flags,
        instructions: filter.insns.len(),
        listener: filter.notify,
        filter: words.collect(),
    };
    Some(Filter { load, listener, summary: SeccompSummary { layers, profile: own.map(ProfileSummary::of) } })
}

fn tell(layer: Option<&str>, problems: Vec<String>, findings: &mut Findings) {
    for problem in problems {
        let whose = layer.map(|name| format!(" {name}:")).unwrap_or_default();
        findings.invalid(POINTER, format!("seccomp:{whose} {problem}"));
    }
}
