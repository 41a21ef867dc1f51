//! What has to hold of a verdict, whatever the configuration: rules take away or refuse, and never give.

use casemate::error::Error;
use casemate::plan::grants::{Grants, grants};
use casemate::plan::{Facts, Plan};
use casemate::policy::{Enforcement, Verdict, judge};

/// Why a narrowed configuration may be refused that was not before; see `runtime/tests/narrowing/rules.rs`.
const BREAKS: [&str; 1] = ["which cgroup v1 cannot express"];

/// Judged a second time, a configuration stays as it is.
pub fn once_is_enough(verdict: &Verdict, enforcement: &Enforcement, facts: &Facts) {
    let again = judge::create(&verdict.spec, enforcement, facts);
    assert!(again.refusals.is_empty(), "refused only the second time: {:?}", again.refusals);
    assert_eq!(again.spec, verdict.spec, "changed again: {:?}", again.changes);
}

/// The plan of what a verdict made of a configuration gives no more than the plan of that configuration.
pub fn check(before: Result<&Plan, &Error>, after: Result<&Plan, &Error>, verdict: &Verdict) {
    let Ok(before) = before else { return };
    match after {
        Ok(after) => within(&without_filters(after), &without_filters(before), verdict),
        Err(error) if BREAKS.iter().any(|words| error.to_string().contains(words)) => {}
        Err(error) => panic!("no plan any more: {error}\n{:#?}", verdict.changes),
    }
}

fn within(after: &Grants, before: &Grants, verdict: &Verdict) {
    if let Err(excess) = after.within(before) {
        panic!("more is given than before: {}\n{:#?}", excess.join("\n"), verdict.changes);
    }
}

/// Filters are compared by the target `profile`, which takes longer than all the rest.
fn without_filters(plan: &Plan) -> Grants {
    Grants { filters: Vec::new(), ..grants(plan) }
}
