//! What the container shares with the host and what it does not: namespaces, made, joined and left out.

use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::escape::way::Way;
use crate::{holds, host};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

crate::checks! {
    "C1" every_namespace_asked_for_is_another_than_the_hosts;
    "C1" an_exec_is_in_the_namespaces_of_its_container;
    "C1" a_namespace_that_is_none_or_of_another_type_is_refused;
    "C1" the_hosts_namespaces_are_refused [Own("host-pid, host-ipc, host-network"), Levels(&["baseline", "restricted"])];
    "C1" the_hosts_uts_namespace_is_refused [Own("host-uts"), Levels(&["restricted"])];
    "C2" new_namespaces_cannot_be_made_without_capabilities;
    "C5" procfs_shows_the_containers_processes_only;
    "C7" system_v_objects_of_the_host_are_not_seen;
    "C7" posix_queues_and_shared_memory_of_the_host_are_not_seen;
    "C7" the_hostname_is_the_containers_alone;
    "C7" the_clocks_of_a_time_namespace_are_set_and_not_the_hosts [Needs(TimeNamespaces), Later("time namespaces")];
    "C8" a_user_namespace_maps_what_is_listed_and_nothing_else [Later("user namespaces")];
    "CVE-2021-43784" many_id_mappings_never_lead_to_the_hosts_namespaces [Advisory("runc", "CVE-2021-43784")];
    "CVE-2021-43784" long_strings_never_lead_to_the_hosts_namespaces [Advisory("runc", "CVE-2021-43784")];
}

