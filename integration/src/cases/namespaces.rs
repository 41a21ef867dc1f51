//! Namespaces: new, joined by path, shared with the host; hostname, domainname, sysctl, user and time namespaces.

use crate::bundle::Bundle;
use crate::case::{Ground, same};
use crate::host;
use anyhow::{Result, ensure};
use serde_json::json;

const KINDS: [(&str, &str); 6] =
    [("pid", "pid"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("mount", "mnt"), ("cgroup", "cgroup")];

crate::cases! {
    requested_namespaces_are_new_and_others_the_hosts;
    a_namespace_left_out_is_shared_with_the_host;
    a_cgroup_namespace_hides_the_path;
    namespaces_are_joined_by_path;
    a_joined_pid_namespace_is_shared_with_its_owner;
    a_namespace_path_that_does_not_exist_is_refused;
    a_namespace_path_that_is_no_namespace_is_refused;
    a_namespace_path_of_another_type_is_refused;
    the_error_for_another_type_names_both [Differs("the types expected and found are named")];
    a_duplicate_namespace_is_refused;
    an_unknown_namespace_is_refused;
    hostname_is_set_inside_only;
    domainname_is_set [Differs("domainname is set")];
    a_hostname_without_a_uts_namespace_is_refused;
    loopback_is_up_in_a_new_network_namespace;
    sysctls_of_own_namespaces_are_set;
    a_sysctl_that_is_not_namespaced_is_refused;
    a_net_sysctl_without_a_network_namespace_is_refused;
    a_sysctl_that_sets_the_hostname_is_refused;
    masked_paths_without_a_mount_namespace_are_refused;
    a_user_namespace_maps_ids [Needs(UserNamespaces), Later("user namespaces")];
    a_user_namespace_gives_no_capability_outside [Needs(UserNamespaces), Later("user namespaces")];
    exec_enters_the_user_namespace [Needs(UserNamespaces), Later("user namespaces")];
    mappings_without_a_user_namespace_are_refused [Differs("mappings need a user namespace")];
    a_user_namespace_without_mappings_is_refused [Needs(UserNamespaces), Later("user namespaces")];
    ipc_objects_of_a_user_namespace_belong_to_its_root [Needs(UserNamespaces), Later("user namespaces")];
    devices_in_a_user_namespace_are_usable [Needs(UserNamespaces), Later("user namespaces")];
    time_offsets_are_applied [Needs(TimeNamespaces), Differs("time namespaces"), Later("time namespaces")];
}

fn requested_namespaces_are_new_and_others_the_hosts(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.push("/linux/namespaces", json!({"type": "cgroup"}));
    let pid = g.sleeping(&bundle)?.pid()?;
    for (_, name) in KINDS {
        ensure!(
            host::link(pid, &format!("ns/{name}"))? != host::link("self", &format!("ns/{name}"))?,
            "{name} is the host's"
        );
    }
    for name in ["user", "time"] {
        same(name, host::link(pid, &format!("ns/{name}"))?, host::link("self", &format!("ns/{name}"))?)?;
    }
    Ok(())
}

fn a_namespace_left_out_is_shared_with_the_host(g: &Ground) -> Result<()> {
    for (kind, name) in [("network", "net"), ("ipc", "ipc"), ("pid", "pid")] {
        let mut bundle = g.bundle()?;
        bundle.share(kind);
        if kind == "ipc" {
            bundle.unmount("/dev/mqueue");
        }
        let pid = g.sleeping(&bundle)?.pid()?;
        same(kind, host::link(pid, &format!("ns/{name}"))?, host::link("self", &format!("ns/{name}"))?)?;
    }
    let mut bundle = g.bundle()?;
    let pid = g.sleeping(bundle.share("uts").unset("/hostname"))?.pid()?;
    same("uts", host::link(pid, "ns/uts")?, host::link("self", "ns/uts")?)
}

fn a_cgroup_namespace_hides_the_path(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let seen = g.probe(&bundle)?["cgroup"].to_string();
    ensure!(seen.contains(bundle.cgroups_path()), "without: {seen}");
    bundle.push("/linux/namespaces", json!({"type": "cgroup"}));
    let seen = g.probe(&bundle)?["cgroup"].clone();
    for line in seen.as_array().into_iter().flatten().filter_map(|line| line.as_str()) {
        ensure!(line.ends_with(":/"), "with: {line}");
    }
    Ok(())
}

fn namespaces_are_joined_by_path(g: &Ground) -> Result<()> {
    let owner = g.sleeping(&g.bundle()?)?;
    let pid = owner.pid()?;
    let mut bundle = g.bundle()?;
    for (kind, name) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
        bundle.join(kind, &format!("/proc/{pid}/ns/{name}"));
    }
    bundle.unset("/hostname");
    let joined = g.sleeping(&bundle)?.pid()?;
    for name in ["net", "ipc", "uts"] {
        same(name, host::link(joined, &format!("ns/{name}"))?, host::link(pid, &format!("ns/{name}"))?)?;
    }
    for name in ["pid", "mnt"] {
        ensure!(
            host::link(joined, &format!("ns/{name}"))? != host::link(pid, &format!("ns/{name}"))?,
            "{name} is shared"
        );
    }
    Ok(())
}

