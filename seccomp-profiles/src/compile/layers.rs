//! Several profiles and the overlay as one: what a call gets when all of them are asked and the strictest wins.

use super::decide::{BAD_ARCH, Decided, Verdict, decide};
use super::{CompileError, Filter, check, finish, flag, intersect::intersect};
use crate::bpf::{Action, SeccompData};
use crate::overlay::Overlay;
use crate::profile::Profile;
use crate::syscalls::{Arch, Width};

/// Something that a container is confined by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// A profile in the specification's words.
    Profile(Profile),
    /// The deny list below every profile.
    Overlay(Overlay),
}

/// What layers say together to each call; [`Decisions::filter`] makes a program of it.
#[derive(Clone, Debug)]
pub struct Decisions {
    decided: Decided,
    archs: Vec<Arch>,
    flags: u32,
    notify: Option<(String, String)>,
    warnings: Vec<String>,
}

impl Decisions {
    /// Decides as the kernel does when a filter of each layer is loaded, the first one first: the strictest action wins,
    /// and of equal ones the errno of the layer that comes last.
    ///
    /// The flags are those that narrow in any layer (LOG, WAIT_KILLABLE_RECV) and those that widen only if all profiles
    /// have them (SPEC_ALLOW).
    ///
    /// # Errors
    /// No layer at all; the problems of a profile, see [`crate::compile()`]; two profiles that notify.
    pub fn of(layers: &[Layer], native: Arch) -> Result<Decisions, CompileError> {
        let mut joined: Option<Decisions> = None;
        for layer in layers {
            let next = match layer {
                Layer::Profile(profile) => Decisions::of_profile(profile, native)?,
                Layer::Overlay(overlay) => Decisions::of_overlay(overlay, native),
            };
            joined = Some(match joined {
                None => next,
                Some(first) => first.and(next)?,
            });
        }
        joined.ok_or_else(|| problem("no profile is given: name at least one"))
    }

    /// What one profile says.
    ///
    /// # Errors
    /// The problems of the profile, see [`crate::compile()`].
    pub fn of_profile(profile: &Profile, native: Arch) -> Result<Decisions, CompileError> {
        let checked = check::check(profile, native)?;
        let decided = decide(&checked)?;
        let notify = checked.notify.then(|| (profile.listener_path.clone(), profile.listener_metadata.clone()));
        Ok(Decisions { decided, archs: checked.archs, flags: checked.flags, notify, warnings: checked.warnings })
    }

    /// What the overlay says.
    #[must_use]
    pub fn of_overlay(overlay: &Overlay, native: Arch) -> Decisions {
        let (decided, archs) = overlay.decided(native);
        Decisions { decided, archs, flags: flag::SPEC_ALLOW, notify: None, warnings: Vec::new() }
    }

    /// What these and a layer that is loaded after them say together, see [`Decisions::of`].
    ///
    /// # Errors
    /// Both notify.
    pub fn and(self, later: Decisions) -> Result<Decisions, CompileError> {
        let notify = match (self.notify, later.notify) {
            (Some(_), Some(_)) => return Err(problem("two profiles notify: a process has one listener")),
            (one, other) => one.or(other),
        };
        let narrowing = (self.flags | later.flags) & !flag::SPEC_ALLOW;
        let mut warnings = self.warnings;
        warnings.extend(later.warnings);
        Ok(Decisions {
            decided: intersect(&self.decided, &later.decided),
            archs: later.archs.into_iter().filter(|arch| self.archs.contains(arch)).collect(),
            flags: narrowing | (self.flags & later.flags & flag::SPEC_ALLOW),
            notify,
            warnings,
        })
    }

    /// The program that says the same.
    ///
    /// # Errors
    /// More than 4096 instructions.
    pub fn filter(&self) -> Result<Filter, CompileError> {
        let (listener_path, listener_metadata) = self.notify.clone().unwrap_or_default();
        finish(
            &self.decided,
            self.flags,
            self.notify.is_some(),
            listener_path,
            listener_metadata,
            self.warnings.clone(),
        )
    }

    /// What happens to a call.
    #[must_use]
    pub fn answer(&self, data: &SeccompData) -> Action {
        // Conditions are cut to the width of their ABI already.
        let verdict = self.decided.verdict(data.arch, data.nr);
        verdict.map_or(BAD_ARCH, |verdict| verdict.answer(&data.args, Width::Full64).0)
    }

    /// The ABIs that are served.
    #[must_use]
    pub fn archs(&self) -> &[Arch] {
        &self.archs
    }

    /// What is left out of the profiles, one sentence each.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub(crate) fn verdict(&self, arch: Arch, number: u32) -> Option<&Verdict> {
        self.archs.contains(&arch).then(|| self.decided.verdict(arch.audit(), number)).flatten()
    }
}

fn problem(text: &str) -> CompileError {
    CompileError { problems: vec![text.to_owned()] }
}

/// Compiles layers to one filter; see [`Decisions::of`].
///
/// # Errors
/// As [`Decisions::of`] and [`Decisions::filter`].
pub fn compile_layers(layers: &[Layer], native: Arch) -> Result<Filter, CompileError> {
    Decisions::of(layers, native)?.filter()
}
