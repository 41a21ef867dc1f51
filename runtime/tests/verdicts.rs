//! Golden verdicts: what policy says to the configurations of Docker, Podman, containerd and CRI-O, at each level.
//!
//! `tests/verdicts/variants.json` adds to the recorded configurations (`tests/configs`) what those engines write for
//! other command lines and for the system pods of Kubernetes, as differences from a recorded one. `privileged` is not in
//! the files: it has nothing to say, to none of them.
//!
//! `UPDATE_GOLDEN=1 cargo test -p casemate --test verdicts` writes the files anew.
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod facts;

use casemate::plan::{self, Confinement, CreateRequest};
use casemate::policy::{Enforcement, Level, Rule, Verdict, judge};
use casemate::spec::Spec;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Recorded configurations, and those derived from them, by name; with what is special about a derived one.
fn configs() -> BTreeMap<String, (Value, String)> {
    let recorded = facts::configs(&["exec-process", "update-resources"]).into_iter();
    let mut all: BTreeMap<String, (Value, String)> =
        recorded.map(|(name, bytes)| (name, (serde_json::from_slice(&bytes).unwrap(), String::new()))).collect();
    let variants = std::fs::read(facts::tests().join("verdicts/variants.json")).unwrap();
    for variant in serde_json::from_slice::<Vec<Value>>(&variants).unwrap() {
        let text = |key: &str| variant[key].as_str().unwrap().to_string();
        let mut config = all[&text("base")].0.clone();
        derive(&mut config, &variant);
        assert!(all.insert(text("name"), (config, text("what"))).is_none(), "{} is there twice", text("name"));
    }
    all
}

/// `mounts` and `devices` (cgroup rules) are appended, `caps` added to three sets, `shares` are namespaces of the host's,
/// `set` puts values at pointers; null takes away.
fn derive(config: &mut Value, variant: &Value) {
    let entries = |key: &str| variant[key].as_array().cloned().unwrap_or_default();
    let append = |config: &mut Value, pointer: &str, more: Vec<Value>| {
        config.pointer_mut(pointer).unwrap().as_array_mut().unwrap().extend(more);
    };
    append(config, "/mounts", entries("mounts"));
    if !entries("devices").is_empty() {
        append(config, "/linux/resources/devices", entries("devices"));
    }
    for set in ["bounding", "effective", "permitted"].into_iter().filter(|_| !entries("caps").is_empty()) {
        append(config, &format!("/process/capabilities/{set}"), entries("caps"));
    }
    let shared = entries("shares");
    config["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| !shared.contains(&namespace["type"]));
    for (pointer, value) in variant["set"].as_object().into_iter().flatten() {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = config.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        if value.is_null() { drop(parent.remove(key)) } else { drop(parent.insert(key.to_string(), value.clone())) }
    }
}

/// A verdict as lines: what is refused, or what is changed. Alike changes of several mounts are one line, and of a long
/// list of paths the ends are enough.
fn lines(verdict: &Verdict) -> String {
    let mut text = String::new();
    for refusal in &verdict.refusals {
        writeln!(text, "    ! {} {}: {}", refusal.rule, refusal.pointer, refusal.cause).unwrap();
    }
    let mut alike: Vec<(String, String, Vec<String>)> = Vec::new();
    for change in verdict.changes.iter().filter(|_| verdict.refusals.is_empty()) {
        let place = change.before.split_once(" (").filter(|_| change.rule == Rule::BindAttributes);
        let (at, before) = match place {
            Some((destination, _)) => (destination.to_string(), String::new()),
            None if change.pointer.is_empty() => ("-".to_string(), change.before.clone()),
            None => (change.pointer.clone(), change.before.clone()),
        };
        let what = match (before.as_str(), short(&change.after)) {
            (before, after) if after.is_empty() => format!("without {}", short(before)),
            ("", after) => after,
            (before, after) => format!("{before} -> {after}"),
        };
        let key = (change.rule.to_string(), what);
        match alike.iter_mut().find(|(rule, what, _)| (rule, what) == (&key.0, &key.1)) {
            Some((_, _, places)) => places.push(at),
            None => alike.push((key.0, key.1, vec![at])),
        }
    }
    for (rule, what, places) in alike {
        writeln!(text, "    {rule} {}: {what}", places.join(" ")).unwrap();
    }
    for note in &verdict.notes {
        writeln!(text, "    ({} {})", note.rule, note.text).unwrap();
    }
    text
}

fn short(list: &str) -> String {
    let words: Vec<&str> = list.split(' ').collect();
    match words.as_slice() {
        [first, .., last] if words.len() > 8 && first.starts_with('/') => {
            format!("{} paths, {first} to {last}", words.len())
        }
        _ => list.to_string(),
    }
}

/// The file for a configuration: its engine's.
fn engine(name: &str) -> &str {
    name.split('-').next().unwrap()
}

#[test]
fn verdicts_are_the_golden_ones() {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    // Many are alike: a verdict is written once in a file, and named from then on.
    let mut known: BTreeMap<(String, Level, String), String> = BTreeMap::new();
    for (name, (config, what)) in configs() {
        let spec = Spec::parse(config.to_string().as_bytes()).unwrap();
        let file = files.entry(engine(&name).to_string()).or_default();
        write!(file, "\n{name}\n").unwrap();
        if !what.is_empty() {
            writeln!(file, "  # {what}").unwrap();
        }
        for level in [Level::Baseline, Level::Restricted] {
            let verdict = judge::create(&spec, &Enforcement::new(level, "test"), &facts::unified());
            let outcome = if verdict.refusals.is_empty() { "starts" } else { "refused" };
            let text = lines(&verdict);
            let key = (engine(&name).to_string(), level, text.clone());
            match known.get(&key) {
                Some(like) => writeln!(file, "  {level}: {outcome}, as {like}").unwrap(),
                None => {
                    known.insert(key, name.clone());
                    writeln!(file, "  {level}: {outcome}\n{}", text.trim_end()).unwrap();
                }
            }
        }
    }
    let mut wrong = Vec::new();
    for (engine, text) in files {
        let path = facts::tests().join(format!("verdicts/{engine}.txt"));
        let text = text.trim_start();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, text).unwrap();
        }
        let wanted = std::fs::read_to_string(&path).unwrap_or_default();
        if wanted != text {
            let pairs = wanted.lines().chain(std::iter::repeat("")).zip(text.lines());
            let (line, (was, is)) = pairs.enumerate().find(|(_, (a, b))| a != b).unwrap_or((0, ("", "(shorter)")));
            wrong.push(format!("{engine}.txt, line {}:\n  golden: {was}\n  now:    {is}", line + 1));
        }
    }
    assert!(wrong.is_empty(), "{}\n(UPDATE_GOLDEN=1 takes what is now)", wrong.join("\n"));
}

