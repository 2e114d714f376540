//! Checks what surprises people: one line each, fine or what is wrong and what to do.

use std::path::Path;
use std::process::ExitCode;

use hoist::{Check, Config, Hoist, Result};
use serde::Serialize;

use crate::exit;
use crate::output;

/// One line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    check: &'a str,
    ok: bool,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
}

/// Prints a line for each check. `root` is the user's store.
pub(super) async fn doctor(
    hoist: &Hoist,
    config: &Config,
    root: &Path,
    json: bool,
    registry: Option<&str>,
) -> Result<ExitCode> {
    let checks = hoist.doctor(config, root, registry).await;
    for check in &checks {
        let line = line(check);
        output::result(json, &line, || text(&line).into_bytes())?;
    }
    let is_fine = checks.iter().all(|check| check.outcome.is_ok());
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::from(exit::UNWELL) })
}

fn line(check: &Check) -> Line<'_> {
    let (ok, detail, kind) = match &check.outcome {
        Ok(found) => (true, found.clone(), None),
        Err(error) => (false, output::with_flags(error.report()), Some(error.kind().as_str())),
    };
    Line { check: check.subject, ok, detail, kind }
}

fn text(line: &Line<'_>) -> String {
    format!("{}  {:<12}  {}", if line.ok { "ok   " } else { "WRONG" }, line.check, line.detail)
}
