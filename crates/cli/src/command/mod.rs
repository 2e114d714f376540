//! Runs each command. A file has one command, or a few that belong together.

mod copy;
mod doctor;
mod each;
mod images;
mod inspect;
mod list;
mod load;
mod login;
mod lookup;
mod pull;
mod remove;
mod rootfs;
mod save;
mod serve;
mod upkeep;

use std::fs::DirEntry;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use hoist::{Config, Error, ErrorKind, FsckOptions, Hoist, Result};
use tempfile::TempDir;

use crate::args::{Args, Command, CopyArgs, SaveArgs};
use crate::progress::Progress;
use crate::{exit, interrupt, output};

/// How long to wait for the cleanup of dropped work.
const CLEAN_UP: Duration = Duration::from_secs(5);

/// What a command that has a store works with.
struct Context<'a> {
    hoist: &'a Hoist,
    config: &'a Config,
    /// With the user's own store, where the command has an empty one.
    configured: &'a Config,
    json: bool,
    progress: Option<&'a Progress>,
}

/// Runs the command. Errors of single references are printed here; the caller prints all others.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    // One thread does everything but the disk's work: bytes from a connection then need not wake another
    // thread.
    let mut runtime = match args.command {
        Command::Serve(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = runtime.enable_all().build();
    let runtime = runtime.map_err(|cause| Error::io("cannot start threads", cause))?;
    args.command.check_references()?;
    let mut config = args.config()?;
    // A command that only asks registries neither needs, creates nor opens the user's store. It gets an empty
    // temporary one.
    let empty = args.command.only_asks().then(TempDir::new).transpose();
    let empty = empty.map_err(|cause| Error::io("cannot create a temporary directory", cause))?;
    let configured = config.clone();
    if let Some(empty) = &empty {
        // No other process uses it, wherever the system keeps temporary files.
        config = config.with_root(empty.path().join("store")).with_network_file_system();
    }
    // Only a pull or a load creates a store; other commands do not.
    if empty.is_none() && !args.command.needs_store(&config) && !is_there(&config.root)? {
        return without_store(&config, args.json, args.command);
    }
    let progress = match args.command {
        Command::Pull(_) | Command::RootFs(_) | Command::Save(_) | Command::Copy(_) if !args.quiet => {
            Progress::start(args.progress)
        }
        _ => None,
    };
    let events = progress.as_ref().map(Progress::events).unwrap_or_default();
    let hoist = hoist::open_with_events(&config, events)?;
    let context = Context {
        hoist: &hoist,
        config: &config,
        configured: &configured,
        json: args.json,
        progress: progress.as_ref(),
    };
    let code = runtime.block_on(dispatch(&context, args.command));
    drop(progress);
    // Clean up after dropped work, but do not keep the user waiting for a disk that hangs.
    runtime.block_on(interrupt::clean_up(hoist.store(), CLEAN_UP));
    runtime.shutdown_timeout(CLEAN_UP);
    code
}

/// Whether the directory exists and is not empty, so that it may be a store. A new volume has `lost+found`.
fn is_there(root: &Path) -> Result<bool> {
    let failed = |cause| Error::io(format!("cannot list {}", root.display()), cause);
    match root.read_dir() {
        Ok(mut entries) => {
            let is_more = |entry: &std::io::Result<DirEntry>| {
                entry.as_ref().map_or(true, |entry| entry.file_name() != "lost+found")
            };
            Ok(entries.find(is_more).transpose().map_err(failed)?.is_some())
        }
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(failed(cause)),
    }
}

/// Runs a command that only reads, without a store.
fn without_store(config: &Config, json: bool, command: Command) -> Result<ExitCode> {
    match command {
        Command::Pull(_) | Command::Load(_) | Command::RootFs(_) | Command::Serve(_) | Command::List => {
            Ok(ExitCode::SUCCESS)
        }
        Command::Remove { references } => {
            for reference in &references {
                output::error(&images::not_here(reference));
            }
            Ok(exit::code(&ErrorKind::NotFound))
        }
        Command::Save(SaveArgs { references, .. }) | Command::Copy(CopyArgs { references, .. }) => {
            Err(images::not_here(&references[0]))
        }
        Command::Gc(args) => upkeep::gc(None, json, &args.options(config)),
        Command::Usage => upkeep::usage(None, json),
        Command::Fsck { .. } => upkeep::fsck(None, json, &FsckOptions::default()),
        Command::Inspect { reference, .. } => Err(images::not_here(&reference)),
        Command::IsCached { reference } => images::print_cached(json, &reference, false),
        Command::Resolve { .. }
        | Command::Tags { .. }
        | Command::Login(_)
        | Command::Logout { .. }
        | Command::Doctor { .. } => {
            unreachable!("there is an empty store for these")
        }
    }
}

async fn dispatch(context: &Context<'_>, command: Command) -> Result<ExitCode> {
    let Context { hoist, config, json, .. } = *context;
    let store = Some(hoist.store());
    match command {
        Command::Pull(args) => pull::pull(context, args).await,
        Command::Load(args) => load::load(hoist, json, &args).await,
        Command::RootFs(args) => rootfs::rootfs(context, args).await,
        Command::Serve(_) => serve::serve(context).await,
        Command::Save(args) => save::save(context, args).await,
        Command::Copy(args) => copy::copy(context, args).await,
        Command::List => list::list(hoist, json).await,
        Command::Login(args) => login::login(hoist, config, json, args).await,
        Command::Logout { registry } => login::logout(hoist, json, &registry).await,
        Command::Remove { references } => remove::remove(context, &references).await,
        Command::Gc(args) => upkeep::gc(store, json, &args.options(config)),
        Command::Usage => upkeep::usage(store, json),
        Command::Fsck { repair } => upkeep::fsck(store, json, &FsckOptions::default().with_repair(repair)),
        Command::Inspect { reference, image_config } => {
            inspect::inspect(hoist, json, &reference, image_config).await
        }
        Command::Resolve { reference, .. } => lookup::resolve(hoist, json, &reference).await,
        Command::Tags { repository, .. } => lookup::tags(hoist, json, &repository).await,
        Command::Doctor { registry } => {
            let configured = context.configured;
            doctor::doctor(hoist, configured, &configured.root, json, registry.as_deref()).await
        }
        Command::IsCached { reference } => images::is_cached(hoist, json, &reference).await,
    }
}
