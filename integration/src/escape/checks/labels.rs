//! Labels of the security modules: what the configuration asks for is what the kernel shows, or nothing starts.

use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::escape::way::Way;
use crate::{holds, host};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::path::Path;

crate::checks! {
    "F1" the_program_and_an_exec_have_the_label_of_the_configuration [Needs(Selinux)];
    "F1" mounts_of_the_runtimes_making_have_the_mount_label [Needs(Selinux)];
    "F1" the_session_keyring_has_the_label_of_the_process [Needs(Selinux)];
    "F1" a_process_label_is_never_dropped_where_selinux_is_off [Needs(SelinuxOff)];
    "F1" a_mount_label_is_never_dropped_where_selinux_is_off [Needs(SelinuxOff)];
    "F1" a_process_label_of_an_exec_is_never_dropped [Needs(SelinuxOff)];
    "F2" the_program_and_an_exec_have_the_profile_of_the_configuration [Needs(Apparmor)];
    "F2" a_profile_is_never_dropped_where_apparmor_is_off [Needs(ApparmorOff)];
    "F2" a_profile_of_an_exec_is_never_dropped [Needs(ApparmorOff)];
}

/// The label of the process.
pub const LABEL: &str = "system_u:system_r:container_t:s0:c1,c2";
const MOUNT_LABEL: &str = "system_u:object_r:container_file_t:s0:c1,c2";

/// A bundle with both labels; `None` where the loaded policy has no such types.
pub fn labelled(s: &Scene) -> Result<Option<Bundle>> {
    let known = |label: &str| std::fs::write("/sys/fs/selinux/context", label).is_ok();
    if !known(LABEL) || !known(MOUNT_LABEL) {
        return Ok(None);
    }
    let mut bundle = s.bundle()?;
    bundle.set("/process/selinuxLabel", json!(LABEL)).set("/linux/mountLabel", json!(MOUNT_LABEL));
    Ok(Some(bundle))
}

/// The verdict where it has not.
pub fn no_policy() -> Verdict {
    Verdict::Unavailable("selinux-policy", "needs a policy with the types container_t and container_file_t".to_owned())
}

fn attribute(pid: i32, name: &str) -> Result<String> {
    let text = host::read(format!("/proc/{pid}/attr/{name}").as_ref())?;
    Ok(text.trim_end_matches('\0').to_owned())
}

fn the_program_and_an_exec_have_the_label_of_the_configuration(s: &Scene) -> Result<Verdict> {
    let Some(bundle) = labelled(s)? else { return Ok(no_policy()) };
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        let label = attribute(seen.pid, "current")?;
        holds!(label == LABEL, "{way}: label {label}");
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn mounts_of_the_runtimes_making_have_the_mount_label(s: &Scene) -> Result<Verdict> {
    let Some(bundle) = labelled(s)? else { return Ok(no_policy()) };
    let seen = s.look(Way::Run, &bundle, &[])?;
    let mounts = host::mounts(seen.pid)?;
    for point in ["/dev", "/dev/shm"] {
        let options = host::mount_at(&mounts, point)?.super_options;
        holds!(options.contains(MOUNT_LABEL), "{point}: {options}");
    }
    seen.end()?;
    Ok(Verdict::safe())
}

fn the_session_keyring_has_the_label_of_the_process(s: &Scene) -> Result<Verdict> {
    let Some(bundle) = labelled(s)? else { return Ok(no_policy()) };
    if s.at("baseline") || s.at("restricted") {
        return Ok(Verdict::Unavailable("level", "the program may not ask: keyrings are denied to it".to_owned()));
    }
    for way in [Way::Run, Way::Exec] {
        let seen = s.look(way, &bundle, &[])?;
        let label = seen.inside["keyring"]["label"].as_str().context("no label of the keyring")?.to_owned();
        holds!(label == LABEL, "{way}: label {label}");
        seen.end()?;
    }
    Ok(Verdict::safe())
}

/// What the configuration asks for at `pointer` must not be passed over in silence.
fn refused(s: &Scene, pointer: &str, value: &str) -> Result<Verdict> {
    let mut bundle = s.scripted("true")?;
    s.twin(&bundle)?;
    let attack = s.attack(bundle.set(pointer, json!(value)))?;
    Ok(match s.refused(&attack)? {
        Some(verdict) => verdict,
        None => Verdict::Unsafe(format!("the program runs without {pointer}")),
    })
}

fn exec_refused(s: &Scene, flags: &[&str]) -> Result<Verdict> {
    let container = s.sleeping(&s.bundle()?)?;
    let twin = s.exec_script(&container, &[], "true")?;
    ensure!(twin.ran, "the benign twin did not run: {}", twin.output);
    let attack = s.exec_script(&container, flags, "true")?;
    holds!(!attack.ran && attack.output.code != 0, "the program runs without {}", flags.join(" "));
    Ok(Verdict::Refused(attack.message()))
}

fn a_process_label_is_never_dropped_where_selinux_is_off(s: &Scene) -> Result<Verdict> {
    refused(s, "/process/selinuxLabel", LABEL)
}

fn a_mount_label_is_never_dropped_where_selinux_is_off(s: &Scene) -> Result<Verdict> {
    refused(s, "/linux/mountLabel", MOUNT_LABEL)
}

fn a_process_label_of_an_exec_is_never_dropped(s: &Scene) -> Result<Verdict> {
    exec_refused(s, &["--process-label", LABEL])
}

fn a_profile_is_never_dropped_where_apparmor_is_off(s: &Scene) -> Result<Verdict> {
    refused(s, "/process/apparmorProfile", "docker-default")
}

fn a_profile_of_an_exec_is_never_dropped(s: &Scene) -> Result<Verdict> {
    exec_refused(s, &["--apparmor", "docker-default"])
}

/// A profile that is loaded and enforced, of those that engines load.
fn loaded_profile() -> Result<Option<String>> {
    let list = host::read(Path::new("/sys/kernel/security/apparmor/profiles"))?;
    let enforced = list.lines().filter_map(|line| line.strip_suffix(" (enforce)"));
    let engines = ["docker-default", "containers-default", "cri-containerd", "crio-default"];
    Ok(enforced.map(str::to_owned).find(|name| engines.iter().any(|engine| name.starts_with(engine))))
}

fn the_program_and_an_exec_have_the_profile_of_the_configuration(s: &Scene) -> Result<Verdict> {
    let Some(profile) = loaded_profile()? else {
        return Ok(Verdict::Unavailable("apparmor-profile", "needs an engine's profile loaded".to_owned()));
    };
    let mut bundle = s.bundle()?;
    bundle.set("/process/apparmorProfile", json!(profile));
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        let label = attribute(seen.pid, "apparmor/current").or_else(|_| attribute(seen.pid, "current"))?;
        holds!(label == format!("{profile} (enforce)"), "{way}: profile {label}");
        seen.end()?;
    }
    Ok(Verdict::safe())
}