/// The types that every bundle of the suite asks for, and their names in /proc/PID/ns.
const ASKED: [(&str, &str); 5] = [("pid", "pid"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("mount", "mnt")];

fn every_namespace_asked_for_is_another_than_the_hosts(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.push("/linux/namespaces", json!({"type": "cgroup"}));
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        for (kind, name) in ASKED.into_iter().chain([("cgroup", "cgroup")]) {
            let name = format!("ns/{name}");
            holds!(
                host::link(seen.pid, &name)? != host::link("self", &name)?,
                "{way}: the {kind} namespace is the host's"
            );
        }
        // The children's, which a wrong clone or unshare would leave at the host's.
        let children = host::link(seen.pid, "ns/pid_for_children")?;
        holds!(children == host::link(seen.pid, "ns/pid")?, "{way}: children go into {children}");
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn an_exec_is_in_the_namespaces_of_its_container(s: &Scene) -> Result<Verdict> {
    let bundle = s.bundle()?;
    for way in Way::EXEC {
        let seen = s.look(way, &bundle, &[])?;
        let init = seen.container.pid()?;
        for name in ["pid", "net", "ipc", "uts", "mnt", "cgroup", "user", "time", "pid_for_children"] {
            let name = format!("ns/{name}");
            let (own, inits) = (host::link(seen.pid, &name)?, host::link(init, &name)?);
            holds!(own == inits, "{way}: {own} beside {inits}");
        }
        let roots = (host::link(seen.pid, "root")?, host::link(init, "root")?);
        holds!(roots.0 == roots.1, "{way}: root {} beside {}", roots.0, roots.1);
        seen.end()?;
    }
    Ok(Verdict::safe())
}

/// A program that tells the inodes of its namespaces, one per line.
const TELL: &str = "for n in pid net ipc uts mnt; do readlink /proc/self/ns/$n; done";

/// The verdict on a bundle with [`TELL`] that should be refused: where it ran, in none of the host's namespaces.
fn refused_or_apart(s: &Scene, bundle: &Bundle, what: &str) -> Result<Verdict> {
    let attack = s.attack(bundle)?;
    if let Some(verdict) = s.refused(&attack)? {
        return Ok(verdict);
    }
    for (kind, name) in ASKED {
        let own = host::link("self", &format!("ns/{name}"))?;
        holds!(!attack.output.stdout.contains(&own), "{what}: the {kind} namespace is the host's");
    }
    ensure!(attack.output.stdout.contains("net:["), "{what}: ran, and told nothing: {}", attack.output);
    Ok(Verdict::Safe("ran apart from the host".to_owned()))
}

fn a_namespace_that_is_none_or_of_another_type_is_refused(s: &Scene) -> Result<Verdict> {
    let bundle = s.scripted(TELL)?;
    s.twin(&bundle)?;
    let of_another = |kind: &str| if kind == "uts" { "ipc" } else { "uts" };
    let owner = s.ground.bundle()?;
    for (kind, _) in ASKED {
        let namespace = |path: Value| json!({"type": kind, "path": path});
        let foreign = format!("/proc/self/ns/{}", of_another(kind));
        let file = owner.rootfs().join("etc/passwd").to_string_lossy().into_owned();
        for path in [json!(foreign), json!(file), json!("/proc/self/ns/none"), json!("relative"), json!("/dev/null")] {
            let mut bundle = bundle.clone();
            bundle.share(kind).push("/linux/namespaces", namespace(path.clone()));
            let attack = s.attack(&bundle)?;
            match s.refused(&attack)? {
                Some(Verdict::Refused(_)) => {}
                Some(other) => return Ok(other),
                None => return Ok(Verdict::Unsafe(format!("{kind} by path {path} ran"))),
            }
        }
        let mut twice = bundle.clone();
        twice.push("/linux/namespaces", json!({"type": kind}));
        let verdict = refused_or_apart(s, &twice, &format!("{kind} twice"))?;
        holds!(!matches!(verdict, Verdict::Unsafe(_)), "{}", verdict.detail());
    }
    for kind in ["nothing", "", "net", "NETWORK"] {
        let mut bundle = bundle.clone();
        bundle.share("network").push("/linux/namespaces", json!({"type": kind}));
        let verdict = refused_or_apart(s, &bundle, &format!("type {kind:?}"))?;
        holds!(matches!(verdict, Verdict::Refused(_)), "type {kind:?}: {}", verdict.detail());
    }
    Ok(Verdict::Refused("each of 29 namespaces".to_owned()))
}

/// What is left out, or joined by the path of the host's, is refused.
fn the_hosts_are_refused(s: &Scene, kinds: &[(&str, &str)]) -> Result<Verdict> {
    let bundle = s.scripted(TELL)?;
    s.twin(&bundle)?;
    for (kind, name) in kinds {
        for path in [None, Some(format!("/proc/self/ns/{name}")), Some(format!("/proc/1/ns/{name}"))] {
            let mut bundle = bundle.clone();
            // A hostname asks for a UTS namespace of its own.
            bundle.share(kind).unset("/hostname");
            if let Some(path) = &path {
                bundle.join(kind, path);
            }
            let attack = s.attack(&bundle)?;
            match s.refused(&attack)? {
                Some(Verdict::Refused(_)) => {}
                Some(other) => return Ok(other),
                None => return Ok(Verdict::Unsafe(format!("{kind} {path:?} ran"))),
            }
        }
    }
    Ok(Verdict::Refused("left out and by path".to_owned()))
}

fn the_hosts_namespaces_are_refused(s: &Scene) -> Result<Verdict> {
    the_hosts_are_refused(s, &[("pid", "pid"), ("ipc", "ipc"), ("network", "net")])
}

fn the_hosts_uts_namespace_is_refused(s: &Scene) -> Result<Verdict> {
    the_hosts_are_refused(s, &[("uts", "uts")])
}

fn new_namespaces_cannot_be_made_without_capabilities(s: &Scene) -> Result<Verdict> {
    let bundle = s.bundle()?;
    let script = "for flag in -m -n -p -i -u; do unshare $flag echo MADE $flag 2>&1 || echo FAILED $flag; done\n";
    std::fs::write(bundle.rootfs().join("try"), script)?;
    for way in Way::ALL {
        let output = s.said(way, &bundle, &[], &["/bin/sh", "/try"])?;
        holds!(!output.stdout.contains("MADE"), "{way}: unshare succeeded: {}", output.stdout.trim());
        let told = output.stdout.matches("not permitted").count() + output.stdout.matches("nvalid argument").count();
        ensure!(
            told == 5 && output.stdout.matches("FAILED").count() == 5,
            "{way}: unshare failed for another reason: {output}"
        );
    }
    Ok(Verdict::safe())
}

fn procfs_shows_the_containers_processes_only(s: &Scene) -> Result<Verdict> {
    let bundle = s.bundle()?;
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        // The container's procfs, looked at from here: it shows the pid namespace it was mounted for.
        let mut shown = 0;
        for entry in std::fs::read_dir(format!("/proc/{}/root/proc", seen.pid))?.flatten() {
            shown += usize::from(entry.file_name().to_string_lossy().parse::<u32>().is_ok());
        }
        ensure!(shown > 0, "{way}: procfs shows no process at all");
        let own = s.ground.host.cgroup_processes(seen.container.bundle.cgroups_path()).len();
        holds!(shown <= own, "{way}: procfs shows {shown} processes, the container has {own}");
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn system_v_objects_of_the_host_are_not_seen(s: &Scene) -> Result<Verdict> {
    // IPC_CREAT is 01000, IPC_PRIVATE 0; the ids are printed and the objects removed at the end of the check.
    let make = "print join q( ), shmget(0, 4096, 01666), msgget(0, 01666), semget(0, 1, 01666)";
    let made = s.host("perl", &["-e", make])?;
    let looked = (|| {
        let own = std::fs::read_to_string("/proc/sysvipc/shm")?;
        ensure!(own.lines().count() > 1, "the host's segment is not seen on the host: {made}");
        for way in Way::ALL {
            let lists = ["shm", "msg", "sem"].map(|kind| format!("/proc/sysvipc/{kind}"));
            let program = [&["/bin/cat"], &lists.each_ref().map(String::as_str)[..]].concat();
            let output = s.said(way, &s.bundle()?, &[], &program)?;
            ensure!(output.stdout.matches(" key").count() == lists.len(), "{way}: no lists: {output}");
            holds!(output.stdout.trim().lines().count() == lists.len(), "{way}: {}", output.stdout);
        }
        Ok(Verdict::safe())
    })();
    let remove = "shmctl($ARGV[0], 0, 0); msgctl($ARGV[1], 0, 0); semctl($ARGV[2], 0, 0, 0)";
    let ids: Vec<&str> = made.stdout.split_whitespace().collect();
    s.host("perl", &[&["-e", remove], &ids[..]].concat())?.success()?;
    looked
}

fn posix_queues_and_shared_memory_of_the_host_are_not_seen(s: &Scene) -> Result<Verdict> {
    let name = format!("of-the-host-{}", std::process::id());
    let file = std::path::Path::new("/dev/shm").join(&name);
    std::fs::write(&file, "")?;
    let looked = (|| {
        let bundle = s.bundle()?;
        for way in Way::ALL {
            let seen = s.look(way, &bundle, &[])?;
            let root = format!("/proc/{}/root", seen.pid);
            for dir in ["dev/shm", "dev/mqueue"] {
                let entries: Vec<_> = std::fs::read_dir(format!("{root}/{dir}"))
                    .with_context(|| format!("{way}: no /{dir}"))?
                    .flatten()
                    .collect();
                holds!(entries.is_empty(), "{way}: /{dir} has {entries:?}");
            }
            seen.end()?;
        }
        Ok(Verdict::safe())
    })();
    std::fs::remove_file(&file)?;
    looked
}

fn the_hostname_is_the_containers_alone(s: &Scene) -> Result<Verdict> {
    let own = host::read("/proc/sys/kernel/hostname".as_ref())?;
    let bundle = s.bundle()?;
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        holds!(seen.inside["hostname"] == "inside", "{way}: hostname {}", seen.inside["hostname"]);
        holds!(host::read("/proc/sys/kernel/hostname".as_ref())? == own, "{way}: the host's name has changed");
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn the_clocks_of_a_time_namespace_are_set_and_not_the_hosts(s: &Scene) -> Result<Verdict> {
    const AHEAD: f64 = 1e8;
    let uptime = |text: &str| text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    let mut bundle = s.scripted("echo UPTIME $(cat /proc/uptime)")?;
    s.twin(&bundle)?;
    bundle.push("/linux/namespaces", json!({"type": "time"}));
    bundle.set("/linux/timeOffsets", json!({"boottime": {"secs": AHEAD as i64}}));
    let attack = s.attack(&bundle)?;
    if let Some(verdict) = s.refused(&attack)? {
        return Ok(verdict);
    }
    let own = uptime(&host::read("/proc/uptime".as_ref())?).context("the host's uptime")?;
    let seen = attack.output.stdout.lines().find_map(|line| uptime(line.strip_prefix("UPTIME ")?));
    holds!(seen.is_some_and(|seen| seen > AHEAD), "uptime {seen:?}, the host's is {own}");
    for way in Way::EXEC {
        let seen = s.look(way, &bundle, &[])?;
        holds!(host::link(seen.pid, "ns/time")? != host::link("self", "ns/time")?, "{way}: the host's time namespace");
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn a_user_namespace_maps_what_is_listed_and_nothing_else(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    bundle.user_namespace(100_000)?;
    for way in Way::ALL {
        let seen = s.look(way, &bundle, &[])?;
        for map in ["uid_map", "gid_map"] {
            let text = host::read(format!("/proc/{}/{map}", seen.pid).as_ref())?;
            let words: Vec<&str> = text.split_whitespace().collect();
            holds!(words == ["0", "100000", "65536"], "{way}: {map} {text}");
        }
        holds!(host::link(seen.pid, "ns/user")? != host::link("self", "ns/user")?, "{way}: the host's user namespace");
        seen.end()?;
    }
    Ok(Verdict::safe())
}

fn many_id_mappings_never_lead_to_the_hosts_namespaces(s: &Scene) -> Result<Verdict> {
    let plain = s.scripted(TELL)?;
    s.twin(&plain)?;
    let mut words = Vec::new();
    for count in [1_u32, 340, 341, 20_000] {
        let mut bundle = plain.clone();
        bundle.user_namespace(100_000)?;
        let map: Vec<Value> =
            (0..count).map(|n| json!({"containerID": n * 2, "hostID": 100_000 + n * 2, "size": 1})).collect();
        bundle.set("/linux/uidMappings", json!(map)).set("/linux/gidMappings", json!(map));
        bundle.set("/process/user", json!({"uid": 0, "gid": 0}));
        match refused_or_apart(s, &bundle, &format!("{count} mappings"))? {
            verdict @ (Verdict::Unsafe(_) | Verdict::Invalid(_)) => return Ok(verdict),
            verdict => words.push(format!("{count}: {}", verdict.word())),
        }
    }
    Ok(Verdict::Safe(words.join(", ")))
}

fn long_strings_never_lead_to_the_hosts_namespaces(s: &Scene) -> Result<Verdict> {
    let plain = s.scripted(TELL)?;
    s.twin(&plain)?;
    let mut words = Vec::new();
    for length in [65_528, 65_536, 70_000, 131_072] {
        let long = format!("/proc/self/ns/{}", "n".repeat(length));
        for kind in ["network", "pid"] {
            let mut bundle = plain.clone();
            bundle.join(kind, &long);
            words.push((format!("{kind} path of {length}"), bundle));
        }
        let mut bundle = plain.clone();
        bundle.set("/linux/cgroupsPath", json!(format!("{}/{}", s.ground.cgroup, "c".repeat(length))));
        words.push((format!("cgroupsPath of {length}"), bundle));
    }
    let mut refused = 0;
    for (what, bundle) in &words {
        match refused_or_apart(s, bundle, what)? {
            verdict @ (Verdict::Unsafe(_) | Verdict::Invalid(_)) => return Ok(verdict),
            Verdict::Refused(_) => refused += 1,
            _ => {}
        }
    }
    Ok(Verdict::Safe(format!("{refused} of {} refused", words.len())))
}
