//! Options before the command, and where containers are kept.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use clap::Command;

use super::argument::{Given, help, option, switch};
use crate::error::Call as _;
use crate::log::Format;
use crate::policy::Level;

/// Options that hold for every command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Globals {
    /// `--root`, absolute and without `.` and `..`; absent for [`default_root`].
    pub root: Option<PathBuf>,
    /// `--log`: the file for the final error.
    pub log: Option<PathBuf>,
    /// `--log-format`.
    pub log_format: Format,
    /// `--debug`: warnings and decisions go to stderr.
    pub debug: bool,
    /// `--systemd-cgroup`: `cgroupsPath` is `slice:prefix:name`, for systemd to make.
    pub systemd_cgroup: bool,
    /// `--rootless`.
    pub rootless: Rootless,
    /// `--level`.
    pub level: Option<Level>,
    /// The level that the name says by which the program was called: `casemate-restricted`.
    pub called_as: Option<Level>,
}

/// Whether to tolerate what an unprivileged user may not do with cgroups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rootless {
    /// As the effective uid and the user namespace suggest.
    #[default]
    Auto,
    /// Yes.
    True,
    /// No.
    False,
}

pub(super) fn definition() -> Command {
    Command::new("casemate")
        .about("A hardened OCI container runtime")
        .long_about(
            "A hardened OCI container runtime.\n\n\
             casemate makes and runs containers from OCI bundles: a directory with config.json and a root \
             filesystem. Container engines call it; for single containers it can be used by hand.",
        )
        .arg(switch("debug", "Write warnings and decisions to stderr"))
        .arg(option(
            "level",
            "LEVEL",
            "How containers are confined: privileged, baseline or restricted [default: by policy, else baseline]",
        ))
        .arg(option("log", "FILE", "Append the final error to FILE"))
        .arg(option("log-format", "FORMAT", "Format of the log: text or json").default_value("text"))
        .arg(option("root", "DIR", "Directory for the state of containers [default: /run/casemate]"))
        .arg(
            option("rootless", "BOOL", "Tolerate what needs privileges for cgroups: true, false or auto")
                .default_value("auto"),
        )
        .arg(switch("systemd-cgroup", "Let systemd make the cgroups; cgroupsPath is slice:prefix:name"))
        .arg(switch("version", "Print the version").short('v'))
        .disable_help_flag(true)
        .arg(help())
}

/// Reads the options; `cwd` is asked only for a relative `--root`.
pub(super) fn read(given: &Given, cwd: impl FnOnce() -> std::io::Result<PathBuf>) -> Result<Globals, String> {
    let root = match given.0.get_one::<std::ffi::OsString>("root") {
        None => None,
        Some(root) => Some(absolute_root(Path::new(root), cwd)?),
    };
    let log_format = match given.text("log-format")?.as_deref() {
        None | Some("" | "text") => Format::Text,
        Some("json") => Format::Json,
        Some(other) => return Err(format!("invalid log-format \"{other}\": want text or json")),
    };
    let rootless = match given.text("rootless")?.as_deref() {
        None | Some("" | "auto") => Rootless::Auto,
        Some("true") => Rootless::True,
        Some("false") => Rootless::False,
        Some(other) => return Err(format!("invalid value \"{other}\" of --rootless: want true, false or auto")),
    };
    let level = match given.text("level")?.as_deref() {
        None | Some("") => None,
        Some(word) => Some(word.parse().map_err(|error| format!("--level: {error}"))?),
    };
    Ok(Globals {
        root,
        level,
        called_as: None,
        log: given.path("log"),
        log_format,
        debug: given.switch("debug"),
        systemd_cgroup: given.switch("systemd-cgroup"),
        rootless,
    })
}

/// The level in a name such as `/usr/bin/casemate-restricted`: the part of the file's name behind the last dash, if it is
/// a level. An engine's configuration has a path for its runtime and, in Docker's case for one, no place for options
/// that come before the command.
pub(super) fn level_of_name(name: &OsStr) -> Option<Level> {
    Path::new(name).file_name()?.to_str()?.rsplit_once('-')?.1.parse().ok()
}

