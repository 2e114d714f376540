//! Runs each command.

use std::fs::File;
use std::io::{IsTerminal, stdin};
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::stream::{FuturesOrdered, StreamExt};
use hoist::{
    Archive, Config, Digest, Error, ErrorKind, Events, FsckOptions, GcOptions, Hoist, ImageRegistry,
    PulledImage, Result,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::args::{Args, Command};
use crate::progress::Progress;
use crate::{exit, inspect, interrupt, login, lookup, output, upkeep};

/// How long to wait for the cleanup of dropped work.
const CLEAN_UP: Duration = Duration::from_secs(5);

/// How many images to pull at once by default: as many as docker does with layers.
const PULLS: usize = 3;

/// Runs the command. Errors of single references are printed here; the caller prints all others.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    // One thread does everything but the disk's work: bytes from a connection then need not wake another
    // thread.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|cause| Error::io("cannot start threads", cause))?;
    let progress = match args.command {
        Command::Pull { .. } if !args.quiet => Some(Progress::new(std::io::stderr().is_terminal())),
        _ => None,
    };
    let events = progress.clone().map_or_else(Events::default, |p| Events::to(move |event| p.show(event)));
    args.command.check_references()?;
    let mut config = args.config()?;
    // A command that only asks registries neither needs, creates nor opens the user's store. It gets an empty
    // temporary one.
    let empty = args.command.only_asks().then(TempDir::new).transpose();
    let empty = empty.map_err(|cause| Error::io("cannot create a temporary directory", cause))?;
    if let Some(empty) = &empty {
        config = config.with_root(empty.path().join("store"));
    }
    // Only a pull or a load creates a store; other commands do not.
    let hoist = if empty.is_some() || args.command.needs_store(&config) || is_there(&config.root)? {
        Some(hoist::open_with_events(&config, events)?)
    } else {
        None
    };
    let json = args.json;
    let code = match &hoist {
        Some(hoist) => runtime.block_on(dispatch(hoist, &config, json, args.command, progress.as_ref())),
        None => look_at_nothing(&config, json, args.command),
    };
    // Clean up after dropped work, but do not keep the user waiting for a disk that hangs.
    if let Some(hoist) = &hoist {
        runtime.block_on(interrupt::clean_up(hoist.store(), CLEAN_UP));
    }
    runtime.shutdown_timeout(CLEAN_UP);
    code
}

/// Whether the directory exists and is not empty, so that it may be a store.
fn is_there(root: &Path) -> Result<bool> {
    let failed = |cause| Error::io(format!("cannot list {}", root.display()), cause);
    match root.read_dir() {
        Ok(mut entries) => Ok(entries.next().transpose().map_err(failed)?.is_some()),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(failed(cause)),
    }
}

/// Runs a command that only reads, without a store.
fn look_at_nothing(config: &Config, json: bool, command: Command) -> Result<ExitCode> {
    match command {
        Command::Pull { .. } | Command::Load { .. } | Command::List => Ok(ExitCode::SUCCESS),
        Command::Remove { references } => {
            for reference in &references {
                output::error(&not_here(reference));
            }
            Ok(exit::code(&ErrorKind::NotFound))
        }
        Command::Gc { all, dry_run, .. } => upkeep::gc(None, json, &gc_options(config, all, dry_run)),
        Command::Usage => upkeep::usage(None, json),
        Command::Fsck { .. } => upkeep::fsck(None, json, &FsckOptions::default()),
        Command::Inspect { reference, .. } => Err(not_here(&reference)),
        Command::IsCached { reference } => is_cached(json, &reference, false),
        Command::Resolve { .. } | Command::Tags { .. } | Command::Login(_) | Command::Logout { .. } => {
            unreachable!("there is an empty store for these")
        }
    }
}

