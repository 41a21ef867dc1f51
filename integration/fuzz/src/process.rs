//! process.json of `exec`: judged against the container that it is added to, planned and encoded.

use crate::config::{check, host};
use casemate::plan::grants::grants;
use casemate::plan::{self, CreateRequest, ExecRequest};
use casemate::policy::{self, Enforcement, Level, Rule, judge};
use casemate::spec::{self, Process, Spec};
use std::sync::LazyLock;

/// Docker's default container.
pub static CONTAINER: LazyLock<Spec> = LazyLock::new(|| {
    let text = include_bytes!("../../../runtime/tests/configs/docker-20.10-01.json");
    let mut spec = Spec::parse(text).unwrap();
    // The filter does not depend on the input, and takes longer than all the rest.
    if let Some(linux) = spec.linux.as_mut() {
        linux.seccomp = None;
    }
    spec
});

pub fn run(data: &[u8]) {
    let Ok(asked) = spec::parse::<Process>(data) else { return };
    let written = serde_json::to_vec(&asked).unwrap();
    assert_eq!(spec::parse::<Process>(&written).unwrap(), asked, "what is written is not what was read");
    let facts = host(data);
    for level in Level::ALL {
        let enforcement = Enforcement::new(level, "fuzz");
        let verdict = policy::exec(&CONTAINER, &asked, &enforcement, &facts);
        if let Some(error) = policy::denied(&verdict.refusals, &enforcement) {
            assert!(error.to_string().starts_with("refused by policy"));
            continue;
        }
        let mut confinement = verdict.confinement.clone();
        confinement.seccomp.clear();
        let request = ExecRequest {
            id: "c1".into(),
            process: verdict.process,
            extra_env: vec!["LISTEN_FDS=1".into()],
            cgroup_tasks: vec!["pids".into()],
            confinement,
        };
        let Ok(added) = plan::exec(&verdict.spec, &request, &facts) else { continue };
        check(&added);
        if enforcement.mode(Rule::ExecFloor) != policy::Mode::Enforce {
            continue;
        }
        let container = judge::create(&CONTAINER, &enforcement, &facts);
        let request = CreateRequest { confinement: request.confinement, ..crate::facts::request() };
        let Ok(container) = plan::create(&container.spec, &request, &facts) else { continue };
        let (added, init) = (grants(&added), grants(&container));
        assert!(added.no_new_privileges || !init.no_new_privileges, "no_new_privs is missing");
        for (name, added, init) in [
            ("bounding", added.capabilities.bounding, init.capabilities.bounding),
            ("effective", added.capabilities.effective, init.capabilities.effective),
            ("permitted", added.capabilities.permitted, init.capabilities.permitted),
            ("inheritable", added.capabilities.inheritable, init.capabilities.inheritable),
            ("ambient", added.capabilities.ambient, init.capabilities.ambient),
        ] {
            assert_eq!(added & !init, 0, "{name} capabilities beyond those of init");
        }
    }
}
