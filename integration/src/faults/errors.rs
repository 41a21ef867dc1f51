//! Which error a call is failed with, and which calls are not.

use rustix::io::Errno;

/// One plausible error for a call, and the kernel's words for it; `None` for a call whose failure no program can answer:
///
/// * exit and exit_group never return, and a failed rt_sigreturn is a crash;
/// * munmap, madvise, mprotect, brk and rt_sig* fail for wrong arguments only; futex is a lock of the standard library's;
/// * getpid, geteuid and their like cannot fail (getuid(2), "Errors"), nor can umask;
/// * the start of a static program (arch_prctl, set_tid_address, sigaltstack, rseq and their like) comes before main.
///
/// SIGKILL is injected at all of them.
pub fn plausible(call: i64) -> Option<Errno> {
    Some(match call {
        libc::SYS_exit | libc::SYS_exit_group | libc::SYS_rt_sigreturn | libc::SYS_munmap | libc::SYS_madvise => {
            return None;
        }
        libc::SYS_mprotect | libc::SYS_brk | libc::SYS_rt_sigaction | libc::SYS_rt_sigprocmask | libc::SYS_futex => {
            return None;
        }
        #[cfg(target_arch = "x86_64")]
        libc::SYS_arch_prctl => return None,
        libc::SYS_getpid | libc::SYS_gettid | libc::SYS_getppid | libc::SYS_umask => return None,
        libc::SYS_getuid | libc::SYS_geteuid | libc::SYS_getgid | libc::SYS_getegid => return None,
        libc::SYS_set_tid_address | libc::SYS_set_robust_list | libc::SYS_rseq | libc::SYS_sigaltstack => return None,
        libc::SYS_mmap | libc::SYS_mremap => Errno::NOMEM,
        libc::SYS_openat | libc::SYS_openat2 | libc::SYS_socket | libc::SYS_pipe2 | libc::SYS_dup3 => Errno::MFILE,
        libc::SYS_clone | libc::SYS_clone3 => Errno::AGAIN,
        libc::SYS_mkdirat | libc::SYS_mknodat | libc::SYS_symlinkat | libc::SYS_write | libc::SYS_renameat2 => {
            Errno::NOSPC
        }
        libc::SYS_memfd_create | libc::SYS_ftruncate => Errno::NOSPC,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open | libc::SYS_pipe => Errno::MFILE,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_fork | libc::SYS_vfork => Errno::AGAIN,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_mkdir | libc::SYS_rename => Errno::NOSPC,
        libc::SYS_mount
        | libc::SYS_umount2
        | libc::SYS_pivot_root
        | libc::SYS_fsopen
        | libc::SYS_fsconfig
        | libc::SYS_fsmount
        | libc::SYS_open_tree
        | libc::SYS_move_mount
        | libc::SYS_mount_setattr
        | libc::SYS_unshare
        | libc::SYS_setns
        | libc::SYS_setresuid
        | libc::SYS_setresgid
        | libc::SYS_setuid
        | libc::SYS_setgid
        | libc::SYS_setgroups
        | libc::SYS_prctl
        | libc::SYS_seccomp
        | libc::SYS_capset
        | libc::SYS_sethostname
        | libc::SYS_keyctl
        | libc::SYS_bpf
        | libc::SYS_prlimit64
        | libc::SYS_kill
        | libc::SYS_pidfd_send_signal => Errno::PERM,
        _ => Errno::IO,
    })
}

/// The kernel's words for an error, as Go writes them.
pub fn words(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string().to_lowercase();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// The name of a call.
pub fn name(call: i64) -> String {
    let known = usize::try_from(call).ok().and_then(syscalls::Sysno::new);
    known.map_or_else(|| call.to_string(), |call| call.name().to_owned())
}
