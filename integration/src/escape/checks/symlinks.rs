//! Links of an image in the way of what a runtime mounts: a destination is taken from the container's root, whatever
//! links lead there.

use crate::bundle::Bundle;
use crate::escape::check::Verdict;
use crate::escape::scene::Scene;
use crate::escape::tally::Tally;
use crate::holds;
use anyhow::{Result, ensure};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

crate::checks! {
    "CVE-2021-30465" a_destination_inside_of_a_volume_does_not_lead_out [Advisory("runc", "CVE-2021-30465")];
    "CVE-2019-18837" a_file_bound_over_a_link_does_not_reach_what_it_points_to [Advisory("crun", "CVE-2019-18837")];
    "CVE-2020-2026" a_directory_mounted_over_a_link_is_mounted_inside;
    "CVE-2024-0132" a_library_bound_below_a_link_of_the_image_is_bound_inside;
    "L3" long_and_circular_chains_of_links_are_refused_or_stay_inside;
    "L4" a_destination_that_climbs_stays_inside;
}

/// The ways a link leads to `target`, which is an absolute path of the host's: plainly, by climbing above the root,
/// through a directory of processes, and through a second link.
fn ways_to(target: &Path, bundle: &Bundle) -> Result<Vec<String>> {
    let plain = target.to_string_lossy().into_owned();
    symlink(&plain, bundle.rootfs().join("second"))?;
    Ok(vec![
        plain.clone(),
        format!("../../../../../../../../../..{plain}"),
        format!("/proc/1/root{plain}"),
        format!("/proc/self/root{plain}"),
        "/second".to_owned(),
    ])
}

/// Something of the host's to be bound: a directory with a file.
fn volume(s: &Scene) -> Result<PathBuf> {
    let dir = s.ground.dir.join("volume");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("file"), "of the volume\n")?;
    Ok(dir)
}

/// Tries one bundle for each way of linking to `target`. The mount that `prepare` adds must be nowhere, or at a place
/// inside that shows what was to be mounted; the tree outside is compared by the scene.
fn linked(s: &Scene, target: &Path, prepare: impl Fn(&mut Bundle, Option<&str>) -> Result<()>) -> Result<Verdict> {
    let mut twin = s.bundle()?;
    prepare(&mut twin, None)?;
    s.script(&mut twin, "cat /proc/self/mountinfo");
    let seen = s.twin(&twin)?;
    // The volume is on the suite's own tmpfs: its root field in mountinfo is its path below that.
    let root = format!("/{}/volume", s.ground.dir.file_name().unwrap_or_default().to_string_lossy());
    ensure!(seen.stdout.contains(&root), "the twin's mount is nowhere in it: {seen}");
    let mut tally = Tally::default();
    for n in 0..ways_to(target, &s.bundle()?)?.len() {
        let mut bundle = s.bundle()?;
        let way = ways_to(target, &bundle)?.swap_remove(n);
        prepare(&mut bundle, Some(&way))?;
        let before = s.outside.entries()?;
        s.script(&mut bundle, &format!("cat /proc/self/mountinfo; cat {0}/file {0}", target.display()));
        let attack = s.attack(&bundle)?;
        holds!(before == s.outside.entries()?, "by {way}: what is outside has changed");
        if let Some(verdict) = tally.count(s, &attack)? {
            return Ok(verdict);
        }
        holds!(!s.shows_outside(&attack.output), "by {way}: what is outside can be read: {}", attack.output);
        let there = attack.output.stdout.contains(&root);
        holds!(!attack.ran || there, "by {way}: it ran, and the mount is nowhere in it: {}", attack.output);
    }
    Ok(tally.verdict())
}

fn a_destination_inside_of_a_volume_does_not_lead_out(s: &Scene) -> Result<Verdict> {
    let empty = s.outside.path("empty");
    linked(s, &empty, |bundle, way| {
        // As two containers of a pod share one: the first has put a link into it.
        let shared = bundle.dir.join("shared");
        std::fs::create_dir(&shared)?;
        match way {
            Some(way) => symlink(way, shared.join("a"))?,
            None => std::fs::create_dir(shared.join("a"))?,
        }
        bundle.bind(&shared, "/shared", &["bind"]).bind(&volume(s)?, "/shared/a/made", &["bind"]);
        Ok(())
    })
}

fn a_file_bound_over_a_link_does_not_reach_what_it_points_to(s: &Scene) -> Result<Verdict> {
    let file = s.outside.path("file");
    linked(s, &file, |bundle, way| {
        let place = bundle.rootfs().join("place");
        match way {
            Some(way) => symlink(way, place)?,
            None => std::fs::write(place, "")?,
        }
        bundle.bind(&volume(s)?.join("file"), "/place", &["bind"]);
        Ok(())
    })
}

fn a_directory_mounted_over_a_link_is_mounted_inside(s: &Scene) -> Result<Verdict> {
    let dir = s.outside.path("dir");
    linked(s, &dir, |bundle, way| {
        let place = bundle.rootfs().join("place");
        match way {
            Some(way) => symlink(way, place)?,
            None => std::fs::create_dir(place)?,
        }
        bundle.bind(&volume(s)?, "/place", &["bind", "ro"]);
        Ok(())
    })
}

fn a_library_bound_below_a_link_of_the_image_is_bound_inside(s: &Scene) -> Result<Verdict> {
    let dir = s.outside.path("dir");
    linked(s, &dir, |bundle, way| {
        let libraries = bundle.rootfs().join("usr/lib");
        std::fs::create_dir_all(bundle.rootfs().join("usr"))?;
        match way {
            Some(way) => symlink(way, libraries)?,
            None => std::fs::create_dir(libraries)?,
        }
        // One that is outside already, and one that would be made there.
        for name in ["file", "libdevice.so.1"] {
            bundle.bind(&volume(s)?.join("file"), &format!("/usr/lib/{name}"), &["bind", "ro"]);
        }
        Ok(())
    })
}

fn long_and_circular_chains_of_links_are_refused_or_stay_inside(s: &Scene) -> Result<Verdict> {
    let outside = s.outside.path("empty").to_string_lossy().into_owned();
    let chained = |links: &[(String, String)]| -> Result<Bundle> {
        let mut bundle = s.scripted("true")?;
        for (name, target) in links {
            symlink(target, bundle.rootfs().join(name))?;
        }
        bundle.bind(&volume(s)?, "/link0/made", &["bind"]);
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
    let mut tally = Tally::default();
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
        bundle.bind(&volume(s)?, destination, &["bind"]);
        Ok(bundle)
    };
    let twin = s.twin(&at("/data/made")?)?;
    ensure!(twin.stdout.contains("/data/made"), "the twin's mount is nowhere: {twin}");
    let mut tally = Tally::default();
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
