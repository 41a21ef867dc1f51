use super::*;
use crate::policy::enforcement::{Lacking, SeccompChoice};
use proptest::prelude::*;

const TODAY: Date = Date { year: 2026, month: 11, day: 22 };

fn document(text: &str) -> Document {
    let files = [("policy.toml".to_owned(), format!("version = 1\n{text}"))];
    Document::parse(&files, &mut |_| Err(Error::new(Kind::NotFound, "no profiles here"))).unwrap()
}

fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn caller(level: Option<Level>, called_as: Option<Level>) -> Caller {
    Caller { level, called_as }
}

const NOBODY: Caller = Caller { level: None, called_as: None };

/// What is chosen for a container in `/kubepods/burstable/pod1/c`.
fn chosen(caller: Caller, document: Option<&Document>, pairs: &[(&str, &str)]) -> Result<Choice> {
    let annotations = annotations(pairs);
    let subject =
        Subject { annotations: &annotations, cgroup: "/kubepods/burstable/pod1/c", rootfs: "/var/lib/engine/c/merged" };
    choose(&caller, document, &subject, TODAY)
}

fn level(caller: Caller, document: Option<&Document>, pairs: &[(&str, &str)]) -> (Level, String) {
    let Choice { enforcement, warnings } = chosen(caller, document, pairs).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    (enforcement.level, enforcement.chosen_by)
}

#[test]
fn the_caller_comes_before_the_file_and_the_file_before_the_default() {
    use Level::{Baseline, Privileged, Restricted};
    let said = |level, by: &str| (level, by.to_owned());
    let file = document("level = \"restricted\"");
    let empty = document("");
    assert_eq!(level(NOBODY, None, &[]), said(Baseline, "built-in default"));
    assert_eq!(level(NOBODY, Some(&empty), &[]), said(Baseline, "built-in default"));
    assert_eq!(level(NOBODY, Some(&file), &[]), said(Restricted, "policy.toml:2"));
    assert_eq!(level(caller(Some(Privileged), None), Some(&file), &[]), said(Privileged, "--level"));
    assert_eq!(level(caller(None, Some(Privileged)), None, &[]), said(Privileged, "the name casemate-privileged"));
}

#[test]
fn of_option_and_name_the_tighter_counts() {
    use Level::{Baseline, Privileged, Restricted};
    for (option, name, wanted, by) in [
        (Restricted, Baseline, Restricted, "--level"),
        (Privileged, Baseline, Baseline, "the name casemate-baseline"),
        (Baseline, Baseline, Baseline, "--level"),
    ] {
        assert_eq!(level(caller(Some(option), Some(name)), None, &[]), (wanted, by.to_owned()));
    }
}

#[test]
fn a_caller_who_asks_for_less_than_the_minimum_is_refused_with_its_line() {
    let file = document("minimum = \"baseline\"");
    for (caller, by) in [
        (caller(Some(Level::Privileged), None), "--level"),
        (caller(None, Some(Level::Privileged)), "the name casemate-privileged"),
    ] {
        // That the container asks for more does not mend it: the caller is told that it may not ask.
        for pairs in [&[][..], &[(LEVEL_ANNOTATION, "restricted")]] {
            let error = chosen(caller, Some(&file), pairs).unwrap_err();
            assert_eq!(error.kind, Kind::Denied);
            let wanted =
                format!("refused by policy: level privileged ({by}) is below the minimum baseline (policy.toml:2)");
            assert!(error.to_string().starts_with(&wanted), "{error}");
        }
    }
    assert_eq!(level(caller(Some(Level::Baseline), None), Some(&file), &[]).0, Level::Baseline);
}

#[test]
fn who_names_no_level_gets_at_least_the_minimum() {
    let file = document("minimum = \"restricted\"");
    assert_eq!(level(NOBODY, Some(&file), &[]), (Level::Restricted, "policy.toml:2".to_owned()));
    let file = document("minimum = \"privileged\"");
    assert_eq!(level(NOBODY, Some(&file), &[]), (Level::Baseline, "built-in default".to_owned()));
}

