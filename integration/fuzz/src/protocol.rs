//! What init says: messages on its socket, and the report in shared memory that a failed operation leaves.

use crate::facts;
use crate::process::CONTAINER;
use casemate::launch::channel::{Channel, FromInit};
use casemate::plan;
use casemate::program::Op;
use casemate::program::format::{REPORT_TEXT, Report};
use casemate::program::words::{describe, failure};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::LazyLock;
use std::time::Duration;

static PROGRAM: LazyLock<Vec<Op>> =
    LazyLock::new(|| plan::create(&CONTAINER, &facts::request(), &facts::unified()).unwrap().program);

pub fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    if first % 2 == 0 { report(rest) } else { messages(rest) }
}

fn report(data: &[u8]) {
    let word = |at: usize| {
        let bytes = data.get(at * 4..at * 4 + 4).and_then(|bytes| bytes.try_into().ok());
        u32::from_ne_bytes(bytes.unwrap_or_default())
    };
    let mut text = [0; REPORT_TEXT];
    let said = data.get(32..).unwrap_or_default();
    let length = said.len().min(REPORT_TEXT);
    text[..length].copy_from_slice(&said[..length]);
    let report = Report {
        state: word(0),
        op: word(1),
        call: word(2),
        errno: word(3).cast_signed(),
        detail: word(4),
        listener: word(5).cast_signed(),
        ack: word(6),
        text_len: word(7),
        text,
    };
    assert!(!failure(&PROGRAM, &report).to_string().is_empty());
    if let Some(op) = PROGRAM.get(report.op as usize) {
        assert!(!describe(op).is_empty());
    }
}

/// Two bytes are a message: what it says, and how many descriptors come with it.
fn messages(data: &[u8]) {
    let (channel, init) = Channel::pair().unwrap();
    for pair in data.chunks_exact(2).take(16) {
        let descriptors: Vec<BorrowedFd<'_>> = vec![init.as_fd(); usize::from(pair[1] % 4)];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        }
        let bytes = if pair[1] & 128 == 0 { &pair[..1] } else { pair };
        sendmsg(&init, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL).unwrap();
        match channel.receive(Some(Duration::from_secs(1))) {
            Ok(FromInit::Closed) => panic!("a message that ends the conversation"),
            Ok(FromInit::Terminal(_) | FromInit::Successor(_) | FromInit::Program(_)) => {
                assert!(!descriptors.is_empty());
            }
            Ok(FromInit::Mounted | FromInit::Ready) => assert!(descriptors.is_empty()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    drop(init);
    assert!(matches!(channel.receive(Some(Duration::from_secs(1))), Ok(FromInit::Closed)));
}
