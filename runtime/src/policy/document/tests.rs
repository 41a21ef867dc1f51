use super::*;
use crate::policy::date::Date;
use crate::policy::enforcement::{ExecMode, SeccompChoice};
use crate::policy::level::Mode;
use crate::policy::rule::Rule;

fn no_profile(path: &str) -> Result<Profile> {
    Err(Error::new(Kind::NotFound, format!("open \"{path}\": no such file or directory")))
}

fn parse(texts: &[&str]) -> Result<Document> {
    let name = |i| if i == 0 { "policy.toml".to_owned() } else { format!("policy.d/{i}.toml") };
    let files: Vec<_> = texts.iter().enumerate().map(|(i, text)| (name(i), format!("version = 1\n{text}"))).collect();
    Document::parse(&files, &mut no_profile)
}

/// The message of a policy whose text begins on line 2.
fn error(text: &str) -> String {
    parse(&[text]).unwrap_err().to_string()
}

#[test]
fn every_statement_has_its_line() {
    let text = r#"
level = "baseline"
minimum = "privileged"
lacking = "refuse"
engine-annotations = [
  "io.kubernetes.cri.sandbox-namespace",
]
[rules]
net-raw = "off"
[seccomp]
profile = "nested"
allow = [
  "io-uring",
  "perf",
]
[binds]
allow = ["/srv/shared/"]
[exec]
mode = "probes"
probes = [["/bin/healthcheck", "-q"]]
[profiles.agent]
level = "privileged"
[[exemption]]
name = "agents"
reason = "they set up the node"
expires = 2027-06-30
annotations = { "io.kubernetes.cri.sandbox-namespace" = "kube-system" }
cgroup = "/kubepods/"
profile = "agent"
"#;
    let policy = parse(&[text]).unwrap();
    let at = |line| format!("policy.toml:{line}");
    assert_eq!(policy.settings.level, Some(Said { value: Level::Baseline, origin: at(3) }));
    assert_eq!(policy.minimum, Some(Said { value: Level::Privileged, origin: at(4) }));
    assert_eq!(policy.lacking, Some(Said { value: Lacking::Refuse, origin: at(5) }));
    assert_eq!(policy.engine_annotations["io.kubernetes.cri.sandbox-namespace"].origin, at(7));
    assert_eq!(policy.settings.modes[&Rule::NetRaw], Said { value: Mode::Off, origin: at(10) });
    assert_eq!(policy.settings.seccomp, Some(Said { value: SeccompChoice::Family("nested".into()), origin: at(12) }));
    assert_eq!(policy.settings.overlay_allow["perf"].origin, at(15));
    assert_eq!(policy.settings.binds_allow["/srv/shared"].origin, at(18));
    let probes = ExecMode::Probes(vec![vec!["/bin/healthcheck".into(), "-q".into()]]);
    assert_eq!(policy.settings.exec, Some(Said { value: probes, origin: at(20) }));
    let [exemption] = policy.exemptions.as_slice() else { panic!("{:?}", policy.exemptions) };
    assert_eq!(exemption.name, Said { value: "agents".into(), origin: at(25) });
    assert_eq!(exemption.expires.value, Date { year: 2027, month: 6, day: 30 });
    assert_eq!(exemption.cgroup.as_deref(), Some("/kubepods"));
    assert_eq!(exemption.settings.level, Some(Said { value: Level::Privileged, origin: at(23) }));
}

