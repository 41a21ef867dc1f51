//! The administrator's policy: files, divided by a NUL, read as one document; what is chosen by it for a container.

use crate::process::CONTAINER;
use crate::{facts, narrowing};
use casemate::error::{Error, Kind};
use casemate::plan::{self, CreateRequest};
use casemate::policy::{Caller, Date, Document, Enforcement, Level, Subject, choose, judge, show};
use seccomp_profiles::Profile;
use seccomp_profiles::profile::Action;
use std::collections::BTreeMap;

const TODAY: Date = Date { year: 2026, month: 11, day: 22 };

pub fn run(data: &[u8]) {
    // A file that is not UTF-8 is refused before anything else is done with it.
    let Ok(text) = std::str::from_utf8(data) else { return };
    let files: Vec<(String, String)> =
        text.split('\0').enumerate().map(|(at, text)| (format!("/policy.d/{at}.toml"), text.to_owned())).collect();
    let mut profile = |path: &str| match path {
        "/profile.json" => Ok(Profile::with_default(Action::Allow)),
        _ => Err(Error::new(Kind::NotFound, format!("open \"{path}\": no such file or directory"))),
    };
    let document = match Document::parse(&files, &mut profile) {
        Ok(document) => document,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let annotations = [("io.casemate.level", "restricted"), ("team", "storage"), ("io.casemate.exec", "deny")];
    let annotations: BTreeMap<String, String> = annotations.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let none = BTreeMap::new();
    for level in [None, Some(Level::Privileged), Some(Level::Restricted)] {
        for (annotations, cgroup) in [(&none, ""), (&none, "/system.slice/c1"), (&annotations, "/kubepods/pod1/c1")] {
            let subject = Subject { annotations, cgroup, rootfs: "/var/lib/containers/c1" };
            let caller = Caller { level, called_as: None };
            let Ok(choice) = choose(&caller, Some(&document), &subject, TODAY) else { continue };
            let enforcement = choice.enforcement;
            if level == Some(Level::Restricted) && enforcement.exemption.is_none() {
                assert_eq!(enforcement.level, Level::Restricted, "less than the caller asked for");
            }
            let text = serde_json::to_vec(&enforcement).unwrap();
            let stored: Enforcement = serde_json::from_slice(&text).unwrap();
            assert_eq!(stored, enforcement, "what is stored is not what was chosen");
            show::deviations(&enforcement);
            if level.is_none() {
                narrows(&enforcement);
            }
        }
    }
}

/// What this policy makes of Docker's default container gives no more than the container asked for.
fn narrows(enforcement: &Enforcement) {
    let facts = facts::unified();
    let verdict = judge::create(&CONTAINER, enforcement, &facts);
    assert!(show::text(enforcement, &verdict, true).ends_with('\n'));
    if !verdict.refusals.is_empty() {
        return;
    }
    narrowing::once_is_enough(&verdict, enforcement, &facts);
    let mut confinement = verdict.confinement.clone();
    confinement.seccomp.clear();
    let request = CreateRequest { confinement, ..facts::request() };
    let before = plan::create(&CONTAINER, &facts::request(), &facts);
    let after = plan::create(&verdict.spec, &request, &facts);
    narrowing::check(before.as_ref(), after.as_ref(), &verdict);
}
