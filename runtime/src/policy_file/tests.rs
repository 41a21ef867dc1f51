//! On real files: the checks are about owners and modes, which only root can make wrong.

use super::*;
use crate::policy::{Level, SeccompChoice};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that only root can write, like those above it; removed with what is in it.
struct Etc(String);

impl Etc {
    fn new() -> Option<Etc> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root, to make files of other owners");
            return None;
        }
        // /tmp is everybody's, which is what is refused here.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = format!("/run/casemate-policy-test-{}-{number}", std::process::id());
        fs::create_dir(&path).unwrap();
        chmod(&path, 0o755);
        Some(Etc(path))
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        chmod(&path, 0o644);
        path
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.0)
    }

    fn read(&self) -> Result<Option<Document>> {
        read_from(&self.0)
    }

    fn refused(&self, wanted: &[&str]) {
        let error = self.read().unwrap_err();
        assert_eq!(error.kind, Kind::Denied, "{error}");
        for part in wanted {
            assert!(error.to_string().contains(part), "{error}\nwanted {part}");
        }
    }
}

impl Drop for Etc {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn chmod(path: &str, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn no_directory_and_no_files_are_no_policy() {
    assert_eq!(read_from("/nonexistent/casemate").unwrap(), None);
    let Some(etc) = Etc::new() else { return };
    assert_eq!(etc.read().unwrap(), None);
    fs::create_dir(etc.path("policy.d")).unwrap();
    assert_eq!(etc.read().unwrap(), None);
}

#[test]
fn files_hold_in_the_order_of_their_names_after_the_first() {
    let Some(etc) = Etc::new() else { return };
    etc.write("policy.d/20-b.toml", "version = 1\nlevel = \"restricted\"");
    etc.write("policy.d/10-a.toml", "version = 1\nlevel = \"privileged\"");
    etc.write("policy.toml", "version = 1\nlevel = \"baseline\"");
    for other in ["policy.d/30-c.toml~", "policy.d/.40.toml", "policy.d/README", "other.toml"] {
        etc.write(other, "not a policy");
    }
    let level = etc.read().unwrap().unwrap().settings.level.unwrap();
    assert_eq!((level.value, level.origin), (Level::Restricted, etc.path("policy.d/20-b.toml:2")));
}

#[test]
fn a_mistake_in_any_file_is_an_error_with_its_place() {
    let Some(etc) = Etc::new() else { return };
    etc.write("policy.toml", "version = 1");
    let path = etc.write("policy.d/a.toml", "version = 1\n\nlevel = \"tight\"");
    let error = etc.read().unwrap_err();
    assert!(error.to_string().starts_with(&format!("{path}:3:9: unknown level \"tight\"")), "{error}");
    fs::write(&path, b"version = 1\n# \xff").unwrap();
    assert_eq!(etc.read().unwrap_err().to_string(), format!("{path}:2: not UTF-8"));
}

#[test]
fn files_that_others_could_write_are_refused_with_what_mends_them() {
    let Some(etc) = Etc::new() else { return };
    for name in ["policy.toml", "policy.d/a.toml"] {
        let path = etc.write(name, "version = 1");
        for mode in [0o664, 0o646, 0o666] {
            chmod(&path, mode);
            let mends = format!("(hint: chown root: {path}; chmod go-w {path})");
            etc.refused(&[&format!("\"{path}\" can be written by others than root (mode {mode:04o})"), &mends]);
        }
        chmod(&path, 0o640);
        chown(&path, Some(1000), None).unwrap();
        etc.refused(&[&format!("\"{path}\" belongs to user 1000, not to root")]);
        chown(&path, Some(0), Some(1000)).unwrap();
        etc.read().unwrap();
    }
}

#[test]
fn directories_that_others_could_write_are_refused() {
    let Some(etc) = Etc::new() else { return };
    etc.write("policy.d/a.toml", "version = 1");
    for (directory, mode) in [(etc.path("policy.d"), 0o775), (etc.0.clone(), 0o757), (etc.0.clone(), 0o1777)] {
        chmod(&directory, mode);
        etc.refused(&[&format!("\"{directory}\" can be written by others than root (mode {mode:04o})")]);
        chmod(&directory, 0o755);
        chown(&directory, Some(1000), None).unwrap();
        etc.refused(&[&format!("\"{directory}\" belongs to user 1000")]);
        chown(&directory, Some(0), None).unwrap();
    }
    etc.read().unwrap();
}

#[test]
fn a_directory_on_the_way_counts_like_the_last_one() {
    let Some(etc) = Etc::new() else { return };
    etc.write("casemate/policy.toml", "version = 1");
    let below = etc.path("casemate");
    read_from(&below).unwrap().unwrap();
    chmod(&etc.0, 0o777);
    let error = read_from(&below).unwrap_err().to_string();
    assert!(error.contains(&format!("\"{}\" can be written by others", etc.0)), "{error}");
}

#[test]
fn symbolic_links_are_not_followed_anywhere() {
    let Some(etc) = Etc::new() else { return };
    let real = etc.write("real/policy.toml", "version = 1");
    symlink(&real, etc.path("policy.toml")).unwrap();
    etc.refused(&[&etc.path("policy.toml"), "is not a regular file, or is a symbolic link"]);
    fs::remove_file(etc.path("policy.toml")).unwrap();
    symlink("nowhere", etc.path("policy.toml")).unwrap();
    etc.refused(&["is a symbolic link"]);
    fs::remove_file(etc.path("policy.toml")).unwrap();
    symlink("real", etc.path("policy.d")).unwrap();
    etc.refused(&[&etc.path("policy.d"), "is not a directory, or is a symbolic link"]);
    fs::remove_file(etc.path("policy.d")).unwrap();
    symlink("real", etc.path("link")).unwrap();
    let error = read_from(&etc.path("link")).unwrap_err();
    assert!(error.to_string().contains("is not a directory, or is a symbolic link"), "{error}");
    symlink("nowhere", etc.path("dangling")).unwrap();
    assert_eq!(read_from(&etc.path("dangling")).unwrap_err().kind, Kind::Denied);
}

#[test]
fn what_is_no_regular_file_is_refused_without_waiting_for_it() {
    let Some(etc) = Etc::new() else { return };
    let path = etc.path("policy.toml");
    nix::unistd::mkfifo(path.as_str(), nix::sys::stat::Mode::S_IRUSR).unwrap();
    etc.refused(&[&path, "is not a regular file"]);
    fs::remove_file(&path).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    etc.refused(&[&path, "is not a regular file"]);
    drop(socket);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    etc.refused(&[&path, "is not a regular file"]);
    fs::remove_dir(&path).unwrap();
    etc.write("policy.d", "version = 1");
    etc.refused(&["policy.d", "is not a directory"]);
    assert_eq!(read_from(&etc.write("file", "")).unwrap_err().kind, Kind::Denied);
}

#[test]
fn a_file_of_more_than_a_mebibyte_is_refused() {
    let Some(etc) = Etc::new() else { return };
    let size = usize::try_from(MAX_BYTES).unwrap();
    let text = |bytes: usize| format!("version = 1\n{}", "#".repeat(bytes - 12));
    etc.write("policy.toml", &text(size));
    etc.read().unwrap();
    etc.write("policy.toml", &text(size + 1));
    assert!(etc.read().unwrap_err().to_string().ends_with("is larger than 1048576 bytes"));
}

#[test]
fn seccomp_profiles_are_read_and_checked_like_the_policy() {
    let Some(etc) = Etc::new() else { return };
    let profile =
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}"#;
    let path = etc.write("web.json", profile);
    etc.write("policy.toml", &format!("version = 1\nseccomp.profile = \"{path}\""));
    let said = etc.read().unwrap().unwrap().settings.seccomp.unwrap();
    let SeccompChoice::Profile { path: from, profile } = said.value else { panic!("{said:?}") };
    assert_eq!((from.as_str(), profile.syscalls.len()), (path.as_str(), 1));

    let starts = |wanted: &str| {
        let error = etc.read().unwrap_err().to_string();
        let wanted = format!("{}:2: {wanted}", etc.path("policy.toml"));
        assert!(error.starts_with(&wanted), "{error}\nwanted {wanted}");
    };
    chmod(&path, 0o666);
    starts(&format!("policy is not to be trusted: \"{path}\" can be written"));
    etc.write("web.json", "{");
    starts(&format!("\"{path}\": seccomp profile: "));
    etc.write("web.json", r#"{"defaultAction": "SCMP_ACT_ALLOW", "archMap": []}"#);
    starts(&format!("\"{path}\": is in the engines' own format"));
    etc.write(
        "web.json",
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["bpf"], "action": "SCMP_ACT_ALLOW",
            "includes": {"caps": ["CAP_BPF"]}}]}"#,
    );
    starts(&format!("\"{path}\": is in the engines' own format"));
    fs::remove_file(&path).unwrap();
    starts(&format!("open \"{path}\": no such file or directory"));
    symlink("policy.toml", &path).unwrap();
    starts(&format!("policy is not to be trusted: \"{path}\" is not a regular file, or is a symbolic link"));
}

#[test]
fn today_is_after_this_was_written() {
    assert!(today().unwrap() >= Date { year: 2026, month: 1, day: 1 });
}
