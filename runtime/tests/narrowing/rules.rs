//! Whatever the configuration, the level and the policy: rules take away or refuse, and never give.

use crate::configs::{CONFIGS, config};
use crate::facts;
use casemate::plan::grants::{Grants, grants};
use casemate::plan::{self, Confinement, CreateRequest, ExecRequest, Facts};
use casemate::policy::{self, Effect, Enforcement, Level, Mode, Rule, Said, SeccompChoice, Verdict, judge};
use casemate::spec::{Process, Spec};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use std::fmt;

fn said<T>(value: T) -> Said<T> {
    Said { value, origin: "policy.toml:1".into() }
}

/// Rules that refuse are mostly off, or there would be little left to look at.
fn mode(rule: Rule) -> BoxedStrategy<Option<Mode>> {
    let any = select(Mode::ALL.to_vec()).prop_map(Some);
    match rule.effect() {
        Effect::Refuse => prop_oneof![12 => Just(Some(Mode::Off)), 1 => any, 1 => Just(None)].boxed(),
        Effect::Narrow => prop_oneof![3 => Just(None), 2 => Just(Some(Mode::Enforce)), 1 => any].boxed(),
    }
}

/// What a policy says, in few words.
#[derive(Clone)]
struct Policy {
    level: Level,
    modes: Vec<(Rule, Mode)>,
    overlay: Vec<&'static str>,
    family: Option<&'static str>,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let modes: Vec<String> = self.modes.iter().map(|(rule, mode)| format!("{rule}={}", mode.word())).collect();
        write!(f, "{} {} overlay {:?} family {:?}", self.level, modes.join(" "), self.overlay, self.family)
    }
}

impl Policy {
    fn enforcement(&self) -> Enforcement {
        let mut enforcement = Enforcement::new(self.level, "test");
        enforcement.modes = self.modes.iter().map(|(rule, mode)| (*rule, said(*mode))).collect();
        enforcement.overlay_allow = self.overlay.iter().map(|token| (token.to_string(), said(()))).collect();
        enforcement.seccomp = self.family.map(|name| said(SeccompChoice::Family(name.to_string())));
        enforcement
    }
}

fn policy() -> impl Strategy<Value = Policy> {
    let modes: Vec<BoxedStrategy<(Rule, Option<Mode>)>> =
        Rule::ALL.iter().map(|rule| mode(*rule).prop_map(move |mode| (*rule, mode)).boxed()).collect();
    let modes = modes.prop_map(|modes| modes.into_iter().filter_map(|(rule, mode)| Some((rule, mode?))).collect());
    let overlay = subsequence(vec!["nested", "perf", "io-uring"], 0..3);
    let family = select(vec![None, Some("default"), Some("minimal"), Some("nested")]);
    (select(Level::ALL.to_vec()), modes, overlay, family).prop_map(|(level, modes, overlay, family)| Policy {
        level,
        modes,
        overlay,
        family,
    })
}

/// A host, in few words.
#[derive(Clone, Copy, Debug)]
struct Host {
    unified: bool,
    selinux: bool,
    apparmor: bool,
    landlock_abi: u32,
    thermal_cpus: u32,
}

impl Host {
    fn facts(self) -> Facts {
        let Host { unified, selinux, apparmor, landlock_abi, thermal_cpus } = self;
        let facts = if unified { facts::unified() } else { facts::hybrid() };
        Facts { selinux, apparmor, landlock_abi, thermal_cpus, ..facts }
    }
}

fn host() -> impl Strategy<Value = Host> {
    (any::<bool>(), any::<bool>(), any::<bool>(), select(vec![0, 7]), 0..3_u32).prop_map(
        |(unified, selinux, apparmor, landlock_abi, thermal_cpus)| Host {
            unified,
            selinux,
            apparmor,
            landlock_abi,
            thermal_cpus,
        },
    )
}

/// Whether the filters of policy are compiled and compared: they are few, and take a hundred times as long as the rest.
type Filters = bool;

fn planned(spec: &Spec, confinement: &Confinement, facts: &Facts, filters: Filters) -> casemate::error::Result<Grants> {
    let mut confinement = confinement.clone();
    confinement.seccomp.retain(|_| filters);
    let request = CreateRequest { confinement, ..facts::request() };
    plan::create(spec, &request, facts).map(|plan| grants(&plan))
}

fn spec(document: &serde_json::Value) -> Option<Spec> {
    Spec::parse(document.to_string().as_bytes()).ok()
}

fn sometimes() -> impl Strategy<Value = Filters> {
    prop::bool::weighted(0.02)
}

fn rules(verdict: &Verdict) -> String {
    let changes =
        verdict.changes.iter().map(|c| format!("  {} {}: {:?} -> {:?}", c.rule, c.pointer, c.before, c.after));
    changes.collect::<Vec<_>>().join("\n")
}

