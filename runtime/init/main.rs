//! Init: the child half of casemate. Interprets a program of operations and ends in execve(2).
//!
//! It is a program of its own, without std, libc, allocator or crates: what runs inside a container before the
//! container's own program is these few files and nothing else. casemate starts it from a sealed memfd; its only
//! argument is the descriptor of the program, which names all others.
//!
//! It decides nothing. The order of the operations, and why it is that order, is in `plan/order.rs`.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

#[path = "../src/program/format.rs"]
#[allow(dead_code)]
mod format;

mod copyup;
mod device;
mod execute;
mod hook;
mod identity;
mod mount;
mod nr;
mod path;
mod procfs;
mod program;
mod session;
mod sys;

use format::{Record, kind, message, refusal};
use program::Program;
use sys::{Done, Fail, Text};

/// What init knows besides the program.
pub struct Init {
    pub program: Program,
    /// Descriptor of the program.
    pub object: i32,
    /// Socket to the parent.
    pub control: i32,
    /// Socket on which `start` connects, or -1.
    pub start: i32,
    /// The first descriptor that the container's process does not get.
    pub first: i32,
    /// Handle on the container's root.
    pub root: i32,
    /// Handle on the /dev that was mounted by an operation, or -1.
    pub dev: i32,
    /// Handle on the filesystem that masks are cloned from, or -1.
    pub masks: i32,
    /// How many mounts init made, and the id of the first: ids only grow, so any later one that is not counted here
    /// was made by somebody else.
    pub made: u32,
    pub first_made: u64,
    /// Handle on a procfs of init's own, or -1.
    pub proc: i32,
    /// The socket to whoever starts the process.
    pub starter: i32,
    /// Whether the working directory could be entered before the credentials changed.
    pub in_cwd: bool,
    /// Which candidate of FIND_EXECUTABLE it is.
    pub executable: Option<Text>,
}

impl Init {
    /// Counts a mount that was just made.
    pub fn made(&mut self, mount: i32) -> Done {
        let st = sys::fstat(mount)?;
        if self.first_made == 0 && sys::ids_are_unique(&st) {
            self.first_made = st.mnt_id;
        }
        self.made += 1;
        Ok(())
    }
}

pub fn run(argument: Option<Text>) -> ! {
    let object = argument.and_then(|a| number(a.bytes())).unwrap_or(-1);
    let mapped = Program::map(object).and_then(|mut program| {
        let header = *program.header()?;
        Ok((program, header))
    });
    let (program, header) = match mapped {
        Ok(mapped) => mapped,
        // Nobody can be told: the report is in what could not be mapped. The parent sees the socket close.
        Err(_) => sys::exit(125),
    };
    let mut init = Init {
        program,
        object,
        control: header.control,
        start: header.start,
        first: header.first,
        root: -1,
        dev: -1,
        masks: -1,
        made: 0,
        first_made: 0,
        proc: -1,
        starter: header.control,
        in_cwd: false,
        executable: None,
    };
    if let Err(fail) = prepare(&init) {
        init.program.report(0, fail);
        sys::exit(125)
    }
    for index in 0..init.program.ops {
        let done = match init.program.record(index) {
            Ok(record) => {
                let record = *record;
                operate(&mut init, index, record)
            }
            Err(fail) => Err(fail),
        };
        if let Err(fail) = done {
            init.program.report(index, fail);
            sys::exit(125)
        }
    }
    sys::exit(125)
}

/// Before anything else: nobody may look into this process, it does not outlive a parent that dies early, and it
/// reacts to signals as a fresh process does, whatever its parent ignored.
fn prepare(init: &Init) -> Done {
    sys::prctl(sys::PR_SET_DUMPABLE, 0, 0)?;
    sys::prctl(sys::PR_SET_PDEATHSIG, 9, 0)?;
    sys::set_name(Text::from_literal(c"casemate-init"))?;
    sys::reset_signals()?;
    // Modes of what init makes are the ones it is told; UMASK sets the process's own.
    sys::umask(0)?;
    sys::close_range_on_exec(init.first as u32)
}

