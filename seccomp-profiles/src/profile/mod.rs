//! A seccomp profile as the OCI runtime specification 1.3 writes it (`linux.seccomp` of config.json), nothing decided.
//!
//! Reading is as tolerant as the Go programs that write these files expect: `null` stands for an absent slice, map or
//! number, and unknown fields are ignored. A word that no version of the specification knows is an error that names it:
//! an action read as another one would be a hole.

mod words;

use serde::{Deserialize, Deserializer, Serialize};
use std::{error, fmt};

pub use words::{Action, Architecture, Flag, Operator};

/// `LinuxSeccomp` of the specification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// What happens to a call that no rule matches.
    pub default_action: Action,
    /// Errno (or trace data) of the default action; EPERM when absent. An error where the action takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// The ABIs that the profile speaks of; the native one is always among them.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<Architecture>,
    /// Flags of seccomp(2). Absent is not the same as empty: absent means `SPEC_ALLOW`, as for runc and crun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<Flag>>,
    /// Path of the unix socket that receives the listener's descriptor; required by a rule that notifies.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub listener_path: String,
    /// Opaque words sent along with the listener's descriptor; an error without a path.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub listener_metadata: String,
    /// The rules.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub syscalls: Vec<Rule>,
}

/// `LinuxSyscall`: one action for some calls under some conditions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Names of system calls.
    #[serde(default, deserialize_with = "null_is_default")]
    pub names: Vec<String>,
    /// What happens to a call that matches.
    pub action: Action,
    /// Errno (or trace data) of the action; EPERM when absent. An error where the action takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions, all of which must hold; but where two speak of one argument any single one suffices, as for runc.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Arg>,
}

/// `LinuxSeccompArg`: a condition on one argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Arg {
    /// Which argument, 0 to 5.
    #[serde(default, deserialize_with = "null_is_default")]
    pub index: u32,
    /// What it is compared with; for `SCMP_CMP_MASKED_EQ` the mask.
    #[serde(default, deserialize_with = "null_is_default")]
    pub value: u64,
    /// For `SCMP_CMP_MASKED_EQ` what the masked argument is compared with; otherwise unused.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "is_zero")]
    pub value_two: u64,
    /// How it is compared.
    pub op: Operator,
}

/// Why a text is not a profile.
#[derive(Debug)]
pub struct ReadError(serde_json::Error);

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seccomp profile: {}", self.0)
    }
}

impl error::Error for ReadError {}

impl Profile {
    /// A profile without rules.
    #[must_use]
    pub fn with_default(default_action: Action) -> Profile {
        Profile {
            default_action,
            default_errno_ret: None,
            architectures: Vec::new(),
            flags: None,
            listener_path: String::new(),
            listener_metadata: String::new(),
            syscalls: Vec::new(),
        }
    }

    /// Reads the JSON of a profile.
    ///
    /// # Errors
    /// Text that is no JSON, a field of the wrong type, a word that the specification does not know.
    pub fn from_json(text: &[u8]) -> Result<Profile, ReadError> {
        serde_json::from_slice(text).map_err(ReadError)
    }

    /// Reads the `linux.seccomp` of a config.json; `None` where the config has none.
    ///
    /// # Errors
    /// As [`Profile::from_json`].
    pub fn from_config_json(text: &[u8]) -> Result<Option<Profile>, ReadError> {
        #[derive(Deserialize)]
        struct Config {
            linux: Option<Linux>,
        }
        #[derive(Deserialize)]
        struct Linux {
            seccomp: Option<Profile>,
        }
        let config: Config = serde_json::from_slice(text).map_err(ReadError)?;
        Ok(config.linux.and_then(|linux| linux.seccomp))
    }
}

fn null_is_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references to skip_serializing_if")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_stands_for_absent() {
        let profile = Profile::from_json(
            br#"{"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":null,"architectures":null,"flags":null,
                "listenerPath":null,"listenerMetadata":null,"syscalls":[
                {"names":null,"action":"SCMP_ACT_LOG","errnoRet":null,"args":null},
                {"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":null,"value":null,"valueTwo":null,"op":"SCMP_CMP_EQ"}]}
                ]}"#,
        )
        .unwrap();
        assert_eq!(profile.flags, None);
        assert_eq!(profile.syscalls[0].names, Vec::<String>::new());
        assert_eq!(profile.syscalls[1].args[0], Arg { index: 0, value: 0, value_two: 0, op: Operator::Equal });
    }

    #[test]
    fn null_rules_and_unknown_fields_are_read_over() {
        let profile =
            Profile::from_json(br#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":null,"archMap":[{"x":1}]}"#).unwrap();
        assert!(profile.syscalls.is_empty());
    }

    #[test]
    fn absent_flags_differ_from_empty_ones() {
        let flags = |json: &str| Profile::from_json(json.as_bytes()).unwrap().flags;
        assert_eq!(flags(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#), None);
        assert_eq!(flags(r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":[]}"#), Some(Vec::new()));
    }

    #[test]
    fn an_unknown_word_is_named() {
        let error = |json: &str| Profile::from_json(json.as_bytes()).unwrap_err().to_string();
        let action = error(r#"{"defaultAction":"SCMP_ACT_DENY"}"#);
        assert!(action.contains(r#"unknown action "SCMP_ACT_DENY""#), "{action}");
        let arch = error(r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_VAX"]}"#);
        assert!(arch.contains(r#"unknown architecture "SCMP_ARCH_VAX""#), "{arch}");
        let flag = error(r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_X"]}"#);
        assert!(flag.contains(r#"unknown flag "SECCOMP_FILTER_FLAG_X""#), "{flag}");
        let op = error(
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_LOG","args":[{"op":"EQ"}]}]}"#,
        );
        assert!(op.contains(r#"unknown operator "EQ""#), "{op}");
    }

    #[test]
    fn a_profile_survives_writing_and_reading() {
        let text = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64"],
            "flags":["SECCOMP_FILTER_FLAG_LOG"],"syscalls":[{"names":["clone"],"action":"SCMP_ACT_ALLOW",
            "args":[{"index":0,"value":2114060288,"valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"}]}]}"#;
        let profile = Profile::from_json(text.as_bytes()).unwrap();
        let again = Profile::from_json(&serde_json::to_vec(&profile).unwrap()).unwrap();
        assert_eq!(profile, again);
    }

    #[test]
    fn the_profile_of_a_config_is_found() {
        let config = br#"{"ociVersion":"1.0.2","linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW"}}}"#;
        assert!(Profile::from_config_json(config).unwrap().is_some());
        assert!(Profile::from_config_json(br#"{"linux":{"seccomp":null}}"#).unwrap().is_none());
        assert!(Profile::from_config_json(br#"{"ociVersion":"1.0.2"}"#).unwrap().is_none());
    }
}
