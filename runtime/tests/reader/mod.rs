//! A reader of the binary form of programs, written from the description in `program/format.rs` and from nothing else.

use casemate::program::format::{self, Record, flag, kind, message};
use casemate::program::{Destination, Op, Slot, Target};

/// A program as init would read it, every access checked.
pub struct Reader<'a> {
    /// All of it.
    pub bytes: &'a [u8],
}

impl Reader<'_> {
    fn u16(&self, at: usize) -> u16 {
        u16::from_ne_bytes(self.bytes[at..at + 2].try_into().unwrap())
    }
    /// A word of the header.
    pub fn u32(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.bytes[at..at + 4].try_into().unwrap())
    }
    fn u64(&self, at: usize) -> u64 {
        assert_eq!(at % 8, 0, "unaligned word");
        u64::from_ne_bytes(self.bytes[at..at + 8].try_into().unwrap())
    }
    fn record(&self, index: usize) -> Record {
        let at = format::RECORDS + index * 40;
        Record {
            kind: self.u16(at),
            flags: self.u16(at + 2),
            slot: self.u32(at + 4) as i32,
            a: self.u64(at + 8),
            b: self.u64(at + 16),
            s: self.u32(at + 24),
            t: self.u32(at + 28),
            u: self.u32(at + 32),
            n: self.u32(at + 36),
        }
    }
    fn text(&self, at: impl TryInto<usize>) -> &str {
        let at = at.try_into().ok().unwrap();
        assert!(at >= format::RECORDS, "a text in the header");
        let end = self.bytes[at..].iter().position(|b| *b == 0).unwrap();
        std::str::from_utf8(&self.bytes[at..at + end]).unwrap()
    }
    fn words(&self, at: u32, n: usize) -> Vec<u64> {
        (0..n).map(|i| self.u64(at as usize + 8 * i)).collect()
    }
    fn list(&self, at: u32) -> Vec<&str> {
        let n = self.u64(at as usize - 8) as usize;
        assert_eq!(self.u64(at as usize + 8 * n), 0, "a list without an end");
        self.words(at, n).into_iter().map(|word| self.text(word)).collect()
    }
    fn groups(&self, at: u32, n: usize) -> Vec<u32> {
        (0..n).map(|i| self.u32(at as usize + 4 * i)).collect()
    }
}

fn bits(all: &[(bool, u16)]) -> u16 {
    all.iter().filter(|(on, _)| *on).fold(0, |flags, (_, bit)| flags | bit)
}

fn below_dev(path: &str, on_dev: bool) -> &str {
    if on_dev { path.strip_prefix("/dev").unwrap_or(path) } else { path }
}

