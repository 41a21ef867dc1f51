//! What lies just outside: abstract sockets of a shared network, release agents.

use crate::escape::answers::profile;
use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::{holds, host};
use anyhow::{Context, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;

crate::checks! {
    "F4" an_abstract_socket_of_a_shared_network_cannot_be_reached [Levels(&["restricted"]), Needs(LandlockScopes)];
    "CVE-2022-0492" no_release_agent_can_be_reached;
    "CVE-2022-0492" a_new_user_namespace_leads_to_no_release_agent [Needs(UserNamespaces)];
}

/// An abstract socket in the network namespace of a process.
fn listener(pid: i32, name: &str) -> Result<UnixListener> {
    let namespace = File::open(format!("/proc/{pid}/ns/net")).context("open the network namespace")?;
    let address = SocketAddr::from_abstract_name(name)?;
    // A thread of its own, which ends in that namespace.
    let thread = std::thread::spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).context("setns")?;
        UnixListener::bind_addr(&address).context("bind an abstract socket")
    });
    thread.join().map_err(|_| anyhow::anyhow!("the listener's thread has panicked"))?
}

fn an_abstract_socket_of_a_shared_network_cannot_be_reached(s: &Scene) -> Result<Verdict> {
    let sandbox = s.sleeping(&s.bundle()?)?;
    let name = format!("outside-{}", sandbox.id);
    let _listener = listener(sandbox.pid()?, &name)?;
    let attempt = ["/bin/probe", "try", "connect", &name];
    let mut bundle = s.bundle()?;
    bundle.join("network", &format!("/proc/{}/ns/net", sandbox.pid()?)).args(&attempt);
    s.ground.level(Some("privileged"));
    let twin = s.ground.run(&bundle);
    s.ground.level(s.level);
    ensure!(twin?.success()?.stdout.trim() == "ok", "the socket cannot be reached without the level either");
    let output = s.ground.run(&bundle)?.success()?;
    holds!(output.stdout.contains("os error 1)"), "connect: {}", output.stdout.trim());
    let container = s.sleeping(&bundle)?;
    let output = container.exec(&[], &attempt)?.success()?;
    holds!(output.stdout.contains("os error 1)"), "exec: connect: {}", output.stdout.trim());
    Ok(Verdict::safe())
}

/// The release agents of the host.
fn agents(s: &Scene) -> Result<BTreeMap<PathBuf, String>> {
    let files =
        s.ground.host.controllers.values().map(|mount| mount.join("release_agent")).filter(|path| path.exists());
    files.map(|path| Ok((path.clone(), host::read(&path)?))).collect()
}

/// Says which release agents that are there can be written to, and where a hierarchy can be mounted.
const ATTEMPTS: &str = "for f in /sys/fs/cgroup/release_agent /sys/fs/cgroup/*/release_agent; do \
    [ -e $f ] && (: > $f) 2>/dev/null && echo WRITTEN $f; done; \
    for c in memory cpu rdma pids; do mount -t cgroup -o $c none /tmp 2>/dev/null && echo MOUNTED $c; done; \
    mount -t cgroup2 none /tmp 2>/dev/null && echo MOUNTED cgroup2; echo TRIED";

fn no_release_agent_can_be_reached(s: &Scene) -> Result<Verdict> {
    let before = agents(s)?;
    let container = s.sleeping(&s.bundle()?)?;
    let scripts = [s.ground.run(&s.scripted(ATTEMPTS)?)?, s.exec_script(&container, &[], ATTEMPTS)?.output];
    for output in scripts {
        ensure!(output.stdout.contains("TRIED"), "{output}");
        for word in ["WRITTEN", "MOUNTED"] {
            holds!(!output.stdout.contains(word), "{}", output.stdout.trim());
        }
    }
    holds!(agents(s)? == before, "a release agent of the host has changed");
    Ok(Verdict::safe())
}

fn a_new_user_namespace_leads_to_no_release_agent(s: &Scene) -> Result<Verdict> {
    let before = agents(s)?;
    let script = format!("unshare -U -r -m /bin/sh -c 'echo UNSHARED; {ATTEMPTS}'; echo TRIED");
    // The twin differs in the profile alone, and gets its namespaces.
    let mut bundle = s.ground.bundle()?;
    s.script(&mut bundle, "unshare -U -r -m /bin/echo UNSHARED");
    s.ground.level(s.level.map(|_| "privileged"));
    let twin = s.ground.run(&bundle);
    s.ground.level(s.level);
    ensure!(twin?.stdout.contains("UNSHARED"), "no user namespace without a profile either");
    let mut bundle = s.scripted(&script)?;
    bundle.set("/linux/seccomp", profile()?);
    let output = s.ground.run(&bundle)?;
    ensure!(output.stdout.contains("TRIED"), "{output}");
    holds!(!output.stdout.contains("UNSHARED"), "{}", output.stdout.trim());
    holds!(agents(s)? == before, "a release agent of the host has changed");
    Ok(Verdict::safe())
}
