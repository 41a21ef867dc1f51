//! The rules for people: what each is about, which attack it stops, what it breaks, how to allow what it takes away,
//! and which items of published standards it serves. `check`, SARIF and `docs/hardening.md` are made from this.

mod exec;
mod files;
mod kernel;
mod namespaces;
mod process;

use super::rule::Rule;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// How much is lost without a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A second line of defence, or information.
    Low,
    /// Other containers or the host's resources are within reach, or an attack gets easier.
    Medium,
    /// One bug, or one more mistake, away from the host.
    High,
    /// The container is the host.
    Critical,
}

impl Severity {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

/// A published list of what containers should and should not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standard {
    /// CIS Docker Benchmark, section 5, by the numbers of docker-bench-security.
    CisDocker,
    /// Kubernetes Pod Security Standards, policy Baseline, by the names of the controls.
    PssBaseline,
    /// Kubernetes Pod Security Standards, policy Restricted: what it demands beyond Baseline.
    PssRestricted,
    /// NIST SP 800-190, Application Container Security Guide, section 4.
    #[serde(rename = "nist-800-190")]
    Nist,
}

impl Standard {
    /// All of them.
    pub const ALL: [Standard; 4] =
        [Standard::CisDocker, Standard::PssBaseline, Standard::PssRestricted, Standard::Nist];

    /// The word for it on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Standard::CisDocker => "cis-docker",
            Standard::PssBaseline => "pss-baseline",
            Standard::PssRestricted => "pss-restricted",
            Standard::Nist => "nist-800-190",
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Standard::CisDocker => "CIS Docker Benchmark",
            Standard::PssBaseline => "Pod Security Standard Baseline",
            Standard::PssRestricted => "Pod Security Standard Restricted",
            Standard::Nist => "NIST SP 800-190",
        }
    }
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Standard {
    type Err = String;

    fn from_str(word: &str) -> Result<Standard, String> {
        let found = Standard::ALL.into_iter().find(|standard| standard.word() == word);
        let want = "want cis-docker, pss-baseline, pss-restricted or nist-800-190";
        found.ok_or_else(|| format!("unknown standard \"{word}\": {want}"))
    }
}

/// What there is to say about one rule.
#[derive(Debug)]
pub struct Page {
    /// One line, as a demand.
    pub title: &'static str,
    /// How much is lost without it.
    pub severity: Severity,
    /// What it does to a configuration.
    pub does: &'static str,
    /// The attack that it stops, with a public source where there is one.
    pub attack: &'static str,
    /// What stops working.
    pub breaks: &'static str,
    /// What to change in the configuration so that the rule finds nothing, in the words of engines.
    pub fix: &'static str,
    /// How to get that back without the whole rule off; empty where the rule is the smallest unit.
    pub allow: &'static str,
    /// The items of standards that it serves.
    pub standards: &'static [(Standard, &'static str)],
}

/// What there is to say about a rule.
pub fn page(rule: Rule) -> &'static Page {
    match rule {
        Rule::Privileged => &process::PRIVILEGED,
        Rule::Capabilities => &process::CAPABILITIES,
        Rule::NetRaw => &process::NET_RAW,
        Rule::AmbientCapabilities => &process::AMBIENT_CAPABILITIES,
        Rule::NoNewPrivileges => &process::NO_NEW_PRIVILEGES,
        Rule::DropCapabilities => &process::DROP_CAPABILITIES,
        Rule::NonRoot => &process::NON_ROOT,
        Rule::CoreDumps => &process::CORE_DUMPS,
        Rule::PidsLimit => &process::PIDS_LIMIT,
        Rule::SelinuxType => &process::SELINUX_TYPE,
        Rule::SelinuxLabel => &process::SELINUX_LABEL,
        Rule::ApparmorProfile => &process::APPARMOR_PROFILE,
        Rule::SeccompProfile => &kernel::SECCOMP_PROFILE,
        Rule::SeccompOverlay => &kernel::SECCOMP_OVERLAY,
        Rule::SeccompRestricted => &kernel::SECCOMP_RESTRICTED,
        Rule::UserNamespaces => &kernel::USER_NAMESPACES,
        Rule::Sysctls => &kernel::SYSCTLS,
        Rule::UnmaskedProc => &kernel::UNMASKED_PROC,
        Rule::MaskedPaths => &kernel::MASKED_PATHS,
        Rule::HardenedMasks => &kernel::HARDENED_MASKS,
        Rule::ProcSubset => &kernel::PROC_SUBSET,
        Rule::ReadOnlySys => &kernel::READ_ONLY_SYS,
        Rule::HostPid => &namespaces::HOST_PID,
        Rule::HostIpc => &namespaces::HOST_IPC,
        Rule::HostNetwork => &namespaces::HOST_NETWORK,
        Rule::HostUts => &namespaces::HOST_UTS,
        Rule::LandlockScope => &namespaces::LANDLOCK_SCOPE,
        Rule::BindAttributes => &files::BIND_ATTRIBUTES,
        Rule::SensitiveBinds => &files::SENSITIVE_BINDS,
        Rule::FilesystemTypes => &files::FILESYSTEM_TYPES,
        Rule::SharedPropagation => &files::SHARED_PROPAGATION,
        Rule::ReadOnlyRoot => &files::READ_ONLY_ROOT,
        Rule::DeviceWildcards => &files::DEVICE_WILDCARDS,
        Rule::RawDevices => &files::RAW_DEVICES,
        Rule::DeviceRules => &files::DEVICE_RULES,
        Rule::ExtraDevices => &files::EXTRA_DEVICES,
        Rule::ExecBeyondInit => &exec::EXEC_BEYOND_INIT,
        Rule::ExecFloor => &exec::EXEC_FLOOR,
        Rule::ExecMode => &exec::EXEC_MODE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_rule_has_a_page_of_its_own_with_everything_on_it() {
        let mut titles = BTreeSet::new();
        for rule in Rule::ALL {
            let page = page(*rule);
            assert!(titles.insert(page.title), "{rule}: \"{}\" twice", page.title);
            for text in [page.title, page.does, page.attack, page.breaks, page.fix] {
                assert!(text.len() > 10 && text.len() < 500, "{rule}: {text:?}");
                assert!(
                    !text.ends_with('.') || text.contains(". "),
                    "{rule}: one sentence takes no full stop: {text:?}"
                );
            }
            assert!(page.title.len() < 70, "{rule}: {:?}", page.title);
        }
    }

    #[test]
    fn standards_read_back() {
        for standard in Standard::ALL {
            assert_eq!(standard.word().parse(), Ok(standard));
            assert_eq!(serde_json::to_value(standard).unwrap(), standard.word());
        }
        assert!("cis".parse::<Standard>().is_err());
    }
}
