//! Masked and read-only paths, the working directory and the root: what a path may lead to.

use crate::case::{Ground, same};
use anyhow::{Result, ensure};
use serde_json::json;
use std::os::unix::fs::symlink;

crate::cases! {
    masked_files_read_as_empty;
    masked_directories_are_empty_and_read_only;
    missing_masked_paths_are_skipped;
    masks_do_not_reach_the_source;
    readonly_paths_cannot_be_written;
    missing_readonly_paths_are_skipped;
    unmasked_paths_are_as_they_were;
    masked_path_that_is_a_symlink_does_not_lead_out;
    a_masked_file_cannot_be_unmasked_through_exec;
    dev_null_replaced_in_the_rootfs_does_not_weaken_a_mask;
    cwd_through_proc_fd_is_refused_or_inside;
    cwd_that_is_a_symlink_stays_inside;
    cwd_that_is_a_file_is_refused;
    cwd_is_entered_as_the_user;
    a_missing_root_is_refused;
    a_root_that_is_a_symlink_is_refused;
    a_root_that_is_a_file_is_refused;
    an_absolute_root_is_accepted;
    the_programs_root_is_the_rootfs;
    the_runtime_binary_cannot_be_written_from_inside;
}

fn masked_files_read_as_empty(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    std::fs::write(bundle.rootfs().join("secret"), "secret\n")?;
    bundle.push("/linux/maskedPaths", json!("/secret")).sh("cat /secret; cat /proc/kcore; cat /proc/keys");
    same("content", g.run(&bundle)?.success()?.stdout.as_str(), "")?;
    bundle.set("/linux/maskedPaths", json!([])).sh("cat /secret");
    same("unmasked", g.run(&bundle)?.success()?.stdout.as_str(), "secret\n")
}

fn masked_directories_are_empty_and_read_only(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    std::fs::create_dir(bundle.rootfs().join("hidden"))?;
    std::fs::write(bundle.rootfs().join("hidden/file"), "")?;
    bundle
        .push("/linux/maskedPaths", json!("/hidden"))
        .sh("ls -A /hidden /sys/firmware | grep -v : ; ! touch /hidden/x");
    same("content", g.run(&bundle)?.success()?.stdout.trim(), "")
}

fn missing_masked_paths_are_skipped(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.push("/linux/maskedPaths", json!("/proc/nosuch")).push("/linux/maskedPaths", json!("/nosuch/below"));
    g.run(&bundle)?.success().map(drop)
}

fn masks_do_not_reach_the_source(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    std::fs::write(bundle.rootfs().join("secret"), "secret\n")?;
    bundle.push("/linux/maskedPaths", json!("/secret")).sh("echo overwritten > /secret || true");
    g.run(&bundle)?.success()?;
    same("content outside", std::fs::read_to_string(bundle.rootfs().join("secret"))?.as_str(), "secret\n")
}

fn readonly_paths_cannot_be_written(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    std::fs::create_dir(bundle.rootfs().join("fixed"))?;
    std::fs::write(bundle.rootfs().join("fixed/file"), "as it was\n")?;
    bundle.push("/linux/readonlyPaths", json!("/fixed"));
    bundle.sh("! touch /fixed/x; ! echo y > /fixed/file; ! echo x > /proc/sys/kernel/domainname; cat /fixed/file");
    same("content", g.run(&bundle)?.success()?.stdout.as_str(), "as it was\n")
}

fn missing_readonly_paths_are_skipped(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    g.run(bundle.push("/linux/readonlyPaths", json!("/proc/nosuch")))?.success().map(drop)
}

fn unmasked_paths_are_as_they_were(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let below = |bundle: &crate::bundle::Bundle| -> Result<usize> {
        let table = crate::host::mounts(g.sleeping(bundle)?.pid()?)?;
        Ok(table.iter().filter(|mount| mount.point.starts_with("/proc/")).count())
    };
    ensure!(below(&g.bundle()?)? > 0, "nothing is masked in the first place");
    bundle.unset("/linux/maskedPaths").unset("/linux/readonlyPaths");
    same("mounts below /proc", below(&bundle)?, 0)
}

fn masked_path_that_is_a_symlink_does_not_lead_out(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let outside = g.dir.join("outside");
    std::fs::write(&outside, "outside\n")?;
    symlink(&outside, bundle.rootfs().join("link"))?;
    let output = g.run(bundle.push("/linux/maskedPaths", json!("/link")))?;
    ensure!(output.code == 0 || output.code == 1, "{output}");
    same("outside", std::fs::read_to_string(&outside)?.as_str(), "outside\n")
}

fn a_masked_file_cannot_be_unmasked_through_exec(g: &Ground) -> Result<()> {
    let c = g.sleeping(&g.bundle()?)?;
    same("content", c.exec(&[], &["/bin/cat", "/proc/keys"])?.success()?.stdout.as_str(), "")?;
    let refused = c.exec(&[], &["/bin/umount", "/proc/keys"])?;
    ensure!(refused.code != 0, "{refused}");
    Ok(())
}