fn is_cached(json: bool, reference: &str, cached: bool) -> Result<ExitCode> {
    if json {
        let answer = json!({"reference": qualified(reference), "cached": cached});
        output::result(true, &answer, Vec::new)?;
    }
    Ok(if cached { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn gc_options(config: &Config, all: bool, dry_run: bool) -> GcOptions {
    let options = GcOptions::default().with_all(all).with_dry_run(dry_run);
    match config.max_size {
        Some(size) => options.with_max_size(size),
        None => options,
    }
}

async fn dispatch(
    hoist: &Hoist,
    config: &Config,
    json: bool,
    command: Command,
    progress: Option<&Progress>,
) -> Result<ExitCode> {
    let store = Some(hoist.store());
    match command {
        Command::Pull { references, force, .. } => {
            let at_once = config.max_pulls.map_or(PULLS, NonZeroUsize::get);
            let pull = async |reference: &str| {
                if force { hoist.force_pull(reference).await } else { hoist.pull(reference).await }
            };
            let print = |image: PulledImage| {
                output::result(json, &image, || image.path.as_os_str().as_bytes().to_vec())
            };
            interrupt::or_done(each(&references, at_once, progress, pull, print)).await
        }
        Command::Load { path, replace } => load(hoist, json, &path, replace).await,
        Command::List => list(hoist, json).await,
        Command::Login(args) => login::login(hoist, config, json, args).await,
        Command::Logout { registry } => login::logout(hoist, json, &registry).await,
        Command::Remove { references } => {
            let remove = async |reference: &str| match hoist.remove_all(reference).await? {
                removed if removed.is_empty() => Err(not_here(reference)),
                removed => Ok(removed),
            };
            let print = |removed: Vec<String>| {
                removed.into_iter().try_for_each(|name| {
                    output::result(json, &json!({"reference": name, "removed": true}), || {
                        name.clone().into_bytes()
                    })
                })
            };
            each(&references, 1, progress, remove, print).await
        }
        Command::Gc { all, dry_run, .. } => upkeep::gc(store, json, &gc_options(config, all, dry_run)),
        Command::Usage => upkeep::usage(store, json),
        Command::Fsck { repair } => upkeep::fsck(store, json, &FsckOptions::default().with_repair(repair)),
        Command::Inspect { reference, image_config } => {
            let image = hoist.resolve(&reference).await?.ok_or_else(|| not_here(&reference))?;
            if image_config {
                output::document(&inspect::config(&image)?)?;
            } else {
                let report = inspect::read(&image)?;
                output::result(json, &report, || report.to_string().into_bytes())?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Resolve { reference, .. } => lookup::resolve(hoist, json, &reference).await,
        Command::Tags { repository, .. } => lookup::tags(hoist, json, &repository).await,
        Command::IsCached { reference } => {
            let here = match hoist.resolve(&reference).await {
                // An image that may not be handed out is cached all the same.
                Err(error) if *error.kind() == ErrorKind::Refused => hoist.is_cached(&reference).await,
                // A directory has its images even if none of them was pulled yet.
                image => image?.is_some() || hoist.is_cached(&reference).await,
            };
            is_cached(json, &reference, here)
        }
    }
}

/// Does the same work for each reference, `at_once` of them in parallel, and continues after a failure. Prints
/// the results in the order of the references. The exit code is that of the first failure in this order.
async fn each<T>(
    references: &[String],
    at_once: usize,
    progress: Option<&Progress>,
    work: impl AsyncFn(&str) -> Result<T>,
    print: impl Fn(T) -> Result<()>,
) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let turns = Semaphore::new(at_once.min(references.len()));
    let in_turn = async |reference: &String| {
        let _turn = turns.acquire().await;
        work(reference).await
    };
    let mut outcomes: FuturesOrdered<_> = references.iter().map(in_turn).collect();
    while let Some(outcome) = outcomes.next().await {
        let printed = beside(progress, || outcome.and_then(&print).inspect_err(output::error));
        if let Err(error) = printed
            && code == ExitCode::SUCCESS
        {
            code = exit::code(error.kind());
        }
    }
    if let Some(progress) = progress {
        progress.clear(); // failed downloads have left their bars
    }
    Ok(code)
}

async fn load(hoist: &Hoist, json: bool, path: &Path, replace: bool) -> Result<ExitCode> {
    let archive = open_archive(hoist, path)?;
    let load = async {
        for image in archive.load(hoist.store(), hoist.platform(), replace).await? {
            output::result(json, &image, || image.path.as_os_str().as_bytes().to_vec())?;
        }
        Ok(ExitCode::SUCCESS)
    };
    interrupt::or_done(load).await
}

/// Opens an archive. An archive from a pipe is first copied into an unnamed file on the store's file system,
/// because the images have to fit there as well.
fn open_archive(hoist: &Hoist, path: &Path) -> Result<Archive> {
    let (name, opened) = if path == Path::new("-") {
        (Path::new("what comes on stdin"), stdin().as_fd().try_clone_to_owned().map(File::from))
    } else {
        (path, File::open(path))
    };
    let failed = |cause| Error::io(format!("cannot read {}", name.display()), cause);
    let mut file = opened.map_err(failed)?;
    let kind = file.metadata().map_err(failed)?.file_type();
    if kind.is_fifo() || kind.is_socket() {
        let root = hoist.store().root();
        let failed =
            |cause| Error::io(format!("cannot keep {} in {}", name.display(), root.display()), cause);
        let mut kept = tempfile::tempfile_in(root).map_err(failed)?;
        std::io::copy(&mut file, &mut kept).map_err(failed)?;
        file = kept;
    }
    Archive::of_file(file, name)
}

async fn list(hoist: &Hoist, json: bool) -> Result<ExitCode> {
    for reference in hoist.list_cached().await? {
        let image = if json { stored(hoist, &reference).await? } else { None };
        if let Some(image) = image {
            output::result(json, &image, Vec::new)?;
        } else {
            // An image of a directory may not be pulled yet.
            let image = json!({"reference": reference, "digest": null, "path": null});
            output::result(json, &image, || reference.into_bytes())?;
        }
    }
    for digest in hoist.store().unnamed()? {
        let image = json!({"reference": null, "digest": digest, "path": hoist.store().image_path(&digest)});
        output::result(json, &image, || format!("<none>@{digest}").into_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// An image for listing, which may not be handed out.
async fn stored(hoist: &Hoist, reference: &str) -> Result<Option<PulledImage>> {
    match hoist.resolve(reference).await {
        Err(error) if *error.kind() == ErrorKind::Refused => {
            let known = hoist.store().peek(&reference.parse()?, hoist.platform())?;
            Ok(known.map(Into::into))
        }
        image => image,
    }
}

/// Prints without disturbing the progress bars.
fn beside<T>(progress: Option<&Progress>, print: impl FnOnce() -> T) -> T {
    match progress {
        Some(progress) => progress.beside(print),
        None => print(),
    }
}

fn qualified(reference: &str) -> String {
    if reference.parse::<Digest>().is_ok() {
        return reference.to_owned();
    }
    reference.parse::<hoist::Reference>().map_or_else(|_| reference.to_owned(), |parsed| parsed.to_string())
}

fn not_here(reference: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("{} is not here", qualified(reference)))
        .with_help("`hoist list` shows the stored images")
}
