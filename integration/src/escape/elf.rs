//! An ELF file as far as its hardening goes: the program headers and the dynamic section, see elf(5).

use anyhow::{Context, Result, ensure};

const ET_DYN: u16 = 3;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_GNU_PROPERTY: u32 = 0x6474_e553;
const PT_GNU_STACK: u32 = 0x6474_e551;
const PT_GNU_RELRO: u32 = 0x6474_e552;
const PF_X: u32 = 1;
const PF_W: u32 = 2;
const DT_NEEDED: u64 = 1;
const DT_RPATH: u64 = 15;
const DT_TEXTREL: u64 = 22;
const DT_FLAGS: u64 = 30;
const DT_RUNPATH: u64 = 29;
const DT_FLAGS_1: u64 = 0x6fff_fffb;
const DF_TEXTREL: u64 = 4;
const DF_BIND_NOW: u64 = 8;
const DF_1_NOW: u64 = 1;
const DF_1_PIE: u64 = 0x0800_0000;
const GNU_PROPERTY_X86_FEATURE_1_AND: u32 = 0xc000_0002;

/// What hardening there is.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Elf {
    /// Position independent: of type ET_DYN.
    pub relocatable: bool,
    /// Marked as a program by DF_1_PIE, not a library.
    pub pie: bool,
    pub interpreter: bool,
    /// Libraries, or places to look for them.
    pub libraries: usize,
    /// All symbols are bound before the program starts.
    pub bind_now: bool,
    /// A part that is read-only after that.
    pub relro: bool,
    /// Relocations in the code.
    pub text_relocations: bool,
    /// Segments that may be written and executed.
    pub writable_code: usize,
    /// The flags of the stack; `None` means executable.
    pub stack: Option<u32>,
    /// Relocations that are to be applied at the start, by the size of their table.
    pub dynamic: bool,
    /// IBT is bit 0, shadow stack bit 1.
    pub cet: u32,
}

impl Elf {
    /// Reads a 64-bit little-endian file.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        ensure!(bytes.get(..6) == Some(b"\x7fELF\x02\x01"), "no 64-bit little-endian ELF file");
        let half = |at: usize| Ok::<_, anyhow::Error>(u16::from_le_bytes(take(bytes, at)?));
        let word = |at: usize| Ok::<_, anyhow::Error>(u32::from_le_bytes(take(bytes, at)?));
        let long = |at: usize| Ok::<_, anyhow::Error>(u64::from_le_bytes(take(bytes, at)?));
        let mut elf = Self { relocatable: half(16)? == ET_DYN, ..Self::default() };
        let (table, size, count) = (usize::try_from(long(32)?)?, usize::from(half(54)?), usize::from(half(56)?));
        for n in 0..count {
            let at = table + n * size;
            let (kind, flags) = (word(at)?, word(at + 4)?);
            let (offset, length) = (usize::try_from(long(at + 8)?)?, usize::try_from(long(at + 32)?)?);
            match kind {
                PT_LOAD if flags & PF_W != 0 && flags & PF_X != 0 => elf.writable_code += 1,
                PT_INTERP => elf.interpreter = true,
                PT_GNU_RELRO => elf.relro = true,
                PT_GNU_STACK => elf.stack = Some(flags),
                PT_GNU_PROPERTY => elf.cet = cet(bytes.get(offset..offset + length).context("a note outside")?),
                PT_DYNAMIC => {
                    elf.dynamic = true;
                    for entry in (offset..offset + length).step_by(16) {
                        elf.tag(long(entry)?, long(entry + 8)?);
                    }
                }
                _ => {}
            }
        }
        Ok(elf)
    }

    fn tag(&mut self, tag: u64, value: u64) {
        match tag {
            DT_NEEDED | DT_RPATH | DT_RUNPATH => self.libraries += 1,
            DT_TEXTREL => self.text_relocations = true,
            DT_FLAGS => {
                self.bind_now |= value & DF_BIND_NOW != 0;
                self.text_relocations |= value & DF_TEXTREL != 0;
            }
            DT_FLAGS_1 => {
                self.bind_now |= value & DF_1_NOW != 0;
                self.pie |= value & DF_1_PIE != 0;
            }
            _ => {}
        }
    }

    /// What is missing of a static program that is hardened in full; empty when nothing is.
    pub fn weaknesses(&self) -> Vec<&'static str> {
        let mut found = self.weaknesses_of_any_place();
        let more = [
            (!self.relocatable || !self.pie, "not position independent"),
            (!self.bind_now || !self.relro, "not full RELRO"),
        ];
        found.extend(more.iter().filter(|(bad, _)| *bad).map(|(_, words)| *words));
        found
    }

    /// The same for a program that has no writable data to relocate and is at the same place each time.
    pub fn weaknesses_of_any_place(&self) -> Vec<&'static str> {
        let all = [
            (self.interpreter, "has an interpreter"),
            (self.libraries > 0, "needs libraries"),
            (self.text_relocations, "has relocations in its code"),
            (self.writable_code > 0, "has code that may be written"),
            (self.stack.is_none_or(|flags| flags & PF_X != 0), "has an executable stack"),
        ];
        all.iter().filter(|(bad, _)| *bad).map(|(_, words)| *words).collect()
    }
}

/// The feature word of a GNU property note: header, name `GNU\0`, then properties of type, size and value.
fn cet(note: &[u8]) -> u32 {
    let word = |at: usize| take(note, at).map(u32::from_le_bytes).ok();
    let mut at = 16;
    while let (Some(kind), Some(size)) = (word(at), word(at + 4)) {
        if kind == GNU_PROPERTY_X86_FEATURE_1_AND {
            return word(at + 8).unwrap_or(0);
        }
        at += 8 + (usize::try_from(size).unwrap_or(usize::MAX - 64).next_multiple_of(8)).min(note.len());
    }
    0
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    let slice = bytes.get(at..at.saturating_add(N)).context("the file is too short")?;
    Ok(slice.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_shell_is_not_static_and_what_is_no_elf_is_told() {
        let shell = Elf::read(&std::fs::read("/bin/sh").unwrap()).unwrap();
        assert!(shell.weaknesses().contains(&"has an interpreter"), "{shell:?}");
        assert!(shell.weaknesses().contains(&"needs libraries"), "{shell:?}");
        assert!(Elf::read(b"#!/bin/sh").is_err());
        assert!(Elf::read(b"\x7fELF\x02\x01").is_err());
    }

    #[test]
    fn each_weakness_is_told() {
        let hard = Elf { relocatable: true, pie: true, bind_now: true, relro: true, stack: Some(6), ..Elf::default() };
        assert!(hard.weaknesses().is_empty());
        let weak = |change: fn(&mut Elf)| {
            let mut elf =
                Elf { relocatable: true, pie: true, bind_now: true, relro: true, stack: Some(6), ..Elf::default() };
            change(&mut elf);
            elf.weaknesses().len()
        };
        let changes: [fn(&mut Elf); 10] = [
            |elf| elf.relocatable = false,
            |elf| elf.pie = false,
            |elf| elf.bind_now = false,
            |elf| elf.relro = false,
            |elf| elf.stack = Some(7),
            |elf| elf.stack = None,
            |elf| elf.writable_code = 1,
            |elf| elf.text_relocations = true,
            |elf| elf.interpreter = true,
            |elf| elf.libraries = 1,
        ];
        assert!(changes.into_iter().all(|change| weak(change) == 1));
    }
}
