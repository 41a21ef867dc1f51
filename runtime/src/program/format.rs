//! The binary form of a program of operations: one shared memory object, written by casemate, executed by init.
//!
//! ```text
//! offset 0     Header   magic, number of records, length, and the Report that init fills in
//!        2048  Record   × header.ops, 40 bytes each, in execution order
//!        ...   strings, NUL-terminated; lists of strings: 8-aligned arrays of 64-bit offsets, 0 at the end;
//!              blobs (BPF instructions, groups), 8-aligned
//! ```
//! All integers are in the machine's own byte order: both ends run on the same machine, from the same build.
//! Offsets are from the start of the object; offset 0 means "absent". This file is compiled into both programs
//! and must stay free of std.

/// First word of a program ("csm1").
pub const MAGIC: u32 = 0x6373_6d31;
/// Where the records start: half a page, so that the header can grow without moving them.
pub const RECORDS: usize = 2048;
/// Longest text (output of a hook that failed) that a report carries, in bytes.
pub const REPORT_TEXT: usize = 1024;

/// What init says about itself. Written by init by plain stores, so that a report needs no system call:
/// once the seccomp filter is on, `execve` is the only call that init makes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Report {
    /// One of [`report_state`].
    pub state: u32,
    /// Index of the operation that failed.
    pub op: u32,
    /// Number of the system call that failed, or [`refusal::CALL`]: a check of init's own.
    pub call: u32,
    /// What the kernel said, or one of [`refusal`] when `call` says so.
    pub errno: i32,
    /// Which part of the operation: a component, candidate or mount number.
    pub detail: u32,
    /// Descriptor number of the seccomp listener in init, while `state` is `LISTENER`.
    pub listener: i32,
    /// Set to 1 by the parent when it holds the listener.
    pub ack: u32,
    /// Bytes used of `text`.
    pub text_len: u32,
    /// Output of a hook that failed.
    pub text: [u8; REPORT_TEXT],
}

/// Values of [`Report::state`].
pub mod report_state {
    /// Init works through its operations.
    pub const WORKING: u32 = 0;
    /// An operation failed; the other fields say which and why.
    pub const FAILED: u32 = 1;
    /// The seccomp listener waits to be fetched with pidfd_getfd(2).
    pub const LISTENER: u32 = 2;
    /// The last operation, execve(2), was begun.
    pub const EXECUTING: u32 = 3;
}

/// Reasons of init's own, in [`Report::errno`] when [`Report::call`] is [`refusal::CALL`].
pub mod refusal {
    /// In place of a system call's number. Not 0, which is read(2).
    pub const CALL: u32 = u32::MAX;
    /// The program is not one of this build.
    pub const BAD_PROGRAM: i32 = 1;
    /// The mount's target lies in procfs.
    pub const TARGET_IN_PROC: i32 = 2;
    /// proc or sysfs must be mounted on an ordinary directory.
    pub const NOT_A_DIRECTORY: i32 = 3;
    /// A planned mount is missing or covered by something unknown.
    pub const MOUNT_NOT_ON_TOP: i32 = 4;
    /// A mount that nobody planned is in the table.
    pub const MOUNT_UNEXPECTED: i32 = 5;
    /// /dev/pts/ptmx is not the multiplexer of a devpts.
    pub const NOT_A_PTMX: i32 = 6;
    /// An existing file is not the device that was asked for.
    pub const DEVICE_MISMATCH: i32 = 7;
    /// The executable was not found in any directory of PATH.
    pub const NOT_IN_PATH: i32 = 8;
    /// A hook ended with a failure; `detail` has its wait status.
    pub const HOOK_FAILED: i32 = 9;
    /// A hook did not end in time.
    pub const HOOK_TIMEOUT: i32 = 10;
    /// The working directory is outside the container.
    pub const CWD_OUTSIDE: i32 = 11;
    /// What was read back from procfs is not what was written.
    pub const NOT_IN_EFFECT: i32 = 12;
    /// The parent went away or said stop.
    pub const ABANDONED: i32 = 13;
    /// Too many symbolic links while making a path.
    pub const TOO_MANY_LINKS: i32 = 14;
    /// A path is too long.
    pub const PATH_TOO_LONG: i32 = 15;
    /// The file at a masked path is neither directory nor ordinary file that can be covered.
    pub const NOT_MASKABLE: i32 = 16;
    /// A symbolic link stands where a device node goes.
    pub const DEVICE_IS_LINK: i32 = 17;
    /// A symbolic link stands where the terminal goes.
    pub const CONSOLE_IS_LINK: i32 = 18;
}

/// Start of the object.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: u32,
    /// Number of records.
    pub ops: u32,
    /// Length of the whole object in bytes.
    pub len: u32,
    /// Init's socket to the parent.
    pub control: i32,
    /// The listening socket on which `start` connects, or -1 (run, exec).
    pub start: i32,
    /// The first descriptor that the container's process does not get.
    pub first: i32,
    /// Reserved, 0.
    pub zero: [u32; 2],
    /// Init's report.
    pub report: Report,
}

/// One operation. What the fields mean depends on `kind`; see the encoder in `program/encode.rs`.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Record {
    /// One of [`kind`].
    pub kind: u16,
    /// Bits of [`flag`].
    pub flags: u16,
    /// Descriptor of a handle that the parent opened, or -1.
    pub slot: i32,
    /// First integer.
    pub a: u64,
    /// Second integer.
    pub b: u64,
    /// First string, list or blob.
    pub s: u32,
    /// Second string, list or blob.
    pub t: u32,
    /// Third string, list or blob.
    pub u: u32,
    /// A count or length.
    pub n: u32,
}