#[test]
fn the_level_annotation_only_tightens() {
    let ask = |word| level(NOBODY, None, &[(LEVEL_ANNOTATION, word)]);
    assert_eq!(ask("restricted"), (Level::Restricted, "annotation io.casemate.level".to_owned()));
    assert_eq!(ask("baseline"), (Level::Baseline, "built-in default".to_owned()));
    assert_eq!(ask("privileged"), (Level::Baseline, "built-in default".to_owned()));
    let error = chosen(NOBODY, None, &[(LEVEL_ANNOTATION, "strict")]).unwrap_err();
    assert_eq!(error.kind, Kind::InvalidConfig);
    assert!(error.to_string().starts_with("annotation \"io.casemate.level\": unknown level \"strict\""), "{error}");
}

#[test]
fn the_exec_annotation_denies_at_every_level_whatever_the_file_says() {
    let file = document("[rules]\nexec-mode = \"off\"\n[exec]\nmode = \"allow\"");
    let privileged = caller(Some(Level::Privileged), None);
    let enforcement = chosen(privileged, Some(&file), &[(EXEC_ANNOTATION, "deny")]).unwrap().enforcement;
    let origin = "annotation io.casemate.exec".to_owned();
    assert_eq!(enforcement.exec, Some(Said { value: ExecMode::Deny, origin }));
    assert_eq!(enforcement.mode(Rule::ExecMode), Mode::Enforce);
    let error = chosen(NOBODY, None, &[(EXEC_ANNOTATION, "allow")]).unwrap_err().to_string();
    assert_eq!(error, "annotation \"io.casemate.exec\": unknown word \"allow\": want deny");
}

fn exempting(name: &str, last: &str, rest: &str) -> String {
    format!("[[exemption]]\nname = \"{name}\"\nreason = \"it has to\"\nexpires = {last}\n{rest}\n")
}

#[test]
fn an_exemption_may_go_below_the_minimum_and_the_caller() {
    let text = exempting("agents", "2027-06-30", "cgroup = \"/kubepods/burstable\"\nlevel = \"privileged\"");
    let file = document(&format!("minimum = \"baseline\"\n{text}"));
    for caller in [NOBODY, caller(Some(Level::Restricted), None), caller(Some(Level::Privileged), None)] {
        let enforcement = chosen(caller, Some(&file), &[]).unwrap().enforcement;
        assert_eq!(enforcement.level, Level::Privileged);
        assert_eq!(enforcement.chosen_by, "exemption agents (policy.toml:4)");
        assert_eq!(enforcement.exemption, Some(Said { value: "agents".into(), origin: "policy.toml:4".into() }));
    }
    let tightened = level(NOBODY, Some(&file), &[(LEVEL_ANNOTATION, "baseline")]);
    assert_eq!(tightened, (Level::Baseline, "annotation io.casemate.level".to_owned()));
}

#[test]
fn an_exemption_without_a_level_leaves_the_minimum_in_force() {
    let text = exempting("raw", "2027-06-30", "cgroup = \"/kubepods\"\nrules.net-raw = \"off\"");
    let file = document(&format!("minimum = \"baseline\"\n{text}"));
    chosen(caller(Some(Level::Privileged), None), Some(&file), &[]).unwrap_err();
    let enforcement = chosen(NOBODY, Some(&file), &[]).unwrap().enforcement;
    assert_eq!((enforcement.level, enforcement.mode(Rule::NetRaw)), (Level::Baseline, Mode::Off));
}

#[test]
fn what_an_exemption_says_comes_before_what_the_file_says_for_all() {
    let own =
        "cgroup = \"/kubepods\"\nrules.net-raw = \"warn\"\nbinds.allow = [\"/srv/b\"]\nseccomp.allow = [\"perf\"]";
    let file = document(&format!(
        "lacking = \"refuse\"\nrules = {{ net-raw = \"off\", host-pid = \"audit\" }}\nbinds.allow = [\"/srv/a\"]\n{}",
        exempting("one", "2027-06-30", own)
    ));
    let enforcement = chosen(NOBODY, Some(&file), &[]).unwrap().enforcement;
    assert_eq!(enforcement.mode(Rule::NetRaw), Mode::Warn);
    assert_eq!(enforcement.mode(Rule::HostPid), Mode::Audit);
    assert_eq!(enforcement.origin(Rule::HostPid), "policy.toml:3");
    assert_eq!(enforcement.binds_allow.keys().collect::<Vec<_>>(), ["/srv/a", "/srv/b"]);
    assert_eq!(enforcement.overlay_allow.keys().collect::<Vec<_>>(), ["perf"]);
    assert_eq!(enforcement.lacking, Lacking::Refuse);
}