#[test]
fn privileged_leaves_every_configuration_as_it_is() {
    for (name, (config, _)) in configs() {
        let spec = Spec::parse(config.to_string().as_bytes()).unwrap();
        for facts in [facts::hybrid(), facts::unified()] {
            let verdict = judge::create(&spec, &Enforcement::new(Level::Privileged, "test"), &facts);
            assert_eq!(verdict.spec, spec, "{name}");
            assert_eq!(verdict.confinement, Confinement::default(), "{name}");
            assert!(verdict.changes.is_empty() && verdict.refusals.is_empty() && verdict.notes.is_empty(), "{name}");
        }
    }
}

/// A verdict that lets a container start is worth nothing when the container then does not.
#[test]
fn what_starts_can_be_planned() {
    for (at, (name, (config, _))) in configs().into_iter().enumerate() {
        let spec = Spec::parse(config.to_string().as_bytes()).unwrap();
        for (facts, filters) in [(facts::hybrid(), false), (facts::unified(), at % 8 == 0)] {
            // Namespaces of users and the like are not there yet.
            if plan::create(&spec, &facts::request(), &facts).is_err() {
                continue;
            }
            for level in Level::ALL {
                let verdict = judge::create(&spec, &Enforcement::new(level, "test"), &facts);
                let mut confinement = verdict.confinement;
                // To compile them takes a hundred times as long as the rest.
                confinement.seccomp.retain(|_| filters);
                let request = CreateRequest { confinement, ..facts::request() };
                if verdict.refusals.is_empty() {
                    let planned = plan::create(&verdict.spec, &request, &facts);
                    assert!(planned.is_ok(), "{name} at {level}: {}", planned.unwrap_err());
                }
            }
        }
    }
}

#[test]
fn derived_configurations_are_what_they_say() {
    let all = configs();
    let (config, what) = &all["containerd-node-exporter"];
    assert!(what.contains("hostPID"));
    let kinds: Vec<&Value> =
        config["linux"]["namespaces"].as_array().unwrap().iter().map(|namespace| &namespace["type"]).collect();
    assert_eq!(kinds, [&json!("ipc"), &json!("mount")]);
}
