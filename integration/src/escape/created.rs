//! A container that was created and not started, looked at from outside: what the runtime has made, before anything of
//! the container's has run.

use crate::bundle::Bundle;
use crate::case::Container;
use crate::escape::outside::Outside;
use crate::escape::scene::{ATTACK_DEADLINE, Attack, Scene};
use crate::host::{self, Mount};
use crate::isolation;
use anyhow::{Context, Result};
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// A created container.
#[derive(Debug)]
pub struct Created<'a> {
    pub container: Container<'a>,
    /// Init's pid here.
    pub pid: i32,
    /// Init's mounts.
    pub mounts: Vec<Mount>,
    /// Holds the terminal, if there is one: without its other end init would be hung up.
    _terminal: Option<UnixListener>,
}

/// How `create` ended.
#[derive(Debug)]
pub enum Creation<'a> {
    Made(Created<'a>),
    Refused(Attack),
}

impl<'a> Scene<'a> {
    /// `create` of a bundle.
    pub fn create<'s>(&'s self, bundle: &Bundle) -> Result<Creation<'s>> {
        self.create_container(self.ground.container(bundle))
    }

    /// `create` of a container; one with a terminal gets a console socket that nobody reads.
    pub fn create_container<'s>(&'s self, container: Container<'s>) -> Result<Creation<'s>> {
        let ground = &self.ground;
        let (pid_file, console) = (ground.dir.join("created.pid"), ground.dir.join("created.sock"));
        for file in [&pid_file, &console] {
            if file.exists() {
                std::fs::remove_file(file)?;
            }
        }
        let terminal = container.bundle.spec["process"]["terminal"] == true;
        let terminal = terminal.then(|| UnixListener::bind(&console)).transpose().context("bind the console socket")?;
        let mut flags = vec!["--pid-file".to_owned(), pid_file.to_string_lossy().into_owned()];
        if terminal.is_some() {
            flags.extend(["--console-socket".to_owned(), console.to_string_lossy().into_owned()]);
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let running = ground.recorder.start(container.create_command(&flags)?, None)?;
        // One that hangs is killed, which `refused` takes for a crash.
        let (output, _) = running.wait_or_kill(ATTACK_DEADLINE)?;
        if output.code != 0 {
            return Ok(Creation::Refused(Attack { ran: false, output }));
        }
        let pid = host::read(&pid_file)?.parse().context("the pid file")?;
        Ok(Creation::Made(Created { mounts: host::mounts(pid)?, container, pid, _terminal: terminal }))
    }
}

impl Created<'_> {
    /// The container's path as the host reaches it, through init's root and mounts.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root/{}", self.pid, inside.trim_start_matches('/')))
    }

    /// Opens something by its path in the container, links resolved as the container would; nothing blocks.
    pub fn open(&self, inside: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let root = openat(CWD, format!("/proc/{}/root/", self.pid), OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        let flags = match flags.contains(OFlags::PATH) {
            true => flags | OFlags::CLOEXEC,
            false => flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC,
        };
        openat2(root, inside, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
    }

    /// Up to 256 bytes of a file in the container, or the names in a directory; nothing when it cannot be opened.
    pub fn shows(&self, inside: &str) -> Result<String> {
        let Ok(file) = self.open(inside, OFlags::RDONLY) else { return Ok(String::new()) };
        if FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::Directory {
            let names =
                Dir::read_from(&file)?.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
            return Ok(names.filter(|name| name != "." && name != "..").collect::<Vec<_>>().join(" "));
        }
        let mut bytes = [0; 256];
        let length = rustix::io::read(&file, &mut bytes).unwrap_or(0);
        Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    /// The mounts of something below the directory of the check, by the name it has there.
    pub fn mounts_of(&self, source: &Path) -> Result<Vec<Mount>> {
        let (device, root) = place(source)?;
        Ok(self.mounts.iter().filter(|m| m.device == device && Path::new(&m.root) == root).cloned().collect())
    }

    /// What of the host is in the container's mount table that no configuration of the suite asks for, or `None`: its
    /// file systems but the kernel's own, and of the suite's file system what is in the outside tree.
    pub fn strays(&self, outside: &Outside) -> Result<Option<String>> {
        strays(&self.mounts, outside)
    }

    /// Whether the container's root is this directory.
    pub fn root_is(&self, dir: &Path) -> Result<bool> {
        Ok(same_file(&self.path("/"), dir)?)
    }

    /// `delete --force`.
    pub fn end(self) -> Result<()> {
        self.container.call("delete", &["--force"])?.success().map(drop)
    }
}

/// See [`Created::strays`].
pub fn strays(mounts: &[Mount], outside: &Outside) -> Result<Option<String>> {
    let (ground, forbidden) = place(&outside.dir)?;
    let check = forbidden.parent().context("the outside tree is at the top")?;
    let kernel = ["sysfs", "cgroup", "cgroup2"];
    let host: Vec<Mount> = host::mounts("self")?.into_iter().filter(|m| !kernel.contains(&&*m.kind)).collect();
    let stray = mounts.iter().find(|mount| {
        let root = Path::new(&mount.root);
        match mount.device == ground {
            true => !root.starts_with(check) || root == check || root.starts_with(&forbidden),
            false => host.iter().any(|of_host| of_host.device == mount.device),
        }
    });
    Ok(stray.map(|mount| format!("{} {} of {} is mounted at {}", mount.kind, mount.root, mount.device, mount.point)))
}

/// Device and path in its file system of something in the suite's own.
fn place(path: &Path) -> Result<(String, PathBuf)> {
    let ground = isolation::ground()?;
    let device = host::mount_at(&host::mounts("self")?, &ground.to_string_lossy())?.device;
    Ok((device, Path::new("/").join(path.strip_prefix(&ground).context("not on the ground")?)))
}

/// Whether two paths, links followed, are one file.
pub fn same_file(one: &Path, other: &Path) -> std::io::Result<bool> {
    let (one, other) = (std::fs::metadata(one)?, std::fs::metadata(other)?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

/// Whether the working directory of a process is below its root.
pub fn works_inside(pid: i32) -> Result<bool> {
    let identity = |data: rustix::fs::Stat| (data.st_dev, data.st_ino);
    let root = identity(rustix::fs::stat(format!("/proc/{pid}/root/"))?);
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let mut dir = openat(CWD, format!("/proc/{pid}/cwd"), flags, Mode::empty())?;
    for _ in 0..64 {
        let here = identity(fstat(&dir)?);
        if here == root {
            return Ok(true);
        }
        let up = openat(&dir, "..", flags, Mode::empty())?;
        if identity(fstat(&up)?) == here {
            return Ok(false);
        }
        dir = up;
    }
    Ok(false)
}
