//! The binary form of programs, both ways: what casemate encodes reads back as what was planned, and init's own reader,
//! compiled from `runtime/init/`, takes any bytes without leaving them.

use crate::program::Program;
use crate::reader::{Reader, same};
use crate::sys;
use casemate::plan::Plan;
use casemate::program::encode::{Descriptors, encode};
use casemate::program::format::{MAGIC, RECORDS, Record};

/// A program that init reads: `sys` maps the bytes as init maps its memory object.
pub fn run(data: &[u8]) {
    sys::with_object(data, || {
        let Ok(mut program) = Program::map(0) else { return };
        assert_eq!(program.header().map(|header| header.magic).ok(), Some(MAGIC));
        for index in 0..program.ops {
            let Ok(record) = program.record(index).map(|record| *record) else { break };
            read(&mut program, record);
        }
        program.report(0, sys::Fail::refusal(1));
    });
}

/// Everything that some kind of record reads, of each.
fn read(program: &mut Program, record: Record) {
    for offset in [record.s, record.t, record.u, record.a as u32, record.b as u32] {
        if let Ok(text) = program.text(offset) {
            assert!(text.from(text.bytes().len() + 1).is_none());
        }
        if let Ok(words) = program.words(offset, record.n as usize) {
            let count = words.len() * 2;
            assert_eq!(sys::halves(words, count).len(), count);
        }
    }
    for (offset, count) in [(record.s, None), (record.t, Some(record.n as usize)), (record.u, Some(record.a as usize))]
    {
        let Ok(count) = count.map_or_else(|| program.list_len(offset), Ok) else { continue };
        let Ok(list) = program.list(offset, count) else { continue };
        let found = (0..).map_while(|index| list.get(index)).map(|text| text.bytes().len()).count();
        assert!(found == count || offset == 0, "{found} strings of {count}");
    }
}

/// What is encoded is what was planned, and init's reader can read it.
pub fn reads_back(plan: &Plan) {
    let handles: Vec<i32> = (10..).take(plan.handles.len()).collect();
    let descriptors = Descriptors { control: 3, start: 4, first: 3, handles };
    // Too large for a program is an answer that `create` gives.
    let Ok(bytes) = encode(&plan.program, &descriptors) else { return };
    let reader = Reader { bytes: &bytes };
    assert_eq!([reader.u32(0), reader.u32(4), reader.u32(8)], [MAGIC, plan.program.len() as u32, bytes.len() as u32]);
    assert!(bytes[24..RECORDS].iter().all(|byte| *byte == 0), "a report before there is one");
    plan.program.iter().enumerate().for_each(|(index, op)| same(op, index, &reader, &descriptors.handles));
}
