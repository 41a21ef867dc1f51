//! HOME, when the config does not say: what the container's own /etc/passwd has for the user, else `/`.
//!
//! The file is the image's and hostile: it is opened inside the rootfs, without blocking, and only read if it is an
//! ordinary file of at most 1 MiB (a FIFO there hangs others: CVE-2024-9676). Nothing but the text of one field is used.

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use std::io::Read;
use std::os::fd::BorrowedFd;

const MAX_BYTES: u64 = 1 << 20;

/// The home directory of `uid` in the tree below `root`.
pub fn directory(root: BorrowedFd<'_>, uid: u32) -> String {
    let found = read(root).and_then(|passwd| find(&passwd, uid));
    found.unwrap_or_else(|| "/".to_string())
}

fn read(root: BorrowedFd<'_>) -> Option<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let fd = rustix::fs::openat2(root, "etc/passwd", flags, Mode::empty(), resolve).ok()?;
    let st = rustix::fs::fstat(&fd).ok()?;
    if FileType::from_raw_mode(st.st_mode) != FileType::RegularFile {
        return None;
    }
    let mut bytes = Vec::new();
    std::fs::File::from(fd).take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
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
    use super::find;

    #[test]
    fn the_first_line_of_the_user_counts_and_nothing_malformed_does() {
        let passwd = "bad\nroot:x:0:0:root:/root:/bin/sh\nu:x:7:7::relative:/bin/sh\nv:x:7:7::/home/v:/bin/sh\n";
        assert_eq!(find(passwd, 0).as_deref(), Some("/root"));
        assert_eq!(find(passwd, 7).as_deref(), Some("/home/v"));
        assert_eq!(find(passwd, 8), None);
    }
}
