//! The order of the operations, and why it is that order. This page is what "create" means.

use super::filter::{self, About, Filter};
use super::finding::Findings;
use super::mount_options::{attr, ms};
use super::namespace::{NamespaceKind, Namespaces};
use super::{Builder, CgroupPlan, Confinement, CreateRequest, ExecRequest, Facts, Handle, Plan, RuntimeHooks};
use super::{check, devices, limits, mounts, process, security, sysctls};
use crate::cgroup::{self, Version};
use crate::error::Result;
use crate::program::{Attributes, InnerHook, Op, Target};
use crate::spec::{self, Hook, Linux, Process, Spec};
use casemate_selinux::LabelFile;

/// Plans a new container.
pub fn create(spec: &Spec, request: &CreateRequest, facts: &Facts) -> Result<Plan> {
    let no_linux = Linux::default();
    let linux = spec.linux.as_ref().unwrap_or(&no_linux);
    let mut b = Builder::new(facts, &request.bundle);
    // Alone, so that a plan and its findings stay of a size that can be worked with.
    limits::config(spec, &mut b.findings);
    std::mem::take(&mut b.findings).into_result()?;
    b.namespaces = Namespaces::build(&linux.namespaces, &mut b.findings);
    check::create(spec, request, &b.namespaces, facts, &mut b.findings);
    b.mount_label = security::mount_label(&linux.mount_label, &mut b.findings);
    let rootfs = b.bundle_path(spec.root.as_ref().map_or("", |r| r.path.as_str()));
    let rootfs = mounts::clean(&rootfs);
    let cgroup = cgroup_plan(linux, request, facts, &mut b);
    let filter = seccomp(&mut b, linux, &request.confinement, spec.process.as_ref());
    // Without a process the container can be created and deleted, never started (runtime.md, "start").
    let process = spec.process.clone().map(|p| with_environment(p, &request.extra_env));
    let hooks = spec.hooks.clone().unwrap_or_default();

    // First into the cgroups, so that whatever init uses from here on is charged to the container.
    if let Some(cgroup) = &cgroup {
        for record in cgroup.path.records.iter().filter(|r| r.version == Version::V1) {
            let hierarchy = record.hierarchy();
            let tasks = b.handle(Handle::CgroupTasks { hierarchy: hierarchy.clone() });
            b.program.push(Op::JoinCgroup { hierarchy, tasks });
        }
    }
    // The pid namespace is the parent's to enter before the clone: it is for children only.
    for (kind, path) in b.namespaces.joined.clone() {
        if kind != NamespaceKind::Pid {
            let handle = b.handle(Handle::Namespace { kind, path: path.clone() });
            b.program.push(Op::JoinNamespace { namespace: kind, handle, path });
        }
    }
    // After joining the cgroups: its root is where init stands when it is made.
    if b.namespaces.is_new(NamespaceKind::Cgroup) {
        b.program.push(Op::Unshare { namespace: NamespaceKind::Cgroup });
    }
    // Before any mount: none of them may reach the host.
    b.program.push(Op::HostPropagation { propagation: ms::SLAVE });
    if b.namespaces.is_new(NamespaceKind::Network) {
        b.program.push(Op::Loopback);
    }
    if !linux.masked_paths.is_empty() {
        // Below where the root will be, so that it goes with the host's mounts.
        b.program.push(Op::MaskSource);
    }
    root(&mut b, &rootfs, &linux.rootfs_propagation);
    // Below the config's mounts, many of which go into /run, and what is made for them.
    if let Some(process) = &process {
        mounts::scratch(&mut b, &request.confinement.scratch, &spec.mounts, &process.user);
    }
    mounts::build(&mut b, &spec.mounts);
    notify_mount(&mut b, request);
    // After the mounts, because /dev is one of them; before hooks, which add devices of their own.
    devices::build(&mut b, &linux.devices);
    if let Some(process) = &process {
        // While the rootfs can still be written.
        b.program.push(Op::MakeDirectory { path: mounts::clean(&process.cwd) });
        // After /dev and devpts, before they may become read-only.
        b.program.extend(process::terminal(process, true));
        b.program.push(process::session(process));
    }
    // The tree stands at the rootfs's path: hooks that mount devices into it find it there.
    if !hooks.prestart.is_empty() || !hooks.create_runtime.is_empty() {
        b.program.push(Op::RuntimeHooks);
    }
    let inner = inner_hooks(&mut b, spec, request, "createContainer", &hooks.create_container);
    b.program.extend(inner);
    // Nothing more is made on them; before they may be covered.
    mounts::make_readonly(&mut b);
    // After the hooks, which may have mounted what is to be covered; before pivot, because masks are cloned from a
    // filesystem that goes with the host's mounts.
    b.program.extend(once(&linux.readonly_paths).map(|path| Op::ReadonlyPath { path }));
    b.program.extend(once(&linux.masked_paths).map(|path| Op::Mask { path }));
    let readonly = Attributes { set: attr::RDONLY, ..Attributes::default() };
    if b.readonly_dev {
        b.program.push(Op::SetMount { target: Target::Dev, attributes: readonly });
    }
    if spec.root.as_ref().is_some_and(|r| r.readonly) {
        b.program.push(Op::SetMount { target: Target::Root, attributes: readonly });
    }
    b.program.push(Op::Pivot);
    // After pivot: the host's mounts are gone, what is left is the plan's or nobody's.
    let hooked = [&hooks.prestart, &hooks.create_runtime, &hooks.create_container].iter().any(|h| !h.is_empty());
    // A read-only path is covered together with what is mounted below it, which nobody counts.
    let deep = linux.readonly_paths.iter().any(|p| !p.starts_with("/proc/"))
        || spec.mounts.iter().any(|m| m.destination.starts_with("/proc/"))
        // The host's procfs, bound as a whole, has binfmt_misc below /proc/sys.
        || spec.mounts.iter().any(|m| m.destination.starts_with("/proc") && m.options.iter().any(|o| o == "rbind"));
    b.program.push(Op::CheckMounts { extra: hooked || deep || b.shares_mounts });
    // After the check, for a container that wants to share what it mounts with its own children.
    root_propagation(&mut b, &linux.rootfs_propagation);
    if !spec.hostname.is_empty() {
        b.program.push(Op::Hostname { name: spec.hostname.clone() });
    }
    if !spec.domainname.is_empty() {
        b.program.push(Op::Domainname { name: spec.domainname.clone() });
    }
    let sysctls = sysctls::build(&linux.sysctl, &b.namespaces, &mut b.findings);
    b.program.extend(sysctls);
    if !request.no_new_keyring {
        if let Some(process) = spec.process.as_ref().filter(|p| !p.selinux_label.is_empty()) {
            // process::build says it of the same label if it is malformed.
            let mut told = Findings::default();
            b.program.extend(security::selinux_label(LabelFile::Keycreate, "", &process.selinux_label, &mut told));
        }
        b.program.push(Op::Keyring);
    }
    let mut needs_home = None;
    match &process {
        Some(process) => {
            process::build(&mut b, process);
            needs_home = home(process);
            b.program.push(Op::Ready);
            b.program.push(Op::WaitStart { control: request.runs });
            let inner = inner_hooks(&mut b, spec, request, "startContainer", &hooks.start_container);
            b.program.extend(inner.into_iter().map(without_cwd));
            let (load, about) = filter.map(Filter::apart).unzip();
            confine(&mut b, &request.confinement, load);
            b.program.push(process::execute(process));
            return finish(b, request.id.clone(), rootfs, cgroup, hooks, process, about, needs_home);
        }
        None => {
            b.program.push(Op::CloseHandles);
            b.program.push(Op::Ready);
            b.program.push(Op::WaitStart { control: false });
        }
    }
    finish(b, request.id.clone(), rootfs, cgroup, hooks, &Process::default(), None, needs_home)
}

