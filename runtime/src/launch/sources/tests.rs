//! Real files and namespaces: what the sources of a plan are told to be.

use super::*;
use std::fs;
use std::path::{Path, PathBuf};

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("casemate-sources-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Directory(path.canonicalize().unwrap())
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_string()
}

fn opened(paths: &[&Path]) -> Sources {
    let file = |path: &&Path| Opened::file(open_source(&text(path)).unwrap(), &text(path));
    Sources { files: paths.iter().map(file).collect(), pid_namespace: None, limit: None }
}

#[test]
fn a_source_is_told_where_its_links_lead() {
    let dir = Directory::new("links");
    fs::write(dir.join("file"), "").unwrap();
    std::os::unix::fs::symlink(dir.join("file"), dir.join("link")).unwrap();
    let sources = opened(&[&dir.join("link"), &dir.0, Path::new("/dev/null")]).paths().unwrap();
    let told: Vec<_> = sources.iter().map(|s| (s.handle, s.real_path.clone(), s.kind)).collect();
    let null = ("/dev/null".to_string(), FileKind::CharacterDevice);
    let file = (text(&dir.join("file")), FileKind::Regular);
    assert_eq!(told, [(0, file.0, file.1), (1, text(&dir.0), FileKind::Directory), (2, null.0, null.1)]);
    assert_eq!(sources[0].path, text(&dir.join("link")));
    let stat = rustix::fs::stat(dir.join("file")).unwrap();
    assert_eq!((sources[0].device, sources[0].inode), (stat.st_dev, stat.st_ino));
}

#[test]
fn a_source_that_was_deleted_has_no_path() {
    let dir = Directory::new("deleted");
    fs::write(dir.join("file"), "").unwrap();
    let sources = opened(&[&dir.join("file")]);
    // With a file of the name that the kernel makes up.
    fs::write(dir.join("file (deleted)"), "").unwrap();
    fs::remove_file(dir.join("file")).unwrap();
    let error = sources.paths().unwrap_err().to_string();
    assert!(error.contains("was deleted"), "{error}");
    fs::write(dir.join("file"), "another").unwrap();
    assert!(sources.paths().is_err());
}

#[test]
fn a_name_that_ends_like_a_deleted_one_is_a_name() {
    let dir = Directory::new("name");
    fs::write(dir.join("x (deleted)"), "").unwrap();
    let sources = opened(&[&dir.join("x (deleted)")]).paths().unwrap();
    assert_eq!(sources[0].real_path, text(&dir.join("x (deleted)")));
}

#[test]
fn a_source_that_is_no_file_of_a_mount_has_no_path() {
    let (reader, _writer) = rustix::pipe::pipe().unwrap();
    let link = PathBuf::from(format!("/proc/self/fd/{}", reader.as_raw_fd()));
    assert!(opened(&[&link]).paths().is_err());
}

#[test]
fn the_callers_own_namespace_is_told() {
    let own = Opened::namespace(NamespaceKind::Uts, "/proc/self/ns/uts").unwrap();
    let sources = Sources { files: vec![None, Some(own)], pid_namespace: None, limit: None };
    let told = sources.namespaces().unwrap();
    assert_eq!(told.len(), 1);
    assert!(told[0].is_own && told[0].kind == NamespaceKind::Uts && told[0].path == "/proc/self/ns/uts");
    assert_eq!(sources.paths().unwrap(), []);
}

#[test]
fn a_link_in_a_volume_does_not_lead_through_a_descriptor_and_the_config_may_name_one() {
    let dir = Directory::new("magic");
    fs::create_dir(dir.join("volume")).unwrap();
    fs::write(dir.join("volume/file"), "").unwrap();
    let held = fs::File::open(dir.join("volume")).unwrap();
    let named = format!("/proc/self/fd/{}", held.as_raw_fd());
    for path in [named.clone(), format!("{named}/file"), format!("/proc/{}/cwd", std::process::id())] {
        open_source(&path).unwrap();
    }
    std::os::unix::fs::symlink(&named, dir.join("volume/link")).unwrap();
    for path in [text(&dir.join("volume/link")), text(&dir.join("volume/link/file")), format!("{named}/link/file")] {
        let error = open_source(&path).unwrap_err().to_string();
        assert!(error.contains("magic link"), "{path}: {error}");
    }
}

#[test]
fn a_magic_link_is_told_from_what_follows_it() {
    for (path, link, rest) in [
        ("/proc/self/fd/7", "/proc/self/fd/7", ""),
        ("/proc/12/fd/7/a/b", "/proc/12/fd/7", "a/b"),
        ("/proc/12/root", "/proc/12/root", ""),
        ("/proc/12/task/13/cwd//a", "/proc/12/task/13/cwd", "a"),
        ("/proc/self/fd", "/proc/self/fd", ""),
        ("/proc/self/status", "", "/proc/self/status"),
        ("/proc/sys/fd/7", "", "/proc/sys/fd/7"),
        ("/volume/proc/self/fd/7", "", "/volume/proc/self/fd/7"),
    ] {
        assert_eq!(magic_link(path), (link, rest), "{path}");
    }
}
