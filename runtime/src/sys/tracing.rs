//! bpf(2) for watching: maps, and programs on raw tracepoints. All of it ends with the descriptors.

use super::bpf::{BPF_PROG_LOAD, Insn, Load, address, bpf, bpf_fd, number};
use rustix::io::Errno;
use std::ffi::CStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_MAP_LOOKUP_ELEM: libc::c_long = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_MAP_DELETE_ELEM: libc::c_long = 3;
const BPF_MAP_GET_NEXT_KEY: libc::c_long = 4;
const BPF_RAW_TRACEPOINT_OPEN: libc::c_long = 17;

const BPF_PROG_TYPE_RAW_TRACEPOINT: u32 = 17;

/// The kernel lets only programs under these licences read its memory and the registers of a call.
const LICENCE: &CStr = c"Dual MIT/GPL";

/// What a map is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum MapKind {
    /// Keys of any value.
    Hash = 1,
    /// Keys are the numbers below the size.
    Array = 2,
    /// Values are cgroups of the unified hierarchy.
    Cgroups = 8,
}

/// The beginning of `union bpf_attr` for `BPF_MAP_CREATE`.
#[repr(C)]
struct CreateMap {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

/// The same for operations on an element.
#[repr(C)]
struct OfElement {
    map_fd: u32,
    padding: u32,
    key: u64,
    /// The value, or the next key.
    value: u64,
    flags: u64,
}

/// The same for `BPF_RAW_TRACEPOINT_OPEN`.
#[repr(C)]
struct RawTracepoint {
    name: u64,
    prog_fd: u32,
    padding: u32,
}

/// A key and its value.
pub type Element<const K: usize, const V: usize> = ([u8; K], [u8; V]);

/// A map: `K` is the key's size in bytes, `V` the value's.
#[derive(Debug)]
pub struct Map<const K: usize, const V: usize> {
    fd: OwnedFd,
}

impl<const K: usize, const V: usize> Map<K, V> {
    /// Makes a map of at most `size` elements.
    ///
    /// # Errors
    /// `EPERM` without CAP_BPF or CAP_SYS_ADMIN, `ENOMEM`, `E2BIG` for sizes that the kernel does not take.
    pub fn new(kind: MapKind, size: u32) -> Result<Self, Errno> {
        let length = |bytes: usize| u32::try_from(bytes).map_err(|_| Errno::TOOBIG);
        let mut attr = CreateMap {
            map_type: kind as u32,
            key_size: length(K)?,
            value_size: length(V)?,
            max_entries: size,
            map_flags: 0,
        };
        // SAFETY: the attributes hold no pointers.
        let fd = unsafe { bpf_fd(BPF_MAP_CREATE, &mut attr) }?;
        Ok(Map { fd })
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// `E2BIG` when the map is full; for cgroups `EBADF` when the value is no descriptor of one.
    pub fn set(&self, key: &[u8; K], value: &[u8; V]) -> Result<(), Errno> {
        let mut attr = self.element(key, address(value.as_ptr()));
        // SAFETY: key and value have the lengths that the map was made with, outlive the call, and are only read.
        unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut attr) }.map(drop)
    }

    /// The value of a key; `None` where there is none.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for cgroups.
    pub fn get(&self, key: &[u8; K]) -> Result<Option<[u8; V]>, Errno> {
        let mut value = [0; V];
        let mut attr = self.element(key, address(value.as_mut_ptr()));
        // SAFETY: key and value have the lengths that the map was made with, outlive the call, and the kernel writes no more
        // than the value.
        match unsafe { bpf(BPF_MAP_LOOKUP_ELEM, &mut attr) } {
            Ok(_) => Ok(Some(value)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Takes a key out.
    ///
    /// # Errors
    /// `ENOENT` for a key that is not there.
    pub fn remove(&self, key: &[u8; K]) -> Result<(), Errno> {
        let mut attr = self.element(key, 0);
        // SAFETY: the key has the length that the map was made with, outlives the call, and is only read.
        unsafe { bpf(BPF_MAP_DELETE_ELEM, &mut attr) }.map(drop)
    }

    /// All elements of a hash, as they are now. One that is changed meanwhile may be in it or not.
    ///
    /// # Errors
    /// What bpf(2) reports.
    pub fn elements(&self) -> Result<Vec<Element<K, V>>, Errno> {
        let mut elements = Vec::new();
        let mut last: Option<[u8; K]> = None;
        loop {
            let mut next = [0; K];
            let key = last.as_ref().map_or(0, |key| address(key.as_ptr()));
            let mut attr = OfElement {
                map_fd: number(self.fd.as_fd()),
                padding: 0,
                key,
                value: address(next.as_mut_ptr()),
                flags: 0,
            };
            // SAFETY: the last key, where there is one, and the next one have K bytes and outlive the call.
            match unsafe { bpf(BPF_MAP_GET_NEXT_KEY, &mut attr) } {
                Ok(_) => {}
                Err(Errno::NOENT) => return Ok(elements),
                Err(errno) => return Err(errno),
            }
            if let Some(value) = self.get(&next)? {
                elements.push((next, value));
            }
            last = Some(next);
        }
    }

    /// For programs: the number by which they name the map while they are loaded.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn element(&self, key: &[u8; K], value: u64) -> OfElement {
        OfElement { map_fd: number(self.fd.as_fd()), padding: 0, key: address(key.as_ptr()), value, flags: 0 }
    }
}

/// Loads a program and runs it at a tracepoint until the descriptor is closed, which the end of this process does.
///
/// # Errors
/// `EPERM` without CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN; `EINVAL` on a kernel without tracing programs, or for a
/// program the verifier refuses; `ENOENT` for an unknown tracepoint.
pub fn attach(tracepoint: &CStr, program: &[Insn]) -> Result<OwnedFd, Errno> {
    let mut load = Load::new(BPF_PROG_TYPE_RAW_TRACEPOINT, program, LICENCE)?;
    // SAFETY: the program and the licence outlive the call, and their lengths are those given.
    let loaded = unsafe { bpf_fd(BPF_PROG_LOAD, &mut load) }?;
    let mut attr = RawTracepoint { name: address(tracepoint.as_ptr()), prog_fd: number(loaded.as_fd()), padding: 0 };
    // SAFETY: the name is NUL-terminated and outlives the call.
    unsafe { bpf_fd(BPF_RAW_TRACEPOINT_OPEN, &mut attr) }
}