/// Plans one more process in a running container.
pub fn exec(spec: &Spec, request: &ExecRequest, facts: &Facts) -> Result<Plan> {
    let no_linux = Linux::default();
    let linux = spec.linux.as_ref().unwrap_or(&no_linux);
    let mut b = Builder::new(facts, "/");
    limits::process(&request.process, &mut b.findings);
    std::mem::take(&mut b.findings).into_result()?;
    b.namespaces = Namespaces::build(&linux.namespaces, &mut b.findings);
    let process = with_environment(request.process.clone(), &request.extra_env);
    let filter = seccomp(&mut b, linux, &request.confinement, Some(&process));
    for hierarchy in &request.cgroup_tasks {
        let tasks = b.handle(Handle::CgroupTasks { hierarchy: hierarchy.clone() });
        b.program.push(Op::JoinCgroup { hierarchy: hierarchy.clone(), tasks });
    }
    // After the cgroups. The pid namespace is for children, so init is not seen there yet.
    let private_pids = b.namespaces.is_private(NamespaceKind::Pid);
    let pid_namespace = if private_pids { NamespaceKind::Pid.clone_flag() } else { 0 };
    let handle = b.handle(Handle::Container);
    b.program.push(Op::JoinContainer { namespaces: b.namespaces.join_flags() | pid_namespace, handle });
    b.program.push(Op::OpenRoot);
    // The caller's is none of the container's business.
    b.program.push(Op::Keyring);
    b.program.extend(process::terminal(&process, false));
    process::build(&mut b, &process);
    b.program.push(Op::Ready);
    b.program.push(Op::WaitStart { control: true });
    // As late as can be: a container with CAP_SYS_PTRACE can trace whatever it sees, dumpable or not, and what it sees
    // from here on has nothing that it could not get by an execve (CVE-2016-9962).
    if private_pids {
        b.program.push(Op::EnterPidNamespace);
    }
    // A session ends with its leader, so the one who leads it is the one who stays.
    b.program.push(process::session(&process));
    let (load, about) = filter.map(Filter::apart).unzip();
    confine(&mut b, &request.confinement, load);
    b.program.push(process::execute(&process));
    let home = home(&process);
    finish(b, request.id.clone(), String::new(), None, spec::Hooks::default(), &process, about, home)
}

