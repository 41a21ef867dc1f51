//! Operations into the binary form of [`super::format`].

use super::format::{self, Header, Record, flag, kind, message};
use super::{Destination, InnerHook, Op, Slot, Target};

/// Why a program cannot be written: only its size can be wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLarge;

/// Longest program: twice the kernel's limit for arguments and environment together.
const MAX_BYTES: usize = 4 << 20;

/// Descriptors by number, as init will find them.
#[derive(Clone, Debug, Default)]
pub struct Descriptors {
    /// Init's socket to the parent.
    pub control: i32,
    /// The listening socket for `start`, or -1.
    pub start: i32,
    /// The first descriptor that the container's process does not get: 3 and the preserved ones.
    pub first: i32,
    /// The plan's handles, in its order.
    pub handles: Vec<i32>,
}

/// The program as init maps it.
pub fn encode(ops: &[Op], descriptors: &Descriptors) -> Result<Vec<u8>, TooLarge> {
    let mut writer = Writer::new(ops.len(), descriptors);
    for (index, op) in ops.iter().enumerate() {
        let record = writer.record(op);
        writer.put(index, record);
    }
    writer.finish(ops.len())
}

struct Writer<'d> {
    bytes: Vec<u8>,
    descriptors: &'d Descriptors,
}

impl<'d> Writer<'d> {
    fn new(ops: usize, descriptors: &'d Descriptors) -> Writer<'d> {
        let start = format::RECORDS + ops * size_of::<Record>();
        let mut bytes = Vec::with_capacity(start + 16 * 1024);
        bytes.resize(start, 0);
        Writer { bytes, descriptors }
    }

    fn finish(mut self, ops: usize) -> Result<Vec<u8>, TooLarge> {
        // Init maps whole pages; a string at the very end keeps its NUL in any case.
        self.align();
        if self.bytes.len() > MAX_BYTES {
            return Err(TooLarge);
        }
        let d = self.descriptors;
        let header =
            [format::MAGIC, ops as u32, self.bytes.len() as u32, d.control as u32, d.start as u32, d.first as u32];
        const { assert!(size_of::<Header>() <= format::RECORDS) };
        for (i, word) in header.into_iter().enumerate() {
            self.bytes[i * 4..i * 4 + 4].copy_from_slice(&word.to_ne_bytes());
        }
        Ok(self.bytes)
    }

    fn put(&mut self, index: usize, r: Record) {
        let at = format::RECORDS + index * size_of::<Record>();
        let mut out = Vec::with_capacity(size_of::<Record>());
        out.extend(r.kind.to_ne_bytes());
        out.extend(r.flags.to_ne_bytes());
        out.extend(r.slot.to_ne_bytes());
        out.extend(r.a.to_ne_bytes());
        out.extend(r.b.to_ne_bytes());
        for word in [r.s, r.t, r.u, r.n] {
            out.extend(word.to_ne_bytes());
        }
        self.bytes[at..at + out.len()].copy_from_slice(&out);
    }

    fn handle(&self, slot: Slot) -> i32 {
        self.descriptors.handles.get(slot.0 as usize).copied().unwrap_or(-1)
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
    }

    fn text(&mut self, text: &str) -> u32 {
        let at = self.bytes.len() as u32;
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
        at
    }

    fn words(&mut self, words: &[u64]) -> u32 {
        self.align();
        let at = self.bytes.len() as u32;
        for word in words {
            self.bytes.extend(word.to_ne_bytes());
        }
        at
    }

    /// A list of strings: their number, then (where the answer points) their offsets and a 0.
    fn list(&mut self, texts: &[String]) -> u32 {
        let mut words = vec![texts.len() as u64];
        words.extend(texts.iter().map(|t| u64::from(self.text(t))));
        words.push(0);
        self.words(&words) + 8
    }

    fn record(&mut self, op: &Op) -> Record {
        match op {
            Op::JoinCgroup { hierarchy, tasks } => {
                Record { kind: kind::JOIN_CGROUP, slot: self.handle(*tasks), s: self.text(hierarchy), ..none() }
            }
            Op::JoinNamespace { namespace, handle: h, .. } => {
                Record { kind: kind::JOIN_NAMESPACE, slot: self.handle(*h), a: namespace.clone_flag(), ..none() }
            }
            Op::JoinContainer { namespaces, handle: h } => {
                Record { kind: kind::JOIN_NAMESPACE, slot: self.handle(*h), a: *namespaces, ..none() }
            }
            Op::Unshare { namespace } => Record { kind: kind::UNSHARE, a: namespace.clone_flag(), ..none() },
            Op::HostPropagation { propagation } => Record { kind: kind::HOST_PROPAGATION, a: *propagation, ..none() },
            Op::MaskSource => Record { kind: kind::MASK_SOURCE, ..none() },
            Op::AttachRoot { tree } => Record { kind: kind::ATTACH_ROOT, slot: self.handle(*tree), ..none() },
            Op::OpenRoot => Record { kind: kind::OPEN_ROOT, ..none() },
            Op::Mount { .. } => self.mount(op),
            Op::Bind { tree, destination, at, .. } => Record {
                kind: kind::BIND,
                flags: place(*at),
                slot: self.handle(*tree),
                t: self.text(destination),
                ..none()
            },
            Op::SetMount { target, attributes } => {
                let (slot, t) = match target {
                    Target::Tree(tree) => (self.handle(*tree), 0),
                    Target::Root => (-1, 0),
                    Target::Dev => (-2, 0),
                    Target::Path(path) => (-1, self.text(path)),
                };
                Record {
                    kind: kind::SET_MOUNT,
                    flags: if attributes.recursive { flag::RECURSIVE } else { 0 },
                    slot,
                    a: attributes.set,
                    b: attributes.clear,
                    n: attributes.propagation as u32,
                    t,
                    ..none()
                }
            }
            Op::Device { path, mode, major, minor, uid, gid, on_dev } => Record {
                kind: kind::DEVICE,
                flags: on(*on_dev),
                a: u64::from(*mode),
                b: device_number(*major, *minor),
                t: self.text(below_dev(path, *on_dev)),
                u: *uid,
                n: *gid,
                ..none()
            },
            Op::Symlink { target, path, on_dev } => Record {
                kind: kind::SYMLINK,
                flags: on(*on_dev),
                s: self.text(target),
                t: self.text(below_dev(path, *on_dev)),
                ..none()
            },
            Op::MakeDirectory { path } => Record { kind: kind::MAKE_DIRECTORY, t: self.text(path), ..none() },
            Op::Terminal { rows, columns, console, uid } => Record {
                kind: kind::TERMINAL,
                flags: if *console { flag::CONSOLE } else { 0 },
                a: u64::from(*rows),
                b: u64::from(*columns),
                n: *uid,
                ..none()
            },
            Op::Session { terminal } => {
                Record { kind: kind::SESSION, flags: if *terminal { flag::CONSOLE } else { 0 }, ..none() }
            }
            Op::EnterPidNamespace => Record { kind: kind::ENTER_PID_NAMESPACE, ..none() },
            Op::RuntimeHooks => Record { kind: kind::BARRIER, a: u64::from(message::MOUNTED), ..none() },
            Op::Hook(hook) => self.hook(hook),
            Op::Pivot => Record { kind: kind::PIVOT, ..none() },
            Op::CheckMounts { extra } => {
                Record { kind: kind::CHECK_MOUNTS, flags: if *extra { flag::EXTRA_MOUNTS } else { 0 }, ..none() }
            }
            Op::Loopback => Record { kind: kind::LOOPBACK, ..none() },
            Op::Hostname { name } => Record { kind: kind::HOSTNAME, s: self.text(name), ..none() },
            Op::Domainname { name } => Record { kind: kind::DOMAINNAME, s: self.text(name), ..none() },
            Op::Sysctl { name, value } => {
                // A slash in the dotted form is a dot in a name; see plan/sysctls.rs.
                let swap = |c| match c {
                    '.' => '/',
                    '/' => '.',
                    c => c,
                };
                let path: String = "sys/".chars().chain(name.chars().map(swap)).collect();
                Record { kind: kind::SYSCTL, s: self.text(&path), t: self.text(value), ..none() }
            }
            Op::ReadonlyPath { path } => Record { kind: kind::READONLY_PATH, s: self.text(path), ..none() },
            Op::Mask { path } => Record { kind: kind::MASK, s: self.text(path), ..none() },
            Op::Keyring => Record { kind: kind::KEYRING, ..none() },
            Op::Label { file, label } => {
                Record { kind: kind::LABEL, s: self.text(file), t: self.text(label), ..none() }
            }
            Op::Rlimit { resource, soft, hard, .. } => {
                Record { kind: kind::RLIMIT, n: *resource, a: *soft, b: *hard, ..none() }
            }
            Op::Bounding { keep, last } => Record { kind: kind::BOUNDING, a: *keep, n: *last, ..none() },
            Op::Identity { uid, gid, groups } => {
                let words: Vec<u64> = groups
                    .chunks(2)
                    .map(|pair| {
                        let mut bytes = [0u8; 8];
                        for (half, group) in bytes.chunks_mut(4).zip(pair) {
                            half.copy_from_slice(&group.to_ne_bytes());
                        }
                        u64::from_ne_bytes(bytes)
                    })
                    .collect();
                let u = self.words(&words);
                let n = groups.len() as u32;
                Record { kind: kind::IDENTITY, a: u64::from(*uid), b: u64::from(*gid), u, n, ..none() }
            }
            Op::Capabilities { effective, permitted, inheritable } => Record {
                kind: kind::CAPABILITIES,
                a: *effective,
                b: *permitted,
                s: *inheritable as u32,
                t: (*inheritable >> 32) as u32,
                ..none()
            },
            Op::Ambient { set } => Record { kind: kind::AMBIENT, a: *set, ..none() },
            Op::NoNewPrivileges => Record { kind: kind::NO_NEW_PRIVILEGES, ..none() },
            Op::WorkingDirectory { path, second } => Record {
                kind: kind::WORKING_DIRECTORY,
                flags: if *second { flag::SECOND } else { 0 },
                s: self.text(path),
                ..none()
            },
            Op::Umask { mask } => Record { kind: kind::UMASK, n: *mask, ..none() },
            Op::FindExecutable { candidates, search } => {
                Record { kind: kind::FIND_EXECUTABLE, s: self.list(candidates), n: u32::from(*search), ..none() }
            }
            Op::CloseHandles => Record { kind: kind::CLOSE_HANDLES, ..none() },
            Op::Ready => Record { kind: kind::READY, ..none() },
            Op::WaitStart { control } => {
                Record { kind: kind::WAIT_START, flags: if *control { flag::CONTROL } else { 0 }, ..none() }
            }
            Op::Landlock { scoped } => Record { kind: kind::LANDLOCK, a: *scoped, ..none() },
            Op::Seccomp { flags, listener, filter, .. } => Record {
                kind: kind::SECCOMP,
                flags: if *listener { flag::LISTENER } else { 0 },
                a: u64::from(*flags),
                s: self.words(filter),
                n: filter.len() as u32,
                ..none()
            },
            Op::Execute { args, env } => Record {
                kind: kind::EXECUTE,
                t: self.list(args),
                u: self.list(env),
                n: args.len() as u32,
                a: env.len() as u64,
                ..none()
            },
        }
    }

    fn mount(&mut self, op: &Op) -> Record {
        let Op::Mount {
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
        } = op
        else {
            return none();
        };
        let mut flags = place(*at);
        for (on, bit) in [
            (*is_dev, flag::IS_DEV),
            (*copy_up, flag::COPY_UP),
            (*inherit_mode, flag::INHERIT_MODE),
            (*if_directory, flag::IF_DIRECTORY),
        ] {
            flags |= if on { bit } else { 0 };
        }
        let mut record = Record {
            kind: kind::MOUNT,
            flags,
            a: attributes.set,
            b: attributes.propagation,
            s: self.text(fstype),
            t: self.text(destination),
            n: options.len() as u32,
            ..none()
        };
        let mut pairs = Vec::with_capacity(options.len() * 2);
        match legacy_flags {
            None => {
                for (key, value) in options {
                    pairs.push(u64::from(self.text(key)));
                    pairs.push(value.as_ref().map_or(0, |v| u64::from(self.text(v))));
                }
            }
            Some(mount_flags) => {
                let source = options.iter().find(|(k, _)| k == "source").and_then(|(_, v)| v.as_deref());
                let data: Vec<String> = options
                    .iter()
                    .filter(|(k, _)| k != "source")
                    .map(|(k, v)| match v {
                        // mount(2) takes a label with commas (categories) in quotes only.
                        Some(v) if k.ends_with("context") => format!("{k}=\"{v}\""),
                        Some(v) => format!("{k}={v}"),
                        None => k.clone(),
                    })
                    .collect();
                pairs.push(u64::from(self.text(source.unwrap_or("none"))));
                pairs.push(if data.is_empty() { 0 } else { u64::from(self.text(&data.join(","))) });
                record.flags |= flag::LEGACY;
                record.a = *mount_flags;
                record.n = 1;
            }
        }
        record.u = self.words(&pairs);
        record
    }

    fn hook(&mut self, hook: &InnerHook) -> Record {
        let argv = if hook.args.is_empty() { std::slice::from_ref(&hook.path) } else { &hook.args };
        Record {
            kind: kind::HOOK,
            slot: hook.cwd.map_or(-1, |cwd| self.handle(cwd)),
            a: u64::from(self.text(&hook.state.0)),
            b: u64::from(self.text(&hook.state.1)),
            s: self.text(&hook.path),
            t: self.list(argv),
            u: self.list(&hook.env),
            n: hook.timeout,
            ..none()
        }
    }
}

fn none() -> Record {
    Record { slot: -1, ..Record::default() }
}

fn place(at: Destination) -> u16 {
    (if at.no_symlinks { flag::NO_SYMLINKS } else { 0 }) | (if at.in_proc { flag::IN_PROC } else { 0 })
}

fn on(dev: bool) -> u16 {
    if dev { flag::ON_DEV } else { 0 }
}

fn below_dev(path: &str, on_dev: bool) -> &str {
    if on_dev { path.strip_prefix("/dev").unwrap_or(path) } else { path }
}

/// The kernel's encoding of a device number in 32 bits (new_encode_dev).
fn device_number(major: u32, minor: u32) -> u64 {
    u64::from(minor & 0xff) | u64::from(major & 0xfff) << 8 | u64::from(minor & !0xff) << 12
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_forty_bytes_and_the_header_fits_before_the_records() {
        assert_eq!(size_of::<Record>(), 40);
        assert!(size_of::<Header>() <= format::RECORDS);
    }

    #[test]
    fn lists_end_with_zero_and_know_their_length() {
        let bytes =
            encode(&[Op::Execute { args: vec!["a".into(), "bc".into()], env: vec![] }], &Descriptors::default())
                .unwrap();
        let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
        let t = u32::from_ne_bytes(bytes[format::RECORDS + 28..format::RECORDS + 32].try_into().unwrap()) as usize;
        assert_eq!(word(t - 8), 2);
        assert_eq!(word(t + 16), 0);
        let second = word(t + 8) as usize;
        assert_eq!(&bytes[second..second + 3], b"bc\0");
    }

    #[test]
    fn device_numbers_are_encoded_as_the_kernel_does() {
        assert_eq!(device_number(1, 3), 0x103);
        assert_eq!(device_number(8, 300), 0x10082c);
    }

    #[test]
    fn a_program_that_is_too_large_is_refused() {
        let op = Op::Execute { args: vec!["x".repeat(MAX_BYTES)], env: vec![] };
        assert_eq!(encode(&[op], &Descriptors::default()), Err(TooLarge));
    }
}
