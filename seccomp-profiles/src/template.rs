//! The format in which engines keep their profiles: rules that depend on capabilities, architectures and kernels.
//!
//! Moby's `profiles/seccomp/default.json` and `/usr/share/containers/seccomp.json` have it. An engine resolves it for one
//! container into the specification's format, which is all that a runtime sees.

use crate::profile::{Action, Architecture, Arg, Profile, Rule};
use serde::Deserialize;
use std::{error, fmt};

/// A profile as an engine keeps it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    default_action: Action,
    default_errno_ret: Option<u32>,
    architectures: Option<Vec<Architecture>>,
    arch_map: Option<Vec<ArchMap>>,
    syscalls: Option<Vec<TemplateRule>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: Architecture,
    sub_architectures: Option<Vec<Architecture>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TemplateRule {
    name: Option<String>,
    names: Option<Vec<String>>,
    action: Action,
    errno_ret: Option<u32>,
    args: Option<Vec<Arg>>,
    includes: Option<Selection>,
    excludes: Option<Selection>,
}

/// When a rule is meant, or is not.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selection {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// What a template is resolved for.
#[derive(Clone, Debug)]
pub struct Container<'a> {
    /// The bounding set, as `CAP_SYS_ADMIN` is spelled.
    pub caps: &'a [&'a str],
    /// The native architecture.
    pub architecture: Architecture,
    /// The same, in Go's words: `amd64`, `arm64`.
    pub goarch: &'a str,
    /// First two numbers of the kernel's version.
    pub kernel: (u32, u32),
}

/// Why a template cannot be resolved.
#[derive(Debug)]
pub enum TemplateError {
    /// It is no template.
    Read(serde_json::Error),
    /// A rule, by its index, has both `name` and `names`.
    NameAndNames(usize),
    /// Both `architectures` and `archMap` are given.
    ArchitecturesAndMap,
    /// A `minKernel` that is not two numbers with a dot between.
    Kernel(String),
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateError::Read(why) => write!(f, "seccomp template: {why}"),
            TemplateError::NameAndNames(index) => write!(f, "seccomp template: rule {index} has both name and names"),
            TemplateError::ArchitecturesAndMap => {
                f.write_str("seccomp template: both architectures and archMap are given")
            }
            TemplateError::Kernel(text) => write!(f, "seccomp template: minKernel \"{text}\" is not like \"4.8\""),
        }
    }
}

impl error::Error for TemplateError {}

impl Template {
    /// Reads the JSON of a template.
    ///
    /// # Errors
    /// Text that is no JSON, fields of the wrong type, unknown words.
    pub fn from_json(text: &[u8]) -> Result<Template, TemplateError> {
        serde_json::from_slice(text).map_err(TemplateError::Read)
    }

    /// The profile for one container.
    ///
    /// # Errors
    /// Fields that exclude each other, a `minKernel` that is no version.
    pub fn resolve(&self, container: &Container<'_>) -> Result<Profile, TemplateError> {
        let mut syscalls = Vec::new();
        for (index, rule) in self.syscalls.iter().flatten().enumerate() {
            let names = match (&rule.name, &rule.names) {
                (Some(name), None) => vec![name.clone()],
                (None, names) => names.clone().unwrap_or_default(),
                (Some(_), Some(_)) => return Err(TemplateError::NameAndNames(index)),
            };
            let excludes = rule.excludes.clone().unwrap_or_default();
            let includes = rule.includes.clone().unwrap_or_default();
            if !excludes.excludes(container)? && includes.includes(container)? {
                syscalls.push(Rule {
                    names,
                    action: rule.action,
                    errno_ret: rule.errno_ret,
                    args: rule.args.clone().unwrap_or_default(),
                });
            }
        }
        Ok(Profile {
            default_action: self.default_action,
            default_errno_ret: self.default_errno_ret,
            architectures: self.architectures(container)?,
            flags: None,
            listener_path: String::new(),
            listener_metadata: String::new(),
            syscalls,
        })
    }