#[test]
fn mistakes_are_told_with_line_and_column() {
    for (text, wanted) in [
        ("levle = \"baseline\"", "policy.toml:2:1: unknown key \"levle\""),
        ("level = \"tight\"", "policy.toml:2:9: unknown level \"tight\""),
        ("level = 3", "policy.toml:2:9: level: want a string, not integer"),
        ("\n  rules.host_pid = \"off\"", "policy.toml:3:9: unknown rule \"host_pid\""),
        ("[rules]\nhost-pid = \"no\"", "policy.toml:3:12: unknown mode \"no\""),
        ("rules = 1", "policy.toml:2:9: rules: want a table, not integer"),
        ("lacking = \"ignore\"", "policy.toml:2:11: lacking: unknown word \"ignore\""),
        ("level = ", "policy.toml:2:9: "),
        ("level = \"baseline\"\nlevel = \"baseline\"", "policy.toml:3:1: duplicate key"),
        ("[seccomp]\nprofile = \"none\"", "policy.toml:3:11: unknown seccomp profile \"none\": want "),
        ("[seccomp]\nallow = [\"io_uring\"]", "policy.toml:3:10: unknown token \"io_uring\": want "),
        ("[seccomp]\nprofile = \"/etc/x.json\"", "policy.toml:3: open \"/etc/x.json\": no such file"),
        ("[seccomp]\ndefault = \"x\"", "policy.toml:3:1: unknown key \"default\""),
        ("[binds]\nallow = [\"srv\"]", "policy.toml:3:10: allow: want an absolute path below \"/\""),
        ("[binds]\nallow = [\"/srv/../etc\"]", "policy.toml:3:10: allow: want an absolute path"),
        ("[binds]\nallow = [\"/\"]", "policy.toml:3:10: allow: want an absolute path below \"/\""),
        ("[exec]\nprobes = [[\"/a\"]]", "policy.toml:2:1: exec: mode is missing"),
        ("[exec]\nmode = \"probes\"", "policy.toml:3:8: exec: mode probes takes a list"),
        ("[exec]\nmode = \"probes\"\nprobes = [[]]", "policy.toml:4:11: probes: an argument list has"),
        ("[exec]\nmode = \"deny\"\nprobes = [[\"/a\"]]", "policy.toml:4:10: exec: probes count in mode probes"),
        ("[exec]\nmode = \"ask\"", "policy.toml:3:8: exec: unknown mode \"ask\""),
        ("[profiles.a]\nminimum = \"baseline\"", "policy.toml:3:1: unknown key \"minimum\""),
        (
            "engine-annotations = [\"io.casemate.level\"]",
            "policy.toml:2:23: \"io.casemate.level\" is what the container",
        ),
        ("level = \"privileged\"\nminimum = \"baseline\"", "policy.toml:2: level privileged is below the minimum"),
    ] {
        let error = error(text);
        assert!(error.starts_with(wanted), "{text}\n{error}\nwanted {wanted}");
    }
}

#[test]
fn a_file_without_the_version_that_is_known_is_refused() {
    let parse = |text: &str| Document::parse(&[("p.toml".into(), text.into())], &mut no_profile);
    for (text, wanted) in [
        ("level = \"baseline\"", "p.toml:1:1: version is missing: begin with version = 1"),
        ("tightness = 3\nversion = 2", "p.toml:2:11: version: this casemate reads version 1"),
        ("version = \"1\"", "p.toml:1:11: version: this casemate reads version 1"),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.kind, Kind::InvalidConfig);
        assert!(error.to_string().starts_with(wanted), "{error}");
    }
    for text in ["version = 1", "# level = \"restricted\"\n", ""] {
        assert_eq!(parse(text).unwrap(), Document::default());
    }
}

/// An exemption that is right, with one line of it replaced.
fn exemption(key: &str, line: &str) -> String {
    let lines = [
        ("name", "name = \"x\""),
        ("reason", "reason = \"y\""),
        ("expires", "expires = 2027-06-30"),
        ("match", "cgroup = \"/a\""),
        ("what", "level = \"privileged\""),
    ];
    let lines = lines.map(|(it, right)| if it == key { line } else { right });
    format!("[[exemption]]\n{}\n", lines.join("\n"))
}