#[test]
fn seccomp_and_exec_of_an_exemption_hold_at_a_level_without_those_rules() {
    let own = "cgroup = \"/kubepods\"\nlevel = \"privileged\"\nseccomp.profile = \"nested\"\nexec.mode = \"deny\"";
    let file = document(&exempting("builders", "2027-06-30", own));
    let enforcement = chosen(NOBODY, Some(&file), &[]).unwrap().enforcement;
    assert_eq!(enforcement.mode(Rule::SeccompProfile), Mode::Enforce);
    assert_eq!(enforcement.mode(Rule::ExecMode), Mode::Enforce);
    assert_eq!(enforcement.mode(Rule::HostPid), Mode::Off);
    assert_eq!(enforcement.seccomp.unwrap().value, SeccompChoice::Family("nested".into()));
    let file = document(&exempting("builders", "2027-06-30", &format!("{own}\nrules.exec-mode = \"warn\"")));
    let enforcement = chosen(NOBODY, Some(&file), &[]).unwrap().enforcement;
    assert_eq!(enforcement.mode(Rule::ExecMode), Mode::Warn);
}

#[test]
fn the_first_exemption_that_has_not_expired_applies() {
    let all = "cgroup = \"/kubepods\"\n";
    let file = document(&format!(
        "{}{}{}{}",
        exempting("elsewhere", "2026-01-01", "cgroup = \"/system\"\nlevel = \"privileged\""),
        exempting("old", "2026-11-21", &format!("{all}level = \"privileged\"")),
        exempting("last day", "2026-11-22", &format!("{all}rules.net-raw = \"off\"")),
        exempting("third", "2027-06-30", &format!("{all}level = \"privileged\"")),
    ));
    let Choice { enforcement, warnings } = chosen(NOBODY, Some(&file), &[]).unwrap();
    assert_eq!(enforcement.exemption.map(|said| said.value).as_deref(), Some("last day"));
    assert_eq!(enforcement.level, Level::Baseline);
    // The one for other containers is nothing to be told about here.
    assert_eq!(warnings, ["exemption \"old\" is not applied: its last day was 2026-11-21 (policy.toml:11)"]);
}

#[test]
fn paths_match_by_whole_components_and_all_that_is_given_has_to_match() {
    let file = |rest: &str| {
        document(&format!(
            "engine-annotations = [\"ns\"]\n{}",
            exempting("x", "2027-06-30", &format!("{rest}\nlevel = \"privileged\""))
        ))
    };
    for (rest, cgroup, rootfs, value, applies) in [
        ("cgroup = \"/a/b\"", "/a/b/c", "/r", "v", true),
        ("cgroup = \"/a/b/\"", "/a/b", "/r", "v", true),
        ("cgroup = \"/a/b\"", "/a/bc", "/r", "v", false),
        ("cgroup = \"/a/b\"", "/a", "/r", "v", false),
        ("cgroup = \"/a/b\"", "/a/b/../c", "/r", "v", false),
        ("cgroup = \"/a/b\"", "", "/r", "v", false),
        ("rootfs = \"/r\"", "", "/r/c/merged", "v", true),
        ("rootfs = \"/r\"", "", "/r/../s", "v", false),
        ("annotations = { ns = \"v\" }", "", "", "v", true),
        ("annotations = { ns = \"v\" }", "", "", "V", false),
        ("annotations = { ns = \"v\" }\ncgroup = \"/a\"", "/a/b", "", "v", true),
        ("annotations = { ns = \"v\" }\ncgroup = \"/a\"", "/b", "", "v", false),
        ("annotations = { ns = \"v\" }\ncgroup = \"/a\"", "/a", "", "w", false),
    ] {
        let annotations = annotations(&[("ns", value)]);
        let subject = Subject { annotations: &annotations, cgroup, rootfs };
        let choice = choose(&NOBODY, Some(&file(rest)), &subject, TODAY).unwrap();
        assert_eq!(choice.enforcement.exemption.is_some(), applies, "{rest} {cgroup} {rootfs} {value}");
    }
}