fn operate(init: &mut Init, index: usize, r: Record) -> Done {
    match r.kind {
        kind::JOIN_CGROUP => once(r.slot, |tasks| sys::write(tasks, b"0").map(drop)),
        kind::JOIN_NAMESPACE => once(r.slot, |namespace| sys::setns(namespace, r.a)),
        kind::UNSHARE => sys::unshare(r.a),
        kind::HOST_PROPAGATION => mount::host_propagation(r.a),
        kind::MASK_SOURCE => mount::mask_source(init),
        kind::ATTACH_ROOT => mount::attach_root(init, r),
        kind::OPEN_ROOT => mount::open_root(init),
        kind::MOUNT => mount::mount(init, index, r),
        kind::BIND => mount::bind(init, index, r),
        kind::SET_MOUNT => mount::set_mount(init, index, r),
        kind::READONLY_PATH => mount::readonly_path(init, index, r),
        kind::MASK => mount::mask(init, index, r),
        kind::PIVOT => mount::pivot(init, index),
        kind::CHECK_MOUNTS => mount::check(init, index, r),
        kind::DEVICE => device::device(init, r),
        kind::SYMLINK => device::symlink(init, r),
        kind::MAKE_DIRECTORY => path::make_directory(init.root, init.program.text(r.t)?).map(sys::close),
        kind::TERMINAL => session::terminal(init, index, r),
        kind::SESSION => session::session(r),
        kind::ENTER_PID_NAMESPACE => session::enter_pid_namespace(init),
        kind::LOOPBACK => session::loopback(),
        kind::KEYRING => sys::new_session_keyring(),
        kind::HOSTNAME => sys::sethostname(init.program.text(r.s)?.bytes()),
        kind::DOMAINNAME => sys::setdomainname(init.program.text(r.s)?.bytes()),
        kind::SYSCTL => procfs::sysctl(init, r),
        kind::LABEL => procfs::label(init, r),
        kind::BARRIER => barrier(init, r.a as u8),
        kind::HOOK => hook::run(init, r),
        kind::RLIMIT => sys::prlimit(u64::from(r.n), r.a, r.b),
        kind::BOUNDING => identity::bounding(r.a, r.n),
        kind::IDENTITY => identity::identity(init, r),
        kind::CAPABILITIES => identity::capabilities(r),
        kind::AMBIENT => identity::ambient(r.a),
        kind::NO_NEW_PRIVILEGES => sys::prctl(sys::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop),
        kind::WORKING_DIRECTORY => execute::working_directory(init, r),
        kind::UMASK => sys::umask(r.n),
        kind::FIND_EXECUTABLE => execute::find(init, r),
        kind::CLOSE_HANDLES => close_handles(init),
        kind::READY => ready(init),
        kind::WAIT_START => wait_start(init, r),
        kind::LANDLOCK => execute::landlock(r),
        kind::SECCOMP => execute::seccomp(init, r),
        kind::EXECUTE => execute::execute(init, r),
        _ => Err(Fail::refusal(refusal::BAD_PROGRAM)),
    }
}

/// Uses a handle for the last time. Those on the host's cgroups and on namespaces are gone before anything of the image is
/// touched.
fn once(handle: i32, act: impl FnOnce(i32) -> Done) -> Done {
    act(handle)?;
    sys::close(handle);
    Ok(())
}

/// Tells the parent where init stands and waits for its word.
fn barrier(init: &Init, say: u8) -> Done {
    sys::send(init.control, say, None)?;
    expect(init.control, message::PROCEED)
}

fn expect(socket: i32, byte: u8) -> Done {
    match sys::receive(socket)? {
        Some(b) if b == byte => Ok(()),
        _ => Err(Fail::refusal(refusal::ABANDONED)),
    }
}

/// From here on only the sockets, the program and the root are left of what the parent gave and init opened.
fn close_handles(init: &mut Init) -> Done {
    let mut keep = [init.object, init.control, init.start, init.root];
    keep.sort_unstable();
    let mut next = init.first;
    for fd in keep {
        if fd > next {
            sys::close_range(next as u32, fd as u32 - 1)?;
        }
        next = next.max(fd + 1);
    }
    (init.proc, init.masks, init.dev) = (-1, -1, -1);
    sys::close_range(next as u32, u32::MAX)
}

/// The container is set up. It may outlive the parent once the parent has its state on disk, and not before: until then
/// the socket tells of the parent's death.
fn ready(init: &Init) -> Done {
    // Before the parent can know: it may end as soon as it has committed, and the signal could not be taken back then.
    sys::prctl(sys::PR_SET_PDEATHSIG, 0, 0)?;
    sys::send(init.control, message::READY, None)?;
    expect(init.control, message::COMMITTED)
}

/// Waits until somebody says start. A starter that goes away without saying so was killed; the next one may try.
fn wait_start(init: &mut Init, r: Record) -> Done {
    if r.flags & format::flag::CONTROL != 0 {
        return expect(init.starter, message::START);
    }
    sys::close(init.control);
    loop {
        let peer = sys::accept(init.start)?;
        let said = sys::send(peer, message::PROGRAM, Some(init.object)).and_then(|()| sys::receive(peer));
        if let Ok(Some(message::START)) = said {
            init.starter = peer;
            sys::close(init.start);
            return Ok(());
        }
        sys::close(peer);
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(124)
}

/// A decimal number.
fn number(text: &[u8]) -> Option<i32> {
    let mut n = 0i32;
    for c in text {
        n = n.checked_mul(10)?.checked_add(i32::from(c.checked_sub(b'0').filter(|d| *d < 10)?))?;
    }
    Some(n)
}
