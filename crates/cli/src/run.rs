//! What each command does.

use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::time::Duration;

use hoist::{Error, ErrorKind, Events, FsckOptions, GcOptions, Hoist, ImageRegistry, PulledImage, Result};
use serde_json::json;

use crate::args::{Args, Command};
use crate::progress::Progress;
use crate::{exit, inspect, output, upkeep};

/// How long the writing of what was abandoned may take to end.
const CLEAN_UP: Duration = Duration::from_secs(5);

/// Runs the command. An error is printed by the caller; those of single references are printed here.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|cause| Error::io("cannot start threads", cause))?;
    let progress = match args.command {
        Command::Pull { .. } if !args.quiet => Some(Progress::new(std::io::stderr().is_terminal())),
        _ => None,
    };
    let events = progress.clone().map_or_else(Events::default, |p| Events::to(move |event| p.show(event)));
    args.command.check_references()?;
    let hoist = hoist::open_with_events(&args.config()?, events)?;
    let code = runtime.block_on(dispatch(&hoist, args.json, args.command, progress.as_ref()));
    // What an error abandoned is put in order; but a disk that hangs must not keep the user waiting.
    runtime.shutdown_timeout(CLEAN_UP);
    code
}

async fn dispatch(
    hoist: &Hoist,
    json: bool,
    command: Command,
    progress: Option<&Progress>,
) -> Result<ExitCode> {
    match command {
        Command::Pull { references, force, .. } => {
            each(&references, progress, async |reference| {
                let image =
                    if force { hoist.force_pull(reference).await? } else { hoist.pull(reference).await? };
                clear(progress);
                output::result(json, &image, || image.path.as_os_str().as_bytes().to_vec())
            })
            .await
        }
        Command::List => list(hoist, json).await,
        Command::Remove { references } => {
            each(&references, progress, async |reference| {
                if !hoist.remove(reference).await? {
                    return Err(not_here(reference));
                }
                let name = qualified(reference);
                output::result(json, &json!({"reference": name, "removed": true}), || {
                    name.clone().into_bytes()
                })
            })
            .await
        }
        Command::Gc { all, max_size, dry_run } => {
            let options = GcOptions::default().with_all(all).with_dry_run(dry_run);
            let options = max_size.map_or(options, |size| options.with_max_size(size.as_u64()));
            upkeep::gc(hoist.store(), json, options)
        }
        Command::Usage => upkeep::usage(hoist.store(), json),
        Command::Fsck { repair } => {
            upkeep::fsck(hoist.store(), json, FsckOptions::default().with_repair(repair))
        }
        Command::Inspect { reference } => {
            let image = hoist.resolve(&reference).await?.ok_or_else(|| not_here(&reference))?;
            let report = inspect::read(&image)?;
            output::result(json, &report, || report.to_string().into_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::IsCached { reference } => {
            let cached = hoist.resolve(&reference).await?.is_some();
            if json {
                let answer = json!({"reference": qualified(&reference), "cached": cached});
                output::result(true, &answer, Vec::new)?;
            }
            Ok(if cached { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

/// Does the same for each reference, also when one fails; the exit code is that of the first failure.
async fn each(
    references: &[String],
    progress: Option<&Progress>,
    work: impl AsyncFn(&str) -> Result<()>,
) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for reference in references {
        if let Err(error) = work(reference).await {
            clear(progress);
            output::error(&error);
            if code == ExitCode::SUCCESS {
                code = exit::code(error.kind());
            }
        }
    }
    Ok(code)
}

async fn list(hoist: &Hoist, json: bool) -> Result<ExitCode> {
    for reference in hoist.list_cached().await? {
        let image: Option<PulledImage> = if json { hoist.resolve(&reference).await? } else { None };
        output::result(json && image.is_some(), &image, || reference.into_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn clear(progress: Option<&Progress>) {
    if let Some(progress) = progress {
        progress.clear();
    }
}

fn qualified(reference: &str) -> String {
    reference.parse::<hoist::Reference>().map_or_else(|_| reference.to_owned(), |parsed| parsed.to_string())
}

fn not_here(reference: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("{} is not here", qualified(reference)))
        .with_help("`hoist list` shows what is")
}
