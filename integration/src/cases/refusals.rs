//! What is refused by name or left out with a warning, each beside a twin that runs.

use crate::bundle::Bundle;
use crate::case::{Ground, same};
use crate::host;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::process::Command;

crate::cases! {
    a_bundle_without_a_process_says_so [Differs("the words of the error")];
    no_pivot_is_refused_by_name [CasemateOnly("--no-pivot is refused")];
    a_joined_mount_namespace_is_refused_by_name [CasemateOnly("a joined mount namespace is refused")];
    rdma_limits_are_refused_by_name [CasemateOnly("resources.rdma is refused")];
    a_remount_with_data_is_refused_by_name [CasemateOnly("a remount changes no options of the filesystem")];
    a_net_sysctl_in_the_hosts_network_namespace_is_refused [Differs("a joined namespace may be the host's own")];
    capabilities_the_caller_lacks_are_left_out_with_a_warning [Differs("what the caller lacks is left out")];
    a_warning_is_on_standard_error_and_never_in_the_log [CasemateOnly("the log holds errors only")];
}

fn a_bundle_without_a_process_says_so(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    g.run(&bundle)?.success()?;
    bundle.unset("/process");
    g.run(&bundle)?.refused("cannot start a container without process in its config")?.exits(1).map(drop)
}

fn no_pivot_is_refused_by_name(g: &Ground) -> Result<()> {
    let c = g.container(&g.bundle()?);
    let output = c.run(&["--no-pivot"])?.refused("--no-pivot is not supported yet")?.exits(1)?;
    ensure!(!output.says("()") && !output.says("( )"), "{output}");
    c.run(&[])?.success().map(drop)
}

/// The bundle runs before the change, and is refused with `words` after it.
fn refused(g: &Ground, bundle: &Bundle, change: impl FnOnce(&mut Bundle), words: &str) -> Result<()> {
    g.run(bundle)?.success().context("the benign twin")?;
    let mut changed = bundle.clone();
    change(&mut changed);
    let c = g.container(&changed);
    c.run(&[])?.refused(words)?.exits(1)?;
    c.call("state", &[])?.refused("does not exist").map(drop)
}

fn a_joined_mount_namespace_is_refused_by_name(g: &Ground) -> Result<()> {
    let words = "joining an existing mount namespace is not supported";
    refused(
        g,
        &g.bundle()?,
        |bundle| {
            bundle.join("mount", "/proc/self/ns/mnt");
        },
        words,
    )
}

fn rdma_limits_are_refused_by_name(g: &Ground) -> Result<()> {
    let limit = json!({"mlx5_1": {"hcaHandles": 3}});
    let words = "linux.resources.rdma is not supported yet";
    refused(
        g,
        &g.bundle()?,
        |bundle| {
            bundle.set("/linux/resources/rdma", limit);
        },
        words,
    )
}

fn a_remount_with_data_is_refused_by_name(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.mount("/mnt", "tmpfs", "tmpfs", &["size=64k"]);
    let mut twin = bundle.clone();
    twin.mount("/mnt", "tmpfs", "tmpfs", &["remount", "ro"]);
    let change = |changed: &mut Bundle| {
        *changed = bundle.clone();
        changed.mount("/mnt", "tmpfs", "tmpfs", &["remount", "size=4k"]);
    };
    refused(g, &twin, change, "remount of \"/mnt\" cannot change options of the filesystem")
}

fn a_net_sysctl_in_the_hosts_network_namespace_is_refused(g: &Ground) -> Result<()> {
    // The value is the one that is set already: accepted by mistake, it changes nothing.
    let value = host::read("/proc/sys/net/ipv4/ip_forward".as_ref())?;
    let owner = g.sleeping(&g.bundle()?)?;
    let mut twin = g.bundle()?;
    twin.join("network", &format!("/proc/{}/ns/net", owner.pid()?));
    twin.set("/linux/sysctl", json!({"net.ipv4.ip_forward": value}));
    let hosts = format!("/proc/{}/ns/net", std::process::id());
    refused(
        g,
        &twin,
        |bundle| {
            bundle.join("network", &hosts);
        },
        "net.ipv4.ip_forward",
    )
}

fn capabilities_the_caller_lacks_are_left_out_with_a_warning(g: &Ground) -> Result<()> {
    const NET_RAW: u64 = 1 << 13;
    let mut bundle = g.bundle()?;
    bundle.args(&["/bin/probe"]).write()?;
    let call = |dropped: &str| -> Result<(u64, bool)> {
        let mut command = Command::new("setpriv");
        let run = g.command(&["run", "--bundle", &bundle.dir.to_string_lossy(), &g.id()]);
        command.args(["--bounding-set", dropped]).arg(run.get_program()).args(run.get_args()).current_dir(&g.dir);
        let output = g.recorder.run(command)?.success()?;
        let seen = output.json()?;
        let set = seen["status"]["CapBnd"].as_str().context("CapBnd")?;
        Ok((u64::from_str_radix(set, 16)? & NET_RAW, output.stderr.contains("CAP_NET_RAW")))
    };
    same("kept, without a warning", call("-audit_read")?, (NET_RAW, false))?;
    same("left out, with a warning", call("-net_raw")?, (0, true))
}

fn a_warning_is_on_standard_error_and_never_in_the_log(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    ensure!(!g.run(&bundle)?.success()?.says("CAP_BANANA"), "a warning without a reason");
    bundle.push("/process/capabilities/bounding", json!("CAP_BANANA"));
    let output = g.run(&bundle)?.success()?;
    ensure!(output.stderr.contains("CAP_BANANA"), "{output}");
    let (log, dir) = (g.dir.join("log"), bundle.dir.to_string_lossy());
    g.call(&["--log", &log.to_string_lossy(), "run", "--bundle", &dir, &g.id()])?.success()?;
    same("log", std::fs::read_to_string(&log).unwrap_or_default().as_str(), "")
}
