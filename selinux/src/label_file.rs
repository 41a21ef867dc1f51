//! The files of procfs that labels are written to (proc_pid_attr(5)).

/// What a process says in advance about what it will make. Each file takes the text of a context, in one write; an empty
/// write takes it back, and execve(2) forgets all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelFile {
    /// The next execve(2): `process.selinuxLabel`.
    Exec,
    /// Keys and keyrings from here on: the session keyring of a container gets the label of its process.
    Keycreate,
    /// Sockets from here on.
    Sockcreate,
}

impl LabelFile {
    /// Its path below the root of procfs. `self` is right for a process of one thread; the files are the thread's.
    pub fn path(self) -> &'static str {
        match self {
            LabelFile::Exec => "self/attr/exec",
            LabelFile::Keycreate => "self/attr/keycreate",
            LabelFile::Sockcreate => "self/attr/sockcreate",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_those_of_a_running_kernel() {
        if !std::path::Path::new("/proc/self/attr").exists() {
            eprintln!("skipped: needs /proc/self/attr: this kernel has no CONFIG_SECURITY");
            return;
        }
        for file in [LabelFile::Exec, LabelFile::Keycreate, LabelFile::Sockcreate] {
            // They are there whether or not a security module answers.
            let path = format!("/proc/{}", file.path());
            assert!(std::fs::symlink_metadata(&path).is_ok(), "{path}");
        }
    }
}
