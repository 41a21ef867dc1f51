//! Destinations of mounts in an image whose components are links to the host: what is outside stays as it is, and what was
//! asked for is inside, or the runtime refuses.

use super::links::{Field, Look, Tally, matrix, row};
use super::volumes::volume;
use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::created::Created;
use crate::escape::scene::Scene;
use crate::process::Output;
use anyhow::{Result, ensure};
use std::os::unix::fs::symlink;
use std::path::Path;

crate::checks! {
    "B10" directories_are_bound_inside_of_the_root;
    "B10" new_file_systems_are_mounted_inside_of_the_root;
    "B10" a_tmpfs_on_a_link_has_nothing_of_the_host_copied_into_it;
    "CVE-2019-18837" a_file_bound_over_a_link_does_not_reach_what_it_points_to [Advisory("crun", "CVE-2019-18837")];
    "CVE-2020-2026" a_directory_mounted_over_a_link_is_mounted_inside;
    "CVE-2021-30465" a_destination_inside_of_a_volume_does_not_lead_out [Advisory("runc", "CVE-2021-30465")];
    "CVE-2024-0132" a_library_bound_below_a_link_of_the_image_is_bound_inside;
    "CVE-2024-5154" the_files_that_engines_bind_into_etc_are_bound_inside_of_the_root;
    "CVE-2026-87766" nothing_is_made_below_a_parent_that_is_a_link_out;
    "L3" long_and_circular_chains_of_links_are_refused_or_stay_inside;
    "L4" a_destination_that_climbs_stays_inside;
}

/// A mount that was asked for and is not in the container's table has landed somewhere else.
fn present(created: &Created, source: &Path) -> Result<Option<String>> {
    let found = !created.mounts_of(source)?.is_empty();
    Ok((!found).then(|| "what was asked for is not in the container's mount table".to_owned()))
}

/// Binds each of `sources` (a directory, or a file) at its destination, where `link` leads to `target` outside.
fn bound(s: &Scene, link: &str, target: &str, file: bool, destinations: &[&str]) -> Result<Verdict> {
    let volume = volume(s, "volume")?;
    let source = if file { volume.join("here") } else { volume };
    let look = |created: &Created| present(created, &source);
    let mut tally = Tally::default();
    for destination in destinations {
        let ask = |bundle: &mut Bundle| {
            bundle.bind(&source, destination, &["rbind"]);
            Ok(())
        };
        let field = Field::new(link, target, &ask, Look::Created(&look));
        if let Some(verdict) = row(s, &field, &mut tally)? {
            return Ok(verdict);
        }
    }
    Ok(tally.verdict())
}

fn directories_are_bound_inside_of_the_root(s: &Scene) -> Result<Verdict> {
    bound(s, "/point", "dir", false, &["/point/new/below", "/point/../point/new"])
}

fn a_directory_mounted_over_a_link_is_mounted_inside(s: &Scene) -> Result<Verdict> {
    bound(s, "/point", "dir", false, &["/point"])
}

fn a_file_bound_over_a_link_does_not_reach_what_it_points_to(s: &Scene) -> Result<Verdict> {
    bound(s, "/point", "file", true, &["/point"])
}

fn a_library_bound_below_a_link_of_the_image_is_bound_inside(s: &Scene) -> Result<Verdict> {
    // One that is outside already, and one that would be made there.
    bound(s, "/usr/lib", "dir", true, &["/usr/lib/file", "/usr/lib/libdevice.so.1"])
}

fn nothing_is_made_below_a_parent_that_is_a_link_out(s: &Scene) -> Result<Verdict> {
    bound(s, "/parent", "dir", true, &["/parent/new/file"])
}

fn a_destination_inside_of_a_volume_does_not_lead_out(s: &Scene) -> Result<Verdict> {
    let source = volume(s, "volume")?;
    let look = |created: &Created| present(created, &source);
    let ask = |bundle: &mut Bundle| {
        // As two containers of a pod share one: the first has put a link into it.
        let shared = bundle.rootfs().join("volume");
        bundle.bind(&shared, "/shared", &["rbind"]).bind(&source, "/shared/a/made", &["rbind"]);
        Ok(())
    };
    matrix(s, &[Field::new("/volume/a", "dir", &ask, Look::Created(&look))])
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
    let fields = asks.iter().map(|ask| Field::new("/point", "dir", ask, Look::Created(&look)));
    matrix(s, &fields.collect::<Vec<_>>())
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
    let field = |link, target| Field::new(link, target, &ask, Look::Created(&look));
    matrix(s, &[field("/etc/resolv.conf", "file"), field("/etc/hosts", "secret"), field("/etc", "dir")])
}

