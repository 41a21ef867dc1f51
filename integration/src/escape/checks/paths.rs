//! Paths of the configuration that are no mounts, in an image whose components are links to the host: the root, the working
//! directory, masks, read-only paths, device nodes, the program. What is outside stays as it is.

use super::links::{Field, Link, Look, Tally, matrix};
use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::created::Created;
use crate::escape::scene::{RAN, Scene};
use crate::process::Output;
use anyhow::Result;
use serde_json::json;

crate::checks! {
    "B10" a_root_that_is_a_link_is_not_followed_to_the_host;
    "B10" a_working_directory_is_inside_of_the_root;
    "B10" masks_touch_nothing_outside_of_the_root;
    "B10" read_only_paths_touch_nothing_outside_of_the_root;
    "B10" device_nodes_are_made_inside_of_the_root;
    "B10" the_program_is_a_file_inside_of_the_root;
    "CVE-2019-19921" proc_and_sys_that_are_links_are_refused [
        Advisory("runc", "CVE-2019-19921, CVE-2023-27561"), Advisory("youki", "CVE-2025-54867")
    ];
}

fn a_root_that_is_a_link_is_not_followed_to_the_host(s: &Scene) -> Result<Verdict> {
    let look = |created: &Created| {
        let own = created.root_is(&created.container.bundle.dir.join("rootfs/inner"))?;
        Ok((!own).then(|| "its root is another directory".to_owned()))
    };
    let ask = |bundle: &mut Bundle| {
        let inner = bundle.rootfs().join("inner");
        if std::fs::symlink_metadata(&inner)?.is_dir() {
            crate::bundle::make_rootfs(&inner)?;
        }
        bundle.set("/root/path", json!("rootfs/inner"));
        Ok(())
    };
    matrix(s, &[Field::new("/inner", "dir", &ask, Look::Created(&look))])
}

fn proc_and_sys_that_are_links_are_refused(s: &Scene) -> Result<Verdict> {
    let nothing = |_: &mut Bundle| Ok(());
    let look = |created: &Created| {
        let mounted = ["/proc", "/sys"].iter().all(|point| created.mounts.iter().any(|m| m.point == *point));
        Ok((!mounted).then(|| "no procfs or no sysfs where they belong".to_owned()))
    };
    // Also to a directory of the image itself, in which another container could exchange what is mounted.
    let kinds = &[&Link::ALL[..], &[Link::Inside]].concat();
    let field = |link| Field { must_refuse: true, kinds, ..Field::new(link, "dir", &nothing, Look::Created(&look)) };
    matrix(s, &[field("/proc"), field("/sys")])
}

fn a_working_directory_is_inside_of_the_root(s: &Scene) -> Result<Verdict> {
    let at = |cwd: &'static str| {
        move |bundle: &mut Bundle| {
            bundle.set("/process/cwd", json!(cwd));
            Ok(())
        }
    };
    let shown = |output: &Output| {
        let cwd = output.stdout.lines().find(|line| line.starts_with("CWD "));
        (!cwd.is_some_and(|cwd| cwd.starts_with("CWD /"))).then(|| format!("pwd: {cwd:?}"))
    };
    let script = "echo \"CWD $(pwd -P)\"; cat ./* ../* 2> /dev/null; true";
    let asks = [at("/point"), at("/point/new/below")];
    let fields = asks.iter().map(|ask| Field::new("/point", "dir", ask, Look::Ran(script, &shown)));
    matrix(s, &fields.collect::<Vec<_>>())
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
    let field = |target| Field::new("/point", target, &ask, Look::Created(&look));
    matrix(s, &[field("file"), field("dir")])
}

fn read_only_paths_touch_nothing_outside_of_the_root(s: &Scene) -> Result<Verdict> {
    let look = |_: &Created| Ok(None);
    let ask = |bundle: &mut Bundle| {
        bundle.push("/linux/readonlyPaths", json!("/point"));
        Ok(())
    };
    let field = |target| Field::new("/point", target, &ask, Look::Created(&look));
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
    let asks = [at("/point/node"), at("/point/new/node")];
    let fields = asks.iter().map(|ask| Field::new("/point", "dir", ask, Look::Created(&look)));
    matrix(s, &fields.collect::<Vec<_>>())
}

fn the_program_is_a_file_inside_of_the_root(s: &Scene) -> Result<Verdict> {
    // `program` outside is busybox: called `echo` it would say what is in the arguments.
    let mut bundle = s.bundle()?;
    bundle.args(&["/bin/echo", RAN]);
    s.twin(&bundle)?;
    let mut tally = Tally::default();
    for link in Link::ALL {
        let mut bundle = s.bundle()?;
        link.put(s, &bundle.rootfs().join("bin/echo"), "program")?;
        bundle.args(&["/bin/echo", RAN]);
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
