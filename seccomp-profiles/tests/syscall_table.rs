//! The table of system calls against independent ones: the crate `syscalls`, the headers installed here, the kernel.

use seccomp_profiles::{Arch, Syscall};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Names and numbers as this crate has them.
fn ours(arch: Arch) -> BTreeMap<String, u32> {
    Syscall::all().filter_map(|call| Some((call.name().to_owned(), call.number(arch)?))).collect()
}

/// Asserts that `theirs` is within ours and that ours has no other names but `more`.
fn compare(arch: Arch, theirs: &BTreeMap<String, u32>, more: &[&str]) {
    let ours = ours(arch);
    for (name, number) in theirs {
        assert_eq!(ours.get(name), Some(number), "{arch} {name}");
    }
    let only_ours: Vec<_> = ours.keys().filter(|name| !theirs.contains_key(*name)).map(String::as_str).collect();
    assert_eq!(only_ours, more, "{arch}");
}

macro_rules! crate_table {
    ($arch:ident) => {{
        // The iterator leaves out the last call.
        let all = syscalls::$arch::Sysno::iter().chain([syscalls::$arch::Sysno::file_setattr]);
        all.map(|call| (call.name().trim_start_matches("r#").to_owned(), call.id() as u32)).collect::<BTreeMap<_, _>>()
    }};
}

#[test]
fn every_call_of_the_crate_is_in_the_table() {
    compare(Arch::X86_64, &crate_table!(x86_64), &[]);
    compare(Arch::X86, &crate_table!(x86), &[]);
    let mut aarch64 = crate_table!(aarch64);
    assert_eq!(aarch64.remove("fstatat"), Some(79));
    compare(Arch::Aarch64, &aarch64, &["newfstatat"]);
    let arm = ["breakpoint", "cacheflush", "get_tls", "set_tls", "sync_file_range2", "usr26", "usr32"];
    compare(Arch::Arm, &crate_table!(arm), &arm);
}

#[test]
fn the_highest_number_is_that_of_linux_6_18() {
    for arch in Arch::ALL {
        let highest = ours(arch).into_values().filter(|number| *number < arch.number_bits() + 512).max();
        assert_eq!(highest, Some(arch.number_bits() + 469), "{arch}");
    }
}

#[test]
fn the_installed_headers_say_the_same() {
    for (arch, header) in [(Arch::X86_64, "unistd_64.h"), (Arch::X86, "unistd_32.h"), (Arch::X32, "unistd_x32.h")] {
        let path = Path::new("/usr/include/x86_64-linux-gnu/asm").join(header);
        let Ok(text) = fs::read_to_string(&path) else {
            println!("skipped: no {} (package linux-libc-dev)", path.display());
            continue;
        };
        let ours = ours(arch);
        let mut compared = 0;
        for line in text.lines() {
            let Some(definition) = line.strip_prefix("#define __NR_") else { continue };
            let (name, value) = definition.split_once(' ').unwrap();
            let value = value.trim_matches(['(', ')']).replace("__X32_SYSCALL_BIT + ", "");
            let number = value.parse::<u32>().unwrap() | arch.number_bits();
            // Headers newer than the table may have more.
            if (number & !arch.number_bits()) <= 469 || ours.contains_key(name) {
                assert_eq!(ours.get(name), Some(&number), "{arch} {name}");
                compared += 1;
            }
        }
        assert!(compared > 340, "{arch}: {compared}");
    }
}
