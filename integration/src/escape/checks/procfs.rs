//! A procfs in which other things are mounted over the files that a runtime writes to: the write has to take effect, or the
//! runtime has to refuse.
//!
//! Each runtime is called in a mount namespace of its own in which `/proc/self` is a link to a directory that leads every
//! file on to `/proc/thread-self`, but for the one that is attacked.

use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::scene::{Attack, Scene};
use crate::process::{Output, Recorder};
use crate::{holds, host};
use anyhow::{Context, Result, ensure};
use rustix::fs::CWD;
use rustix::mount::{MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags};
use rustix::mount::{mount, mount_change, move_mount, open_tree};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use serde_json::json;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

crate::checks! {
    "CVE-2025-52881" the_oom_score_is_set_though_its_file_is_an_ordinary_one
        [Advisory("runc", "CVE-2025-52881"), KnownHole("runc version 1.1.5+ds1")];
    "CVE-2025-52881" the_oom_score_is_set_though_its_file_is_another_of_procfs
        [Advisory("runc", "CVE-2025-52881"), KnownHole("runc version 1.1.5+ds1")];
    "CVE-2025-52881" a_sysctl_is_set_though_its_directory_is_covered
        [Advisory("runc", "CVE-2025-52881"), KnownHole("runc version 1.1.5+ds1")];
    "F3" the_label_is_set_though_its_file_is_an_ordinary_one [Needs(Selinux)];
    "F3" the_label_is_set_though_its_file_is_another_of_procfs [Needs(Selinux)];
}

/// What is found in the place of a file of procfs.
#[derive(Clone, Copy)]
enum Instead {
    /// A file of a tmpfs: the check of the file system would see it.
    Ordinary,
    /// `sched`, which anybody may write to: it is procfs, so only the name is wrong.
    Sched,
}

/// Mounts for one command, in the mount namespace of the thread that will start it.
type Mounts = Box<dyn Fn() -> Result<()> + Send + Sync>;

/// Runs commands, one after the other, in a mount namespace of their own with these mounts.
fn beneath(recorder: &Recorder, mounts: &Mounts, commands: Vec<Command>) -> Result<Vec<Output>> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: only the mount namespace, the root and the working directory stop being shared with the other
            // threads; this thread relies on none of them, and no memory or descriptor is affected.
            #[allow(unsafe_code)]
            unsafe { unshare_unsafe(UnshareFlags::FS | UnshareFlags::NEWNS) }.context("unshare the mount namespace")?;
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).context("make private")?;
            mounts()?;
            commands.into_iter().map(|command| recorder.run(command)).collect()
        });
        thread.join().map_err(|_| anyhow::anyhow!("the thread of the mount namespace has panicked"))?
    })
}

/// Covers `/proc/self`: below `dir`, one file of it is another one.
fn cover_self(dir: &Path, file: &str, instead: Instead) -> Result<()> {
    mount("procfs", dir, "tmpfs", MountFlags::empty(), None::<&std::ffi::CStr>).context("mount tmpfs")?;
    let fake = dir.join("fake");
    std::fs::create_dir(&fake)?;
    let (first, rest) = file.split_once('/').unwrap_or((file, ""));
    for entry in std::fs::read_dir("/proc/thread-self")? {
        let name = entry?.file_name();
        if name != first {
            symlink(Path::new("/proc/thread-self").join(&name), fake.join(&name))?;
        }
    }
    let place = fake.join(file);
    if !rest.is_empty() {
        std::fs::create_dir(fake.join(first))?;
        for entry in std::fs::read_dir(Path::new("/proc/thread-self").join(first))? {
            let name = entry?.file_name();
            if name != rest {
                symlink(Path::new("/proc/thread-self").join(first).join(&name), fake.join(first).join(&name))?;
            }
        }
    }
    match instead {
        Instead::Ordinary => std::fs::write(&place, "")?,
        Instead::Sched => symlink("/proc/thread-self/sched", &place)?,
    }
    let link = dir.join("self");
    symlink(&fake, &link)?;
    let tree = open_tree(CWD, &link, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_SYMLINK_NOFOLLOW);
    let tree = tree.context("open_tree of a link")?;
    move_mount(tree, "", CWD, "/proc/self", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).context("cover /proc/self")
}

/// `create` beneath the mounts, after a command that shows that they are there.
fn create_beneath(s: &Scene, bundle: &Bundle, mounts: &Mounts, control: &str) -> Result<(Attack, String, String)> {
    let mut bundle = bundle.clone();
    bundle.args(&["/bin/sleep", "1000"]);
    let container = s.ground.container(&bundle);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", control]);
    let outputs = beneath(&s.ground.recorder, mounts, vec![shell, container.create_command(&[])?])?;
    let [control, create] = <[Output; 2]>::try_from(outputs).map_err(|_| anyhow::anyhow!("two commands"))?;
    let id = container.id.clone();
    Ok((Attack { ran: create.code == 0, output: create }, id, control.success()?.stdout))
}

/// The pid of a container that was created, by what the runtime says outside of the mounts.
fn started(s: &Scene, id: &str) -> Result<i32> {
    s.ground.call(&["start", id])?.success()?;
    let state = s.ground.call(&["state", id])?.success()?.json()?;
    Ok(i32::try_from(state["pid"].as_i64().context("no pid")?)?)
}

