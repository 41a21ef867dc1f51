//! The state of a container as hooks, seccomp agents and engines read it (runtime.md, "State").

use std::collections::BTreeMap;
use std::fmt;

use super::field::{Field, object};
use serde::de::{Deserialize, Deserializer, Error};

/// The status of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Status {
    /// `create` is at work; only hooks see this.
    #[default]
    Creating,
    /// The environment is complete and the program waits for `start`.
    Created,
    /// The program runs.
    Running,
    /// All of its processes are frozen. Not in the spec, but in the vocabulary of all engines.
    Paused,
    /// The program has ended.
    Stopped,
}

impl Status {
    /// The word the spec uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl serde::Serialize for Status {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Status::read(deserializer)
    }
}

impl Field for Status {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        [Status::Creating, Status::Created, Status::Running, Status::Paused, Status::Stopped]
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or_else(|| D::Error::custom(format_args!("unknown status \"{word}\"")))
    }

    fn is_absent(&self) -> bool {
        false
    }
}

object! {
    /// The state the spec defines: what a hook finds on its stdin.
    pub struct State {
        /// The version of the spec this state follows.
        pub oci_version: String = "ociVersion", always;
        /// The container's id.
        pub id: String = "id", always;
        /// The status.
        pub status: Status = "status", always;
        /// The container's init in the pid namespace of the reader; left out when 0.
        pub pid: i32 = "pid";
        /// The absolute path of the bundle.
        pub bundle: String = "bundle", always;
        /// The annotations of the configuration.
        pub annotations: BTreeMap<String, String> = "annotations";
    }
}

object! {
    /// What `state` prints, and `list --format json` an array of: the spec's state and what
    /// engines read beyond it. `pid` is there even when it is 0.
    pub struct Report {
        /// The version of the spec this state follows.
        pub oci_version: String = "ociVersion", always;
        /// The container's id.
        pub id: String = "id", always;
        /// The container's init as the host sees it; 0 when stopped.
        pub pid: i32 = "pid", always;
        /// The status.
        pub status: Status = "status", always;
        /// The absolute path of the bundle.
        pub bundle: String = "bundle", always;
        /// The absolute path of the root filesystem.
        pub rootfs: String = "rootfs", always;
        /// When the container was made, RFC 3339 in UTC.
        pub created: String = "created", always;
        /// The annotations of the configuration.
        pub annotations: BTreeMap<String, String> = "annotations";
        /// Name of the user who owns the state directory.
        pub owner: String = "owner", always;
    }
}

object! {
    /// What a seccomp agent gets with the descriptors of one process ("The Container Process State").
    pub struct ContainerProcessState {
        /// The version of the spec this state follows.
        pub oci_version: String = "ociVersion", always;
        /// Names of the descriptors sent along, in their order.
        pub fds: Vec<String> = "fds", always;
        /// The process, as the runtime sees it.
        pub pid: i32 = "pid", always;
        /// `linux.seccomp.listenerMetadata`, verbatim.
        pub metadata: String = "metadata";
        /// The container's state.
        pub state: State = "state", always;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_of_a_container_being_created_has_no_pid() {
        let state = State {
            oci_version: "1.3.0".into(),
            id: "a".into(),
            bundle: "/b".into(),
            annotations: BTreeMap::from([("k".into(), "v".into())]),
            ..State::default()
        };
        assert_eq!(
            serde_json::to_string(&state).unwrap(),
            r#"{"ociVersion":"1.3.0","id":"a","status":"creating","bundle":"/b","annotations":{"k":"v"}}"#
        );
    }

    #[test]
    fn report_of_a_stopped_container_has_pid_0() {
        let report = Report { status: Status::Stopped, ..Report::default() };
        let text = serde_json::to_string(&report).unwrap();
        assert!(text.contains(r#""pid":0,"status":"stopped""#), "{text}");
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }

    #[test]
    fn unknown_status_is_refused() {
        assert!(serde_json::from_str::<State>(r#"{"status":"dead"}"#).is_err());
    }
}
