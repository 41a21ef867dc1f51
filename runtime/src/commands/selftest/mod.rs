//! `selftest`: whether what is promised is effective on this host.
//!
//! It makes micro-containers, whose process is this program itself ([`probe`]), by calling this program as engines do, in
//! a place that only this process sees ([`ground`]). The configuration confines nothing ([`bundle`]), so that what holds is
//! casemate's doing; the probe tries what must not work, and the rest is read from the kernel, from outside ([`view`]).
//! Everything is seen twice, the second time in a control: the same container at level privileged, where the attempt must
//! succeed. Without that a pass would mean nothing ([`checks`]). Some containers must not be made at all ([`refusals`]).
//!
//! The policy file of the host is hidden from these containers: what is tested is the levels as they are built in.

mod bundle;
mod checks;
mod ground;
pub mod probe;
mod refusals;
mod show;
mod view;

use crate::cli::ReportFormat;
use crate::commands::doctor::Colour;
use crate::error::{Call as _, Error, Kind, Result};
use crate::policy::{Level, Rule};
use crate::spec::Spec;
use checks::{CHECKS, Check, Look, Scene, Seen, Status, answer, judge};
use ground::{Ended, Ground, at};
use refusals::{REFUSALS, Refusal};
use serde::Serialize;
use std::io::Write;
use view::View;

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The level that was tested.
    pub level: Level,
    /// The heading.
    pub group: &'static str,
    /// The rule; nothing for what holds at every level.
    pub rule: Option<Rule>,
    /// What was to hold.
    pub what: &'static str,
    /// The outcome.
    pub status: Status,
    /// What was seen, and in the control.
    pub seen: String,
}

/// A container at the level that is tested, and its control.
struct Pair {
    tested: Result<View>,
    control: Result<View>,
}

/// The containers of one level.
struct Scenes {
    careless: Pair,
    profile: Pair,
    exec: Pair,
    devices: Result<View>,
    host: Result<View>,
}

/// Prints the report; answers whether nothing failed.
///
/// # Errors
/// The caller is not root; the place cannot be made or cleared; it was interrupted; the output cannot be written.
pub fn run(level: Option<Level>, format: ReportFormat, colour: Colour, out: &mut impl Write) -> Result<bool> {
    let ground = Ground::new()?;
    let levels = level.map_or_else(|| vec![Level::Baseline, Level::Restricted], |level| vec![level]);
    let mut findings = Vec::new();
    let tested = levels.iter().try_for_each(|level| test(&ground, *level, &mut findings));
    // In any case; and what was tested first is the first to be told.
    let cleared = ground.clear();
    tested.and(cleared)?;
    let text = match format {
        ReportFormat::Text => show::text(&findings, &ground.facts, colour),
        ReportFormat::Json => show::json(&findings, &ground.facts)?,
    };
    super::print(out, &text)?;
    Ok(findings.iter().all(|finding| finding.status != Status::Fail))
}

/// One level: its containers, what is seen of them, and what is refused.
fn test(ground: &Ground, level: Level, findings: &mut Vec<Finding>) -> Result<()> {
    let uid = if level == Level::Restricted { probe::USER } else { 0 };
    // As in a pod: the network belongs to a container that is not the one that is looked at.
    let sandbox = ground.run(Level::Privileged, ground.careless(0, "", "listen"));
    let sandbox = sandbox.map_err(|error| error.context("the first container, at level privileged"))?;
    let network = format!("/proc/{}/ns/net", sandbox.pid());
    let careless = || ground.careless(uid, &network, "attempts");
    let scenes = Scenes::new(ground, level, &careless)?;
    for check in CHECKS.iter().filter(|check| check.from <= level) {
        let (status, seen) = scenes.outcome(check, ground);
        let Check { group, rule, what, .. } = *check;
        findings.push(Finding { level, group, rule, what, status, seen });
    }
    if level != Level::Privileged {
        findings.push(exec_beyond_init(ground, level, &scenes.profile)?);
    }
    for refusal in REFUSALS.iter().filter(|refusal| refusal.from <= level) {
        ground.check_signals()?;
        let (status, seen) = refused(ground, level, refusal, careless())?;
        let Refusal { rule, what, .. } = *refusal;
        findings.push(Finding { level, group: "refused", rule: Some(rule), what, status, seen });
    }
    drop((scenes, sandbox));
    ground.clear()
}

impl Scenes {
    fn new(ground: &Ground, level: Level, careless: &dyn Fn() -> Spec) -> Result<Scenes> {
        let without_profile = || {
            let mut spec = careless();
            spec.linux.iter_mut().for_each(|linux| linux.seccomp = None);
            spec
        };
        let changed = |change: fn(&mut Spec)| {
            let mut spec = careless();
            change(&mut spec);
            spec
        };
        let pair = |spec: &dyn Fn() -> Spec| {
            ground.check_signals()?;
            let control = ground.run(Level::Privileged, spec());
            ground.check_signals()?;
            Ok::<_, Error>(Pair { tested: ground.run(level, spec()), control })
        };
        let careless = pair(careless)?;
        let profile = pair(&without_profile)?;
        let exec = Pair {
            tested: added(ground, level, &profile.tested, without_profile()),
            control: added(ground, Level::Privileged, &profile.control, without_profile()),
        };
        let devices = ground.run(Level::Privileged, changed(refusals::all_devices));
        // Not started: it would find itself among the processes of the host.
        let (_, host) = ground.create(Level::Privileged, changed(refusals::host_namespaces));
        Ok(Scenes { careless, profile, exec, devices, host: host.and_then(View::created) })
    }