/// Why a narrowed configuration may be refused that was not before: loudly, and not those that engines write.
const BREAKS: [&str; 1] = [
    // Rules for all devices without mknod, and then one that takes something back.
    "which cgroup v1 cannot express",
];

/// What a verdict makes of a configuration gives no more, and can be planned where the configuration could.
fn narrows(spec: &Spec, enforcement: &Enforcement, facts: &Facts, filters: Filters) -> Result<(), String> {
    let Ok(before) = planned(spec, &Confinement::default(), facts, filters) else { return Ok(()) };
    let verdict = judge::create(spec, enforcement, facts);
    if !verdict.refusals.is_empty() {
        return Ok(());
    }
    let after = match planned(&verdict.spec, &verdict.confinement, facts, filters) {
        Ok(after) => after,
        Err(error) if BREAKS.iter().any(|words| error.to_string().contains(words)) => return Ok(()),
        Err(error) => return Err(format!("no plan any more: {error}\n{}", rules(&verdict))),
    };
    after.within(&before).map_err(|excess| format!("{}\n{}", excess.join("\n"), rules(&verdict)))?;
    if verdict.changes.is_empty() {
        before.within(&after).map_err(|excess| format!("changed without a word: {}", excess.join("\n")))?;
    }
    Ok(())
}

/// Rules whose effect is beside the configuration: a second verdict has them again.
fn is_beside(rule: Rule) -> bool {
    use Rule::{LandlockScope, SeccompOverlay, SeccompProfile, SeccompRestricted, UserNamespaces};
    matches!(rule, LandlockScope | SeccompOverlay | SeccompProfile | SeccompRestricted | UserNamespaces)
}

/// All rules in one mode.
fn all(mode: Mode, level: Level) -> Enforcement {
    let mut enforcement = Enforcement::new(level, "test");
    enforcement.modes = Rule::ALL.iter().map(|rule| (*rule, said(mode))).collect();
    enforcement
}

