//! The kernel's attack surface under a profile of config.json, which is the same for every runtime: what it does not allow
//! does not get to the kernel, whatever the capabilities, in the program and in an exec'd one.

use crate::bundle::Bundle;
use crate::escape::answers::{allow_but, profile};
use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::holds;
use anyhow::Result;
use serde_json::{Value, json};

crate::checks! {
    "D1" a_profile_keeps_io_uring_userfaultfd_bpf_and_perf_out;
    "D2" a_profile_keeps_keyrings_out;
    "D3" a_profile_keeps_mount_calls_out;
    "CVE-2021-41133" mount_calls_newer_than_a_deny_list_are_denied_by_default;
    "CVE-2022-0185" a_profile_keeps_filesystem_contexts_and_user_namespaces_out;
    "D4" calls_that_a_profile_does_not_name_are_denied;
    "D6" a_profile_keeps_administration_out;
    "D8" a_profile_keeps_alg_and_vsock_sockets_out;
    "D12" a_profile_keeps_weak_personalities_out;
    "D13" a_profile_holds_for_calls_of_the_32_bit_abi;
    "D13" a_profile_for_one_abi_lets_no_call_of_another_in;
    "D14" a_profile_holds_for_calls_of_the_x32_abi;
    "D15" a_condition_on_an_int_argument_ignores_the_upper_half;
    "B18" a_profile_keeps_file_handles_out;
    "C3" a_profile_keeps_calls_into_other_processes_out;
}

/// A bundle with this profile.
fn under(s: &Scene, profile: Value) -> Result<Bundle> {
    let mut bundle = s.capable()?;
    bundle.set("/linux/seccomp", profile);
    Ok(bundle)
}

/// What the suite's profile says to these groups of calls.
fn by_default(s: &Scene, groups: &[&str]) -> Result<Verdict> {
    s.denies(&under(s, profile()?)?, groups)
}

fn a_profile_keeps_io_uring_userfaultfd_bpf_and_perf_out(s: &Scene) -> Result<Verdict> {
    by_default(s, &["surface"])
}

fn a_profile_keeps_keyrings_out(s: &Scene) -> Result<Verdict> {
    by_default(s, &["keyrings"])
}

fn a_profile_keeps_mount_calls_out(s: &Scene) -> Result<Verdict> {
    by_default(s, &["mounts"])
}

fn a_profile_keeps_filesystem_contexts_and_user_namespaces_out(s: &Scene) -> Result<Verdict> {
    by_default(s, &["mounts", "namespaces"])
}

fn a_profile_keeps_administration_out(s: &Scene) -> Result<Verdict> {
    by_default(s, &["kernel", "administration"])
}

fn a_profile_keeps_alg_and_vsock_sockets_out(s: &Scene) -> Result<Verdict> {
    by_default(s, &["crypto"])
}

fn a_profile_keeps_weak_personalities_out(s: &Scene) -> Result<Verdict> {
    by_default(s, &["personality"])
}

fn a_profile_keeps_file_handles_out(s: &Scene) -> Result<Verdict> {
    by_default(s, &["handles"])
}

fn a_profile_keeps_calls_into_other_processes_out(s: &Scene) -> Result<Verdict> {
    // ptrace(2) and its like are checked against the target; the profile leaves them to whom the kernel lets.
    let allowed = ["ptrace", "process_vm_readv", "process_vm_writev"].map(|name| format!("neighbours/{name}"));
    s.denies_but(&under(s, profile()?)?, &["neighbours"], &allowed.each_ref().map(String::as_str))
}

fn calls_that_a_profile_does_not_name_are_denied(s: &Scene) -> Result<Verdict> {
    by_default(s, &["unreviewed"])
}

fn mount_calls_newer_than_a_deny_list_are_denied_by_default(s: &Scene) -> Result<Verdict> {
    // The advisory's sandbox listed mount(2) and its like; a profile that lists what is allowed needs no new names.
    let mut profile = profile()?;
    let rules = profile["syscalls"].as_array().into_iter().flatten();
    let named = ["mount", "fsopen", "move_mount", "open_tree_attr"];
    let names = rules.flat_map(|rule| rule["names"].as_array().into_iter().flatten()).filter_map(Value::as_str);
    anyhow::ensure!(!names.into_iter().any(|name| named.contains(&name)), "the profile names a mount call");
    profile["defaultErrnoRet"] = json!(1);
    s.denies(&under(s, profile)?, &["mounts"])
}

fn a_profile_holds_for_calls_of_the_32_bit_abi(s: &Scene) -> Result<Verdict> {
    // A filter cannot see the family of socketcall: it lies in memory.
    s.denies_but(&under(s, profile()?)?, &["i386"], &["i386/int 0x80: getpid", "i386/int 0x80: socketcall"])
}

fn a_profile_for_one_abi_lets_no_call_of_another_in(s: &Scene) -> Result<Verdict> {
    let mut profile = profile()?;
    profile["architectures"] = json!(["SCMP_ARCH_X86_64"]);
    s.denies(&under(s, profile)?, &["i386"])
}

fn a_profile_holds_for_calls_of_the_x32_abi(s: &Scene) -> Result<Verdict> {
    // Whether this kernel has the ABI or not, none of them may succeed or get to its arguments.
    for architectures in [json!(["SCMP_ARCH_X86_64"]), profile()?["architectures"].clone()] {
        let mut profile = profile()?;
        profile["architectures"] = architectures;
        for (way, answers) in s.answers(&under(s, profile)?, &["x32"])? {
            for (name, answer) in answers.iter().filter(|(name, _)| !name.ends_with("getpid")) {
                holds!(crate::escape::answers::denied(answer), "{way}: {name}: {answer}");
            }
        }
    }
    Ok(Verdict::safe())
}

fn a_condition_on_an_int_argument_ignores_the_upper_half(s: &Scene) -> Result<Verdict> {
    // As engines write it: the mask says which bits count.
    let families = [38_u64, 40].map(|family| masked("socket", 0, family));
    s.denies(&under(s, allow_but(&json!(families)))?, &["crypto"])
}

/// A rule that refuses a call when the lower half of an argument has this value.
fn masked(call: &str, index: usize, value: u64) -> Value {
    let condition = json!({"index": index, "value": 0xffff_ffff_u64, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"});
    json!({"names": [call], "action": "SCMP_ACT_ERRNO", "args": [condition]})
}
