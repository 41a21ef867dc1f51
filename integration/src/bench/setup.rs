//! The bundles of one contender: the same for all but for the path of the cgroups.

use crate::bundle::{Bundle, capabilities};
use anyhow::Result;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// How many containers start at the same time in [`Row::Parallel`](super::row::Row).
pub const PARALLEL: usize = 50;

/// Bundles without and with the profile, with a program that ends at once and with one that sleeps.
pub struct Setup {
    pub plain: Bundle,
    pub filtered: Bundle,
    plain_sleeping: Bundle,
    filtered_sleeping: Bundle,
    /// For containers that start at the same time.
    pub parallel: Vec<Bundle>,
    dir: PathBuf,
    cgroup: String,
}

impl Setup {
    /// Writes them below `dir`; `cgroup` is the parent of their cgroups.
    pub fn new(dir: &Path, cgroup: &str, level: Option<&str>, profile: &Value) -> Result<Self> {
        let mut plain = Bundle::new(dir.join("plain"), &format!("{cgroup}/plain"))?;
        // Not in every runtime's v1 code: the mount of the cgroups and the ones that need it are not what is measured.
        let rootfs = json!(plain.rootfs());
        plain.unmount("/sys/fs/cgroup").set("/root/path", rootfs);
        if level == Some("restricted") {
            plain.set("/process/user", json!({"uid": 1000, "gid": 1000}));
            plain.set("/process/capabilities", capabilities(&["CAP_NET_BIND_SERVICE"]));
        }
        let also = |name: &str, change: &dyn Fn(&mut Bundle)| -> Result<Bundle> {
            let mut bundle = Bundle { dir: dir.join(name), spec: plain.spec.clone() };
            change(bundle.set("/linux/cgroupsPath", json!(format!("{cgroup}/{name}"))));
            std::fs::create_dir(&bundle.dir)?;
            bundle.write()?;
            Ok(bundle)
        };
        let filter = |bundle: &mut Bundle| {
            bundle.set("/linux/seccomp", profile.clone());
        };
        let sleep = |bundle: &mut Bundle| {
            bundle.args(&["/bin/sleep", "100000"]);
        };
        let filtered = also("filtered", &filter)?;
        let plain_sleeping = also("sleeping", &sleep)?;
        let filtered_sleeping = also("filtered-sleeping", &|bundle| {
            filter(bundle);
            sleep(bundle);
        })?;
        let parallel = (0..PARALLEL).map(|n| also(&format!("parallel{n}"), &|_| {})).collect::<Result<_>>()?;
        plain.write()?;
        let (dir, cgroup) = (dir.to_owned(), cgroup.to_owned());
        Ok(Self { plain, filtered, plain_sleeping, filtered_sleeping, parallel, dir, cgroup })
    }

    /// The bundle with a program that ends at once.
    pub fn ending(&self, filtered: bool) -> &Bundle {
        if filtered { &self.filtered } else { &self.plain }
    }

    /// The bundle with a program that sleeps.
    pub fn sleeping(&self, filtered: bool) -> &Bundle {
        if filtered { &self.filtered_sleeping } else { &self.plain_sleeping }
    }

    /// A bundle that nobody uses yet, for one of many containers that are only there to be listed.
    pub fn listed(&self, n: usize) -> Result<Bundle> {
        let mut bundle = Bundle { dir: self.dir.join(format!("listed{n}")), spec: self.plain_sleeping.spec.clone() };
        bundle.set("/linux/cgroupsPath", json!(format!("{}/listed{n}", self.cgroup)));
        std::fs::create_dir_all(&bundle.dir)?;
        bundle.write()?;
        Ok(bundle)
    }
}
