//! config.json: read, judged at every level, planned, encoded for init and explained.

use crate::{facts, init_program, narrowing};
use casemate::plan::{Confinement, CreateRequest, Facts, Plan, explain};
use casemate::policy::{Enforcement, Level, judge, show};
use casemate::program::Op;
use casemate::spec::{self, Spec};
use casemate::{plan, policy};

pub fn run(data: &[u8]) {
    let spec = match Spec::parse(data) {
        Ok(spec) => spec,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let written = serde_json::to_vec(&spec).unwrap();
    assert_eq!(Spec::parse(&written).unwrap(), spec, "what is written is not what was read");
    // One host for an input, so that a small change of it stays on the same one.
    let facts = host(data);
    let before = plan::create(&spec, &facts::request(), &facts);
    if let Ok(plan) = &before {
        check(plan);
    }
    for level in Level::ALL {
        let enforcement = Enforcement::new(level, "fuzz");
        let verdict = judge::create(&spec, &enforcement, &facts);
        assert!(show::text(&enforcement, &verdict, false).ends_with('\n'));
        places(data, verdict.changes.iter().map(|change| &change.pointer));
        places(data, verdict.refusals.iter().map(|refusal| &refusal.pointer));
        if let Some(error) = policy::denied(&verdict.refusals, &enforcement) {
            assert!(error.to_string().starts_with("refused by policy"));
            continue;
        }
        if level == Level::Privileged {
            assert_eq!(verdict.spec, spec, "privileged changes something");
            assert_eq!(verdict.confinement, Confinement::default());
            continue;
        }
        narrowing::once_is_enough(&verdict, &enforcement, &facts);
        let mut confinement = verdict.confinement.clone();
        // To compile the filters of policy takes most of the time, and they depend on little of the input.
        confinement.seccomp.retain(|_| draw(data) % 16 == 0);
        let request = CreateRequest { confinement, ..facts::request() };
        let after = plan::create(&verdict.spec, &request, &facts);
        if let Ok(plan) = &after {
            check(plan);
        }
        narrowing::check(before.as_ref(), after.as_ref(), &verdict);
    }
}

/// Of either host that tests plan for.
pub fn host(data: &[u8]) -> Facts {
    if draw(data).is_multiple_of(2) { facts::hybrid() } else { facts::unified() }
}

/// A number for an input (FNV-1a).
pub fn draw(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)) >> 7
}

/// A plan can be shown and encoded, and what is encoded is what was planned.
pub fn check(plan: &Plan) {
    assert!(explain::text(plan).ends_with('\n'));
    serde_json::to_vec(plan).unwrap();
    init_program::reads_back(plan);
    laws(&plan.program);
}

/// What holds for any program.
fn laws(program: &[Op]) {
    let at = |is: &dyn Fn(&Op) -> bool| program.iter().position(is);
    for op in program {
        match op {
            Op::Mount { destination, .. } | Op::Bind { destination, .. } => {
                assert!(destination.starts_with('/') && destination != "/", "{destination}");
                let parts = || destination.split('/').skip(1);
                assert!(parts().all(|part| !["", ".", ".."].contains(&part)), "{destination}");
            }
            Op::Sysctl { name, .. } => {
                assert!(["net.", "kernel.", "fs.mqueue."].iter().any(|prefix| name.starts_with(prefix)), "{name}");
                let parts = || name.split('.');
                assert!(parts().all(|part| !["", "/", "//"].contains(&part)), "{name}");
            }
            _ => {}
        }
    }
    // A process exists only behind everything that confines it.
    if let Some(execute) = at(&|op| matches!(op, Op::Execute { .. })) {
        assert_eq!(execute, program.len() - 1);
        let bounding = at(&|op| matches!(op, Op::Bounding { .. }));
        let identity = at(&|op| matches!(op, Op::Identity { .. }));
        let capabilities = at(&|op| matches!(op, Op::Capabilities { .. }));
        assert!(bounding.is_some() && bounding < identity && identity < capabilities);
        if let Some(load) = at(&|op| matches!(op, Op::Seccomp { .. })) {
            assert_eq!(load, execute - 1);
        }
    }
}

/// Every place that is told lies in the document.
fn places<'a>(data: &[u8], pointers: impl Iterator<Item = &'a String>) {
    let text = std::str::from_utf8(data).unwrap();
    for pointer in pointers {
        let place = spec::find(text, pointer);
        assert!(place.line >= 1 && place.line <= place.end_line, "{pointer}: {place:?}");
        assert!(place.end_line <= text.matches('\n').count() + 1, "{pointer}: {place:?}");
    }
}
