//! Paths of the configuration in an image whose components are links to the host: each field, each kind of link. What
//! is outside stays as it is, and what was asked for is inside, or the runtime refuses.

use super::links::{Field, Link, Look, Tally, matrix, row};
use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::created::{Created, works_inside};
use crate::escape::scene::Scene;
use crate::process::Output;
use anyhow::Result;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

crate::checks! {
    "B10" directories_are_bound_inside_of_the_root;
    "B10" files_are_bound_inside_of_the_root;
    "B10" new_file_systems_are_mounted_inside_of_the_root;
    "B10" a_root_that_is_a_link_is_not_followed_to_the_host;
    "B10" proc_and_sys_that_are_links_are_refused;
    "B10" a_dev_that_is_a_link_is_not_filled
        [Advisory("runc", "CVE-2026-41579"), Advisory("crun", "CVE-2026-47766"), KnownHole("runc version 1.1.5+ds1")];
    "B10" links_in_the_dev_of_an_image_are_not_followed_to_the_host;
    "B10" links_in_a_dev_that_is_a_volume_are_not_followed_to_the_host;
    "B10" the_files_that_engines_bind_into_etc_are_bound_inside_of_the_root;
    "B10" a_tmpfs_on_a_link_has_nothing_of_the_host_copied_into_it;
    "B10" a_working_directory_is_inside_of_the_root;
    "B10" masks_touch_nothing_outside_of_the_root;
    "B10" read_only_paths_touch_nothing_outside_of_the_root;
    "B10" device_nodes_are_made_inside_of_the_root;
    "B10" the_program_is_a_file_inside_of_the_root;
}

/// A directory with a file for a bind.
pub fn volume(s: &Scene, name: &str) -> Result<PathBuf> {
    let dir = s.ground.dir.join(name);
    if !dir.exists() {
        std::fs::create_dir(&dir)?;
        std::fs::write(dir.join("here"), "here\n")?;
    }
    Ok(dir)
}

/// A mount that was asked for and is not in the container's table has landed somewhere else.
fn present(created: &Created, source: &Path) -> Result<Option<String>> {
    let found = !created.mounts_of(source)?.is_empty();
    Ok((!found).then(|| "what was asked for is not in the container's mount table".to_owned()))
}

fn directories_are_bound_inside_of_the_root(s: &Scene) -> Result<Verdict> {
    let source = volume(s, "volume")?;
    let look = |created: &Created| present(created, &source);
    let at = |destination: &'static str| {
        let source = source.clone();
        move |bundle: &mut Bundle| {
            bundle.bind(&source, destination, &["rbind"]);
            Ok(())
        }
    };
    let asks = [at("/point"), at("/point/new/below"), at("/point/../point/new")];
    let field = |ask| Field {
        link: "/point",
        target: "dir",
        kinds: &Link::ALL,
        ask,
        look: Look::Created(&look),
        must_refuse: false,
        bare: false,
    };
    matrix(s, &asks.iter().map(|ask| field(ask)).collect::<Vec<_>>())
}

fn files_are_bound_inside_of_the_root(s: &Scene) -> Result<Verdict> {
    let source = volume(s, "volume")?.join("here");
    let look = |created: &Created| present(created, &source);
    let at = |destination: &'static str| {
        let source = source.clone();
        move |bundle: &mut Bundle| {
            bundle.bind(&source, destination, &["bind"]);
            Ok(())
        }
    };
    let (itself, below) = (at("/point"), at("/point/new"));
    let kinds = &Link::ALL;
    matrix(
        s,
        &[
            Field {
                link: "/point",
                target: "file",
                kinds,
                ask: &itself,
                look: Look::Created(&look),
                must_refuse: false,
                bare: false,
            },
            Field {
                link: "/point",
                target: "dir",
                kinds,
                ask: &below,
                look: Look::Created(&look),
                must_refuse: false,
                bare: false,
            },
        ],
    )
}

