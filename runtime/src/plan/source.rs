//! What the paths of a plan led to on the host, as data: `launch` opens them, policy judges them.

use super::namespace::NamespaceKind;

/// The type of a file (inode(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A regular file.
    Regular,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A symbolic link, or something that Linux has no type for.
    Other,
}

/// What is mounted from the host: the rootfs, and the source of each bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Index into the plan's handles.
    pub handle: usize,
    /// As the plan names it: absolute, possibly through symbolic links.
    pub path: String,
    /// Where that is: absolute, without symbolic links.
    pub real_path: String,
    /// The device number of its filesystem (`st_dev`).
    pub device: u64,
    /// Its inode.
    pub inode: u64,
    /// Its type.
    pub kind: FileKind,
}

/// A namespace that the config names by a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedNamespace {
    /// Its kind.
    pub kind: NamespaceKind,
    /// Its path.
    pub path: String,
    /// It is the one that casemate itself is in.
    pub is_own: bool,
}
