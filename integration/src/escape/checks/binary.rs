//! The runtime's program itself, and the one that it puts into containers.

use crate::escape::check::Verdict;
use crate::escape::elf::Elf;
use crate::escape::scene::Scene;
use crate::holds;
use anyhow::{Context, Result};
use rustix::fs::SealFlags;
use std::os::unix::fs::MetadataExt;

crate::checks! {
    "G10" the_binary_is_static_and_hardened [Own("how it was linked")];
    "G10" the_binary_has_no_privilege_of_its_own;
    "G10" what_waits_in_the_container_is_a_sealed_static_program [Own("init is a program of its own")];
    "G10" what_waits_in_the_container_has_no_memory_to_write_and_execute [Own("no code is made at run time")];
}

fn the_binary_is_static_and_hardened(s: &Scene) -> Result<Verdict> {
    let elf = Elf::read(&std::fs::read(&s.ground.runtime.path)?)?;
    let weaknesses = elf.weaknesses();
    holds!(weaknesses.is_empty(), "the binary {}", weaknesses.join(", "));
    let has = |bit: u32, name: &str| format!("{name} {}", if elf.cet & bit == 0 { "not marked" } else { "marked" });
    Ok(Verdict::Safe(format!("CET: {}, {}", has(1, "IBT"), has(2, "shadow stack"))))
}

fn the_binary_has_no_privilege_of_its_own(s: &Scene) -> Result<Verdict> {
    let path = &s.ground.runtime.path;
    let mode = std::fs::metadata(path)?.mode();
    holds!(mode & 0o6000 == 0, "\"{}\" has mode {mode:o}", path.display());
    let mut value = [0_u8; 64];
    let capabilities = rustix::fs::getxattr(path, "security.capability", &mut value[..]);
    holds!(capabilities.is_err(), "\"{}\" has file capabilities", path.display());
    Ok(Verdict::safe())
}

fn what_waits_in_the_container_is_a_sealed_static_program(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    let container = s.ground.container(bundle.args(&["/bin/sleep", "1000"]));
    container.create(&[])?.success()?;
    let exe = format!("/proc/{}/exe", container.pid()?);
    let target = std::fs::read_link(&exe)?.to_string_lossy().into_owned();
    holds!(target.starts_with("/memfd:"), "it is {target}");
    let file = std::fs::File::open(&exe).with_context(|| format!("open \"{exe}\""))?;
    let seals = rustix::fs::fcntl_get_seals(&file).context("F_GET_SEALS")?;
    let wanted = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    holds!(seals.contains(wanted), "its seals are {seals:?}");
    let elf = Elf::read(&std::fs::read(&exe)?)?;
    let weaknesses = elf.weaknesses_of_any_place();
    holds!(weaknesses.is_empty(), "it {}", weaknesses.join(", "));
    let place = if elf.relocatable { "position independent" } else { "at a fixed place" };
    Ok(Verdict::Safe(format!("{} bytes, {place}", file.metadata()?.len())))
}

fn what_waits_in_the_container_has_no_memory_to_write_and_execute(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    let container = s.ground.container(bundle.args(&["/bin/sleep", "1000"]));
    container.create(&[])?.success()?;
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", container.pid()?))?;
    anyhow::ensure!(maps.contains("r-xp"), "no code in {maps}");
    let found = written_and_executed(&maps);
    holds!(found.is_none(), "{}", found.unwrap_or_default());
    Ok(Verdict::safe())
}

/// The first line of /proc/PID/maps that may be written and executed.
fn written_and_executed(maps: &str) -> Option<&str> {
    maps.lines().find(|line| {
        let flags = line.split_whitespace().nth(1).unwrap_or_default();
        flags.contains('w') && flags.contains('x')
    })
}

#[cfg(test)]
mod tests {
    use super::written_and_executed;

    #[test]
    fn memory_that_may_be_written_and_executed_is_found() {
        let fine = "400000-401000 r-xp 00000000 00:01 7 /memfd:init\n402000-403000 rw-p 00000000 00:00 0 [stack]\n";
        assert_eq!(written_and_executed(fine), None);
        let line = "7f00-7f01 rwxp 00000000 00:00 0";
        assert_eq!(written_and_executed(&format!("{fine}{line}\n")), Some(line));
    }
}
