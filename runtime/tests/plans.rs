//! Golden plans: what casemate would do for the configurations of Docker, containerd, CRI-O and Podman, on a host with
//! cgroup v1 and v2 and on one with v2 only. A change of any plan shows up as a diff in review.
//!
//! `UPDATE_GOLDEN=1 cargo test -p casemate --test plans` writes the files anew.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod facts;

use casemate::plan::{self, ExecRequest, Facts, Plan, explain};
use casemate::program::encode::{Descriptors, encode};
use casemate::spec::{Process, Spec, parse};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Compares `text` with the golden file, or writes it.
fn golden(name: &str, text: &str, wrong: &mut Vec<String>) {
    let path = facts::tests().join("plans").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    if wanted != text {
        let pairs = wanted.lines().chain(std::iter::repeat("")).zip(text.lines());
        let (line, (was, is)) = pairs.enumerate().find(|(_, (a, b))| a != b).unwrap_or((0, ("", "(a shorter text)")));
        wrong.push(format!("{name}, line {}:\n  golden: {was}\n  now:    {is}", line + 1));
    }
}

fn finish(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}\n(UPDATE_GOLDEN=1 takes what is now)", wrong.join("\n"));
}

fn render(plan: casemate::error::Result<Plan>) -> String {
    match plan {
        Ok(plan) => {
            let descriptors = Descriptors { control: 3, start: 4, first: 3, handles: vec![9; plan.handles.len()] };
            assert!(encode(&plan.program, &descriptors).is_ok());
            explain::text(&plan)
        }
        Err(error) => format!("refused ({:?})\n{}\n", error.kind, error.to_string().replace("; ", "\n")),
    }
}

