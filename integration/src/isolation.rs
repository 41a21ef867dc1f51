//! Private namespaces for everything the suite does.
//!
//! `unshare` (util-linux) makes the mount, pid and, where asked for, network namespaces and starts this program again twice:
//! as pid 1, which only reaps orphans (container inits whose `create` has ended), and below it as the program proper.
//! When `unshare` dies, `--kill-child` takes the whole pid namespace with it.

use crate::host::{Host, remove_cgroup};
use crate::options::REAP;
use crate::process::eventually;
use anyhow::{Context, Result};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{WaitOptions, wait};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

/// Set in the inner process: the directory of the private tmpfs.
const GROUND: &str = "INTEGRATION_GROUND";

/// Whether the inner process keeps the host's network namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Network {
    Shared,
    Private,
}

/// Runs `inner` in private namespaces: in the outer process this starts the inner one and hands on its exit code.
pub fn enter(network: Network, inner: impl FnOnce() -> Result<ExitCode>) -> Result<ExitCode> {
    if std::env::var_os(GROUND).is_some() {
        return inner();
    }
    let ground = std::env::temp_dir().join(format!("integration-{}", std::process::id()));
    std::fs::create_dir(&ground).with_context(|| format!("mkdir \"{}\"", ground.display()))?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]);
    if network == Network::Private {
        command.arg("--net");
    }
    // A session keyring of its own too: what a runtime puts into its caller's is seen, and is nobody else's.
    let suite = std::env::current_exe()?;
    command.arg("--").arg(suite.with_file_name("probe")).arg("session").arg(&suite);
    command.arg(REAP).args(std::env::args_os().skip(1));
    let status = command.env(GROUND, &ground).status().context("unshare (package util-linux)");
    clear_cgroups(&ground)?;
    std::fs::remove_dir(&ground).with_context(|| format!("rmdir \"{}\"", ground.display()))?;
    Ok(exit_code(status?))
}

/// Removes cgroups that an inner process which ended early has left: every process of its pid namespace is gone now.
fn clear_cgroups(ground: &Path) -> Result<()> {
    let name = ground.file_name().unwrap_or_default().to_string_lossy();
    let host = Host::look()?;
    for suffix in ["", "-docker", "-containerd", "-podman"] {
        for dir in host.cgroup_dirs(&format!("/{name}{suffix}")) {
            eventually("the cgroups can be removed", || Ok(remove_cgroup(&dir).ok()))?;
        }
    }
    Ok(())
}

/// Pid 1 of the private namespace: mounts the ground, starts the program proper and reaps until it has ended.
pub fn reap(arguments: &[String]) -> Result<ExitCode> {
    let ground = self::ground()?;
    mount("integration", &ground, "tmpfs", MountFlags::empty(), c"mode=0755").context("mount tmpfs on the ground")?;
    mount_change(&ground, MountPropagationFlags::PRIVATE).context("make the ground private")?;
    let child = Command::new(std::env::current_exe()?).args(arguments).spawn().context("start the program proper")?;
    let main = child.id();
    loop {
        if let Some((pid, status)) = wait(WaitOptions::empty()).context("wait for children")?
            && pid.as_raw_nonzero().get().unsigned_abs() == main
        {
            return Ok(exit_code(ExitStatus::from_raw(status.as_raw())));
        }
    }
}

/// The directory of the private tmpfs; everything the suite writes is below it and vanishes with the namespace.
pub fn ground() -> Result<PathBuf> {
    std::env::var_os(GROUND)
        .map(PathBuf::from)
        .filter(|path| Path::is_absolute(path))
        .context("not in private namespaces")
}

fn exit_code(status: ExitStatus) -> ExitCode {
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitCode::from(code.to_le_bytes()[0]),
        (None, Some(signal)) => ExitCode::from(128u8.wrapping_add(signal.to_le_bytes()[0])),
        (None, None) => ExitCode::FAILURE,
    }
}
