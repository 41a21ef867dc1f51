//! `exec`: one more process in a container.

use super::Root;
use super::caller::Caller;
use super::gate::{self, Gate};
use crate::cgroup::{Cgroup, Join};
use crate::cli::Exec;
use crate::error::{Error, Kind, Result};
use crate::foreground::{Signals, become_subreaper};
use crate::host;
use crate::launch::{self, Means, Sources};
use crate::log::Log;
use crate::pid_file;
use crate::plan::{self, ExecRequest};
use crate::policy;
use crate::spec::{self, Process, Spec, Status};
use crate::state::procfs::Procfs;
use crate::state::{CONFIG, Container, of_cgroup};
use crate::terminal::Proxy;
use crate::terminal::console_socket;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

/// `casemate exec`; answers the process's exit code, or success when detached.
///
/// # Errors
/// A container in another state, or why the process does not run.
pub fn run(root: &Root, gate: &Gate, request: &Exec, log: &Log) -> Result<ExitCode> {
    let caller = Caller::secure(request.preserve_fds)?;
    let store = root.existing()?;
    let container = Container::load(&store, request.id.as_str())?;
    let (status, init) = container.look()?;
    let wrong = |what: &str| Error::new(Kind::WrongState, what);
    let init = init.ok_or_else(|| wrong("cannot exec in a stopped container"))?;
    if status == Status::Paused && !request.ignore_paused {
        return Err(wrong("cannot exec in a paused container (use --ignore-paused to override)"));
    }
    if status == Status::Creating {
        return Err(wrong("cannot exec in a container that is being created"));
    }
    let spec = Spec::parse(&container.entry.read_file(CONFIG, spec::MAX_BYTES)?)?;
    let asked = process(&spec, request)?;
    let tty = asked.terminal;
    if tty && request.detach && request.console_socket.is_none() {
        return Err(Error::new(
            Kind::Usage,
            "cannot allocate tty if casemate will detach without setting console socket",
        ));
    }
    if request.console_socket.is_some() && (!tty || !request.detach) {
        let what = "cannot use console socket if casemate will not detach or allocate tty";
        return Err(Error::new(Kind::Usage, what));
    }
    let facts = host::facts()?;
    let enforcement = gate.tighten(container.record.enforcement.as_ref());
    let verdict = policy::exec(&spec, &asked, &enforcement, &facts);
    if let Some(error) = policy::denied(&verdict.refusals, &enforcement) {
        return Err(error.context("exec"));
    }
    gate::tell(&verdict.notes, log);
    let cgroup = container.cgroup();
    let join = join(&cgroup, &request.cgroups)?;
    let plan_request = ExecRequest {
        id: request.id.as_str().into(),
        process: verdict.process,
        extra_env: caller.env.clone(),
        cgroup_tasks: join.tasks.iter().map(|(name, _)| name.clone()).collect(),
        confinement: verdict.confinement,
    };
    let plan = plan::exec(&verdict.spec, &plan_request, &facts)?;
    plan.warnings.iter().for_each(|warning| log.warn(warning));
    let listener = plan.listener.clone();

    let signals = if request.detach { None } else { Some(Signals::block()?) };
    if signals.is_some() {
        become_subreaper()?;
    }
    let root = Procfs::open()?.root(init.pid())?;
    // Alive still, so its pid was its own all the time.
    if init.is_gone()? {
        return Err(wrong("cannot exec in a stopped container"));
    }
    let means = Means {
        facts: &facts,
        sources: Sources::default(),
        bundle: None,
        container: Some(init.as_fd()),
        container_root: Some(root.as_fd()),
        cgroup: &cgroup,
        join,
        cgroup_trees: Vec::new(),
        start: None,
        preserve_fds: caller.preserve_fds,
    };
    let during = |error: Error| error.context("exec failed: unable to start container process");
    let mut child = launch::spawn(plan, means).map_err(during)?;
    let console = request.console_socket.as_deref();
    let mut on_terminal = |master: OwnedFd| match console {
        Some(path) => console_socket::send(path, master.as_fd(), "/dev/ptmx").map(|()| None),
        None => Ok(Some(master)),
    };
    let mut deliver = |fd: OwnedFd, pid: i32| match &listener {
        Some(to) => launch::deliver_listener(to, fd.as_fd(), pid, container.state(Status::Running, init.pid())),
        None => Ok(()),
    };
    let mut bring_up = || {
        child.set_up(&cgroup, &mut on_terminal, &mut |_| Ok(())).map_err(during)?;
        child.commit(&cgroup).map_err(during)?;
        child.start(&cgroup, &mut deliver).map_err(during)?;
        // After it runs: an engine takes a pid file for a process that was started.
        if let Some(path) = &request.pid_file {
            pid_file::write(path, child.pid)?;
        }
        match &request.pidfd_socket {
            Some(path) => console_socket::send(path, child.pidfd.as_fd(), "pidfd").map(drop),
            None => Ok(()),
        }
    };
    if let Err(error) = bring_up() {
        // An exec that fails leaves no process, nor one that is still on its way out.
        return Err(match child.end() {
            Ok(()) => error,
            Err(failure) => error.and(format!("while undoing: {failure}")),
        });
    }
    let Some(signals) = signals else { return Ok(ExitCode::SUCCESS) };
    let proxy = child.terminal.take().map(Proxy::stdio).transpose()?;
    signals.wait(child.pidfd.as_fd(), child.pid, proxy, None)
}