/// From loose to tight.
fn exec_rank(enforcement: &Enforcement) -> u8 {
    match (&enforcement.exec, enforcement.mode(Rule::ExecMode)) {
        (None, _) | (_, Mode::Off | Mode::Audit | Mode::Warn) => 0,
        (Some(said), Mode::Enforce) => match said.value {
            ExecMode::Allow => 0,
            ExecMode::Probes(_) => 1,
            ExecMode::Deny => 2,
        },
    }
}

proptest! {
    /// Whatever a container's author writes into annotations, what was chosen without them is not loosened.
    #[test]
    fn annotations_never_loosen(
        option in proptest::option::of(proptest::sample::select(&Level::ALL[..])),
        name in proptest::option::of(proptest::sample::select(&Level::ALL[..])),
        lines in proptest::sample::subsequence(vec![
            "minimum = \"baseline\"",
            "level = \"restricted\"",
            "engine-annotations = [\"ns\"]",
            "rules.exec-mode = \"off\"",
            "rules.host-pid = \"warn\"",
            "rules.proc-subset = \"enforce\"",
            "exec = { mode = \"probes\", probes = [[\"/p\"]] }",
            "seccomp.profile = \"nested\"",
        ], 0..8),
        exempt in proptest::option::of(proptest::sample::select(vec![
            "level = \"privileged\"", "rules.net-raw = \"off\"", "level = \"privileged\"\nexec.mode = \"deny\"",
        ])),
        asked in proptest::option::of(proptest::sample::select(vec![
            "privileged", "baseline", "restricted", "Restricted", "", "none",
        ])),
        exec in proptest::option::of(proptest::sample::select(vec!["deny", "allow", ""])),
        others in proptest::collection::btree_map("(io\\.casemate\\.)?[a-z.]{1,12}", ".{0,8}", 0..4),
    ) {
        let exemption = exempt.map(|own| exempting("x", "2027-06-30", &format!("cgroup = \"/kubepods\"\n{own}")));
        let file = document(&format!("{}\n{}", lines.join("\n"), exemption.unwrap_or_default()));
        let subject = |annotations| Subject { annotations, cgroup: "/kubepods/c", rootfs: "/r" };
        let without = BTreeMap::new();
        let mut with = others;
        with.remove("ns");
        with.extend(asked.map(|word| (LEVEL_ANNOTATION.to_owned(), word.to_owned())));
        with.extend(exec.map(|word| (EXEC_ANNOTATION.to_owned(), word.to_owned())));
        let caller = caller(option, name);
        let before = choose(&caller, Some(&file), &subject(&without), TODAY);
        let after = choose(&caller, Some(&file), &subject(&with), TODAY);
        match (before, after) {
            (Ok(before), Ok(after)) => {
                let (before, after) = (before.enforcement, after.enforcement);
                prop_assert!(after.level >= before.level);
                for rule in Rule::ALL {
                    prop_assert!(after.mode(*rule) >= before.mode(*rule), "{rule}");
                }
                prop_assert!(exec_rank(&after) >= exec_rank(&before));
                prop_assert_eq!(after.overlay_allow, before.overlay_allow);
                prop_assert_eq!(after.binds_allow, before.binds_allow);
                prop_assert_eq!(after.seccomp, before.seccomp);
                prop_assert_eq!(after.lacking, before.lacking);
                prop_assert_eq!(after.exemption, before.exemption);
            }
            (Err(_), after) => prop_assert!(after.is_err()),
            (Ok(_), Err(_)) => {}
        }
    }
}