/// `path` behind the working directory where it is relative, with `.` and `..` resolved by name.
fn absolute_root(path: &Path, cwd: impl FnOnce() -> std::io::Result<PathBuf>) -> Result<PathBuf, String> {
    if path.as_os_str().is_empty() {
        return Err("option --root argument should not be empty".to_owned());
    }
    let base = if path.is_absolute() {
        PathBuf::from("/")
    } else {
        cwd().call("getcwd", ".").map_err(|error| format!("option --root \"{}\": {error}", path.display()))?
    };
    let mut root = PathBuf::from("/");
    for component in base.join(path).components() {
        match component {
            Component::Normal(name) => root.push(name),
            Component::ParentDir => {
                root.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    if root == Path::new("/") {
        // Every directory of the host would be taken for a container.
        return Err("Option --root argument should not be set to /".to_owned());
    }
    Ok(root)
}

/// Where containers are kept without `--root`.
///
/// Real root always has `/run/casemate`, whatever `XDG_RUNTIME_DIR` says: engines call `create`
/// and `kill` of one container with different environments, and both have to find it. The same
/// holds in a user namespace for who calls himself root there (`USER=root`). All others have
/// `$XDG_RUNTIME_DIR/casemate`.
///
/// # Errors
/// A message, when `XDG_RUNTIME_DIR` is needed and is unset, empty or relative.
pub fn default_root(
    euid: u32,
    in_userns: bool,
    xdg_runtime_dir: Option<&OsStr>,
    user: Option<&OsStr>,
) -> Result<PathBuf, String> {
    if euid == 0 && (!in_userns || user == Some(OsStr::new("root"))) {
        return Ok(PathBuf::from("/run/casemate"));
    }
    match xdg_runtime_dir.map(Path::new) {
        Some(dir) if dir.is_absolute() => Ok(dir.join("casemate")),
        Some(dir) if !dir.as_os_str().is_empty() => {
            Err(format!("XDG_RUNTIME_DIR \"{}\" is not absolute: set it, or give --root", dir.display()))
        }
        _ => Err("XDG_RUNTIME_DIR is not set: set it, or give --root".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(path: &str) -> Result<PathBuf, String> {
        absolute_root(Path::new(path), || Ok(PathBuf::from("/cwd/x")))
    }

    #[test]
    fn name_of_the_program_chooses_a_level() {
        let level = |name: &str| level_of_name(OsStr::new(name));
        assert_eq!(level("/usr/bin/casemate-restricted"), Some(Level::Restricted));
        assert_eq!(level("casemate-privileged"), Some(Level::Privileged));
        assert_eq!(level("my-casemate-baseline"), Some(Level::Baseline));
        for name in ["casemate", "/x-baseline/casemate", "casemate-", "casemate-Restricted", "restricted", ""] {
            assert_eq!(level(name), None, "{name}");
        }
    }

    #[test]
    fn root_is_made_absolute() {
        assert_eq!(root("/run/x"), Ok("/run/x".into()));
        assert_eq!(root("state"), Ok("/cwd/x/state".into()));
        assert_eq!(root("../state/./a"), Ok("/cwd/state/a".into()));
        assert_eq!(root("//run//x/"), Ok("/run/x".into()));
    }

    #[test]
    fn root_directory_of_the_host_is_refused_in_every_spelling() {
        for path in ["/", "//", "/.", "/..", "/run/..", "../..", "../../../.."] {
            assert_eq!(root(path), Err("Option --root argument should not be set to /".into()), "{path}");
        }
        assert!(root("").is_err());
    }

    #[test]
    fn real_root_has_one_place_whatever_the_environment_says() {
        let xdg = Some(OsStr::new("/run/user/0"));
        for env in [xdg, None, Some(OsStr::new(""))] {
            assert_eq!(default_root(0, false, env, None), Ok("/run/casemate".into()));
            assert_eq!(default_root(0, true, env, Some(OsStr::new("root"))), Ok("/run/casemate".into()));
        }
    }

    #[test]
    fn others_have_their_runtime_directory() {
        let xdg = Some(OsStr::new("/run/user/1000"));
        let me = Some(OsStr::new("me"));
        assert_eq!(default_root(1000, false, xdg, Some(OsStr::new("root"))), Ok("/run/user/1000/casemate".into()));
        assert_eq!(default_root(0, true, xdg, me), Ok("/run/user/1000/casemate".into()));
        assert_eq!(default_root(0, true, xdg, None), Ok("/run/user/1000/casemate".into()));
        for xdg in [None, Some(OsStr::new("")), Some(OsStr::new("run"))] {
            assert!(default_root(1000, false, xdg, me).unwrap_err().starts_with("XDG_RUNTIME_DIR"));
        }
    }
}