/// Kinds of operations.
pub mod kind {
    #![allow(missing_docs)]
    pub const JOIN_CGROUP: u16 = 1;
    pub const JOIN_NAMESPACE: u16 = 2;
    pub const UNSHARE: u16 = 3;
    pub const HOST_PROPAGATION: u16 = 4;
    pub const ATTACH_ROOT: u16 = 5;
    pub const MOUNT: u16 = 6;
    pub const BIND: u16 = 7;
    pub const DEVICE: u16 = 8;
    pub const SYMLINK: u16 = 9;
    pub const TERMINAL: u16 = 10;
    pub const BARRIER: u16 = 11;
    pub const HOOK: u16 = 12;
    pub const PIVOT: u16 = 13;
    pub const HOSTNAME: u16 = 14;
    pub const DOMAINNAME: u16 = 15;
    pub const SYSCTL: u16 = 16;
    pub const READONLY_PATH: u16 = 17;
    pub const MASK: u16 = 18;
    pub const SET_MOUNT: u16 = 19;
    pub const KEYRING: u16 = 20;
    pub const LABEL: u16 = 21;
    pub const RLIMIT: u16 = 22;
    pub const LOOPBACK: u16 = 23;
    pub const SESSION: u16 = 24;
    pub const BOUNDING: u16 = 25;
    pub const IDENTITY: u16 = 26;
    pub const CAPABILITIES: u16 = 27;
    pub const AMBIENT: u16 = 28;
    pub const NO_NEW_PRIVILEGES: u16 = 29;
    pub const WORKING_DIRECTORY: u16 = 30;
    pub const UMASK: u16 = 31;
    pub const CLOSE_HANDLES: u16 = 32;
    pub const READY: u16 = 33;
    pub const WAIT_START: u16 = 34;
    pub const SECCOMP: u16 = 35;
    pub const FIND_EXECUTABLE: u16 = 36;
    pub const EXECUTE: u16 = 37;
    pub const CHECK_MOUNTS: u16 = 38;
    pub const OPEN_ROOT: u16 = 39;
    pub const MAKE_DIRECTORY: u16 = 40;
    pub const MASK_SOURCE: u16 = 41;
    pub const ENTER_PID_NAMESPACE: u16 = 42;
    pub const LANDLOCK: u16 = 43;
}

/// Bits of [`Record::flags`].
pub mod flag {
    /// MOUNT: this is the container's /dev; device nodes go onto it.
    pub const IS_DEV: u16 = 1;
    /// MOUNT: the target must be a directory that no symbolic link leads to (proc, sysfs).
    pub const NO_SYMLINKS: u16 = 2;
    /// MOUNT: copy what the rootfs has at the target into the new filesystem first.
    pub const COPY_UP: u16 = 4;
    /// MOUNT: only where there is a directory; without one nothing is done.
    pub const IF_DIRECTORY: u16 = 8;
    /// DEVICE, SYMLINK: below the /dev that was mounted by us, not below the rootfs.
    pub const ON_DEV: u16 = 16;
    /// MOUNT, BIND: the target may lie in procfs (the files that lxcfs provides).
    pub const IN_PROC: u16 = 32;
    /// BIND, SET_MOUNT: attributes and propagation go down the whole tree.
    pub const RECURSIVE: u16 = 64;
    /// TERMINAL: bind the terminal on /dev/console. SESSION: standard input becomes its controlling terminal.
    pub const CONSOLE: u16 = 128;
    /// WORKING_DIRECTORY: the second try, with the process's own credentials.
    pub const SECOND: u16 = 256;
    /// SECCOMP: fetch the listener from the report before execve.
    pub const LISTENER: u16 = 512;
    /// CHECK_MOUNTS: mounts that nobody planned are allowed (hooks, slave propagation).
    pub const EXTRA_MOUNTS: u16 = 1024;
    /// MOUNT: mount with mount(2), for an option that the new mount API cannot say.
    pub const LEGACY: u16 = 2048;
    /// WORKING_DIRECTORY: make it if it is missing.
    pub const CREATE: u16 = 4096;
    /// MOUNT: the new filesystem's root takes the mode of the directory it covers.
    pub const INHERIT_MODE: u16 = 16384;
    /// WAIT_START: on the control socket (run, exec), not on the listening one (create).
    pub const CONTROL: u16 = 8192;
}

/// Messages on the control and start sockets: one byte each, drawn in `launch/channel.rs`.
pub mod message {
    /// init → parent: all mounts are in place, run the runtime hooks.
    pub const MOUNTED: u8 = b'm';
    /// parent → init: go on.
    pub const PROCEED: u8 = b'p';
    /// init → parent: here is the terminal (SCM_RIGHTS).
    pub const TERMINAL: u8 = b't';
    /// init → parent: here is the process that goes on in my place (SCM_RIGHTS: its pidfd).
    pub const SUCCESSOR: u8 = b'f';
    /// init → parent: set up, waiting for start.
    pub const READY: u8 = b'r';
    /// parent → init: the state is on disk, you may outlive me.
    pub const COMMITTED: u8 = b'c';
    /// init → start: here is the program (SCM_RIGHTS).
    pub const PROGRAM: u8 = b'g';
    /// start → init: run the process.
    pub const START: u8 = b's';
}
