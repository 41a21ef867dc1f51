//! HOME, when the config does not say: what the container's own /etc/passwd has for the user, else `/`.
//!
//! The file is the image's and hostile: it is looked up inside the rootfs, and only opened if it is an ordinary file (a
//! FIFO there hangs others: CVE-2024-9676; a device does something when it is opened, and so do files of procfs and sysfs,
//! which look ordinary). At most 1 MiB is read, and nothing but the text of one field is used.

use crate::state::procfs::Procfs;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};

const MAX_BYTES: u64 = 1 << 20;

/// statfs(2) of file systems whose files are the kernel's: procfs, sysfs, debugfs, tracefs, securityfs.
const KERNELS_OWN: [i64; 5] = [0x9fa0, 0x6265_6572, 0x6462_6720, 0x7472_6163, 0x7363_6673];

/// The home directory of `uid` in the tree below `root`.
pub fn directory(root: BorrowedFd<'_>, uid: u32) -> String {
    let found = read(root).and_then(|passwd| find(&passwd, uid));
    found.unwrap_or_else(|| "/".to_string())
}

fn read(root: BorrowedFd<'_>) -> Option<String> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let found = rustix::fs::openat2(root, "etc/passwd", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve).ok()?;
    let st = rustix::fs::fstat(&found).ok()?;
    let kernels_own = KERNELS_OWN.contains(&rustix::fs::fstatfs(&found).ok()?.f_type);
    if FileType::from_raw_mode(st.st_mode) != FileType::RegularFile || kernels_own {
        return None;
    }
    let file = Procfs::open().ok()?.reopen(found.as_fd(), OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).ok()?;
    let mut bytes = Vec::new();
    std::fs::File::from(file).take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The home directory of `uid` by the text of a passwd(5): that of the first line with the id and an absolute path.
pub fn find(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, id, _, _, home, ..] = fields.as_slice() else { return None };
        (id.parse() == Ok(uid) && home.starts_with('/')).then(|| (*home).to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::{directory, find};
    use rustix::fs::{CWD, FileType, Mode, inotify, mknodat};
    use std::os::fd::AsFd;

    #[test]
    fn the_first_line_of_the_user_counts_and_nothing_malformed_does() {
        let passwd = "bad\nroot:x:0:0:root:/root:/bin/sh\nu:x:7:7::relative:/bin/sh\nv:x:7:7::/home/v:/bin/sh\n";
        assert_eq!(find(passwd, 0).as_deref(), Some("/root"));
        assert_eq!(find(passwd, 7).as_deref(), Some("/home/v"));
        assert_eq!(find(passwd, 8), None);
    }

    #[test]
    fn only_an_ordinary_file_is_opened() {
        let root = std::env::temp_dir().join(format!("casemate-home-{}", std::process::id()));
        let passwd = root.join("etc/passwd");
        std::fs::create_dir_all(root.join("etc")).unwrap();
        let home = || directory(std::fs::File::open(&root).unwrap().as_fd(), 7);
        std::fs::write(&passwd, "u:x:7:7::/home/u:/bin/sh\n").unwrap();
        assert_eq!(home(), "/home/u");
        std::fs::remove_file(&passwd).unwrap();
        mknodat(CWD, &passwd, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        // A look with O_PATH is no opening; inotify(7) tells of the others.
        let seen = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&seen, &passwd, inotify::WatchFlags::OPEN).unwrap();
        assert_eq!(home(), "/");
        assert_eq!(rustix::io::read(&seen, &mut [0; 512]), Err(rustix::io::Errno::AGAIN), "the FIFO was opened");
        std::fs::remove_file(&passwd).unwrap();
        std::os::unix::fs::symlink("/proc/version", &passwd).unwrap();
        assert_eq!(home(), "/");
        std::fs::remove_dir_all(&root).unwrap();
    }
}