#[test]
fn exemptions_say_for_whom_what_why_and_until_when() {
    parse(&[&exemption("", "")]).unwrap();
    for (key, line, wanted) in [
        ("name", "", "policy.toml:2:1: exemption: name is missing"),
        ("name", "name = \"a\\nb\"", "policy.toml:3:8: name: want one line of text"),
        ("reason", "", "policy.toml:2:1: exemption: reason is missing"),
        ("reason", "reason = \" \"", "policy.toml:4:10: reason: want one line of text"),
        ("expires", "", "policy.toml:2:1: exemption: expires, the last day on which it applies, is missing"),
        ("expires", "expires = \"2027-06-30\"", "policy.toml:5:11: expires: want a date such as 2027-06-30"),
        ("expires", "expires = 2027-06-30T00:00:00Z", "policy.toml:5:11: expires: want a date"),
        ("expires", "expires = 2027-02-30", "policy.toml:5:"),
        ("match", "", "policy.toml:2:1: exemption: say for which containers"),
        ("match", "annotations = {}", "policy.toml:2:1: exemption: say for which containers"),
        ("match", "cgroup = \"kubepods\"", "policy.toml:6:10: cgroup: want an absolute path below \"/\""),
        ("match", "cgroup = \"/\"", "policy.toml:6:10: cgroup: want an absolute path below \"/\""),
        ("match", "rootfs = \"/a/../b\"", "policy.toml:6:10: rootfs: want an absolute path"),
        ("match", "annotations = { a = \"b\" }", "policy.toml:6: exemption \"x\" goes by the annotation \"a\""),
        ("what", "", "policy.toml:2:1: exemption: say what holds instead"),
        ("what", "rules = {}", "policy.toml:2:1: exemption: say what holds instead"),
        ("what", "profile = \"a\"", "policy.toml:7: there is no profile \"a\""),
        ("what", "profile = \"a\"\nlevel = \"baseline\"", "policy.toml:2:1: exemption: name a profile or say"),
        ("what", "level = \"privileged\"\nminimum = \"baseline\"", "policy.toml:8:1: unknown key \"minimum\""),
    ] {
        let error = error(&exemption(key, line));
        assert!(error.starts_with(wanted), "{line}\n{error}\nwanted {wanted}");
    }
    let twice = [exemption("", ""), exemption("", "")].concat();
    assert_eq!(error(&twice), "policy.toml:9: there is an exemption \"x\" already (policy.toml:3)");
    assert!(error("[exemption]\nname = \"x\"").starts_with("policy.toml:2:1: exemption: want an array, not table"));
}

#[test]
fn a_later_file_has_its_way_and_lists_add_up() {
    let policy = parse(&[
        "level = \"baseline\"\nengine-annotations = [\"a\"]\n[rules]\nnet-raw = \"off\"\nhost-pid = \"warn\"\n[binds]\n\
         allow = [\"/srv/a\"]\n[exec]\nmode = \"deny\"",
        "level = \"restricted\"\nengine-annotations = [\"b\"]\nrules.net-raw = \"enforce\"\nbinds.allow = [\"/srv/b\"]\n\
         exec.mode = \"allow\"",
    ])
    .unwrap();
    assert_eq!(policy.settings.level, Some(Said { value: Level::Restricted, origin: "policy.d/1.toml:2".into() }));
    assert_eq!(policy.settings.modes[&Rule::NetRaw], Said { value: Mode::Enforce, origin: "policy.d/1.toml:4".into() });
    assert_eq!(policy.settings.modes[&Rule::HostPid].value, Mode::Warn);
    assert_eq!(policy.settings.binds_allow.keys().collect::<Vec<_>>(), ["/srv/a", "/srv/b"]);
    assert_eq!(policy.engine_annotations.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(policy.settings.exec.unwrap().value, ExecMode::Allow);
}

#[test]
fn a_minimum_in_one_file_and_a_wider_level_in_another_contradict_each_other() {
    let error = parse(&["minimum = \"restricted\"", "level = \"baseline\""]).unwrap_err().to_string();
    assert_eq!(error, "policy.d/1.toml:2: level baseline is below the minimum restricted (policy.toml:2)");
}

#[test]
fn exemptions_find_profiles_and_annotations_of_other_files() {
    let uses =
        exemption("match", "annotations = { a = \"b\" }").replace("level = \"privileged\"", "profile = \"agent\"");
    let policy = parse(&[&uses, "engine-annotations = [\"a\"]\n[profiles.agent]\nlevel = \"privileged\""]).unwrap();
    let origin = "policy.d/1.toml:4".to_owned();
    assert_eq!(policy.exemptions[0].settings.level, Some(Said { value: Level::Privileged, origin }));
}