fn a_joined_pid_namespace_is_shared_with_its_owner(g: &Ground) -> Result<()> {
    let owner = g.sleeping(&g.bundle()?)?;
    let mut bundle = g.bundle()?;
    bundle.join("pid", &format!("/proc/{}/ns/pid", owner.pid()?));
    let c = g.sleeping(&bundle)?;
    same("pid namespace", host::link(c.pid()?, "ns/pid")?, host::link(owner.pid()?, "ns/pid")?)?;
    let seen = owner.exec(&[], &["/bin/ps"])?.success()?.stdout;
    same("sleeping processes", seen.matches("sleep").count(), 2)?;
    c.stop()?;
    owner.expect("running")
}

fn a_namespace_path_that_does_not_exist_is_refused(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    g.run(bundle.join("network", "/nosuch/ns"))?.refused("/nosuch/ns")?.refused("no such file or directory").map(drop)
}

fn a_namespace_path_that_is_no_namespace_is_refused(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    g.run(bundle.join("network", "/etc/passwd"))?.exits(1).map(drop)
}

fn a_namespace_path_of_another_type_is_refused(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    g.run(bundle.join("ipc", "/proc/self/ns/net"))?.exits(1).map(drop)
}

fn the_error_for_another_type_names_both(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    let output = g.run(bundle.join("ipc", "/proc/1/ns/net"))?;
    output.refused("ipc")?.refused("net").map(drop)
}

fn a_duplicate_namespace_is_refused(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    g.run(bundle.push("/linux/namespaces", json!({"type": "pid"})))?.refused("duplicate").map(drop)
}

fn an_unknown_namespace_is_refused(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    g.run(bundle.push("/linux/namespaces", json!({"type": "banana"})))?.refused("banana").map(drop)
}

fn hostname_is_set_inside_only(g: &Ground) -> Result<()> {
    let before = host::read("/proc/sys/kernel/hostname".as_ref())?;
    let mut bundle = g.bundle()?;
    bundle.set("/hostname", json!("a-name-of-its-own"));
    same("inside", g.probe(&bundle)?["hostname"].as_str(), Some("a-name-of-its-own"))?;
    same("outside", host::read("/proc/sys/kernel/hostname".as_ref())?, before)
}

fn domainname_is_set(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/domainname", json!("example.org"));
    same("inside", g.probe(&bundle)?["domainname"].as_str(), Some("example.org"))
}

fn a_hostname_without_a_uts_namespace_is_refused(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    g.run(bundle.share("uts"))?.refused("hostname").map(drop)
}

fn loopback_is_up_in_a_new_network_namespace(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.sh("ip addr show dev lo | grep -q 127.0.0.1 && ls /sys/class/net");
    same("interfaces", g.run(&bundle)?.success()?.stdout.lines().filter(|name| *name == "lo").count(), 1)
}

fn sysctl(g: &Ground, key: &str, value: &str) -> Result<Bundle> {
    let mut bundle = g.bundle()?;
    bundle.set("/linux/sysctl", json!({ key: value }));
    bundle.sh(&format!("cat /proc/sys/{}", key.replace('.', "/")));
    Ok(bundle)
}

fn sysctls_of_own_namespaces_are_set(g: &Ground) -> Result<()> {
    for (key, value) in [
        ("net.ipv4.ip_forward", "1"),
        ("kernel.shmmni", "1234"),
        ("fs.mqueue.queues_max", "77"),
        ("kernel.msgmax", "4096"),
        ("net.ipv4.ip_unprivileged_port_start", "80"),
    ] {
        same(key, g.run(&sysctl(g, key, value)?)?.success()?.stdout.trim(), value)?;
    }
    Ok(())
}