#[allow(clippy::too_many_arguments)]
fn finish(
    b: Builder<'_>,
    id: String,
    rootfs: String,
    cgroup: Option<CgroupPlan>,
    hooks: spec::Hooks,
    process: &Process,
    filter: Option<About>,
    needs_home: Option<u32>,
) -> Result<Plan> {
    b.findings.into_result()?;
    let (seccomp, listener) = filter.unzip();
    Ok(Plan {
        id,
        rootfs,
        namespaces: b.namespaces,
        handles: b.handles,
        cgroup,
        hooks: RuntimeHooks {
            prestart: hooks.prestart,
            create_runtime: hooks.create_runtime,
            poststart: hooks.poststart,
            poststop: hooks.poststop,
        },
        oom_score_adj: process.oom_score_adj,
        terminal: process.terminal,
        seccomp,
        listener: listener.flatten(),
        program: b.program,
        needs_home,
        warnings: b.warnings,
    })
}

/// The filter of the process, which keeps CAP_SYS_ADMIN for it where that is needed.
fn seccomp(b: &mut Builder<'_>, linux: &Linux, asked: &Confinement, process: Option<&Process>) -> Option<Filter> {
    // process::build says what is left out of them.
    let capabilities = process.and_then(|p| p.capabilities.as_ref());
    let bounding = security::capabilities(capabilities, b.facts, &mut Vec::new()).bounding;
    let own = linux.seccomp.as_ref();
    let filter = filter::build(&asked.seccomp, own, bounding, &mut b.findings, &mut b.warnings);
    b.has_seccomp = filter.is_some();
    filter
}

/// Last of all but execve: a profile has to allow nothing for casemate's own sake.
fn confine(b: &mut Builder<'_>, asked: &Confinement, filter: Option<Op>) {
    if asked.scope_abstract_sockets {
        // After the startContainer hooks, which are not the container's.
        let op = security::abstract_socket_scope(b.facts, &b.program, &mut b.findings);
        b.program.push(op);
    }
    b.program.extend(filter);
}

/// The rootfs: a clone of its tree, cut off from the host's propagation before it is visible anywhere.
fn root(b: &mut Builder<'_>, rootfs: &str, propagation: &str) {
    let tree = b.handle(Handle::Rootfs { path: rootfs.to_string() });
    let slave = matches!(propagation, "slave" | "rslave");
    b.shares_mounts |= slave;
    let propagation = if slave { ms::SLAVE } else { ms::PRIVATE };
    let attributes = Attributes { propagation, recursive: true, ..Attributes::default() };
    b.program.push(Op::SetMount { target: Target::Tree(tree), attributes });
    b.program.push(Op::AttachRoot { tree });
}

fn root_propagation(b: &mut Builder<'_>, propagation: &str) {
    let (kind, recursive) = match propagation {
        "" | "private" | "rprivate" | "slave" | "rslave" => return,
        "shared" => (ms::SHARED, false),
        "rshared" => (ms::SHARED, true),
        "unbindable" => (ms::UNBINDABLE, false),
        "runbindable" => (ms::UNBINDABLE, true),
        other => {
            b.findings.invalid("/linux/rootfsPropagation", format!("rootfsPropagation={other} is not supported"));
            return;
        }
    };
    let attributes = Attributes { propagation: kind, recursive, ..Attributes::default() };
    b.program.push(Op::SetMount { target: Target::Root, attributes });
}

