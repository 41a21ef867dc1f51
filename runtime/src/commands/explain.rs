//! `explain`: prints what would be done for a bundle. Needs no privileges and does nothing.

use super::doctor::Colour;
use super::gate::Gate;
use crate::bundle::Bundle;
use crate::cli::{Explain, ReportFormat};
use crate::error::{Error, Kind, Result};
use crate::host;
use crate::log::Log;
use crate::plan::{self, CreateRequest, Plan};
use crate::policy::{self, Enforcement, Verdict, judge};
use std::io::Write;

/// `casemate explain`.
///
/// # Errors
/// Everything that is wrong with the configuration, or that policy refuses.
pub fn run(gate: &Gate, request: &Explain, colour: Colour, log: &Log, out: &mut dyn Write) -> Result<()> {
    let bundle = Bundle::open(request.bundle.as_deref())?;
    let facts = host::facts()?;
    let enforcement = gate.choose("ID", &bundle.spec, &bundle.path, &facts, log)?;
    let verdict = judge::create(&bundle.spec, &enforcement, &facts);
    let denied = policy::denied(&verdict.refusals, &enforcement);
    let plan_request = CreateRequest {
        id: "ID".into(),
        bundle: bundle.path.clone(),
        runs: false,
        no_pivot: false,
        no_new_keyring: false,
        takes_terminal: true,
        extra_env: Vec::new(),
        notify_directory: None,
        confinement: verdict.confinement.clone(),
    };
    let plan = plan::create(&verdict.spec, &plan_request, &facts)?;
    let text = match request.format {
        ReportFormat::Json => json(&plan, &enforcement, &verdict)?,
        ReportFormat::Text => {
            let steps = if denied.is_none() { format!("\n{}", plan::explain::text(&plan)) } else { String::new() };
            policy::show::text(&enforcement, &verdict, colour == Colour::On) + &steps
        }
    };
    // A reader that closes its end, as `head` does, has seen enough.
    match out.write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            return Err(Error::new(Kind::System, format!("write: {e}")));
        }
        _ => {}
    }
    denied.map_or(Ok(()), Err)
}

/// The plan, with what policy made of the configuration.
fn json(plan: &Plan, enforcement: &Enforcement, verdict: &Verdict) -> Result<String> {
    let failed = |e: serde_json::Error| Error::new(Kind::System, format!("plan as JSON: {e}"));
    let mut value = serde_json::to_value(plan).map_err(failed)?;
    value["policy"] = serde_json::json!({
        "enforcement": enforcement,
        "changes": verdict.changes,
        "refusals": verdict.refusals,
        "notes": verdict.notes,
    });
    Ok(serde_json::to_string_pretty(&value).map_err(failed)? + "\n")
}