fn new_file_systems_are_mounted_inside_of_the_root(s: &Scene) -> Result<Verdict> {
    // Told apart from others by its size.
    let look = |created: &Created| {
        let found =
            created.mounts.iter().any(|mount| mount.kind == "tmpfs" && mount.super_options.contains("size=76k"));
        Ok((!found).then(|| "the tmpfs is not in the container's mount table".to_owned()))
    };
    let at = |destination: &'static str| {
        move |bundle: &mut Bundle| {
            bundle.mount(destination, "tmpfs", "tmpfs", &["size=76k"]);
            Ok(())
        }
    };
    let asks = [at("/point"), at("/point/new/below")];
    let field = |ask| Field {
        link: "/point",
        target: "dir",
        kinds: &Link::ALL,
        ask,
        look: Look::Created(&look),
        must_refuse: false,
        bare: false,
    };
    matrix(s, &asks.iter().map(|ask| field(ask)).collect::<Vec<_>>())
}

fn a_root_that_is_a_link_is_not_followed_to_the_host(s: &Scene) -> Result<Verdict> {
    let look = |created: &Created| {
        let own = created.root_is(&created.container.bundle.dir.join("rootfs/inner"))?;
        Ok((!own).then(|| "its root is another directory".to_owned()))
    };
    let ask = |bundle: &mut Bundle| {
        bundle.set("/root/path", json!("rootfs/inner"));
        Ok(())
    };
    // Nothing in it can be executed, which is not tried before `start`: see the twin.
    let ask_with_program = |bundle: &mut Bundle| {
        let inner = bundle.rootfs().join("inner");
        if std::fs::symlink_metadata(&inner)?.is_dir() {
            crate::bundle::make_rootfs(&inner)?;
        }
        ask(bundle)
    };
    let field = Field {
        link: "/inner",
        target: "dir",
        kinds: &Link::ALL,
        ask: &ask_with_program,
        look: Look::Created(&look),
        must_refuse: false,
        bare: false,
    };
    matrix(s, &[field])
}

fn proc_and_sys_that_are_links_are_refused(s: &Scene) -> Result<Verdict> {
    let nothing = |_: &mut Bundle| Ok(());
    let look = |created: &Created| {
        let mounted = ["/proc", "/sys"].iter().all(|point| created.mounts.iter().any(|m| m.point == *point));
        Ok((!mounted).then(|| "no procfs or no sysfs where they belong".to_owned()))
    };
    let field = |link| Field {
        link,
        target: "dir",
        kinds: &Link::ALL,
        ask: &nothing,
        look: Look::Created(&look),
        must_refuse: true,
        bare: false,
    };
    matrix(s, &[field("/proc"), field("/sys")])
}

/// Takes the mounts on /dev away, so that the image's own is what the runtime works on.
pub fn without_dev(bundle: &mut Bundle) {
    for point in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        bundle.unmount(point);
    }
}

fn a_dev_that_is_a_link_is_not_filled(s: &Scene) -> Result<Verdict> {
    let nothing = |_: &mut Bundle| Ok(());
    let without = |bundle: &mut Bundle| {
        without_dev(bundle);
        Ok(())
    };
    let look = |_: &Created| Ok(None);
    let field = |target, ask| Field {
        link: "/dev",
        target,
        kinds: &Link::ALL,
        ask,
        look: Look::Created(&look),
        must_refuse: false,
        bare: false,
    };
    // The top of the outside tree has a ptmx and a console in it.
    matrix(s, &[field(".", &nothing), field(".", &without), field("empty", &without)])
}

const NODES: [&str; 6] = ["null", "tty", "console", "ptmx", "fd", "stdin"];

fn links_in_the_dev_of_an_image_are_not_followed_to_the_host(s: &Scene) -> Result<Verdict> {
    let ask = |bundle: &mut Bundle| {
        without_dev(bundle);
        bundle.mount("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666"]);
        bundle.mount("/dev/shm", "tmpfs", "shm", &["size=64k"]).set("/process/terminal", json!(true));
        Ok(())
    };
    components_of_dev(s, &ask, |name| format!("/dev/{name}"))
}

fn links_in_a_dev_that_is_a_volume_are_not_followed_to_the_host(s: &Scene) -> Result<Verdict> {
    let ask = |bundle: &mut Bundle| {
        without_dev(bundle);
        let dev = bundle.rootfs().join("volume");
        fill_dev(&dev)?;
        bundle.bind(&dev, "/dev", &["rbind"]);
        bundle.mount("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666"]);
        bundle.mount("/dev/shm", "tmpfs", "shm", &["size=64k"]).set("/process/terminal", json!(true));
        Ok(())
    };
    components_of_dev(s, &ask, |name| format!("/volume/{name}"))
}