/// Asserts that the record says what the operation says: kind, flags, descriptor, and then each field.
pub fn same(op: &Op, index: usize, reader: &Reader<'_>, handles: &[i32]) {
    let r = reader.record(index);
    let fd = |slot: &Slot| handles.get(slot.0 as usize).copied().unwrap_or(-1);
    let place = |at: &Destination| bits(&[(at.no_symlinks, flag::NO_SYMLINKS), (at.in_proc, flag::IN_PROC)]);
    let text = |at: u32| reader.text(at as usize);
    let head = |kind: u16, flags: u16, slot: i32| assert_eq!((r.kind, r.flags, r.slot), (kind, flags, slot), "{op:?}");
    match op {
        Op::JoinCgroup { hierarchy, tasks } => {
            head(kind::JOIN_CGROUP, 0, fd(tasks));
            assert_eq!(text(r.s), hierarchy);
        }
        Op::JoinNamespace { namespace, handle, .. } => {
            head(kind::JOIN_NAMESPACE, 0, fd(handle));
            assert_eq!(r.a, namespace.clone_flag());
        }
        Op::JoinContainer { namespaces, handle } => {
            head(kind::JOIN_NAMESPACE, 0, fd(handle));
            assert_eq!(r.a, *namespaces);
        }
        Op::Unshare { namespace } => {
            head(kind::UNSHARE, 0, -1);
            assert_eq!(r.a, namespace.clone_flag());
        }
        Op::HostPropagation { propagation } => {
            head(kind::HOST_PROPAGATION, 0, -1);
            assert_eq!(r.a, *propagation);
        }
        Op::MaskSource => head(kind::MASK_SOURCE, 0, -1),
        Op::AttachRoot { tree } => head(kind::ATTACH_ROOT, 0, fd(tree)),
        Op::OpenRoot => head(kind::OPEN_ROOT, 0, -1),
        Op::Mount {
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
        } => {
            let own = [
                (*is_dev, flag::IS_DEV),
                (*copy_up, flag::COPY_UP),
                (*inherit_mode, flag::INHERIT_MODE),
                (legacy_flags.is_some(), flag::LEGACY),
                (*if_directory, flag::IF_DIRECTORY),
            ];
            head(kind::MOUNT, place(at) | bits(&own), -1);
            assert_eq!((text(r.s), text(r.t), r.b), (&**fstype, &**destination, attributes.propagation));
            let pairs = reader.words(r.u, 2 * r.n as usize);
            let value = |word: u64| (word != 0).then(|| reader.text(word).to_string());
            match legacy_flags {
                None => {
                    assert_eq!(r.a, attributes.set);
                    let read = pairs.chunks(2).map(|pair| (reader.text(pair[0]).to_string(), value(pair[1])));
                    assert_eq!(read.collect::<Vec<_>>(), *options);
                }
                Some(flags) => {
                    assert_eq!((r.a, r.n), (*flags, 1));
                    let source = options.iter().find(|(key, _)| key == "source").and_then(|(_, v)| v.as_deref());
                    assert_eq!(reader.text(pairs[0]), source.unwrap_or("none"));
                    let data = options.iter().filter(|(key, _)| key != "source").map(|(key, value)| match value {
                        Some(value) if key.ends_with("context") => format!("{key}=\"{value}\""),
                        Some(value) => format!("{key}={value}"),
                        None => key.clone(),
                    });
                    assert_eq!(value(pairs[1]).unwrap_or_default(), data.collect::<Vec<_>>().join(","));
                }
            }
        }
        Op::Bind { tree, destination, at, .. } => {
            head(kind::BIND, place(at), fd(tree));
            assert_eq!(text(r.t), destination);
        }
        Op::SetMount { target, attributes } => {
            let slot = match target {
                Target::Tree(slot) => fd(slot),
                Target::Dev => -2,
                Target::Root | Target::Path(_) => -1,
            };
            head(kind::SET_MOUNT, bits(&[(attributes.recursive, flag::RECURSIVE)]), slot);
            assert_eq!((r.a, r.b, u64::from(r.n)), (attributes.set, attributes.clear, attributes.propagation));
            match target {
                Target::Path(path) => assert_eq!(text(r.t), path),
                _ => assert_eq!(r.t, 0),
            }
        }
        Op::Device { path, mode, major, minor, uid, gid, on_dev } => {
            head(kind::DEVICE, bits(&[(*on_dev, flag::ON_DEV)]), -1);
            assert_eq!((text(r.t), r.a, r.u, r.n), (below_dev(path, *on_dev), u64::from(*mode), *uid, *gid));
            // As the C library takes a number apart: gnu_dev_major and gnu_dev_minor.
            assert_eq!((r.b >> 8 & 0xfff, r.b & 0xff | r.b >> 12 & 0xf_ff00), (u64::from(*major), u64::from(*minor)));
        }
        Op::Symlink { target, path, on_dev } => {
            head(kind::SYMLINK, bits(&[(*on_dev, flag::ON_DEV)]), -1);
            assert_eq!((text(r.s), text(r.t)), (&**target, below_dev(path, *on_dev)));
        }
        Op::MakeDirectory { path } => {
            head(kind::MAKE_DIRECTORY, 0, -1);
            assert_eq!(text(r.t), path);
        }
        Op::Terminal { rows, columns, console, uid } => {
            head(kind::TERMINAL, bits(&[(*console, flag::CONSOLE)]), -1);
            assert_eq!((r.a, r.b, r.n), (u64::from(*rows), u64::from(*columns), *uid));
        }
        Op::Session { terminal } => head(kind::SESSION, if *terminal { flag::CONSOLE } else { 0 }, -1),
        Op::EnterPidNamespace => head(kind::ENTER_PID_NAMESPACE, 0, -1),
        Op::RuntimeHooks => {
            head(kind::BARRIER, 0, -1);
            assert_eq!(r.a, u64::from(message::MOUNTED));
        }
        Op::Hook(hook) => {
            head(kind::HOOK, 0, hook.cwd.as_ref().map_or(-1, fd));
            let args = if hook.args.is_empty() { vec![hook.path.clone()] } else { hook.args.clone() };
            assert_eq!(
                (text(r.s), reader.list(r.t), r.n),
                (&*hook.path, args.iter().map(|a| &**a).collect(), hook.timeout)
            );
            assert_eq!(reader.list(r.u), hook.env);
            assert_eq!((reader.text(r.a), reader.text(r.b)), (&*hook.state.0, &*hook.state.1));
        }
        Op::Pivot => head(kind::PIVOT, 0, -1),
        Op::CheckMounts { extra } => head(kind::CHECK_MOUNTS, bits(&[(*extra, flag::EXTRA_MOUNTS)]), -1),
        Op::Loopback => head(kind::LOOPBACK, 0, -1),
        Op::Hostname { name } => {
            head(kind::HOSTNAME, 0, -1);
            assert_eq!(text(r.s), name);
        }
        Op::Domainname { name } => {
            head(kind::DOMAINNAME, 0, -1);
            assert_eq!(text(r.s), name);
        }
        Op::Sysctl { name, value } => {
            head(kind::SYSCTL, 0, -1);
            let back: String = text(r.s)[4..]
                .chars()
                .map(|c| {
                    if c == '/' {
                        '.'
                    } else if c == '.' {
                        '/'
                    } else {
                        c
                    }
                })
                .collect();
            assert_eq!((&text(r.s)[..4], &back, text(r.t)), ("sys/", name, &**value));
        }
        Op::ReadonlyPath { path } => {
            head(kind::READONLY_PATH, 0, -1);
            assert_eq!(text(r.s), path);
        }
        Op::Mask { path } => {
            head(kind::MASK, 0, -1);
            assert_eq!(text(r.s), path);
        }
        Op::Keyring => head(kind::KEYRING, 0, -1),
        Op::Label { file, label } => {
            head(kind::LABEL, 0, -1);
            assert_eq!((text(r.s), text(r.t)), (&**file, &**label));
        }
        Op::Rlimit { resource, soft, hard, .. } => {
            head(kind::RLIMIT, 0, -1);
            assert_eq!((r.n, r.a, r.b), (*resource, *soft, *hard));
        }
        Op::Bounding { keep, last } => {
            head(kind::BOUNDING, 0, -1);
            assert_eq!((r.a, r.n), (*keep, *last));
        }
        Op::Identity { uid, gid, groups } => {
            head(kind::IDENTITY, 0, -1);
            assert_eq!((r.a, r.b), (u64::from(*uid), u64::from(*gid)));
            assert_eq!(reader.groups(r.u, r.n as usize), *groups);
        }
        Op::Capabilities { effective, permitted, inheritable } => {
            head(kind::CAPABILITIES, 0, -1);
            assert_eq!((r.a, r.b, u64::from(r.s) | u64::from(r.t) << 32), (*effective, *permitted, *inheritable));
        }
        Op::Ambient { set } => {
            head(kind::AMBIENT, 0, -1);
            assert_eq!(r.a, *set);
        }
        Op::NoNewPrivileges => head(kind::NO_NEW_PRIVILEGES, 0, -1),
        Op::WorkingDirectory { path, second } => {
            head(kind::WORKING_DIRECTORY, bits(&[(*second, flag::SECOND)]), -1);
            assert_eq!(text(r.s), path);
        }
        Op::Umask { mask } => {
            head(kind::UMASK, 0, -1);
            assert_eq!(r.n, *mask);
        }
        Op::FindExecutable { candidates, search } => {
            head(kind::FIND_EXECUTABLE, 0, -1);
            assert_eq!((reader.list(r.s), r.n), (candidates.iter().map(|c| &**c).collect(), u32::from(*search)));
        }
        Op::CloseHandles => head(kind::CLOSE_HANDLES, 0, -1),
        Op::Ready => head(kind::READY, 0, -1),
        Op::WaitStart { control } => head(kind::WAIT_START, bits(&[(*control, flag::CONTROL)]), -1),
        Op::Landlock { scoped } => {
            head(kind::LANDLOCK, 0, -1);
            assert_eq!(r.a, *scoped);
        }
        Op::Seccomp { flags, listener, filter, .. } => {
            head(kind::SECCOMP, bits(&[(*listener, flag::LISTENER)]), -1);
            assert_eq!((r.a, reader.words(r.s, r.n as usize)), (u64::from(*flags), filter.clone()));
        }
        Op::Execute { args, env } => {
            head(kind::EXECUTE, 0, -1);
            assert_eq!((reader.list(r.t), r.n as usize), (args.iter().map(|a| &**a).collect(), args.len()));
            assert_eq!((reader.list(r.u), r.a as usize), (env.iter().map(|e| &**e).collect(), env.len()));
        }
    }
}