/// Paths without those that were named before: a second cover would cover the first.
fn once(paths: &[String]) -> impl Iterator<Item = String> {
    let mut seen = std::collections::BTreeSet::new();
    // With `..` in it, what a path leads to is the image's to say.
    let key = |path: &String| if path.split('/').any(|part| part == "..") { path.clone() } else { mounts::clean(path) };
    paths.iter().map(key).filter(move |path| seen.insert(path.clone()))
}

/// The socket on which the container says that it is ready (sd_notify(3)).
fn notify_mount(b: &mut Builder<'_>, request: &CreateRequest) {
    if let Some(directory) = &request.notify_directory {
        let mount = spec::Mount {
            destination: "/run/notify".into(),
            source: directory.clone(),
            // Read-only: it is the host's state directory. Messages can be sent to the socket all the same.
            options: ["bind", "ro", "nosuid", "noexec", "nodev", "private"].map(Into::into).to_vec(),
            ..Default::default()
        };
        mounts::build(b, &[mount]);
        if let Some(handle) = b.handles.last_mut() {
            *handle = Handle::NotifyDirectory { path: directory.clone() };
        }
    }
}

fn cgroup_plan(linux: &Linux, request: &CreateRequest, facts: &Facts, b: &mut Builder<'_>) -> Option<CgroupPlan> {
    let asked = Some(linux.cgroups_path.as_str()).filter(|p| !p.is_empty());
    let path = match cgroup::Path::from_spec(asked, &request.id, &facts.cgroups) {
        Ok(path) => path,
        Err(error) => {
            b.findings.invalid("/linux/cgroupsPath", error.to_string());
            return None;
        }
    };
    let resources = linux.resources.clone().unwrap_or_default();
    let device_rules = match cgroup::devices::effective(&resources.devices, &cgroup::devices::DEFAULT_NODES) {
        Ok(rules) => rules,
        Err(error) => {
            b.findings.invalid("/linux/resources/devices", error.to_string());
            return None;
        }
    };
    for error in facts.cgroups.check(&resources, &device_rules) {
        check::resources(&error, &mut b.findings);
    }
    let devices = device_rules.iter().map(ToString::to_string).collect();
    Some(CgroupPlan { path, resources, devices, device_rules })
}

fn inner_hooks(
    b: &mut Builder<'_>,
    spec: &Spec,
    request: &CreateRequest,
    kind: &'static str,
    hooks: &[Hook],
) -> Vec<Op> {
    if hooks.is_empty() {
        return Vec::new();
    }
    // Neither the image's directory nor the image's environment: CVE-2025-23266.
    let cwd = if kind == "createContainer" { Some(b.handle(Handle::Bundle)) } else { None };
    let status = if kind == "createContainer" { spec::Status::Creating } else { spec::Status::Created };
    let state = spec::State {
        oci_version: spec.oci_version.clone(),
        id: request.id.clone(),
        status,
        pid: i32::MIN,
        bundle: request.bundle.clone(),
        annotations: spec.annotations.clone(),
    };
    let json = serde_json::to_string(&state).unwrap_or_default();
    let Some((before, after)) = json.split_once(&i32::MIN.to_string()) else { return Vec::new() };
    hooks
        .iter()
        .enumerate()
        .map(|(index, hook)| {
            Op::Hook(InnerHook {
                kind,
                index,
                path: hook.path.clone(),
                args: hook.args.clone(),
                env: hook.env.clone(),
                timeout: hook.timeout.and_then(|t| u32::try_from(t).ok()).unwrap_or(0),
                cwd,
                state: (before.to_string(), after.to_string()),
            })
        })
        .collect()
}

/// The bundle's handle is closed by then; init is in the process's working directory.
fn without_cwd(op: Op) -> Op {
    match op {
        Op::Hook(hook) => Op::Hook(InnerHook { cwd: None, ..hook }),
        other => other,
    }
}

fn with_environment(mut process: Process, extra: &[String]) -> Process {
    process.env.extend(extra.iter().cloned());
    process
}

/// The user whose home directory is to be looked up: HOME is not set, or empty.
fn home(process: &Process) -> Option<u32> {
    let home = process.env.iter().rev().find_map(|e| e.strip_prefix("HOME="));
    if home.is_none_or(str::is_empty) { Some(process.user.uid) } else { None }
}