/// Makes what is missing of a /dev: the directories, the null device, the link to the terminals' multiplexer.
pub fn fill_dev(dev: &Path) -> Result<()> {
    let missing = |name: &str| std::fs::symlink_metadata(dev.join(name)).is_err();
    for name in ["pts", "shm"] {
        if missing(name) {
            std::fs::create_dir_all(dev.join(name))?;
        }
    }
    if missing("null") {
        let mode = Mode::from_raw_mode(0o666);
        mknodat(CWD, dev.join("null"), FileType::CharacterDevice, mode, makedev(1, 3))?;
        std::fs::set_permissions(dev.join("null"), PermissionsExt::from_mode(0o666))?;
    }
    if missing("ptmx") {
        std::os::unix::fs::symlink("pts/ptmx", dev.join("ptmx"))?;
    }
    Ok(())
}

/// A row in which single files and directories of a /dev are links.
fn components_of_dev(
    s: &Scene,
    ask: &dyn Fn(&mut Bundle) -> Result<()>,
    link: impl Fn(&str) -> String,
) -> Result<Verdict> {
    let look = |_: &Created| Ok(None);
    let mut tally = Tally::default();
    let directories = [("pts", "dir"), ("shm", "dir")];
    let files = NODES.iter().map(|name| (*name, if *name == "ptmx" { "ptmx" } else { "console" }));
    for (name, target) in directories.into_iter().chain(files) {
        let link = link(name);
        let (kinds, look) = (&Link::FEW, Look::Created(&look));
        let field = Field { link: &link, target, kinds, ask, look, must_refuse: false, bare: true };
        if let Some(verdict) = row(s, &field, &mut tally)? {
            return Ok(verdict);
        }
    }
    Ok(tally.verdict())
}

fn the_files_that_engines_bind_into_etc_are_bound_inside_of_the_root(s: &Scene) -> Result<Verdict> {
    let source = volume(s, "volume")?.join("here");
    let look = |created: &Created| present(created, &source);
    let ask = |bundle: &mut Bundle| {
        for name in ["resolv.conf", "hostname", "hosts"] {
            bundle.bind(&source, &format!("/etc/{name}"), &["rbind", "rprivate", "ro"]);
        }
        Ok(())
    };
    let field = |link, target| Field {
        link,
        target,
        kinds: &Link::ALL,
        ask: &ask,
        look: Look::Created(&look),
        must_refuse: false,
        bare: false,
    };
    matrix(s, &[field("/etc/resolv.conf", "file"), field("/etc/hosts", "secret"), field("/etc", "dir")])
}

fn a_tmpfs_on_a_link_has_nothing_of_the_host_copied_into_it(s: &Scene) -> Result<Verdict> {
    let look = |output: &Output| (!output.stdout.contains("END")).then(|| "it did not get to its end".to_owned());
    let mut tally = Tally::default();
    for link in ["/tmp", "/run", "/var/tmp"] {
        let ask = |bundle: &mut Bundle| {
            bundle.mount(link, "tmpfs", "tmpfs", &["size=640k", "mode=1777", "tmpcopyup"]);
            Ok(())
        };
        // Also as the configuration has it: with no tmpfs there but the scratch of a level.
        let nothing = |_: &mut Bundle| Ok(());
        let script = "cat /tmp/* /run/* /var/tmp/* 2> /dev/null; echo END";
        for ask in [&ask as &dyn Fn(&mut Bundle) -> Result<()>, &nothing] {
            let kinds = &Link::ALL;
            let field = Field {
                link,
                target: "dir",
                kinds,
                ask,
                look: Look::Ran(script, &look),
                must_refuse: false,
                bare: false,
            };
            if let Some(verdict) = row(s, &field, &mut tally)? {
                return Ok(verdict);
            }
        }
    }
    Ok(tally.verdict())
}

