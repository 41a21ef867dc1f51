//! The policies of docs/ are read, and do what they say.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use casemate::error::{Error, Kind};
use casemate::policy::{Caller, Choice, Date, Document, Level, Mode, Rule, SeccompChoice, Subject, choose};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const TODAY: Date = Date { year: 2026, month: 11, day: 22 };

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn parse(name: &str, text: String) -> Document {
    let mut no_profile = |path: &str| Err(Error::new(Kind::NotFound, format!("{path} is not part of an example")));
    Document::parse(&[(name.to_owned(), text)], &mut no_profile).unwrap_or_else(|error| panic!("{error}"))
}

fn example(name: &str) -> Document {
    parse(name, std::fs::read_to_string(docs().join("policies").join(name)).unwrap())
}

/// What holds for a container with these annotations in this cgroup, whoever starts it.
fn holds(document: &Document, annotations: &[(&str, &str)], cgroup: &str) -> casemate::policy::Enforcement {
    let annotations: BTreeMap<String, String> =
        annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let subject = Subject { annotations: &annotations, cgroup, rootfs: "/var/lib/engine/rootfs" };
    let Choice { enforcement, warnings } = choose(&Caller::default(), Some(document), &subject, TODAY).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    enforcement
}

#[test]
fn every_example_is_read_and_forbids_privileged_for_callers() {
    let mut count = 0;
    for entry in std::fs::read_dir(docs().join("policies")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let document = example(&name);
        let annotations = BTreeMap::new();
        let subject = Subject { annotations: &annotations, cgroup: "/c", rootfs: "/r" };
        let caller = Caller { level: Some(Level::Privileged), called_as: None };
        let error = choose(&caller, Some(&document), &subject, TODAY).unwrap_err();
        assert_eq!(error.kind, Kind::Denied, "{name}: {error}");
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn the_policies_in_the_text_are_read() {
    let text = std::fs::read_to_string(docs().join("policy.md")).unwrap();
    let blocks: Vec<&str> =
        text.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("```")).map(|(block, _)| block).collect();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        parse("policy.md", block.to_owned());
    }
}

const CONTAINERD: &str = "io.kubernetes.cri.sandbox-namespace";
const CRIO: &str = "io.kubernetes.pod.namespace";

#[test]
fn system_pods_of_a_node_are_privileged_and_others_are_not() {
    for (file, own, foreign) in
        [("kubernetes-node.toml", CONTAINERD, CRIO), ("kubernetes-node-crio.toml", CRIO, CONTAINERD)]
    {
        let document = example(file);
        let level = |annotations: &[(&str, &str)]| holds(&document, annotations, "/kubepods/burstable/pod1/c").level;
        assert_eq!(level(&[(own, "kube-system")]), Level::Privileged);
        for annotations in [
            &[][..],
            &[(own, "default")],
            &[(own, "kube-system2")],
            // What a pod's author can write where the other engine writes it.
            &[(own, "default"), (foreign, "kube-system")],
            &[(foreign, "kube-system")],
        ] {
            assert_eq!(level(annotations), Level::Baseline, "{file}: {annotations:?}");
        }
        let asked = holds(&document, &[(own, "kube-system"), ("io.casemate.level", "restricted")], "/kubepods/c");
        assert_eq!(asked.level, Level::Restricted);
    }
}

#[test]
fn annotations_and_cgroups_do_not_help_on_a_docker_host() {
    let document = example("docker-host.toml");
    let enforcement = holds(&document, &[(CONTAINERD, "kube-system"), ("io.casemate.level", "privileged")], "/k8s/c");
    assert_eq!((enforcement.level, enforcement.exemption), (Level::Baseline, None));
    assert!(enforcement.binds_allow.contains_key("/etc/localtime"));
    assert_eq!(enforcement.modes.keys().collect::<Vec<_>>(), [&Rule::HostNetwork]);
}

#[test]
fn builders_nest_and_others_on_their_host_do_not() {
    let document = example("build-host.toml");
    let builder = holds(&document, &[], "/builders.slice/docker-1.scope");
    assert_eq!(builder.level, Level::Baseline);
    assert_eq!(builder.seccomp.as_ref().unwrap().value, SeccompChoice::Family("nested".into()));
    assert!(builder.overlay_allow.contains_key("nested"));
    assert_eq!(builder.mode(Rule::MaskedPaths), Mode::Off);
    assert_eq!(builder.mode(Rule::SeccompProfile), Mode::Enforce);
    assert_eq!(builder.mode(Rule::Capabilities), Mode::Enforce);
    let other = holds(&document, &[], "/system.slice/docker-2.scope");
    assert_eq!(other.mode(Rule::MaskedPaths), Mode::Enforce);
    assert!(other.seccomp.is_none() && other.overlay_allow.is_empty());
}
