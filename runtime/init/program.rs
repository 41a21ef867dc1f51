//! Reads the program: a bounds-checked view of the mapping that casemate wrote.

use crate::format::{self, Header, Record, refusal};
use crate::sys::{self, Done, Fail, List, Text};

/// The mapped program.
pub struct Program {
    bytes: &'static mut [u8],
    pub ops: usize,
}

const BAD: Fail = Fail::refusal(refusal::BAD_PROGRAM);

impl Program {
    /// Maps the object behind `fd` and checks its header.
    pub fn map(fd: i32) -> Done<Program> {
        let len = sys::fstat(fd)?.size as usize;
        let bytes = sys::map_shared(fd, len)?;
        let header = *sys::view::<Header>(bytes, 0).ok_or(BAD)?;
        if header.magic != format::MAGIC || header.len as usize > len {
            return Err(BAD);
        }
        Ok(Program { bytes, ops: header.ops as usize })
    }

    pub fn header(&mut self) -> Done<&mut Header> {
        sys::view(self.bytes, 0).ok_or(BAD)
    }

    pub fn record(&mut self, index: usize) -> Done<&mut Record> {
        if index >= self.ops {
            return Err(BAD);
        }
        sys::view(self.bytes, format::RECORDS + index * size_of::<Record>()).ok_or(BAD)
    }

    pub fn text(&self, offset: u32) -> Done<Text> {
        self.bytes.get(offset as usize..).and_then(Text::from_bytes).ok_or(BAD)
    }

    /// A list of `count` strings, as argv and envp want it; relocates it, so it can be asked for once.
    pub fn list(&mut self, offset: u32, count: usize) -> Done<List> {
        if offset == 0 {
            return Ok(List::empty());
        }
        let base = self.bytes.as_ptr();
        // No string can begin behind the last NUL.
        let end = self.bytes.iter().rposition(|byte| *byte == 0).ok_or(BAD)? as u64;
        let words = sys::words(self.bytes, offset as usize, count.checked_add(1).ok_or(BAD)?).ok_or(BAD)?;
        if words[..count].iter().any(|w| *w == 0 || *w > end) || words[count] != 0 {
            return Err(BAD);
        }
        Ok(List::relocate(words, base))
    }

    /// How many strings a list has: the word before it.
    pub fn list_len(&mut self, offset: u32) -> Done<usize> {
        if offset == 0 {
            return Ok(0);
        }
        let at = (offset as usize).checked_sub(8).ok_or(BAD)?;
        Ok(sys::words(self.bytes, at, 1).ok_or(BAD)?[0] as usize)
    }

    pub fn words(&mut self, offset: u32, count: usize) -> Done<&mut [u64]> {
        sys::words(self.bytes, offset as usize, count).ok_or(BAD)
    }

    /// Writes what failed where `start` and the parent look for it.
    pub fn report(&mut self, op: usize, fail: Fail) {
        if let Ok(header) = self.header() {
            let report = &mut header.report;
            report.op = op as u32;
            report.call = fail.call;
            report.errno = fail.errno;
            report.detail = fail.detail;
            sys::publish(&mut report.state, format::report_state::FAILED);
        }
    }
}
