//! System calls that neither rustix nor nix offers: the only place of this crate with `unsafe` code.
#![allow(unsafe_code)]

pub mod bpf;
