//! What casemate denies by itself: with no profile in the configuration, and below one that allows everything.

use crate::escape::answers::{allow_but, denied};
use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::holds;
use anyhow::Result;
use serde_json::json;

const BOTH: &[&str] = &["baseline", "restricted"];
const RESTRICTED: &[&str] = &["restricted"];

crate::checks! {
    "D1" io_uring_userfaultfd_bpf_and_perf_are_denied_without_a_profile [Levels(BOTH)];
    "D2" keyrings_are_denied_without_a_profile [Levels(BOTH)];
    "D3" mount_calls_are_denied_without_a_profile [Levels(BOTH)];
    "C2" namespaces_are_denied_without_a_profile [Levels(BOTH)];
    "D4" calls_unknown_to_the_filter_are_answered_as_missing [Levels(BOTH)];
    "D6" administration_is_denied_without_a_profile [Levels(BOTH)];
    "D10" rare_socket_families_are_denied_without_a_profile [Levels(BOTH)];
    "CVE-2026-31431" alg_and_vsock_sockets_are_denied_without_a_profile [Levels(BOTH)];
    "D9" raw_and_packet_sockets_are_denied [Levels(BOTH)];
    "D9" netlink_but_for_routes_is_denied [Levels(RESTRICTED)];
    "D12" weak_personalities_are_denied_without_a_profile [Levels(BOTH)];
    "CVE-2019-10063" terminal_input_is_denied_without_a_profile [Levels(BOTH)];
    "D17" a_seccomp_listener_is_denied_without_a_profile [Levels(BOTH)];
    "D5" chroot_device_nodes_and_rare_calls_are_denied [Levels(RESTRICTED)];
    "C3" calls_into_other_processes_are_denied [Levels(RESTRICTED)];
    "D13" a_call_of_the_32_bit_abi_ends_the_process [Levels(RESTRICTED)];
    "D14" a_call_of_the_x32_abi_ends_the_process [Levels(RESTRICTED)];
    "D1" the_overlay_denies_kernel_surface_below_an_open_profile [Levels(BOTH)];
    "CVE-2021-41133" the_overlay_denies_mounts_and_namespaces_below_an_open_profile [Levels(BOTH)];
    "D10" the_overlay_denies_sockets_below_an_open_profile [Levels(BOTH)];
    "D12" the_overlay_denies_weak_personalities_below_an_open_profile [Levels(BOTH)];
    "CVE-2023-28100" the_overlay_denies_terminal_input_below_an_open_profile [Levels(BOTH)];
    "D13" the_overlay_holds_for_the_32_bit_abi_below_an_open_profile [Levels(BOTH)];
}

/// With no profile in the configuration.
fn bare(s: &Scene, groups: &[&str]) -> Result<Verdict> {
    s.denies(&s.bundle()?, groups)
}

/// With a profile that allows every call of every ABI.
fn open(s: &Scene, groups: &[&str], but: &[&str]) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.set("/linux/seccomp", allow_but(&json!([])));
    s.denies_but(&bundle, groups, but)
}

fn io_uring_userfaultfd_bpf_and_perf_are_denied_without_a_profile(s: &Scene) -> Result<Verdict> {
    bare(s, &["surface", "handles"])
}

fn keyrings_are_denied_without_a_profile(s: &Scene) -> Result<Verdict> {
    bare(s, &["keyrings"])
}

fn mount_calls_are_denied_without_a_profile(s: &Scene) -> Result<Verdict> {
    bare(s, &["mounts"])
}

fn namespaces_are_denied_without_a_profile(s: &Scene) -> Result<Verdict> {
    bare(s, &["namespaces"])
}

fn calls_unknown_to_the_filter_are_answered_as_missing(s: &Scene) -> Result<Verdict> {
    // ENOSYS, so that libc uses what there was before; and the kernel must not be the one who says it.
    for (way, answers) in s.answers(&s.bundle()?, &["unreviewed", "future"])? {
        for (name, answer) in &answers {
            let exact = name.starts_with("future/");
            holds!(if exact { answer == "ENOSYS" } else { denied(answer) }, "{way}: {name}: {answer}");
        }
    }
    bare(s, &["unreviewed"])
}

fn administration_is_denied_without_a_profile(s: &Scene) -> Result<Verdict> {
    bare(s, &["kernel", "administration"])
}

fn rare_socket_families_are_denied_without_a_profile(s: &Scene) -> Result<Verdict> {
    bare(s, &["sockets"])
}

fn alg_and_vsock_sockets_are_denied_without_a_profile(s: &Scene) -> Result<Verdict> {
    bare(s, &["crypto"])
}

fn raw_and_packet_sockets_are_denied(s: &Scene) -> Result<Verdict> {
    bare(s, &["raw"])
}

fn netlink_but_for_routes_is_denied(s: &Scene) -> Result<Verdict> {
    bare(s, &["netlink"])
}

fn weak_personalities_are_denied_without_a_profile(s: &Scene) -> Result<Verdict> {
    bare(s, &["personality"])
}

fn terminal_input_is_denied_without_a_profile(s: &Scene) -> Result<Verdict> {
    bare(s, &["terminal"])
}

fn a_seccomp_listener_is_denied_without_a_profile(s: &Scene) -> Result<Verdict> {
    bare(s, &["listener"])
}

fn chroot_device_nodes_and_rare_calls_are_denied(s: &Scene) -> Result<Verdict> {
    bare(s, &["rare"])
}

fn calls_into_other_processes_are_denied(s: &Scene) -> Result<Verdict> {
    bare(s, &["neighbours"])
}

fn a_call_of_the_32_bit_abi_ends_the_process(s: &Scene) -> Result<Verdict> {
    all_end(s, "i386")
}

fn a_call_of_the_x32_abi_ends_the_process(s: &Scene) -> Result<Verdict> {
    all_end(s, "x32")
}

/// Whether each call of the group ends its process.
fn all_end(s: &Scene, group: &str) -> Result<Verdict> {
    for (way, answers) in s.answers(&s.bundle()?, &[group])? {
        for (name, answer) in &answers {
            holds!(answer == "SIGSYS", "{way}: {name}: {answer}");
        }
    }
    Ok(Verdict::safe())
}

fn the_overlay_denies_kernel_surface_below_an_open_profile(s: &Scene) -> Result<Verdict> {
    open(s, &["surface", "keyrings", "kernel", "handles", "listener"], &[])
}

fn the_overlay_denies_mounts_and_namespaces_below_an_open_profile(s: &Scene) -> Result<Verdict> {
    open(s, &["mounts", "namespaces"], &[])
}

fn the_overlay_denies_sockets_below_an_open_profile(s: &Scene) -> Result<Verdict> {
    open(s, &["sockets", "crypto", "raw"], &[])
}

fn the_overlay_denies_weak_personalities_below_an_open_profile(s: &Scene) -> Result<Verdict> {
    open(s, &["personality", "process"], &[])
}

fn the_overlay_denies_terminal_input_below_an_open_profile(s: &Scene) -> Result<Verdict> {
    open(s, &["terminal"], &[])
}

fn the_overlay_holds_for_the_32_bit_abi_below_an_open_profile(s: &Scene) -> Result<Verdict> {
    open(s, &["i386"], &["i386/int 0x80: getpid", "i386/int 0x80: socketcall"])
}