fn hosts() -> [(&'static str, Facts); 2] {
    [("hybrid", facts::hybrid()), ("unified", facts::unified())]
}

#[test]
fn plans_for_engines_are_the_golden_ones() {
    let mut wrong = Vec::new();
    for (name, bytes) in facts::configs(&["exec-process", "update-resources"]) {
        let spec = Spec::parse(&bytes).unwrap();
        for (host, facts) in hosts() {
            let text = render(plan::create(&spec, &facts::request(), &facts));
            golden(&format!("{host}/{name}.txt"), &text, &mut wrong);
        }
    }
    finish(&wrong);
}

#[test]
fn plans_of_exec_are_the_golden_ones() {
    let mut wrong = Vec::new();
    let container =
        Spec::parse(&facts::configs(&[]).into_iter().find(|(n, _)| n == "docker-20.10-01").unwrap().1).unwrap();
    for (name, bytes) in facts::configs(&[]).into_iter().filter(|(name, _)| name.starts_with("exec-process")) {
        let request = ExecRequest {
            id: "c1".into(),
            process: parse::<Process>(&bytes).unwrap(),
            extra_env: Vec::new(),
            cgroup_tasks: vec!["memory".into(), "pids".into()],
            confinement: Default::default(),
        };
        golden(&format!("exec/{name}.txt"), &render(plan::exec(&container, &request, &facts::hybrid())), &mut wrong);
    }
    finish(&wrong);
}

/// One of each engine: the JSON form is what programs read.
#[test]
fn json_forms_of_plans_are_the_golden_ones() {
    let mut wrong = Vec::new();
    let chosen = [
        "containerd-2.3-cri-03-no-seccomp-joined-ns",
        "crio-1.37-01-ro-joined-ns",
        "docker-20.10-02-tty",
        "podman-4.3-01",
    ];
    for (name, bytes) in facts::configs(&[]).into_iter().filter(|(name, _)| chosen.contains(&name.as_str())) {
        let plan = plan::create(&Spec::parse(&bytes).unwrap(), &facts::request(), &facts::hybrid()).unwrap();
        let json = serde_json::to_string_pretty(&plan).unwrap() + "\n";
        golden(&format!("json/{name}.json"), &json, &mut wrong);
    }
    finish(&wrong);
}

/// A field of a later version, in a configuration that is otherwise right.
fn with(member: &str) -> Spec {
    let (_, docker) = facts::configs(&[]).into_iter().find(|(name, _)| name == "docker-20.10-01").unwrap();
    let mut document: serde_json::Value = serde_json::from_slice(&docker).unwrap();
    let addition: serde_json::Value = serde_json::from_str(&format!("{{{member}}}")).unwrap();
    merge(&mut document, addition);
    Spec::parse(document.to_string().as_bytes()).unwrap()
}

/// RFC 7396, but lists are appended to.
fn merge(into: &mut serde_json::Value, from: serde_json::Value) {
    match (into, from) {
        (serde_json::Value::Object(into), serde_json::Value::Object(from)) => {
            from.into_iter().for_each(|(key, value)| merge(into.entry(key).or_insert(serde_json::Value::Null), value));
        }
        (serde_json::Value::Array(into), serde_json::Value::Array(from)) => into.extend(from),
        (into, from) => *into = from,
    }
}

#[test]
fn fields_of_later_versions_are_refused_by_name() {
    let map = r#"[{"containerID":0,"hostID":1,"size":1}]"#;
    let fields = [
        ("uidMappings", format!(r#""linux":{{"uidMappings":{map}}}"#)),
        ("gidMappings", format!(r#""linux":{{"gidMappings":{map}}}"#)),
        ("user-namespace", r#""linux":{"namespaces":[{"type":"user"}]}"#.into()),
        ("time-namespace", r#""linux":{"namespaces":[{"type":"time"}]}"#.into()),
        ("timeOffsets", r#""linux":{"timeOffsets":{"boottime":{"secs":1}}}"#.into()),
        ("netDevices", r#""linux":{"netDevices":{"eth0":{}}}"#.into()),
        ("intelRdt", r#""linux":{"intelRdt":{"closID":"c"}}"#.into()),
        ("memoryPolicy", r#""linux":{"memoryPolicy":{"mode":"MPOL_BIND","nodes":"0"}}"#.into()),
        ("personality", r#""linux":{"personality":{"domain":"LINUX32"}}"#.into()),
        ("rdma", r#""linux":{"resources":{"rdma":{"mlx5_1":{"hcaHandles":3}}}}"#.into()),
        ("scheduler", r#""process":{"scheduler":{"policy":"SCHED_BATCH"}}"#.into()),
        ("ioPriority", r#""process":{"ioPriority":{"class":"IOPRIO_CLASS_IDLE","priority":0}}"#.into()),
        ("execCPUAffinity", r#""process":{"execCPUAffinity":{"initial":"0"}}"#.into()),
        ("idmap-option", r#""mounts":[{"destination":"/x","source":"/x","options":["rbind","idmap"]}]"#.into()),
        (
            "idmap-mappings",
            format!(
                r#""mounts":[{{"destination":"/x","source":"/x","options":["bind"],"uidMappings":{map},"gidMappings":{map}}}]"#
            ),
        ),
    ];
    let mut text = String::new();
    for (name, member) in fields {
        for (host, facts) in hosts() {
            let error = plan::create(&with(&member), &facts::request(), &facts).unwrap_err();
            assert_eq!(error.kind, casemate::error::Kind::Unsupported, "{name}: {error}");
            if host == "hybrid" {
                text += &format!("{name:<16}{error}\n");
            }
        }
    }
    let mut wrong = Vec::new();
    golden("unsupported.txt", &text, &mut wrong);
    finish(&wrong);
}

#[test]
fn no_golden_file_is_left_over() {
    let configs: BTreeSet<String> = facts::configs(&[]).into_iter().map(|(name, _)| name).collect();
    for directory in ["hybrid", "unified", "exec", "json"] {
        for entry in std::fs::read_dir(facts::tests().join("plans").join(directory)).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.file_stem().and_then(|stem| Path::new(stem).to_str()).unwrap().to_string();
            assert!(configs.contains(&name), "{} has no configuration", path.display());
        }
    }
}
