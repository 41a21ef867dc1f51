//! The binary form of programs: a reader of its own, written from the description in `program/format.rs`, finds in it
//! what the operations say.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod reader;

use casemate::plan::namespace::NamespaceKind;
use casemate::program::encode::{Descriptors, TooLarge, encode};
use casemate::program::format;
use casemate::program::{Attributes, Destination, InnerHook, Op, Slot, Target};
use proptest::prelude::*;
use reader::{Reader, same};

fn text() -> impl Strategy<Value = String> {
    "[^\0]{0,12}"
}
fn path() -> impl Strategy<Value = String> {
    prop_oneof!["/[a-z/]{0,12}", "/dev/[a-z]{1,6}"]
}
fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(text(), 0..5)
}
fn slot() -> impl Strategy<Value = Slot> {
    (0_u32..6).prop_map(Slot)
}
fn namespace() -> impl Strategy<Value = NamespaceKind> {
    prop::sample::select(NamespaceKind::ALL.to_vec())
}
fn attributes() -> impl Strategy<Value = Attributes> {
    (any::<u64>(), any::<u64>(), any::<u32>(), any::<bool>()).prop_map(|(set, clear, propagation, recursive)| {
        Attributes { set, clear, propagation: u64::from(propagation), recursive }
    })
}
fn at() -> impl Strategy<Value = Destination> {
    any::<(bool, bool)>().prop_map(|(no_symlinks, in_proc)| Destination { no_symlinks, in_proc })
}
fn target() -> impl Strategy<Value = Target> {
    prop_oneof![slot().prop_map(Target::Tree), Just(Target::Root), Just(Target::Dev), path().prop_map(Target::Path)]
}
fn mount() -> impl Strategy<Value = Op> {
    let options = prop::collection::vec(
        (prop_oneof!["source", "[a-z]{1,8}", "[a-z]{0,3}context"], prop::option::of("[^\0]{0,8}")),
        0..5,
    );
    let flags = (any::<[bool; 4]>(), prop::option::of(any::<u64>()));
    (text(), path(), options, attributes(), at(), flags).prop_map(
        |(
            fstype,
            destination,
            options,
            attributes,
            at,
            ([is_dev, copy_up, inherit_mode, if_directory], legacy_flags),
        )| Op::Mount {
            fstype,
            destination,
            options,
            attributes,
            at,
            is_dev,
            copy_up,
            inherit_mode,
            legacy_flags,
            if_directory,
        },
    )
}
fn hook() -> impl Strategy<Value = Op> {
    (path(), texts(), texts(), any::<u32>(), prop::option::of(slot()), (text(), text())).prop_map(
        |(path, args, env, timeout, cwd, state)| {
            Op::Hook(InnerHook { kind: "createContainer", index: 0, path, args, env, timeout, cwd, state })
        },
    )
}

