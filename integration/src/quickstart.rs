//! A first look: one container run, one taken through its life, and what was applied, as seen from inside.

use crate::bundle::Bundle;
use crate::case::{Container, Ground};
use crate::host::{self, Host};
use crate::isolation;
use crate::options::QuickstartOptions;
use crate::process::{Output, Recorder};
use crate::runtime::Runtime;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::process::ExitCode;

const NAMES: &str = "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable \
    net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace \
    sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control \
    setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore";

/// Prints the memory and pids limits from inside, on v1 and on v2.
const LIMITS: &str = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes 2>/dev/null || cat memory.max; \
    cat pids/pids.max 2>/dev/null || cat pids.max";

/// Runs the containers and prints what they saw.
pub fn run(options: &QuickstartOptions) -> Result<ExitCode> {
    let ground = isolation::ground()?;
    let recorder = Recorder::new(ground.join("output"))?;
    let runtime = Runtime::find(&options.runtime, &recorder)?;
    let host = Host::look()?;
    let parent = format!("/{}", ground.file_name().context("ground without a name")?.to_string_lossy());
    println!("{} ({})", runtime.path.display(), runtime.version);
    let ground = Ground::new(&runtime, &host, &ground, &parent, 0)?;
    // As users call it: without a word about the level.
    let mut bundle = ground.level(None).bundle()?;
    if let Some(rootfs) = &options.rootfs {
        bundle.set("/root/path", json!(rootfs.canonicalize().context("--rootfs")?));
    }
    // Read-only, so a rootfs that was given is not changed but for the mount points that are missing in it.
    let probe = std::env::current_exe()?.with_file_name("probe");
    bundle.bind(&probe, "/run/probe", &["bind", "ro"]);
    bundle.mount("/tmp", "tmpfs", "tmpfs", &["nosuid", "nodev", "noexec", "size=16m", "mode=1777"]);
    bundle.set("/root/readonly", json!(true)).set("/process/noNewPrivileges", json!(true));
    bundle.set("/linux/seccomp", serde_json::from_str(include_str!("bench/docker-profile.json"))?);
    bundle
        .set("/linux/resources/memory", json!({"limit": 64 << 20}))
        .set("/linux/resources/pids", json!({"limit": 50}));
    let result = life(&ground, &bundle).and_then(|()| seen_inside(&ground, &bundle));
    ground.sweep()?;
    for dir in host.cgroup_dirs(&parent) {
        host::remove_cgroup(&dir)?;
    }
    result.map(|()| ExitCode::SUCCESS)
}

fn show(output: Output) -> Result<Output> {
    println!("\n$ {}", output.line);
    for line in output.stdout.lines().chain(output.stderr.lines()) {
        println!("    {line}");
    }
    output.success()
}

fn life(ground: &Ground, bundle: &Bundle) -> Result<()> {
    let mut bundle = bundle.clone();
    bundle.args(&["/bin/sh", "-c", "echo hello from $(hostname), pid $$; id"]);
    show(ground.container(&bundle).run(&[])?)?;
    bundle.args(&["/bin/sleep", "1000"]);
    let c: Container = ground.container(&bundle);
    show(c.create(&[])?)?;
    show(c.start()?)?;
    show(c.call("state", &[])?)?;
    show(c.exec(&[], &["/bin/sh", "-c", "echo exec sees; cat /proc/1/cmdline | tr '\\0' ' '; echo"])?)?;
    show(c.kill("KILL")?)?;
    c.wait_until("stopped")?;
    show(c.delete()?).map(drop)
}

fn seen_inside(ground: &Ground, bundle: &Bundle) -> Result<()> {
    let mut bundle = bundle.clone();
    bundle.args(&["/run/probe"]);
    let seen = ground.run(&bundle)?.success()?.json()?;
    let status = |name: &str| seen["status"][name].as_str().unwrap_or("?").replace('\t', " ");
    println!("\nwhat was applied, as the program sees it");
    row(
        "user and groups",
        &format!("uid {}, gid {}, groups [{}]", first(&status("Uid")), first(&status("Gid")), status("Groups")),
    );
    for (title, name) in [
        ("effective", "CapEff"),
        ("permitted", "CapPrm"),
        ("bounding", "CapBnd"),
        ("inheritable", "CapInh"),
        ("ambient", "CapAmb"),
    ] {
        row(&format!("capabilities, {title}"), &capabilities(&status(name)));
    }
    row("no_new_privs", if status("NoNewPrivs") == "1" { "set" } else { "not set" });
    let filters = status("Seccomp_filters");
    row(
        "seccomp",
        &if status("Seccomp") == "2" { format!("filtered, {filters} filter") } else { "no filter".to_owned() },
    );
    let own = |name: &str, inode: &Value| {
        if host::link("self", &format!("ns/{name}")).is_ok_and(|host| *inode != host) { "own" } else { "host's" }
    };
    let namespaces = seen["namespaces"].as_object().into_iter().flatten();
    let namespaces = namespaces.filter(|(name, _)| !name.contains("for_children"));
    row(
        "namespaces",
        &namespaces.map(|(name, inode)| format!("{name} {}", own(name, inode))).collect::<Vec<_>>().join(", "),
    );
    row("hostname", seen["hostname"].as_str().unwrap_or("?"));
    row("descriptors", &keys(&seen["descriptors"]));
    row("devices", &keys(&seen["dev"]));
    row("keyring", seen["keyring"]["description"].as_str().or(seen["keyring"]["error"].as_str()).unwrap_or("?"));
    bundle.args(&["/bin/sh", "-c", LIMITS]);
    let limits = ground.run(&bundle)?.success()?.stdout;
    let mut limits = limits.lines();
    let (memory, pids) = (limits.next().unwrap_or("?"), limits.next().unwrap_or("?"));
    row("limits", &format!("{memory} bytes of memory, {pids} processes"));
    println!("\n  mounts");
    let masked = |point: &str| contains(&bundle.spec["linux"]["maskedPaths"], point);
    for line in seen["mountinfo"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let fields: Vec<&str> = line.split(' ').collect();
        let (Some(point), Some(options), Some(end)) =
            (fields.get(4), fields.get(5), fields.iter().position(|f| *f == "-"))
        else {
            continue;
        };
        let kind = fields.get(end + 1).copied().unwrap_or("?");
        let note = if masked(point) {
            "masked"
        } else if contains(&bundle.spec["linux"]["readonlyPaths"], point) {
            "read-only"
        } else {
            ""
        };
        println!("    {point:<28}{kind:<10}{options:<44}{note}");
    }
    Ok(())
}

fn row(title: &str, text: &str) {
    println!("  {title:<28}{text}");
}

fn first(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}

fn keys(value: &Value) -> String {
    value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect::<Vec<_>>().join(" ")
}

fn contains(list: &Value, text: &str) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|item| item == text))
}

fn capabilities(hex: &str) -> String {
    let Ok(set) = u64::from_str_radix(hex, 16) else { return hex.to_owned() };
    let names = NAMES.split_whitespace().enumerate().filter(|(bit, _)| set & (1 << bit) != 0);
    let names = names.map(|(_, name)| name).collect::<Vec<_>>().join(" ");
    if names.is_empty() { "none".to_owned() } else { names }
}
