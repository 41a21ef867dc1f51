//! The command lines of container engines, word by word as they are called.

use super::*;

#[test]
fn containerd_shim() {
    for (line, want) in [
        ("create --bundle /b --pid-file /b/init.pid ID", Request::Create(create("ID"))),
        (
            "create --bundle /b --pid-file /b/init.pid --console-socket /s --no-pivot --no-new-keyring ID",
            Request::Create(Create {
                console_socket: path("/s"),
                no_pivot: true,
                no_new_keyring: true,
                ..create("ID")
            }),
        ),
        (
            "create --bundle /b --pid-file /b/init.pid --pidfd-socket /s --preserve-fds 2 ID",
            Request::Create(Create { pidfd_socket: path("/s"), preserve_fds: 2, ..create("ID") }),
        ),
        ("start ID", Request::Start(id("ID"))),
        ("delete ID", Request::Delete(Delete { id: id("ID"), force: false })),
        ("delete --force ID", Request::Delete(Delete { id: id("ID"), force: true })),
        ("kill ID 15", Request::Kill(Kill { id: id("ID"), signal: Signal::TERM, all: false })),
        ("kill --all ID 9", Request::Kill(Kill { id: id("ID"), signal: Signal::KILL, all: true })),
        ("pause ID", Request::Pause(id("ID"))),
        ("resume ID", Request::Resume(id("ID"))),
        ("ps --format json ID", Request::Ps(Ps { id: id("ID"), format: ListFormat::Json, args: Vec::new() })),
        (
            "exec --process /p --console-socket /s --detach --pid-file /b/x.pid ID",
            Request::Exec(Box::new(Exec {
                process: path("/p"),
                console_socket: path("/s"),
                detach: true,
                pid_file: path("/b/x.pid"),
                ..exec("ID")
            })),
        ),
        ("update --resources - ID", Request::Update(update_of(Change::Stdin))),
        ("update --resources=- ID", Request::Update(update_of(Change::Stdin))),
    ] {
        assert_eq!(parsed(&format!("{SHIM} {line}")), Ok((shim_globals(false), want.clone())), "{line}");
        assert_eq!(parsed(&format!("{SHIM} --systemd-cgroup {line}")), Ok((shim_globals(true), want)), "{line}");
    }
}

#[test]
fn containerd_and_docker_without_globals() {
    assert_eq!(parsed("features"), Ok((Globals::default(), Request::Features)));
    assert_eq!(parsed("--version"), Ok((Globals::default(), Request::Version)));
    assert_eq!(request("-v"), Request::Version);
}

#[test]
fn go_runc() {
    let list = List { format: ListFormat::Json, quiet: false };
    assert_eq!(request("--debug list --format=json"), Request::List(list));
    assert_eq!(request("--rootless=true state ID"), Request::State(id("ID")));
    assert_eq!(parsed("--rootless=false state ID").unwrap().0.rootless, Rootless::False);
    assert_eq!(parsed("--rootless auto state ID").unwrap().0.rootless, Rootless::Auto);
    let run = Run { create: create("ID"), detach: false, keep: false, no_subreaper: false };
    assert_eq!(request("run --bundle /b --pid-file /b/init.pid ID"), Request::Run(run.clone()));
    assert_eq!(
        request("run --bundle /b --pid-file /b/init.pid --detach -no-subreaper ID"),
        Request::Run(Run { detach: true, no_subreaper: true, ..run })
    );
    let events = |stats, seconds| Events { id: id("ID"), stats, interval: Duration::from_secs(seconds) };
    assert_eq!(request("events --stats ID"), Request::Events(events(true, 5)));
    assert_eq!(request("events --interval=10s ID"), Request::Events(events(false, 10)));
    assert_eq!(
        request("ps --format table ID -o pid,args --sort pid"),
        Request::Ps(Ps {
            id: id("ID"),
            format: ListFormat::Table,
            args: ["-o", "pid,args", "--sort", "pid"].map(String::from).to_vec()
        })
    );
}

#[test]
fn buildkit() {
    assert_eq!(
        request("--log runc-log.json --log-format json run --bundle /b --pid-file /b/init.pid --keep ID"),
        Request::Run(Run { create: create("ID"), detach: false, keep: true, no_subreaper: false })
    );
}