fn a_sysctl_that_is_not_namespaced_is_refused(g: &Ground) -> Result<()> {
    for key in ["kernel.panic", "vm.swappiness", "kernel.core_pattern", "fs.file-max"] {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        let before = host::read(path.as_ref())?;
        g.run(&sysctl(g, key, "1")?)?.refused("is not in a separate kernel namespace")?;
        same(key, host::read(path.as_ref())?, before)?;
    }
    Ok(())
}

fn a_net_sysctl_without_a_network_namespace_is_refused(g: &Ground) -> Result<()> {
    let mut bundle = sysctl(g, "net.ipv4.ip_forward", "1")?;
    g.run(bundle.share("network"))?.refused("net.ipv4.ip_forward").map(drop)
}

fn a_sysctl_that_sets_the_hostname_is_refused(g: &Ground) -> Result<()> {
    g.run(&sysctl(g, "kernel.hostname", "x")?)?.refused("kernel.hostname").map(drop)
}

fn masked_paths_without_a_mount_namespace_are_refused(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    g.run(bundle.share("mount"))?.exits(1).map(drop)
}

const HOST_ID: u32 = 300_000;

fn in_user_namespace(g: &Ground) -> Result<Bundle> {
    let mut bundle = g.bundle()?;
    bundle.user_namespace(HOST_ID)?;
    Ok(bundle)
}

fn a_user_namespace_maps_ids(g: &Ground) -> Result<()> {
    let c = g.sleeping(&in_user_namespace(g)?)?;
    let pid = c.pid()?;
    same("uid outside", host::status(pid, "Uid")?, format!("{HOST_ID}\t{HOST_ID}\t{HOST_ID}\t{HOST_ID}"))?;
    let map = |name: &str| {
        Ok::<_, anyhow::Error>(
            host::read(format!("/proc/{pid}/{name}").as_ref())?.split_whitespace().collect::<Vec<_>>().join(" "),
        )
    };
    same("uid_map", map("uid_map")?, format!("0 {HOST_ID} 65536"))?;
    same("gid_map", map("gid_map")?, format!("0 {HOST_ID} 65536"))?;
    same("uid inside", c.exec_probe(&[])?["status"]["Uid"].as_str(), Some("0\t0\t0\t0"))
}

fn a_user_namespace_gives_no_capability_outside(g: &Ground) -> Result<()> {
    let mut bundle = in_user_namespace(g)?;
    let secret = g.dir.join("secret");
    std::fs::write(&secret, "secret\n")?;
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    bundle.bind(&secret, "/secret", &["bind"]).sh("! cat /secret");
    g.run(&bundle)?.success().map(drop)
}

fn exec_enters_the_user_namespace(g: &Ground) -> Result<()> {
    let c = g.sleeping(&in_user_namespace(g)?)?;
    let seen = c.exec_probe(&["--user", "1000"])?;
    same("uid", seen["status"]["Uid"].as_str(), Some("1000\t1000\t1000\t1000"))?;
    same("namespace", seen["namespaces"]["user"].as_str(), Some(host::link(c.pid()?, "ns/user")?.as_str()))
}

fn mappings_without_a_user_namespace_are_refused(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.set("/linux/uidMappings", json!([{"containerID": 0, "hostID": 1000, "size": 1}]));
    g.run(&bundle)?.exits(1).map(drop)
}

fn a_user_namespace_without_mappings_is_refused(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    g.run(bundle.push("/linux/namespaces", json!({"type": "user"})))?.exits(1).map(drop)
}

fn ipc_objects_of_a_user_namespace_belong_to_its_root(g: &Ground) -> Result<()> {
    let mut bundle = in_user_namespace(g)?;
    same("owner", g.run(bundle.sh("stat -c %u /dev/mqueue"))?.success()?.stdout.trim(), "0")
}

fn devices_in_a_user_namespace_are_usable(g: &Ground) -> Result<()> {
    let mut bundle = in_user_namespace(g)?;
    same("bytes", g.run(bundle.sh("echo x > /dev/null; head -c 4 /dev/zero | wc -c"))?.success()?.stdout.trim(), "4")
}

fn time_offsets_are_applied(g: &Ground) -> Result<()> {
    let mut bundle = g.bundle()?;
    bundle.push("/linux/namespaces", json!({"type": "time"}));
    bundle.set("/linux/timeOffsets", json!({"boottime": {"secs": 1_000_000, "nanosecs": 0}, "monotonic": {"secs": 5}}));
    bundle.sh("cut -d. -f1 /proc/uptime");
    let uptime: u64 = g.run(&bundle)?.success()?.stdout.trim().parse()?;
    ensure!(uptime > 1_000_000, "uptime {uptime}");
    Ok(())
}