fn a_tmpfs_on_a_link_has_nothing_of_the_host_copied_into_it(s: &Scene) -> Result<Verdict> {
    let look = |output: &Output| (!output.stdout.contains("END")).then(|| "it did not get to its end".to_owned());
    let script = "cat /tmp/* /run/* /var/tmp/* 2> /dev/null; echo END";
    let mut tally = Tally::default();
    for link in ["/tmp", "/run", "/var/tmp"] {
        let ask = |bundle: &mut Bundle| {
            bundle.mount(link, "tmpfs", "tmpfs", &["size=640k", "mode=1777", "tmpcopyup"]);
            Ok(())
        };
        // At restricted also as the configuration has it: with no tmpfs there but the scratch of the level.
        let nothing = |_: &mut Bundle| Ok(());
        let asks = [&ask as &dyn Fn(&mut Bundle) -> Result<()>, &nothing];
        for ask in asks.into_iter().take(if s.at("restricted") { 2 } else { 1 }) {
            if let Some(verdict) = row(s, &Field::new(link, "dir", ask, Look::Ran(script, &look)), &mut tally)? {
                return Ok(verdict);
            }
        }
    }
    Ok(tally.verdict())
}

fn long_and_circular_chains_of_links_are_refused_or_stay_inside(s: &Scene) -> Result<Verdict> {
    let outside = s.outside.path("empty").to_string_lossy().into_owned();
    let chained = |links: &[(String, String)]| -> Result<Bundle> {
        let mut bundle = s.scripted("true")?;
        for (name, target) in links {
            symlink(target, bundle.rootfs().join(name))?;
        }
        bundle.bind(&volume(s, "volume")?, "/link0/made", &["bind"]);
        Ok(bundle)
    };
    let chain = |length: usize, end: &str| -> Vec<(String, String)> {
        let link = |n: usize| (format!("link{n}"), format!("link{}", n + 1));
        (0..length - 1).map(link).chain([(format!("link{}", length - 1), end.to_owned())]).collect()
    };
    let one = |target: String| vec![("link0".to_owned(), target)];
    s.twin(&chained(&one("tmp".to_owned()))?)?;
    // A link may be 4095 bytes long.
    let long = |step: &str, end: &str| step.repeat((4095 - end.len()) / step.len()) + end;
    let attacks = [
        chain(64, &outside),
        chain(64, "tmp"),
        chain(41, &outside),
        chain(1000, "tmp"),
        one("link0".to_owned()),
        vec![("link0".to_owned(), "link1/x".to_owned()), ("link1".to_owned(), "link0/y".to_owned())],
        one(long("../", &outside)),
        one(long("tmp/../", &outside)),
        one(long("./", "tmp")),
        one("x".repeat(4095)),
    ];
    let mut tally = crate::escape::tally::Tally::default();
    for links in &attacks {
        let attack = s.attack(&chained(links)?)?;
        if let Some(verdict) = tally.count(s, &attack)? {
            return Ok(verdict);
        }
    }
    Ok(tally.verdict())
}

fn a_destination_that_climbs_stays_inside(s: &Scene) -> Result<Verdict> {
    let outside = s.outside.path("empty").to_string_lossy().into_owned();
    let at = |destination: &str| -> Result<Bundle> {
        let mut bundle = s.scripted("cat /proc/self/mountinfo")?;
        bundle.bind(&volume(s, "volume")?, destination, &["bind"]);
        Ok(bundle)
    };
    let twin = s.twin(&at("/data/made")?)?;
    ensure!(twin.stdout.contains("/data/made"), "the twin's mount is nowhere: {twin}");
    let mut tally = crate::escape::tally::Tally::default();
    let climb = format!("../../../../../../../..{outside}/made");
    for destination in
        [climb.clone(), format!("/{climb}"), format!("/tmp/{climb}"), "/..".to_owned(), "/tmp/..".to_owned()]
    {
        let attack = s.attack(&at(&destination)?)?;
        if let Some(verdict) = tally.count(s, &attack)? {
            return Ok(verdict);
        }
    }
    Ok(tally.verdict())
}