fn dev_null_replaced_in_the_rootfs_does_not_weaken_a_mask(g: &Ground) -> Result<()> {
    // Without a mount on /dev the image's own /dev is what a runtime would find its null device in.
    let mut bundle = g.bundle()?;
    for point in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        bundle.unmount(point);
    }
    std::fs::write(bundle.rootfs().join("secret"), "secret\n")?;
    let trap = g.dir.join("trap");
    std::fs::write(&trap, "trap\n")?;
    std::fs::write(bundle.rootfs().join("dev/null"), "not a device\n")?;
    bundle.push("/linux/maskedPaths", json!("/secret")).sh("cat /secret");
    let output = g.run(&bundle)?;
    ensure!(!output.stdout.contains("secret") && !output.stdout.contains("not a device"), "{output}");
    let mut bundle = g.bundle()?;
    for point in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        bundle.unmount(point);
    }
    symlink(&trap, bundle.rootfs().join("dev/null"))?;
    bundle.sh("cat /proc/keys");
    g.run(&bundle)?;
    same("outside", std::fs::read_to_string(&trap)?.as_str(), "trap\n")
}

fn cwd_through_proc_fd_is_refused_or_inside(g: &Ground) -> Result<()> {
    for fd in 3..16 {
        let mut bundle = g.bundle()?;
        bundle.set("/process/cwd", json!(format!("/proc/self/fd/{fd}"))).sh("pwd -P; ls ../../../../etc");
        let output = g.run(&bundle)?;
        ensure!(output.code != 0 || !output.stdout.contains("debian_version"), "descriptor {fd} leads out: {output}");
        std::fs::remove_dir_all(&bundle.dir)?;
    }
    Ok(())
}

fn cwd_that_is_a_symlink_stays_inside(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    symlink("/tmp", bundle.rootfs().join("link"))?;
    bundle.set("/process/cwd", json!("/link"));
    same("cwd", g.probe(&bundle)?["cwd"].as_str(), Some("/tmp"))
}

fn cwd_that_is_a_file_is_refused(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    g.run(bundle.set("/process/cwd", json!("/etc/passwd")))?.refused("not a directory").map(drop)
}

fn cwd_is_entered_as_the_user(g: &Ground) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut bundle = g.bundle()?;
    let home = bundle.rootfs().join("alice");
    std::fs::create_dir(&home)?;
    std::os::unix::fs::chown(&home, Some(1000), Some(1000))?;
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o700))?;
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000})).set("/process/cwd", json!("/alice"));
    same("cwd", g.probe(&bundle)?["cwd"].as_str(), Some("/alice"))
}

fn a_missing_root_is_refused(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    g.run(bundle.set("/root/path", json!("nosuch")))?.refused("nosuch")?.refused("no such file or directory").map(drop)
}

fn a_root_that_is_a_symlink_is_refused(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    symlink("rootfs", bundle.dir.join("link"))?;
    g.run(bundle.set("/root/path", json!("link")))?.exits(1).map(drop)
}

fn a_root_that_is_a_file_is_refused(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    std::fs::write(bundle.dir.join("file"), "")?;
    g.run(bundle.set("/root/path", json!("file")))?.refused("not a directory")?.exits(1).map(drop)
}

fn an_absolute_root_is_accepted(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let rootfs = bundle.rootfs();
    g.run(bundle.set("/root/path", json!(rootfs)))?.success().map(drop)
}

fn the_programs_root_is_the_rootfs(g: &Ground) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let c = g.sleeping(&g.bundle()?)?;
    let (seen, wanted) =
        (std::fs::metadata(format!("/proc/{}/root/", c.pid()?))?, std::fs::metadata(c.bundle.rootfs())?);
    same("inode of /", (seen.dev(), seen.ino()), (wanted.dev(), wanted.ino()))
}

fn the_runtime_binary_cannot_be_written_from_inside(g: &Ground) -> Result<()> {
    // CVE-2019-5736: the program is /proc/self/exe, so what is executed is whatever the runtime's process was.
    let before = std::fs::read(&g.runtime.path)?;
    let mut bundle = g.bundle()?;
    bundle.args(&["/proc/self/exe", "--version"]);
    g.run(&bundle)?;
    std::fs::remove_dir_all(&bundle.dir)?;
    let mut bundle = g.bundle()?;
    let script = "#!/proc/self/exe\n";
    std::fs::write(bundle.rootfs().join("trap"), script)?;
    std::fs::set_permissions(bundle.rootfs().join("trap"), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    g.run(bundle.args(&["/trap"]))?;
    let c = g.sleeping(&g.bundle()?)?;
    let script = "for p in /proc/[0-9]*; do echo overwritten 2> /dev/null > $p/exe; done; true";
    c.exec(&[], &["/bin/sh", "-c", script])?;
    ensure!(std::fs::read(&g.runtime.path)? == before, "the runtime's binary was changed");
    Ok(())
}
