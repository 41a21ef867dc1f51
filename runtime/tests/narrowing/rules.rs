//! Whatever the configuration, the level and the policy: rules take away or refuse, and never give.

use crate::configs::{CONFIGS, config};
use crate::facts;
use casemate::plan::grants::{Grants, grants};
use casemate::plan::{self, Confinement, CreateRequest, ExecRequest, Facts};
use casemate::policy::{self, Effect, Enforcement, Level, Mode, Rule, Said, SeccompChoice, Verdict, judge};
use casemate::spec::{Process, Spec};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

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

fn enforcement() -> impl Strategy<Value = Enforcement> {
    let modes: Vec<BoxedStrategy<(Rule, Option<Mode>)>> =
        Rule::ALL.iter().map(|rule| mode(*rule).prop_map(move |mode| (*rule, mode)).boxed()).collect();
    let overlay = subsequence(vec!["nested", "perf", "io_uring"], 0..3);
    let family = select(vec![None, Some("default"), Some("minimal"), Some("nested")]);
    (select(Level::ALL.to_vec()), modes, overlay, family).prop_map(|(level, modes, overlay, family)| {
        let mut enforcement = Enforcement::new(level, "test");
        enforcement.modes = modes.into_iter().filter_map(|(rule, mode)| Some((rule, said(mode?)))).collect();
        enforcement.overlay_allow = overlay.into_iter().map(|token| (token.to_string(), said(()))).collect();
        enforcement.seccomp = family.map(|name| said(SeccompChoice::Family(name.to_string())));
        enforcement
    })
}

fn host() -> impl Strategy<Value = Facts> {
    let layout = select(vec![facts::hybrid(), facts::unified()]);
    (layout, any::<bool>(), any::<bool>(), select(vec![0, 7]), 0..3_u32).prop_map(
        |(facts, selinux, apparmor, landlock_abi, thermal_cpus)| Facts {
            selinux,
            apparmor,
            landlock_abi,
            thermal_cpus,
            ..facts
        },
    )
}

fn planned(spec: &Spec, confinement: &Confinement, facts: &Facts) -> casemate::error::Result<Grants> {
    let request = CreateRequest { confinement: confinement.clone(), ..facts::request() };
    plan::create(spec, &request, facts).map(|plan| grants(&plan))
}

fn spec(document: &serde_json::Value) -> Option<Spec> {
    Spec::parse(document.to_string().as_bytes()).ok()
}

fn rules(verdict: &Verdict) -> String {
    let changes =
        verdict.changes.iter().map(|c| format!("  {} {}: {:?} -> {:?}", c.rule, c.pointer, c.before, c.after));
    changes.collect::<Vec<_>>().join("\n")
}

/// What a verdict makes of a configuration gives no more, and can be planned where the configuration could.
fn narrows(spec: &Spec, enforcement: &Enforcement, facts: &Facts) -> Result<(), String> {
    let Ok(before) = planned(spec, &Confinement::default(), facts) else { return Ok(()) };
    let verdict = judge::create(spec, enforcement, facts);
    if !verdict.refusals.is_empty() {
        return Ok(());
    }
    let after = planned(&verdict.spec, &verdict.confinement, facts)
        .map_err(|error| format!("no plan any more: {error}\n{}", rules(&verdict)))?;
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
            for facts in [facts::hybrid(), facts::unified()] {
                if let Err(excess) = narrows(&spec(document).unwrap(), &alone, &facts) {
                    wrong.push(format!("{rule} on {name}: {excess}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_level_gives_no_more_than_the_one_before() {
    for (name, document) in CONFIGS.iter() {
        let spec = spec(document).unwrap();
        for facts in [facts::hybrid(), facts::unified()] {
            let mut wider = None;
            for level in Level::ALL {
                let mut enforcement = Enforcement::new(level, "test");
                let refusing = Rule::ALL.iter().filter(|rule| rule.effect() == Effect::Refuse);
                enforcement.modes = refusing.map(|rule| (*rule, said(Mode::Off))).collect();
                let verdict = judge::create(&spec, &enforcement, &facts);
                let Ok(given) = planned(&verdict.spec, &verdict.confinement, &facts) else { continue };
                if let Some(wider) = &wider {
                    given.within(wider).unwrap_or_else(|e| panic!("{name} at {level}: {e:?}"));
                } else {
                    assert_eq!((&verdict.spec, verdict.changes.len()), (&spec, 0), "{name}");
                }
                wider = Some(given);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_not_refused_is_narrowed(document in config(), enforcement in enforcement(), facts in host()) {
        let Some(spec) = spec(&document) else { return Ok(()) };
        if let Err(excess) = narrows(&spec, &enforcement, &facts) {
            prop_assert!(false, "{}", excess);
        }
    }

    #[test]
    fn each_rule_alone_narrows(document in config(), rule in select(Rule::ALL.to_vec()), facts in host()) {
        let Some(spec) = spec(&document) else { return Ok(()) };
        let mut alone = all(Mode::Off, Level::Restricted);
        alone.modes.insert(rule, said(Mode::Enforce));
        if let Err(excess) = narrows(&spec, &alone, &facts) {
            prop_assert!(false, "{} {}", rule, excess);
        }
    }

    #[test]
    fn a_second_verdict_changes_nothing(document in config(), enforcement in enforcement(), facts in host()) {
        let Some(spec) = spec(&document) else { return Ok(()) };
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
        document in config(), level in select(Level::ALL.to_vec()), facts in host(),
        mode in select(vec![Mode::Off, Mode::Audit, Mode::Warn]),
    ) {
        let Some(spec) = spec(&document) else { return Ok(()) };
        let verdict = judge::create(&spec, &all(mode, level), &facts);
        prop_assert_eq!(&verdict.spec, &spec);
        prop_assert_eq!(&verdict.confinement, &Confinement::default());
        prop_assert!(verdict.changes.is_empty() && verdict.refusals.is_empty());
        prop_assert!(mode != Mode::Off || verdict.notes.is_empty(), "{:?}", verdict.notes);
    }

    #[test]
    fn each_level_gives_no_more_than_the_one_before_it(document in config(), facts in host()) {
        let Some(spec) = spec(&document) else { return Ok(()) };
        let mut wider: Option<Grants> = None;
        for level in Level::ALL {
            let mut enforcement = Enforcement::new(level, "test");
            let refusing = Rule::ALL.iter().filter(|rule| rule.effect() == Effect::Refuse);
            enforcement.modes = refusing.map(|rule| (*rule, said(Mode::Off))).collect();
            let verdict = judge::create(&spec, &enforcement, &facts);
            prop_assert!(verdict.refusals.is_empty());
            let Ok(given) = planned(&verdict.spec, &verdict.confinement, &facts) else { break };
            if let Some(wider) = &wider {
                let within = given.within(wider);
                prop_assert!(within.is_ok(), "{}: {:?}\n{}", level, within, rules(&verdict));
            }
            wider = Some(given);
        }
    }

    /// Whatever is asked for, one more process is confined as the first one is.
    #[test]
    fn one_more_process_gets_no_more_than_the_first(
        document in config(), other in any::<Index>(), asked in config(), facts in host(),
        level in select(vec![Level::Baseline, Level::Restricted]),
    ) {
        let (Some(spec), Some(asked)) = (spec(&document), spec(&asked)) else { return Ok(()) };
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
        let request = ExecRequest {
            id: "c1".into(), process: verdict.process, extra_env: vec![], cgroup_tasks: vec![], confinement: verdict.confinement,
        };
        let Ok(init) = planned(&first.spec, &first.confinement, &facts) else { return Ok(()) };
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
