//! Whether SELinux is enabled, from what is mounted at /sys/fs/selinux.

/// `SELINUX_MAGIC` of linux/magic.h: the filesystem type of selinuxfs.
pub const SELINUX_MAGIC: u64 = 0xf97c_ff8c;

/// What statfs(2) says about `/sys/fs/selinux`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selinuxfs {
    /// `f_type`; none where the path does not exist. Its type is signed on some architectures: the low 32 bits count.
    pub magic: Option<u64>,
    /// `f_flags` has ST_RDONLY.
    pub read_only: bool,
}

impl Selinuxfs {
    /// Enabled is mounted and writable. Read-only is how a container is shown a host whose policy it has no part in;
    /// libselinux says "disabled" there too (is_selinux_enabled(3)).
    pub fn is_enabled(self) -> bool {
        self.magic.is_some_and(|magic| magic & 0xffff_ffff == SELINUX_MAGIC) && !self.read_only
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enabled_is_selinuxfs_that_can_be_written() {
        let at = |magic, read_only| Selinuxfs { magic, read_only }.is_enabled();
        assert!(at(Some(SELINUX_MAGIC), false));
        // As a sign-extended 32-bit number.
        assert!(at(Some(0xffff_ffff_f97c_ff8c), false));
        assert!(!at(Some(SELINUX_MAGIC), true));
        // sysfs: the directory without the mount.
        assert!(!at(Some(0x6265_6572), false));
        assert!(!at(None, false));
    }
}