#[test]
fn podman_by_conmon() {
    let globals = Globals { log: path("/u/oci-log"), log_format: LogFormat::Json, ..Globals::default() };
    assert_eq!(
        parsed(
            "--log-format=json --log /u/oci-log create --bundle /b --pid-file /b/init.pid --no-pivot \
             --no-new-keyring --preserve-fds 3 --console-socket /s ID"
        ),
        Ok((
            globals.clone(),
            Request::Create(Create {
                no_pivot: true,
                no_new_keyring: true,
                preserve_fds: 3,
                console_socket: path("/s"),
                ..create("ID")
            })
        ))
    );
    assert_eq!(
        parsed(
            "--systemd-cgroup --log-format=json --log /u/oci-log exec --pid-file /f --process /p --detach \
             --preserve-fds 1 --tty --console-socket /s ID"
        ),
        Ok((
            Globals { systemd_cgroup: true, ..globals },
            Request::Exec(Box::new(Exec {
                pid_file: path("/f"),
                process: path("/p"),
                detach: true,
                preserve_fds: 1,
                tty: true,
                console_socket: path("/s"),
                ..exec("ID")
            }))
        ))
    );
}

#[test]
fn podman_directly() {
    assert_eq!(request("kill --all ID 9"), Request::Kill(Kill { id: id("ID"), signal: Signal::KILL, all: true }));
    assert_eq!(
        request("update --resources=/var/tmp/podman1 ID"),
        Request::Update(update_of(Change::File("/var/tmp/podman1".into())))
    );
    for line in ["start ID", "kill ID 15", "delete --force ID", "pause ID", "resume ID", "state ID", "--version"] {
        assert_eq!(parsed(line).unwrap().0, Globals::default(), "{line}");
    }
}

#[test]
fn crio() {
    let kill = |signal| Request::Kill(Kill { id: id("ID"), signal, all: false });
    assert_eq!(request("--root /run/crio --systemd-cgroup kill ID 15"), kill(Signal::TERM));
    assert_eq!(request("--root /run/crio kill ID KILL"), kill(Signal::KILL));
    assert_eq!(
        request("--root /run/crio kill -a ID 9"),
        Request::Kill(Kill { id: id("ID"), signal: Signal::KILL, all: true })
    );
    let from_file = Exec { process: path("/p"), ..exec("ID") };
    assert_eq!(request("--root /run/crio exec --process /p ID"), Request::Exec(Box::new(from_file.clone())));
    assert_eq!(request("--root /run/crio update --resources - ID"), Request::Update(update_of(Change::Stdin)));
    assert_eq!(
        parsed("--systemd-cgroup --root=/run/crio create --bundle /b --pid-file /b/init.pid --no-pivot ID"),
        Ok((
            Globals { root: path("/run/crio"), systemd_cgroup: true, ..Globals::default() },
            Request::Create(Create { no_pivot: true, ..create("ID") })
        ))
    );
    assert_eq!(
        request("--root=/run/crio exec --pid-file /f --process /p --detach --console-socket /s ID"),
        Request::Exec(Box::new(Exec { pid_file: path("/f"), detach: true, console_socket: path("/s"), ..from_file }))
    );
}

#[test]
fn crio_by_conmon_rs() {
    assert_eq!(
        parsed("--root=/run/a --root=/run/crio exec -d --console-socket=/s --tty --pid-file=/f ID ls -l --all --"),
        Ok((
            Globals { root: path("/run/crio"), ..Globals::default() },
            Request::Exec(Box::new(Exec {
                detach: true,
                console_socket: path("/s"),
                tty: true,
                pid_file: path("/f"),
                args: ["ls", "-l", "--all", "--"].map(String::from).to_vec(),
                ..exec("ID")
            }))
        ))
    );
}

#[test]
fn checkpoint_and_restore_are_unknown_commands() {
    for line in ["checkpoint --help", "restore --lsm-mount-context"] {
        let name = line.split(' ').next().unwrap();
        let usage = usage(line);
        assert_eq!((usage.code, usage.error), (3, Some(format!("No help topic for '{name}'"))));
    }
}

#[test]
fn options_of_other_runtimes_are_refused() {
    assert_eq!(error("--cgroup-manager disabled start ID"), "flag provided but not defined: -cgroup-manager");
    assert_eq!(error("--log-level=debug start ID"), "flag provided but not defined: -log-level");
    assert_eq!(error("--criu /c start ID"), "flag provided but not defined: -criu");
}