fn oom_score(s: &Scene, instead: Instead) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.set("/process/oomScoreAdj", json!(501));
    let twin = s.sleeping(&bundle)?;
    ensure!(host::read(format!("/proc/{}/oom_score_adj", twin.pid()?).as_ref())? == "501", "the twin's score");
    // The attack has its cgroup.
    twin.call("delete", &["--force"])?.success()?;
    let dir = s.ground.dir.join("covered");
    std::fs::create_dir(&dir)?;
    let mounts: Mounts = Box::new(move || cover_self(&dir, "oom_score_adj", instead));
    // The shell's own score does not change: the mounts are there.
    let control = "echo 7 > /proc/self/oom_score_adj && cat /proc/$$/oom_score_adj";
    let (attack, id, own) = create_beneath(s, &bundle, &mounts, control)?;
    ensure!(own.trim() != "7", "nothing is mounted over /proc/self");
    if !attack.ran {
        return s.refused(&attack)?.context("neither refused nor ran");
    }
    let score = host::read(format!("/proc/{}/oom_score_adj", started(s, &id)?).as_ref())?;
    holds!(score == "501", "oom_score_adj is {score}, not 501");
    Ok(Verdict::safe())
}

fn the_oom_score_is_set_though_its_file_is_an_ordinary_one(s: &Scene) -> Result<Verdict> {
    oom_score(s, Instead::Ordinary)
}

fn the_oom_score_is_set_though_its_file_is_another_of_procfs(s: &Scene) -> Result<Verdict> {
    oom_score(s, Instead::Sched)
}

fn a_sysctl_is_set_though_its_directory_is_covered(s: &Scene) -> Result<Verdict> {
    const FILE: &str = "ipv4/ip_unprivileged_port_start";
    let port = |pid: i32| {
        let net = format!("--net=/proc/{pid}/ns/net");
        Ok::<_, anyhow::Error>(s.host("nsenter", &[&net, "cat", &format!("/proc/sys/net/{FILE}")])?.success()?.stdout)
    };
    let mut bundle = s.bundle()?;
    bundle.set("/linux/sysctl", json!({"net.ipv4.ip_unprivileged_port_start": "77"}));
    let twin = s.sleeping(&bundle)?;
    ensure!(port(twin.pid()?)?.trim() == "77", "the twin's sysctl");
    twin.call("delete", &["--force"])?.success()?;
    // The container's procfs is the caller's, with what is mounted in it.
    bundle.unmount("/proc");
    if let Some(serde_json::Value::Array(mounts)) = bundle.spec.get_mut("mounts") {
        mounts.insert(
            0,
            json!({"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind", "rprivate"]}),
        );
    }
    let mounts: Mounts = Box::new(|| {
        mount("procfs", "/proc/sys/net", "tmpfs", MountFlags::empty(), None::<&std::ffi::CStr>).context("cover")?;
        std::fs::create_dir("/proc/sys/net/ipv4")?;
        Ok(std::fs::write(Path::new("/proc/sys/net").join(FILE), "1024\n")?)
    });
    let control = format!("echo 7 > /proc/sys/net/{FILE} && stat -f -c %T /proc/sys/net");
    let (attack, id, kind) = create_beneath(s, &bundle, &mounts, &control)?;
    ensure!(kind.trim() == "tmpfs", "nothing is mounted over /proc/sys/net");
    if !attack.ran {
        return s.refused(&attack)?.context("neither refused nor ran");
    }
    let seen = port(started(s, &id)?)?;
    holds!(seen.trim() == "77", "net.ipv4.ip_unprivileged_port_start is {}, not 77", seen.trim());
    Ok(Verdict::safe())
}

fn label(s: &Scene, instead: Instead) -> Result<Verdict> {
    let Some(bundle) = super::labels::labelled(s)? else { return Ok(super::labels::no_policy()) };
    let dir = s.ground.dir.join("covered");
    std::fs::create_dir(&dir)?;
    let mounts: Mounts = Box::new(move || cover_self(&dir, "attr/exec", instead));
    let (attack, id, file) = create_beneath(s, &bundle, &mounts, "readlink -f /proc/self/attr/exec")?;
    ensure!(!file.trim().ends_with("attr/exec") || file.contains("covered"), "nothing is mounted over /proc/self");
    if !attack.ran {
        return s.refused(&attack)?.context("neither refused nor ran");
    }
    let pid = started(s, &id)?;
    crate::process::eventually("the program runs", || {
        Ok(host::command_line(pid)?.first().is_some_and(|word| word == "/bin/sleep").then_some(()))
    })?;
    let current = host::read(format!("/proc/{pid}/attr/current").as_ref())?;
    let current = current.trim_end_matches('\0');
    holds!(current == super::labels::LABEL, "label {current}");
    Ok(Verdict::safe())
}

fn the_label_is_set_though_its_file_is_an_ordinary_one(s: &Scene) -> Result<Verdict> {
    label(s, Instead::Ordinary)
}

fn the_label_is_set_though_its_file_is_another_of_procfs(s: &Scene) -> Result<Verdict> {
    label(s, Instead::Sched)
}
