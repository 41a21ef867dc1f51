//! What lies outside of the container and must stay as it is: a tree of markers, compared by name, type, inode, owner,
//! mode, times and content.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// The words in the marker files; seen inside of a container they are the proof of an escape.
pub const MARK: &str = "MARK-OF-THE-HOST";

/// The tree.
#[derive(Debug)]
pub struct Outside {
    pub dir: PathBuf,
}

/// One thing in the tree, as text: easy to compare and to print.
pub type Entries = BTreeMap<PathBuf, String>;

impl Outside {
    /// Makes the tree in a new directory: `secret` and `file` (with [`MARK`]), `ptmx` and `console` (empty files), `dir`
    /// with a `file`, an empty directory `empty`, `link` to `file`, `program` that may be executed.
    pub fn new(dir: PathBuf) -> Result<Self> {
        std::fs::create_dir(&dir).with_context(|| format!("mkdir \"{}\"", dir.display()))?;
        for sub in ["dir", "empty"] {
            std::fs::create_dir(dir.join(sub))?;
        }
        for file in ["secret", "file", "dir/file"] {
            std::fs::write(dir.join(file), format!("{MARK}\n"))?;
        }
        std::fs::set_permissions(dir.join("secret"), PermissionsExt::from_mode(0o600))?;
        for file in ["ptmx", "console"] {
            std::fs::write(dir.join(file), "")?;
        }
        symlink("file", dir.join("link"))?;
        std::fs::copy("/bin/busybox", dir.join("program"))?;
        Ok(Self { dir })
    }

    /// The path of one thing in the tree.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The tree as it is now.
    pub fn entries(&self) -> Result<Entries> {
        let mut found = Entries::new();
        walk(&self.dir, &mut found)?;
        Ok(found)
    }
}

fn walk(path: &Path, found: &mut Entries) -> Result<()> {
    let data = std::fs::symlink_metadata(path).with_context(|| format!("lstat \"{}\"", path.display()))?;
    let content = if data.is_file() {
        let bytes = std::fs::read(path)?;
        // The start tells two small files apart in a message; the whole is compared by length and sum.
        let sum = sum(&bytes);
        format!("{:?} sum {sum:x}", String::from_utf8_lossy(bytes.get(..40).unwrap_or(&bytes)))
    } else if data.is_symlink() {
        format!("-> {}", std::fs::read_link(path)?.display())
    } else {
        String::new()
    };
    let times = format!("{}.{} {}.{}", data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec());
    let text = format!(
        "mode {:o} inode {} owner {}:{} size {} times {times} device {} {content}",
        data.mode(),
        data.ino(),
        data.uid(),
        data.gid(),
        data.size(),
        data.dev(),
    );
    found.insert(path.to_owned(), text);
    if data.is_dir() {
        for entry in std::fs::read_dir(path)? {
            walk(&entry?.path(), found)?;
        }
    }
    Ok(())
}

/// Another number for another content, by words of eight bytes and what is left: the program is large.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let numbers = words.iter().map(|word| u64::from_le_bytes(*word)).chain(rest.iter().map(|byte| u64::from(*byte)));
    numbers.fold(0, |sum, number| sum.rotate_left(5) ^ number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_is_seen() {
        let place = std::env::temp_dir().join(format!("integration-outside-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        type Change = fn(&Path);
        let changes: [(&str, Change); 7] = [
            ("content", |dir| std::fs::write(dir.join("file"), format!("{MARK}!")).unwrap()),
            ("mode", |dir| std::fs::set_permissions(dir.join("file"), PermissionsExt::from_mode(0o777)).unwrap()),
            ("new file", |dir| std::fs::write(dir.join("empty/new"), "").unwrap()),
            ("removed", |dir| std::fs::remove_file(dir.join("ptmx")).unwrap()),
            ("replaced", |dir| {
                std::fs::write(dir.join("other"), "").unwrap();
                std::fs::rename(dir.join("other"), dir.join("ptmx")).unwrap();
            }),
            ("link", |dir| {
                std::fs::remove_file(dir.join("link")).unwrap();
                symlink("dir/file", dir.join("link")).unwrap();
            }),
            ("directory", |dir| std::fs::create_dir(dir.join("dir/new")).unwrap()),
        ];
        for (n, (what, change)) in changes.into_iter().enumerate() {
            let outside = Outside::new(place.join(n.to_string())).unwrap();
            let before = outside.entries().unwrap();
            assert_eq!(before, outside.entries().unwrap(), "{what}: unchanged");
            change(&outside.dir);
            assert_ne!(before, outside.entries().unwrap(), "{what}: changed");
        }
        std::fs::remove_dir_all(&place).unwrap();
    }
}
