//! The runtime's own program in a container: a process in there that gets hold of it must not be able to change it.

use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::holds;
use crate::process::{DEADLINE, eventually};
use anyhow::{Context, Result, ensure};
use rustix::fs::{Mode, OFlags, SealFlags, fcntl_get_seals};
use rustix::io::Errno;
use serde_json::Value;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

crate::checks! {
    "B3" the_image_that_waits_for_start_cannot_be_written [Advisory("runc", "CVE-2019-5736")];
    "CVE-2019-5736" an_entry_point_that_is_the_runtime_itself_changes_nothing [Advisory("runc", "CVE-2019-5736")];
    "CVE-2019-5736" no_kept_image_of_the_runtime_can_be_written [Advisory("runc", "CVE-2019-5736")];
    "CVE-2022-0847" the_image_of_a_waiting_init_shares_no_page_cache_with_the_host;
}

/// All that together make the content of a memfd final.
const FINAL: SealFlags = SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::SEAL);

/// Programs that are the runtime's image again: the link itself, and a script whose interpreter it is.
const AGAIN: [&str; 2] = ["/proc/self/exe", "/bin/again"];

fn script_of_the_runtime(rootfs: &std::path::Path) -> Result<()> {
    let path = rootfs.join("bin/again");
    std::fs::write(&path, "#!/proc/self/exe\n")?;
    Ok(std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))?)
}

fn an_entry_point_that_is_the_runtime_itself_changes_nothing(s: &Scene) -> Result<Verdict> {
    s.twin(&s.scripted("true")?)?;
    let before = std::fs::read(&s.ground.runtime.path)?;
    for program in AGAIN {
        for argument in ["--version", "init", "list"] {
            let mut bundle = s.bundle()?;
            script_of_the_runtime(&bundle.rootfs())?;
            bundle.args(&[program, argument]);
            // Whatever it prints: the container's process may be the runtime's image, but there is nothing it can do.
            s.attack(&bundle)?;
            let left = s.left()?;
            holds!(left.is_empty(), "{program} {argument}: left {}", left.join(", "));
            holds!(before == std::fs::read(&s.ground.runtime.path)?, "{program} {argument}: the binary has changed");
        }
    }
    Ok(Verdict::safe())
}

/// The image of the init process of a container that was created and waits for `start`.
fn waiting_image(s: &Scene) -> Result<File> {
    let mut bundle = s.bundle()?;
    bundle.args(&["/bin/sleep", "1000"]);
    let container = s.ground.container(&bundle);
    container.create(&[])?.success()?;
    let image = File::open(format!("/proc/{}/exe", container.pid()?)).context("open the image of init")?;
    container.start()?.success()?;
    container.wait_for_program()?;
    container.call("delete", &["--force"])?.success()?;
    Ok(image)
}

fn the_image_that_waits_for_start_cannot_be_written(s: &Scene) -> Result<Verdict> {
    let image = waiting_image(s)?;
    let path = format!("/proc/self/fd/{}", image.as_raw_fd());
    // Opened for writing by root on the host, and only when nobody executes it: what is left are seals, or a mount that
    // is read-only for everybody.
    let opened = eventually("nobody executes the image", || {
        let opened = rustix::fs::open(&path, OFlags::WRONLY | OFlags::APPEND, Mode::empty());
        Ok((opened.as_ref().err() != Some(&Errno::TXTBSY)).then_some(opened.map(drop)))
    });
    let denied = match opened {
        Ok(result) => result.err() == Some(Errno::ROFS),
        // The same file as the runtime's binary is in use as long as anybody runs it.
        Err(_) => false,
    };
    let seals = fcntl_get_seals(&image).unwrap_or(SealFlags::empty());
    let link = std::fs::read_link(&path)?;
    holds!(denied || seals.contains(FINAL), "{}, with seals {seals:?}, can be written", link.display());
    Ok(Verdict::safe())
}