fn a_working_directory_is_inside_of_the_root(s: &Scene) -> Result<Verdict> {
    let look = |created: &Created| {
        let inside = works_inside(created.pid)?;
        // Before its program some runtimes have not entered it yet, and are where the runtime was.
        Ok((!inside).then(|| "the working directory is not below the root".to_owned()))
    };
    let at = |cwd: &'static str| {
        move |bundle: &mut Bundle| {
            bundle.set("/process/cwd", json!(cwd));
            Ok(())
        }
    };
    let (itself, below) = (at("/point"), at("/point/new/below"));
    let shown = |output: &Output| {
        let cwd = output.stdout.lines().find(|line| line.starts_with("CWD "));
        (!cwd.is_some_and(|cwd| cwd.starts_with("CWD /"))).then(|| format!("pwd: {cwd:?}"))
    };
    let script = "echo \"CWD $(pwd -P)\"; cat ./* ../* 2> /dev/null; true";
    let field = |ask, look| Field {
        link: "/point",
        target: "dir",
        kinds: &Link::ALL,
        ask,
        look,
        must_refuse: false,
        bare: false,
    };
    let fields: [Field; 3] = [
        field(&itself, Look::Ran(script, &shown)),
        field(&below, Look::Ran(script, &shown)),
        field(&itself, Look::Created(&look)),
    ];
    matrix(s, &fields)
}

fn masks_touch_nothing_outside_of_the_root(s: &Scene) -> Result<Verdict> {
    let look = |created: &Created| {
        // What it leads to, as the container's root has it, must be empty or not to be reached.
        let shown = created.shows("/point")?;
        Ok((!shown.is_empty()).then(|| format!("/point shows {shown:?}")))
    };
    let ask = |bundle: &mut Bundle| {
        bundle.push("/linux/maskedPaths", json!("/point"));
        Ok(())
    };
    let field = |target| Field {
        link: "/point",
        target,
        kinds: &Link::ALL,
        ask: &ask,
        look: Look::Created(&look),
        must_refuse: false,
        bare: false,
    };
    matrix(s, &[field("file"), field("dir")])
}

fn read_only_paths_touch_nothing_outside_of_the_root(s: &Scene) -> Result<Verdict> {
    let look = |_: &Created| Ok(None);
    let ask = |bundle: &mut Bundle| {
        bundle.push("/linux/readonlyPaths", json!("/point"));
        Ok(())
    };
    let field = |target| Field {
        link: "/point",
        target,
        kinds: &Link::ALL,
        ask: &ask,
        look: Look::Created(&look),
        must_refuse: false,
        bare: false,
    };
    matrix(s, &[field("file"), field("dir")])
}

fn device_nodes_are_made_inside_of_the_root(s: &Scene) -> Result<Verdict> {
    let look = |_: &Created| Ok(None);
    let at = |path: &'static str| {
        move |bundle: &mut Bundle| {
            bundle.push("/linux/devices", json!({"path": path, "type": "c", "major": 1, "minor": 3}));
            Ok(())
        }
    };
    let (below, deep) = (at("/point/node"), at("/point/new/node"));
    let field = |ask| Field {
        link: "/point",
        target: "dir",
        kinds: &Link::ALL,
        ask,
        look: Look::Created(&look),
        must_refuse: false,
        bare: false,
    };
    matrix(s, &[field(&below), field(&deep)])
}

fn the_program_is_a_file_inside_of_the_root(s: &Scene) -> Result<Verdict> {
    // `program` outside is busybox: called `echo` it would say what is in the arguments.
    let mut bundle = s.bundle()?;
    bundle.args(&["/bin/echo", crate::escape::scene::RAN]);
    s.twin(&bundle)?;
    let mut tally = Tally::default();
    for link in Link::ALL {
        let mut bundle = s.bundle()?;
        link.put(s, &bundle.rootfs().join("bin/echo"), "program")?;
        bundle.args(&["/bin/echo", crate::escape::scene::RAN]);
        let attack = s.attack(&bundle)?;
        match s.refused(&attack)? {
            Some(Verdict::Refused(message)) => tally.count(Some(message)),
            Some(other) => return Ok(other),
            None => return Ok(Verdict::Unsafe(format!("{link:?}: a program of the host's was executed"))),
        }
        std::fs::remove_dir_all(&bundle.dir)?;
    }
    Ok(tally.verdict())
}