    fn architectures(&self, container: &Container<'_>) -> Result<Vec<Architecture>, TemplateError> {
        let listed = self.architectures.clone().unwrap_or_default();
        let mapped = self.arch_map.as_deref().unwrap_or_default();
        if !listed.is_empty() && !mapped.is_empty() {
            return Err(TemplateError::ArchitecturesAndMap);
        }
        let Some(native) = mapped.iter().find(|map| map.architecture == container.architecture) else {
            return Ok(listed);
        };
        let mut architectures = vec![native.architecture];
        architectures.extend(native.sub_architectures.iter().flatten());
        Ok(architectures)
    }
}

impl Selection {
    /// Any one of the words keeps the rule out.
    fn excludes(&self, container: &Container<'_>) -> Result<bool, TemplateError> {
        let caps = self.caps.iter().flatten().any(|cap| container.caps.contains(&cap.as_str()));
        let arches = self.arches.iter().flatten().any(|arch| arch == container.goarch);
        Ok(caps || arches || self.kernel_reached(container)?.unwrap_or(false))
    }

    /// All capabilities, one of the architectures, at least the kernel.
    fn includes(&self, container: &Container<'_>) -> Result<bool, TemplateError> {
        let caps = self.caps.iter().flatten().all(|cap| container.caps.contains(&cap.as_str()));
        let listed = self.arches.as_deref().unwrap_or_default();
        let arches = listed.is_empty() || listed.iter().any(|arch| arch == container.goarch);
        Ok(caps && arches && self.kernel_reached(container)?.unwrap_or(true))
    }

    fn kernel_reached(&self, container: &Container<'_>) -> Result<Option<bool>, TemplateError> {
        let Some(text) = self.min_kernel.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
        let version = text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        match version {
            Some(version) => Ok(Some(container.kernel >= version)),
            None => Err(TemplateError::Kernel(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,
        "archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86","SCMP_ARCH_X32"]},
                   {"architecture":"SCMP_ARCH_AARCH64","subArchitectures":["SCMP_ARCH_ARM"]}],
        "syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","comment":"","includes":{},"excludes":{}},
        {"names":["ptrace"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"4.8"}},
        {"names":["arch_prctl"],"action":"SCMP_ACT_ALLOW","includes":{"arches":["amd64","x32"]}},
        {"names":["bpf"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_ADMIN"]}},
        {"names":["clone"],"action":"SCMP_ACT_ALLOW","excludes":{"caps":["CAP_SYS_ADMIN"],"arches":["s390"]}}]}"#;

    fn names(container: &Container<'_>) -> Vec<String> {
        let profile = Template::from_json(TEMPLATE.as_bytes()).unwrap().resolve(container).unwrap();
        profile.syscalls.into_iter().flat_map(|rule| rule.names).collect()
    }

    #[test]
    fn rules_depend_on_capabilities_architecture_and_kernel() {
        let mut container =
            Container { caps: &["CAP_CHOWN"], architecture: Architecture::X86_64, goarch: "amd64", kernel: (6, 18) };
        assert_eq!(names(&container), ["read", "ptrace", "arch_prctl", "clone"]);
        container.caps = &["CAP_SYS_ADMIN"];
        assert_eq!(names(&container), ["read", "ptrace", "arch_prctl", "bpf"]);
        container.kernel = (4, 4);
        container.goarch = "arm64";
        assert_eq!(names(&container), ["read", "bpf"]);
    }

    #[test]
    fn the_native_architecture_brings_its_companions() {
        let template = Template::from_json(TEMPLATE.as_bytes()).unwrap();
        let container = Container { caps: &[], architecture: Architecture::Aarch64, goarch: "arm64", kernel: (6, 18) };
        let profile = template.resolve(&container).unwrap();
        assert_eq!(profile.architectures, [Architecture::Aarch64, Architecture::Arm]);
    }

    #[test]
    fn what_cannot_be_resolved_is_told() {
        let container = Container { caps: &[], architecture: Architecture::X86_64, goarch: "amd64", kernel: (6, 18) };
        let error = |rules: &str| {
            let text = format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{rules}]}}"#);
            Template::from_json(text.as_bytes()).unwrap().resolve(&container).unwrap_err().to_string()
        };
        assert!(error(r#"{"name":"a","names":["b"],"action":"SCMP_ACT_LOG"}"#).contains("rule 0 has both"));
        let kernel = error(r#"{"names":["b"],"action":"SCMP_ACT_LOG","includes":{"minKernel":"four"}}"#);
        assert!(kernel.contains(r#"minKernel "four""#), "{kernel}");
    }
}
