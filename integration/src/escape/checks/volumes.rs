//! What several checks prepare: a volume of the host's, and a `/dev` that an image or a volume supplies.

use crate::bundle::Bundle;
use crate::escape::scene::Scene;
use anyhow::{Context, Result};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A directory with a file for a bind.
pub fn volume(s: &Scene, name: &str) -> Result<PathBuf> {
    let dir = s.ground.dir.join(name);
    if !dir.exists() {
        std::fs::create_dir(&dir)?;
        std::fs::write(dir.join("here"), "here\n")?;
    }
    Ok(dir)
}

/// Leaves out everything that is mounted at `/dev` and below it, so that the image's own is what the runtime works on.
pub fn without_dev(bundle: &mut Bundle) -> &mut Bundle {
    for point in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        bundle.unmount(point);
    }
    bundle
}

/// Makes what is missing of a /dev: the directories, the null device, the link to the terminals' multiplexer.
pub fn fill_dev(dev: &Path) -> Result<()> {
    let missing = |name: &str| std::fs::symlink_metadata(dev.join(name)).is_err();
    for name in ["pts", "shm"] {
        if missing(name) {
            std::fs::create_dir_all(dev.join(name))?;
        }
    }
    if missing("null") {
        let mode = Mode::from_raw_mode(0o666);
        mknodat(CWD, dev.join("null"), FileType::CharacterDevice, mode, makedev(1, 3))?;
        std::fs::set_permissions(dev.join("null"), PermissionsExt::from_mode(0o666))?;
    }
    if missing("ptmx") {
        std::os::unix::fs::symlink("pts/ptmx", dev.join("ptmx"))?;
    }
    Ok(())
}

/// A directory of the attacker's to be bound at `/dev`: devices as they should be, and mount points.
pub fn own_dev(s: &Scene, name: &str) -> Result<PathBuf> {
    let dir = s.ground.dir.join(name);
    for sub in ["pts", "shm", "mqueue"] {
        std::fs::create_dir_all(dir.join(sub))?;
    }
    for (device, minor) in [("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)] {
        let mode = Mode::from_raw_mode(0o666);
        mknodat(CWD, dir.join(device), FileType::CharacterDevice, mode, makedev(1, minor)).context("mknod")?;
    }
    Ok(dir)
}