/// The process that is asked for. What it does not say about its protection is what the container's own process has.
fn process(spec: &Spec, request: &Exec) -> Result<Process> {
    let own = spec.process.clone().unwrap_or_default();
    if let Some(path) = &request.process {
        let mut process: Process = spec::load(path)?;
        process.capabilities = process.capabilities.or(own.capabilities);
        if process.rlimits.is_empty() {
            process.rlimits = own.rlimits;
        }
        if process.selinux_label.is_empty() {
            process.selinux_label = own.selinux_label;
        }
        if process.apparmor_profile.is_empty() {
            process.apparmor_profile = own.apparmor_profile;
        }
        process.oom_score_adj = process.oom_score_adj.or(own.oom_score_adj);
        process.terminal |= request.tty;
        return Ok(process);
    }
    let mut process = own;
    process.args = request.args.clone();
    process.terminal = request.tty;
    process.console_size = None;
    if let Some(cwd) = &request.cwd {
        process.cwd = cwd.clone();
    }
    process.env.extend(request.env.iter().cloned());
    if let Some(user) = &request.user {
        process.user.uid = user.uid;
        if let Some(gid) = user.gid {
            process.user.gid = gid;
        }
    }
    process.user.additional_gids.extend(&request.additional_gids);
    if let Some(label) = &request.process_label {
        process.selinux_label = label.clone();
    }
    if let Some(profile) = &request.apparmor {
        process.apparmor_profile = profile.clone();
    }
    process.no_new_privileges |= request.no_new_privs;
    if !request.caps.is_empty() {
        // Neither inheritable nor ambient: those would survive into programs that nobody asked for (CVE-2022-29162).
        let sets = process.capabilities.get_or_insert_default();
        for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
            set.extend(request.caps.iter().cloned());
        }
    }
    Ok(process)
}

/// The container's cgroup, or children of it: `[CONTROLLER,...:]PATH`.
fn join(cgroup: &Cgroup, asked: &[String]) -> Result<Join> {
    let mut all = cgroup.join(None, &[]).map_err(of_cgroup)?;
    for entry in asked {
        let (controllers, path) = match entry.split_once(':') {
            Some((controllers, path)) => (controllers.split(',').map(str::to_string).collect(), path),
            None => (Vec::new(), entry.as_str()),
        };
        let sub = cgroup.join(Some(path), &controllers).map_err(of_cgroup)?;
        if controllers.is_empty() {
            all = sub;
            continue;
        }
        let of = |name: &str, wanted: &str| name.split(',').any(|c| c == wanted);
        if let Some(unknown) = controllers.iter().find(|c| !sub.tasks.iter().any(|(name, _)| of(name, c))) {
            let what = format!("exec --cgroup \"{entry}\": there is no controller {unknown} in a v1 hierarchy");
            return Err(Error::new(Kind::Usage, what));
        }
        for (name, tasks) in sub.tasks {
            let chosen = name.split(',').any(|c| controllers.iter().any(|wanted| wanted == c));
            if let Some(slot) = all.tasks.iter_mut().find(|(n, _)| *n == name).filter(|_| chosen) {
                slot.1 = tasks;
            }
        }
    }
    Ok(all)
}
