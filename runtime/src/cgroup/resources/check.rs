//! Finding out, without touching the host, that limits cannot be set on it.

use super::{CONTROLLERS, v1, v2};
use crate::cgroup::devices::{self, Rule};
use crate::cgroup::{Error, Layout, Version};
use crate::spec::Resources;

impl Layout {
    /// All that is wrong with limits on this host, found without touching it: controllers that are not
    /// there, values without meaning, device rules (as [`devices::effective`] gives them) that v1 cannot
    /// express. What depends on the container's usage or on its parent comes out only when applied.
    #[must_use]
    pub fn check(&self, resources: &Resources, device_rules: &[Rule]) -> Vec<Error> {
        let mut errors = Vec::new();
        for controller in CONTROLLERS {
            let Some(field) = controller.asked_by(resources) else { continue };
            let on = |version: Version| {
                self.controller(controller.name(version)).is_some_and(|hierarchy| hierarchy.version == version)
            };
            if on(Version::V1) {
                errors.extend(v1::writes(controller, resources).err());
            } else if on(Version::V2) {
                errors.extend(v2::writes(controller, resources).err());
            } else if !controller.asked_for_no_limit(resources) {
                errors.push(Error::NoController { controller: controller.name(Version::V2), field: field.to_owned() });
            }
        }
        for file in resources.unified.keys() {
            let available = match (self.unified(), check_unified(file)) {
                (_, Err(error)) => Err(error),
                (None, _) => Err(bad_unified(file, NO_UNIFIED)),
                (Some(_), Ok("cgroup")) => Ok(()),
                (Some(unified), Ok(controller)) if unified.controllers.iter().any(|c| c == controller) => Ok(()),
                (Some(_), Ok(controller)) => Err(bad_unified(file, &unavailable(controller))),
            };
            errors.extend(available.err());
        }
        if self.controller("devices").is_some() {
            errors.extend(devices::check_v1(device_rules).err());
        }
        errors
    }
}

pub(super) const NO_UNIFIED: &str = "cannot use unified on cgroup v1";

pub(super) fn unavailable(controller: &str) -> String {
    format!("can't be set: controller \"{controller}\" not available")
}

pub(super) fn bad_unified(file: &str, reason: &str) -> Error {
    Error::BadValue { field: format!("unified[\"{}\"]", file.escape_default()), reason: reason.to_owned() }
}

/// The controller of a file of `unified`, which must be a plain name and a limit.
pub(super) fn check_unified(file: &str) -> Result<&str, Error> {
    if file.is_empty() || file.contains(['/', '\0', '\n']) || file == "." || file == ".." {
        return Err(bad_unified(file, "is not the name of a file in a cgroup"));
    }
    if matches!(file, "cgroup.procs" | "cgroup.threads") {
        return Err(bad_unified(file, "moves processes and is no limit"));
    }
    Ok(file.split('.').next().unwrap_or_default())
}
