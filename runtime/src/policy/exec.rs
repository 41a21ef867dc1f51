//! The floor of `exec`: a process that is added to a container is protected like its init, and gets no more.

use super::enforcement::{Enforcement, ExecMode};
use super::judge::{Judge, create as judge_create, switch_off};
use super::rule::Rule;
use super::verdict::{Change, Note, Refusal, Verdict};
use super::{capabilities, labels, process};
use crate::plan::{Confinement, Facts};
use crate::spec::{Capabilities, Process, Resources, Spec};

/// The outcome for one more process.
#[derive(Clone, Debug)]
pub struct ExecVerdict {
    /// The container's configuration after the rules: namespaces, filter.
    pub spec: Spec,
    /// The process as it may run.
    pub process: Process,
    /// What init has beyond its configuration.
    pub confinement: Confinement,
    /// What was taken from what was asked for.
    pub changes: Vec<Change>,
    /// What is refused.
    pub refusals: Vec<Refusal>,
    /// What else there is to say.
    pub notes: Vec<Note>,
}

/// Judges a process that is to be added to the container of `spec`, the configuration as the engine wrote it.
pub fn exec(spec: &Spec, asked: &Process, enforcement: &Enforcement, facts: &Facts) -> ExecVerdict {
    // A container without a process of its own has filters for those that are added.
    let mut whole = spec.clone();
    whole.process.get_or_insert_with(|| Process { capabilities: None, ..asked.clone() });
    let Verdict { spec: narrowed, confinement, .. } = judge_create(&whole, enforcement, facts);
    let given = spec.process.clone().unwrap_or_default();
    let init = narrowed.process.clone().unwrap_or_default();
    // The judge's configuration is that of the new process: the rules of processes hold for it as they stand.
    let with_asked = Spec { process: Some(asked.clone()), linux: narrowed.linux.clone(), ..Spec::default() };
    let mut judge = Judge::new(with_asked, enforcement, facts);
    mode(&mut judge, asked, &given);
    if judge.asks(Rule::ExecBeyondInit) {
        beyond(&mut judge, asked, &given);
    }
    process::root(&mut judge, asked, "/user/uid");
    labels::labels(&mut judge, asked);
    process::narrow(&mut judge, asked);
    floor(&mut judge, asked, &init);
    let Verdict { spec, changes, refusals, notes, .. } = judge.verdict();
    let process = spec.process.unwrap_or_default();
    ExecVerdict { spec: narrowed, process, confinement, changes, refusals, notes }
}

/// Judges limits that `update` is to set.
pub fn update(resources: &mut Resources, enforcement: &Enforcement, facts: &Facts) -> Verdict {
    let mut judge = Judge::new(Spec::default(), enforcement, facts);
    super::resources::update(&mut judge, resources);
    judge.verdict()
}

fn mode(judge: &mut Judge<'_>, asked: &Process, given: &Process) {
    let Some(said) = &judge.enforcement.exec else { return };
    let (cause, allow) = match &said.value {
        ExecMode::Allow => return,
        ExecMode::Deny => ("exec is denied in this container".to_string(), "`mode = \"allow\"` under [exec]"),
        ExecMode::Probes(probes) => {
            let known = probes.contains(&asked.args);
            // Shells, linkers and interpreters run what variables tell them to.
            let foreign = asked.env.iter().find(|entry| !given.env.contains(entry));
            let what = if !known {
                format!("{:?} is no probe", asked.args)
            } else if asked.terminal {
                "a probe with a terminal".to_string()
            } else if let Some(entry) = foreign {
                let name = entry.split('=').next().unwrap_or_default();
                format!("a probe with a variable that the container has not ({name})")
            } else if asked.cwd != given.cwd {
                format!("a probe in another directory ({})", asked.cwd)
            } else {
                return;
            };
            (format!("only probes may be added to this container: {what}"), "`probes` under [exec] lists what may")
        }
    };
    let allow = format!("{allow} ({})", said.origin);
    judge.refuse(Rule::ExecMode, "/args", cause, allow);
}

/// More than the container was asked for. What policy took from it may be asked for again, as engines do, and is taken
/// again.
fn beyond(judge: &mut Judge<'_>, asked: &Process, given: &Process) {
    let rule = Rule::ExecBeyondInit;
    let none = Capabilities::default();
    let had = capabilities::names(given.capabilities.as_ref().unwrap_or(&none), |_| true);
    let more = capabilities::names(asked.capabilities.as_ref().unwrap_or(&none), |name| {
        !had.iter().any(|known| known.eq_ignore_ascii_case(name))
    });
    if !more.is_empty() {
        let cause = if more.len() > 8 {
            format!(
                "the process asks for {} capabilities that the container was not given ({}, ...)",
                more.len(),
                more[0]
            )
        } else {
            format!("the process asks for {}, which the container was not given", more.join(" "))
        };
        let allow = format!("leave out --privileged and --cap, or {}", switch_off(rule));
        judge.refuse(rule, "/capabilities", cause, allow);
    }
    for (field, asked, given) in [
        ("selinuxLabel", &asked.selinux_label, &given.selinux_label),
        ("apparmorProfile", &asked.apparmor_profile, &given.apparmor_profile),
    ] {
        if asked != given && !asked.is_empty() {
            let cause = format!("the process asks for the {field} \"{asked}\", the container has \"{given}\"");
            judge.refuse(rule, &format!("/{field}"), cause, switch_off(rule));
        }
    }
}

/// Init's label for a process that names none: without one it would stay in casemate's own domain.
fn label(judge: &mut Judge<'_>, init: &Process) {
    let lacks = judge.process().is_some_and(|process| process.selinux_label.is_empty());
    if lacks
        && !init.selinux_label.is_empty()
        && judge.narrows(Rule::ExecFloor, "/selinuxLabel", "", &init.selinux_label)
        && let Some(process) = judge.process()
    {
        process.selinux_label.clone_from(&init.selinux_label);
    }
}

/// Each set within init's own.
fn floor(judge: &mut Judge<'_>, asked: &Process, init: &Process) {
    let rule = Rule::ExecFloor;
    if init.no_new_privileges
        && judge.process().is_some_and(|process| !process.no_new_privileges)
        && judge.narrows(rule, "/noNewPrivileges", "false", "true")
        && let Some(process) = judge.process()
    {
        process.no_new_privileges = true;
    }
    label(judge, init);
    let Some(mut sets) = asked.capabilities.clone() else { return };
    let mut limits = init.capabilities.clone().unwrap_or_default();
    let mut taken = Vec::new();
    for (set, limit) in capabilities::all_sets(&mut sets).into_iter().zip(capabilities::all_sets(&mut limits)) {
        set.retain(|name| {
            let kept = limit.iter().any(|known| known.eq_ignore_ascii_case(name));
            if !kept {
                taken.push(name.to_ascii_uppercase());
            }
            kept
        });
    }
    taken.sort_unstable();
    taken.dedup();
    if !taken.is_empty()
        && judge.narrows(rule, "/capabilities", &taken.join(" "), "")
        && let Some(process) = judge.process()
    {
        process.capabilities = Some(sets);
    }
}