/// Any operation; `same` does not compile when one is missing there, and `every_kind_is_tried` fails when one is here.
fn op() -> impl Strategy<Value = Op> {
    let joins = prop_oneof![
        (text(), slot()).prop_map(|(hierarchy, tasks)| Op::JoinCgroup { hierarchy, tasks }),
        (namespace(), slot(), path()).prop_map(|(namespace, handle, path)| Op::JoinNamespace {
            namespace,
            handle,
            path
        }),
        (any::<u64>(), slot()).prop_map(|(namespaces, handle)| Op::JoinContainer { namespaces, handle }),
        namespace().prop_map(|namespace| Op::Unshare { namespace }),
    ];
    let plain = prop::sample::select(vec![
        Op::MaskSource,
        Op::OpenRoot,
        Op::Session { terminal: false },
        Op::Session { terminal: true },
        Op::EnterPidNamespace,
        Op::RuntimeHooks,
        Op::Pivot,
        Op::Loopback,
        Op::Keyring,
        Op::NoNewPrivileges,
        Op::CloseHandles,
        Op::Ready,
        Op::CheckMounts { extra: true },
        Op::CheckMounts { extra: false },
        Op::WaitStart { control: true },
        Op::WaitStart { control: false },
    ]);
    let mounts = prop_oneof![
        any::<u64>().prop_map(|propagation| Op::HostPropagation { propagation }),
        slot().prop_map(|tree| Op::AttachRoot { tree }),
        mount(),
        (slot(), path(), path(), at()).prop_map(|(tree, source, destination, at)| Op::Bind {
            tree,
            source,
            destination,
            at
        }),
        (target(), attributes()).prop_map(|(target, attributes)| Op::SetMount { target, attributes }),
        (path(), any::<u32>(), 0_u32..4096, 0_u32..1 << 20, any::<(u32, u32, bool)>()).prop_map(
            |(path, mode, major, minor, (uid, gid, on_dev))| Op::Device { path, mode, major, minor, uid, gid, on_dev }
        ),
        (text(), path(), any::<bool>()).prop_map(|(target, path, on_dev)| Op::Symlink { target, path, on_dev }),
        path().prop_map(|path| Op::MakeDirectory { path }),
        path().prop_map(|path| Op::ReadonlyPath { path }),
        path().prop_map(|path| Op::Mask { path }),
        hook(),
    ];
    let settings = prop_oneof![
        any::<(u16, u16, bool, u32)>().prop_map(|(rows, columns, console, uid)| Op::Terminal {
            rows,
            columns,
            console,
            uid
        }),
        text().prop_map(|name| Op::Hostname { name }),
        text().prop_map(|name| Op::Domainname { name }),
        ("[a-z./_]{0,12}", text()).prop_map(|(name, value)| Op::Sysctl { name, value }),
        (text(), text()).prop_map(|(file, label)| Op::Label { file, label }),
        (text(), any::<(u32, u64, u64)>()).prop_map(|(name, (resource, soft, hard))| Op::Rlimit {
            name,
            resource,
            soft,
            hard
        }),
        any::<(u64, u32)>().prop_map(|(keep, last)| Op::Bounding { keep, last }),
        (any::<(u32, u32)>(), prop::collection::vec(any::<u32>(), 0..5))
            .prop_map(|((uid, gid), groups)| Op::Identity { uid, gid, groups }),
        any::<(u64, u64, u64)>().prop_map(|(effective, permitted, inheritable)| Op::Capabilities {
            effective,
            permitted,
            inheritable
        }),
        any::<u64>().prop_map(|set| Op::Ambient { set }),
        any::<u64>().prop_map(|scoped| Op::Landlock { scoped }),
        (path(), any::<bool>()).prop_map(|(path, second)| Op::WorkingDirectory { path, second }),
        any::<u32>().prop_map(|mask| Op::Umask { mask }),
        (texts(), any::<bool>()).prop_map(|(candidates, search)| Op::FindExecutable { candidates, search }),
        (any::<u32>(), any::<bool>(), prop::collection::vec(any::<u64>(), 0..9)).prop_map(
            |(flags, listener, filter)| { Op::Seccomp { flags, instructions: filter.len(), listener, filter } }
        ),
        (texts(), texts()).prop_map(|(args, env)| Op::Execute { args, env }),
    ];
    prop_oneof![1 => joins, 1 => plain, 3 => mounts, 3 => settings]
}

fn check(ops: &[Op], descriptors: &Descriptors) {
    let bytes = encode(ops, descriptors).unwrap();
    let reader = Reader { bytes: &bytes };
    let header: Vec<u32> = (0..6).map(|i| reader.u32(4 * i)).collect();
    let d = [descriptors.control, descriptors.start, descriptors.first].map(|fd| fd as u32);
    assert_eq!(header, [format::MAGIC, ops.len() as u32, bytes.len() as u32, d[0], d[1], d[2]]);
    // Init's report begins as zeros: state WORKING.
    assert!(bytes[24..format::RECORDS].iter().all(|b| *b == 0));
    ops.iter().enumerate().for_each(|(index, op)| same(op, index, &reader, &descriptors.handles));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn any_program_reads_back_as_it_was_written(ops in prop::collection::vec(op(), 0..20), fds in any::<(i32, i32, i32)>()) {
        check(&ops, &Descriptors { control: fds.0, start: fds.1, first: fds.2, handles: vec![7, 8, 9, 10] });
    }
}

#[test]
fn a_handle_that_is_not_there_becomes_no_descriptor() {
    check(&[Op::AttachRoot { tree: Slot(4) }], &Descriptors { handles: vec![7, 8], ..Descriptors::default() });
}

#[test]
fn a_program_of_four_mebibytes_is_the_largest() {
    let with = |n: usize| encode(&[Op::Hostname { name: "x".repeat(n) }], &Descriptors::default());
    let overhead = with(0).unwrap().len();
    assert!(with((4 << 20) - overhead).is_ok());
    assert_eq!(with(4 << 20), Err(TooLarge));
}
