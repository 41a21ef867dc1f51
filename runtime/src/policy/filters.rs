//! Seccomp layers and Landlock: what is in force whatever the configuration says.

use super::enforcement::SeccompChoice;
use super::judge::Judge;
use super::rule::Rule;
use crate::plan::SeccompLayer;

const POINTER: &str = "/linux/seccomp";
/// The token of the overlay that lets namespaces, mounts and keyrings through.
const NESTED: &str = "nested";
/// Scopes are there since this version of Landlock's interface (Linux 6.12).
const LANDLOCK_SCOPES: u32 = 6;

pub(super) fn judge(judge: &mut Judge<'_>) {
    // Without a process there is nobody to filter.
    if judge.spec.process.is_none() {
        return;
    }
    overlay(judge);
    profile(judge);
    landlock(judge);
}

fn overlay(judge: &mut Judge<'_>) {
    let mut allow: Vec<String> = judge.enforcement.overlay_allow.keys().cloned().collect();
    if allow.iter().any(|token| token == NESTED)
        && judge.narrows(Rule::UserNamespaces, POINTER, "namespaces, mounts and keyrings inside", "")
    {
        allow.retain(|token| token != NESTED);
    }
    let after = match allow.as_slice() {
        [] => "the deny list below every profile".to_string(),
        tokens => format!("the deny list below every profile, without {}", tokens.join(" ")),
    };
    if judge.narrows(Rule::SeccompOverlay, POINTER, "", &after) {
        judge.confinement.seccomp.push(SeccompLayer::Overlay { allow });
    }
}

fn profile(judge: &mut Judge<'_>) {
    let given = judge.spec.linux.as_ref().is_some_and(|linux| linux.seccomp.is_some());
    let chosen = judge.enforcement.seccomp.as_ref().map(|said| &said.value);
    let (layer, name) = match chosen {
        None => (SeccompLayer::Family { name: "default".into() }, "the profile `default`".to_string()),
        Some(SeccompChoice::Family(name)) => {
            (SeccompLayer::Family { name: name.clone() }, format!("the profile `{name}`"))
        }
        Some(SeccompChoice::Profile { path, profile }) => {
            (SeccompLayer::Profile { name: path.clone(), profile: profile.clone() }, format!("the profile {path}"))
        }
    };
    if !given && judge.narrows(Rule::SeccompProfile, POINTER, "", &name) {
        judge.confinement.seccomp.push(layer);
    }
    let before = if given { "the given profile alone" } else { "" };
    if judge.narrows(Rule::SeccompRestricted, POINTER, before, "together with the profile `restricted`") {
        judge.confinement.seccomp.push(SeccompLayer::Family { name: "restricted".into() });
    }
}

/// Not the scope for signals: a process of `exec` is in a domain of its own, and could no longer signal the container's.
fn landlock(judge: &mut Judge<'_>) {
    if !judge.asks(Rule::LandlockScope) {
        return;
    }
    if judge.facts.landlock_abi < LANDLOCK_SCOPES {
        let what = "Landlock has no scopes here (Linux 6.12, and landlock among the enabled security modules)";
        judge.lacks(Rule::LandlockScope, what);
        return;
    }
    // Landlock takes no_new_privs, or CAP_SYS_ADMIN.
    if judge.process().is_some_and(|process| !process.no_new_privileges) {
        judge.lacks(Rule::LandlockScope, "Landlock needs no_new_privs, which the policy has switched off");
        return;
    }
    if judge.narrows(Rule::LandlockScope, "", "", "no abstract sockets outside") {
        judge.confinement.scope_abstract_sockets = true;
    }
}