    /// What is tested, and its control.
    fn views(&self, scene: Scene) -> (&Result<View>, &Result<View>) {
        match scene {
            Scene::Careless => (&self.careless.tested, &self.careless.control),
            Scene::Profile => (&self.profile.tested, &self.profile.control),
            Scene::Exec => (&self.exec.tested, &self.exec.control),
            Scene::Devices => (&self.careless.tested, &self.devices),
            Scene::Host => (&self.careless.tested, &self.host),
        }
    }

    fn outcome(&self, check: &Check, ground: &Ground) -> (Status, String) {
        if let Some(lack) = check.rule.and_then(|rule| lack(rule, ground)) {
            return (Status::Unavailable, lack.to_owned());
        }
        let (tested, control) = self.views(check.scene);
        let tested = match tested {
            Ok(view) => view,
            Err(error) => return (Status::Fail, format!("no container to look at: {error}")),
        };
        let seen = |view: &View, is_control| match check.look {
            Look::Attempt(name) => answer(view, name, is_control),
            Look::Shown(look) => look(view),
            Look::Paths(look, paths) => look(view, paths),
            Look::Both(look) => look(view, ground).map(|(tested, control)| if is_control { control } else { tested }),
        };
        let tested_seen = match seen(tested, false) {
            Ok(seen) => seen,
            Err(error) => return (Status::Fail, error.to_string()),
        };
        let control_seen = match (check.look, control) {
            (Look::Both(_), _) => seen(tested, true),
            (_, Ok(view)) => seen(view, true),
            (_, Err(error)) => Err(error.clone()),
        };
        // A control that cannot be looked at shows nothing, so nothing is proven.
        judge(tested_seen, control_seen.unwrap_or_else(|error| Seen::Held(error.to_string())))
    }
}

/// What this host lacks for a rule.
fn lack(rule: Rule, ground: &Ground) -> Option<&'static str> {
    match rule {
        Rule::LandlockScope if ground.facts.landlock_abi < 6 => {
            Some("this kernel has no landlock scopes; Linux 6.12 has them")
        }
        Rule::SelinuxLabel | Rule::SelinuxType if !ground.facts.selinux => Some("SELinux is not enabled"),
        Rule::ApparmorProfile if !ground.facts.apparmor => Some("AppArmor is not enabled"),
        _ => None,
    }
}

/// A process that is added with a process.json that asks for no protection; it tells its status.
fn added(ground: &Ground, level: Level, container: &Result<View>, mut spec: Spec) -> Result<View> {
    let container = container.as_ref().map_err(Clone::clone)?;
    let path = at("process.json");
    if let Some(process) = &mut spec.process {
        process.args = vec![bundle::PROGRAM.into(), "selftest-probe".into(), "status".into(), ground.token.clone()];
    }
    std::fs::write(&path, super::spec::json(&spec.process)?).call("write", &path)?;
    let Ended { success, stdout, error } = ground.call(level, &["exec", "--process", &path, container.id()])?;
    match success {
        true => Ok(View::of_status(stdout)),
        false => Err(Error::new(Kind::Denied, error)),
    }
}

/// An exec that asks for what the container was never given.
fn exec_beyond_init(ground: &Ground, level: Level, pair: &Pair) -> Result<Finding> {
    let rule = Rule::ExecBeyondInit;
    let ask = |level, view: &Result<View>| match view {
        Ok(view) => {
            let program = [bundle::PROGRAM, "--version"];
            let args = ["exec", "--cap", "CAP_SYS_ADMIN", view.id()].into_iter().chain(program).collect::<Vec<_>>();
            ground.call(level, &args)
        }
        Err(error) => Ok(Ended { success: false, stdout: String::new(), error: error.to_string() }),
    };
    let (tested, control) = (ask(level, &pair.tested)?, ask(Level::Privileged, &pair.control)?);
    let (status, seen) = judge(by_rule(rule, tested.success, tested.error), granted(control.success, control.error));
    let what = "an exec with a capability that init does not have";
    Ok(Finding { level, group: "refused", rule: Some(rule), what, status, seen })
}

/// Whether it was refused, by this rule and by no accident.
fn by_rule(rule: Rule, success: bool, error: String) -> Seen {
    match (success, error.contains(&format!("[{rule}]"))) {
        (true, _) => Seen::Open("it was not refused".to_owned()),
        (false, true) => Seen::Held("refused".to_owned()),
        (false, false) => Seen::Open(format!("it failed for another reason: {error}")),
    }
}

fn granted(success: bool, error: String) -> Seen {
    if success { Seen::Open("not refused".to_owned()) } else { Seen::Held(error) }
}

/// A container that must not be made, and that leaves nothing behind when it is not.
fn refused(ground: &Ground, level: Level, refusal: &Refusal, mut spec: Spec) -> Result<(Status, String)> {
    if let Some(lack) = lack(refusal.rule, ground) {
        return Ok((Status::Unavailable, lack.to_owned()));
    }
    (refusal.change)(&mut spec);
    let (_, control) = ground.create(Level::Privileged, spec.clone());
    let control = match control {
        Ok(container) => ground.delete(&container.id).map(|()| granted(true, String::new()))?,
        Err(error) => granted(false, error.to_string()),
    };
    let (id, tested) = ground.create(level, spec);
    let tested = by_rule(refusal.rule, tested.is_ok(), tested.err().map(|error| error.to_string()).unwrap_or_default());
    let tested = match (tested, ground.remains(&id)?) {
        (Seen::Held(_), Some(left)) => Seen::Open(format!("refused, but {left} was left behind")),
        (Seen::Held(words), None) => Seen::Held(format!("{words}, nothing left behind")),
        (other, _) => other,
    };
    Ok(judge(tested, control))
}