#[test]
fn each_rule_alone_narrows_the_configurations_of_engines() {
    let mut wrong = Vec::new();
    for rule in Rule::ALL {
        let mut alone = all(Mode::Off, Level::Restricted);
        alone.modes.insert(*rule, said(Mode::Enforce));
        for (name, document) in CONFIGS.iter() {
            for (facts, filters) in [(facts::hybrid(), false), (facts::unified(), ONE_EACH.contains(&name.as_str()))] {
                if let Err(excess) = narrows(&spec(document).unwrap(), &alone, &facts, filters) {
                    wrong.push(format!("{rule} on {name}: {excess}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One of each engine.
const ONE_EACH: [&str; 4] =
    ["containerd-2.3-cri-17-joined-ns", "crio-1.37-02-joined-ns", "docker-20.10-01", "podman-4.3-01"];

/// Checks the levels against each other, with all that refuses switched off.
fn levels(spec: &Spec, facts: &Facts, filters: Filters) -> Result<(), String> {
    let mut wider: Option<Grants> = None;
    for level in Level::ALL {
        let mut enforcement = Enforcement::new(level, "test");
        let refusing = Rule::ALL.iter().filter(|rule| rule.effect() == Effect::Refuse);
        enforcement.modes = refusing.map(|rule| (*rule, said(Mode::Off))).collect();
        let verdict = judge::create(spec, &enforcement, facts);
        if !verdict.refusals.is_empty() {
            return Err(format!("{level} refuses: {:?}", verdict.refusals));
        }
        let Ok(given) = planned(&verdict.spec, &verdict.confinement, facts, filters) else { return Ok(()) };
        match &wider {
            Some(wider) => given.within(wider).map_err(|e| format!("{level}: {e:?}\n{}", rules(&verdict)))?,
            None if verdict.spec != *spec || !verdict.changes.is_empty() => {
                return Err(format!("{level} changes: {}", rules(&verdict)));
            }
            None => {}
        }
        wider = Some(given);
    }
    Ok(())
}

/// With the profiles of the engines themselves.
#[test]
fn each_level_gives_no_more_than_the_one_before() {
    for (name, bytes) in facts::configs(&["exec-process", "update-resources"]) {
        let filters = ONE_EACH.contains(&name.as_str());
        if let Err(excess) = levels(&Spec::parse(&bytes).unwrap(), &facts::unified(), filters) {
            panic!("{name}: {excess}");
        }
    }
}

proptest! {
    // PROPTEST_CASES asks for more.
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(1000),
        max_shrink_iters: 4000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_not_refused_is_narrowed(config in config(), policy in policy(), host in host(), filters in sometimes()) {
        let Some(spec) = config.spec() else { return Ok(()) };
        let facts = host.facts();
        if let Err(excess) = narrows(&spec, &policy.enforcement(), &facts, filters) {
            prop_assert!(false, "{}", excess);
        }
    }

    #[test]
    fn each_rule_alone_narrows(config in config(), rule in select(Rule::ALL.to_vec()), host in host(), filters in sometimes()) {
        let Some(spec) = config.spec() else { return Ok(()) };
        let facts = host.facts();
        let mut alone = all(Mode::Off, Level::Restricted);
        alone.modes.insert(rule, said(Mode::Enforce));
        if let Err(excess) = narrows(&spec, &alone, &facts, filters) {
            prop_assert!(false, "{} {}", rule, excess);
        }
    }

    #[test]
    fn a_second_verdict_changes_nothing(config in config(), policy in policy(), host in host()) {
        let Some(spec) = config.spec() else { return Ok(()) };
        let facts = host.facts();
        let enforcement = policy.enforcement();
        let first = judge::create(&spec, &enforcement, &facts);
        if !first.refusals.is_empty() {
            return Ok(());
        }
        let second = judge::create(&first.spec, &enforcement, &facts);
        let again = second.changes.iter().filter(|change| !is_beside(change.rule)).count();
        prop_assert_eq!(again, 0, "{}", rules(&second));
        prop_assert!(second.refusals.is_empty(), "{:?}", second.refusals);
        prop_assert_eq!(&second.spec, &first.spec);
        prop_assert_eq!(&second.confinement.seccomp, &first.confinement.seccomp);
        prop_assert_eq!(second.confinement.scope_abstract_sockets, first.confinement.scope_abstract_sockets);
    }

    #[test]
    fn rules_that_are_not_enforced_change_nothing(
        config in config(), level in select(Level::ALL.to_vec()), host in host(),
        mode in select(vec![Mode::Off, Mode::Audit, Mode::Warn]),
    ) {
        let Some(spec) = config.spec() else { return Ok(()) };
        let facts = host.facts();
        let verdict = judge::create(&spec, &all(mode, level), &facts);
        prop_assert_eq!(&verdict.spec, &spec);
        prop_assert_eq!(&verdict.confinement, &Confinement::default());
        prop_assert!(verdict.changes.is_empty() && verdict.refusals.is_empty());
        prop_assert!(mode != Mode::Off || verdict.notes.is_empty(), "{:?}", verdict.notes);
    }

    #[test]
    fn each_level_gives_no_more_than_the_one_before_it(config in config(), host in host(), filters in sometimes()) {
        let Some(spec) = config.spec() else { return Ok(()) };
        let facts = host.facts();
        if let Err(excess) = levels(&spec, &facts, filters) {
            prop_assert!(false, "{}", excess);
        }
    }

    /// Whatever is asked for, one more process is confined as the first one is.
    #[test]
    fn one_more_process_gets_no_more_than_the_first(
        config in config(), other in any::<Index>(), asked in config(), host in host(), filters in sometimes(),
        level in select(vec![Level::Baseline, Level::Restricted]),
    ) {
        let (Some(spec), Some(asked)) = (config.spec(), asked.spec()) else { return Ok(()) };
        let facts = host.facts();
        let (Some(init), Some(mut process)) = (spec.process.clone(), asked.process) else { return Ok(()) };
        if other.index(2) == 0 {
            // As engines do: what the container was given, and a little of something else.
            process = Process { capabilities: init.capabilities, no_new_privileges: false, ..process };
        }
        let mut enforcement = Enforcement::new(level, "test");
        let refusing = Rule::ALL.iter().filter(|rule| rule.effect() == Effect::Refuse);
        enforcement.modes = refusing.map(|rule| (*rule, said(Mode::Off))).collect();
        let first = judge::create(&spec, &enforcement, &facts);
        let verdict = policy::exec(&spec, &process, &enforcement, &facts);
        prop_assert_eq!(&verdict.confinement, &first.confinement);
        let mut confinement = verdict.confinement;
        confinement.seccomp.retain(|_| filters);
        let request = ExecRequest {
            id: "c1".into(), process: verdict.process, extra_env: vec![], cgroup_tasks: vec![], confinement,
        };
        let Ok(init) = planned(&first.spec, &first.confinement, &facts, filters) else { return Ok(()) };
        let Ok(exec) = plan::exec(&verdict.spec, &request, &facts).map(|plan| grants(&plan)) else { return Ok(()) };
        // The rest of init's it has by joining the container; who it is, is the caller's to say.
        let more = Grants {
            capabilities: exec.capabilities,
            no_new_privileges: exec.no_new_privileges,
            filters: exec.filters,
            scoped: exec.scoped,
            ..init.clone()
        };
        let within = more.within(&init);
        prop_assert!(within.is_ok(), "{:?}", within);
    }
}
