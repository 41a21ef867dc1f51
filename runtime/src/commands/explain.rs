//! `explain`: prints what would be done for a bundle. Needs no privileges and does nothing.

use crate::bundle::Bundle;
use crate::cli::{Explain, ReportFormat};
use crate::error::{Error, Kind, Result};
use crate::host;
use crate::plan::{self, CreateRequest};
use std::io::Write;

/// `casemate explain`.
///
/// # Errors
/// Everything that is wrong with the configuration.
pub fn run(request: &Explain, out: &mut dyn Write) -> Result<()> {
    let bundle = Bundle::open(request.bundle.as_deref())?;
    let plan_request = CreateRequest {
        id: "ID".into(),
        bundle: bundle.path.clone(),
        runs: false,
        no_pivot: false,
        no_new_keyring: false,
        takes_terminal: true,
        extra_env: Vec::new(),
        notify_directory: None,
        confinement: plan::Confinement::default(),
    };
    let plan = plan::create(&bundle.spec, &plan_request, &host::facts()?)?;
    let text = match request.format {
        ReportFormat::Json => {
            let json = serde_json::to_string_pretty(&plan);
            json.map_err(|e| Error::new(Kind::System, format!("plan as JSON: {e}")))? + "\n"
        }
        ReportFormat::Text => plan::explain::text(&plan),
    };
    // A reader that closes its end, as `head` does, has seen enough.
    match out.write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::new(Kind::System, format!("write: {e}"))),
        _ => Ok(()),
    }
}