fn no_kept_image_of_the_runtime_can_be_written(s: &Scene) -> Result<Verdict> {
    const TRIES: usize = 15;
    let mut bundle = s.bundle()?;
    script_of_the_runtime(&bundle.rootfs())?;
    // Where the image's own /tmp is what it writes to, its user must be able to.
    bundle.args(&["/bin/probe", "keep", "/tmp/stop"]);
    let container = s.ground.container(&bundle);
    let running = container.run_in_background(&[])?;
    eventually("the keeper is ready", || Ok(running.stdout()?.contains("ready").then_some(())))?;
    for _ in 0..TRIES {
        for program in AGAIN {
            // As the program is the runtime's image without its instructions, it fails, or runs and ends.
            container.exec(&[], &[program])?;
        }
    }
    container.exec(&[], &["/bin/touch", "/tmp/stop"])?.success()?;
    let output = running.wait(DEADLINE)?.success()?;
    let found: Value = output.stdout.lines().find_map(|line| serde_json::from_str(line).ok()).context("no report")?;
    let kept = found["kept"].as_array().context("no list")?;
    let is_control = |entry: &&Value| entry["link"].as_str().is_some_and(|link| link.ends_with("/tmp/control"));
    let control =
        kept.iter().find(is_control).with_context(|| format!("the keeper has not kept its control: {found}"))?;
    ensure!(control["write"].is_null(), "the control, which can be written, was not seen so: {control}");
    let binary = std::fs::metadata(&s.ground.runtime.path)?;
    let rootfs = std::fs::metadata(bundle.rootfs())?.dev();
    // Programs of the image may be written by it.
    let foreign: Vec<&Value> = kept
        .iter()
        .filter(|entry| !is_control(entry))
        .filter(|entry| entry["device"].as_u64() != Some(rootfs) || rootfs == binary.dev())
        .collect();
    for entry in &foreign {
        let seals = entry["seals"].as_u64().unwrap_or(0);
        let sealed = u64::from(FINAL.bits()) & !seals == 0;
        holds!(sealed || !entry["write"].is_null(), "it could be opened for writing: {entry}");
        let same = (entry["device"].as_u64(), entry["inode"].as_u64()) == (Some(binary.dev()), Some(binary.ino()));
        let read_only = entry["write"].as_str().is_some_and(|error| error.starts_with("Read-only"));
        holds!(!same || read_only, "it is the binary itself, and no read-only view of it: {entry}");
    }
    Ok(Verdict::Safe(format!("{} calls of exec, {} images kept", TRIES * AGAIN.len(), foreign.len())))
}

fn the_image_of_a_waiting_init_shares_no_page_cache_with_the_host(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    let container = s.ground.container(bundle.args(&["/bin/sleep", "1000"]));
    container.create(&[])?.success()?;
    let path = PathBuf::from(format!("/proc/{}/exe", container.pid()?));
    let image = File::open(&path).context("open the image of init")?;
    let inode = |data: std::fs::Metadata| (data.dev(), data.ino());
    let binary = inode(std::fs::metadata(&s.ground.runtime.path)?);
    holds!(inode(image.metadata()?) != binary, "init runs from the runtime's own binary");
    // A clone of the binary on another file system has the binary's pages: only memory that nobody can write to counts.
    let target = std::fs::read_link(&path)?.to_string_lossy().into_owned();
    let Ok(seals) = fcntl_get_seals(&image) else {
        return Ok(Verdict::Unsafe(format!("init runs from \"{target}\", which is no memfd")));
    };
    holds!(seals.contains(FINAL), "init runs from \"{target}\" with the seals {seals:?} only");
    // Root may open it for writing; a write is another matter.
    if let Ok(file) = File::options().write(true).open(&path) {
        holds!(std::os::unix::fs::FileExt::write_at(&file, b"#", 0).is_err(), "the image of init was written to");
    }
    Ok(Verdict::safe())
}
