//! A pull of which a system call fails: it says so with the right exit code, breaks nothing that was there, and the
//! next pull heals what it left.
//!
//! Which calls of a pull are about the store is known from one that was only watched. Each is then made to fail in a
//! pull of its own. Calls are counted in each thread, and threads share the work differently each time: what was hit
//! is looked up in the trace of that pull, which is killed if it was not the store.
//!
//! A part of all is tried; all are with `HOIST_FAILING_CALLS=all` (`just failing-calls`), and so many with a number.
//! `HOIST_SEED` makes another part.

use std::collections::{BTreeSet, HashMap};
use std::env;
use std::path::Path;

use hoist_tests::{Call, Dice, Output, Pull, PullSetup, Site, Strace, in_parallel};

/// How many calls of each pull are made to fail, unless told otherwise.
const TRIALS: usize = 200;
const NOTHING: [String; 0] = [];

const NO_SPACE: i32 = 11;
const NO_STORAGE: i32 = 12;
const UNSUPPORTED: i32 = 10;

/// A call that is to fail: the `nth` of its name in a thread.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Failure {
    call: String,
    nth: usize,
    error: &'static str,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_pull_of_which_a_call_fails() {
    fail_everywhere(&PullSetup::new().await, Pull::First);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_of_a_moved_tag_of_which_a_call_fails() {
    fail_everywhere(&PullSetup::new().await, Pull::MovedTag);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_of_which_a_call_fails_is_not_answered() {
    let setup = PullSetup::new().await;
    let site = setup.before(Pull::MovedTag);
    for arguments in site.questions() {
        let trials = in_parallel(failures(&site, &arguments), |failure| {
            let (output, failed) = fail(&site, &arguments, &failure);
            let output = output.filter(|_| is_hit(&site, &failed))?;
            Some(says_so(&output, &failed, failure.error).map_err(|wrong| (failure, wrong)))
        });
        assert!(trials.len() >= 10, "only {} calls of {arguments:?} were made to fail", trials.len());
        assert_eq!(complaints(trials), NOTHING, "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_runs_out_of_descriptors_takes_nothing_away() {
    const REPAIR: [&str; 2] = ["fsck", "--repair"];
    let setup = PullSetup::new().await;
    let sound = Some(setup.old.to_string());
    let mut opens = failures(&setup.before(Pull::MovedTag), &REPAIR);
    opens.retain(|failure| failure.error == "EMFILE");
    let trials = in_parallel(opens, |failure| {
        let site = setup.before(Pull::MovedTag);
        let (output, failed) = fail(&site, &REPAIR, &failure);
        let output = output.filter(|_| is_hit(&site, &failed))?;
        let outcome = says_so(&output, &failed, failure.error).and_then(|()| match site.cached()? {
            cached if cached == sound => Ok(()),
            other => Err(format!("{other:?} is cached")),
        });
        Some(outcome.map_err(|wrong| (failure, wrong)))
    });
    assert!(trials.len() >= 10, "only {} calls were made to fail", trials.len());
    assert_eq!(complaints(trials), NOTHING);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_the_disk_does_not_give_back_is_damaged() {
    const DAMAGED: i32 = 13;
    let setup = PullSetup::new().await;
    let site = setup.before(Pull::MovedTag);
    let read = failures(&site, &["fsck"]).into_iter().find(|failure| failure.call == "pread64");
    let (output, failed) = fail(&site, &["fsck"], &read.expect("a blob is read"));
    let output = output.expect("nobody killed it");
    assert!(is_hit(&site, &failed));
    assert_eq!(output.code, DAMAGED, "{output:?}");
    assert!(output.stdout.contains("its content is not what its digest says"), "{output:?}");
}

fn fail_everywhere(setup: &PullSetup, pull: Pull) {
    let site = setup.before(pull);
    let failures = chosen(failures(&site, &site.pull_arguments(pull)));
    let tried = failures.len();
    let trials = in_parallel(failures, |failure| {
        Some(survives(setup, pull, &failure).map_err(|wrong| (failure, wrong)))
    });
    let hit = trials.iter().filter(|trial| !matches!(trial, Ok(Hit::Miss))).count();
    assert_eq!(complaints(trials), NOTHING, "{pull:?}");
    println!("{pull:?}: {hit} of {tried} calls were made to fail");
    assert!(hit * 2 > tried, "{pull:?}: only {hit} of {tried} calls were made to fail");
}

/// What went wrong, in words.
fn complaints<T>(trials: Vec<Result<T, (Failure, String)>>) -> Vec<String> {
    let wrong = trials.into_iter().filter_map(Result::err);
    wrong.map(|(Failure { call, nth, error }, wrong)| format!("{call} {nth} {error}: {wrong}")).collect()
}

/// All that can fail in a command: each call that is about the store, with each error that it can have.
fn failures(site: &Site, arguments: &[&str]) -> Vec<Failure> {
    let (output, calls) = site.failing(arguments, &Strace::of("%file,%desc").with_paths());
    output.expect("nobody killed it").ok();
    let mut made: HashMap<(u32, &str), usize> = HashMap::new();
    let mut failures = BTreeSet::new();
    for call in &calls {
        let nth = made.entry((call.thread, &call.name)).or_default();
        *nth += 1;
        if call.is_below(site.path()) {
            let failure = |error| Failure { call: call.name.clone(), nth: *nth, error };
            failures.extend(errors(&call.name).iter().copied().map(failure));
        }
    }
    failures.into_iter().collect()
}

/// The errors that a call can have.
fn errors(call: &str) -> &'static [&'static str] {
    match call {
        "open" | "openat" | "openat2" => &["EIO", "EMFILE", "ENOSPC", "EDQUOT"],
        "mkdir" | "mkdirat" | "link" | "linkat" | "rename" | "renameat" | "renameat2" | "write"
        | "writev" | "pwrite64" | "pwritev" | "copy_file_range" | "fsync" | "fdatasync" | "ftruncate"
        | "fallocate" => &["EIO", "ENOSPC", "EDQUOT"],
        "read" | "pread64" | "statfs" | "fstatfs" | "getdents64" | "statx" | "fstat" | "newfstatat"
        | "flock" | "lseek" | "chmod" | "fchmod" | "utimensat" | "unlink" | "unlinkat" | "rmdir"
        | "sync_file_range" => &["EIO"],
        // Linux closes what it is told to, whatever it answers; descriptors' flags cannot fail; advice need not be
        // taken.
        "close" | "fcntl" | "fadvise64" => &[],
        other => panic!("say here how {other} can fail"),
    }
}

fn chosen(mut failures: Vec<Failure>) -> Vec<Failure> {
    let trials = match env::var("HOIST_FAILING_CALLS").as_deref() {
        Ok("all") => failures.len(),
        Ok(number) => number.parse().expect("all, or a number"),
        Err(_) => TRIALS,
    };
    Dice::new(0).shuffle(&mut failures);
    failures.truncate(trials);
    failures
}

/// What was made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hit {
    /// A call on the store.
    Store,
    /// Nothing, or a call on something else, after which the pull was killed.
    Miss,
}

/// Runs a command in which a call fails. `None`: a call on something else did. The calls are those that failed.
fn fail(
    site: &Site,
    arguments: &[&str],
    Failure { call, nth, error }: &Failure,
) -> (Option<Output>, Vec<Call>) {
    let (output, calls) = site.failing(arguments, &Strace::of(call).with_paths().failing(call, error, *nth));
    (output, calls.into_iter().filter(|call| call.is_injected).collect())
}

fn is_hit(site: &Site, failed: &[Call]) -> bool {
    !failed.is_empty() && failed.iter().all(|call| call.is_below(site.path()))
}

fn survives(setup: &PullSetup, pull: Pull, failure: &Failure) -> Result<Hit, String> {
    let site = setup.before(pull);
    let (pulled, failed) = fail(&site, &site.pull_arguments(pull), failure);
    let hit = if is_hit(&site, &failed) { Hit::Store } else { Hit::Miss };
    if let (Some(pulled), Hit::Store) = (&pulled, hit) {
        says_so(pulled, &failed, failure.error)?;
    }
    is_not_gone_on_from(&failed)?;
    let [old, new] = [&setup.old, &setup.new].map(ToString::to_string);
    let before = (pull == Pull::MovedTag).then_some(old);
    let cached = site.cached()?;
    let succeeded = pulled.as_ref().is_some_and(|pulled| pulled.code == 0);
    if cached.as_ref() != Some(&new) && (succeeded || cached != before) {
        return Err(format!("{pulled:?}, and {cached:?} is cached"));
    }
    site.heal(pull, &setup.new)?;
    Ok(hit)
}

/// Fails where somebody could go on from data whose sync failed: it may never reach the disk.
fn is_not_gone_on_from(failed: &[Call]) -> Result<(), String> {
    let mut synced = failed.iter().filter(|call| call.name == "fsync").flat_map(Call::paths);
    match synced.find(|path| path.ends_with("data") && path.exists()) {
        Some(path) => Err(format!("{} is still there after its sync failed", path.display())),
        None => Ok(()),
    }
}

/// Whether a command answers as the error of its calls asks for.
fn says_so(output: &Output, failed: &[Call], error: &str) -> Result<(), String> {
    let mut codes = match error {
        "ENOSPC" | "EDQUOT" => vec![NO_SPACE],
        _ if failed.iter().any(|call| call.name == "flock") => vec![NO_STORAGE, UNSUPPORTED],
        _ => vec![NO_STORAGE],
    };
    if failed.iter().all(may_be_ignored) {
        codes.push(0);
    }
    if output.stderr.contains("panicked") {
        return Err(output.stderr.clone());
    }
    let errors = output.stderr.lines().filter(|line| line.starts_with("hoist: ")).count();
    if codes.contains(&output.code) && errors == usize::from(output.code != 0) {
        return Ok(());
    }
    let failed: Vec<_> = failed.iter().map(|call| (&call.name, call.paths().collect::<Vec<_>>())).collect();
    Err(format!("{output:?} after {failed:?}"))
}

/// Whether a command may succeed though this call failed: nothing that it leaves depends on it.
fn may_be_ignored(call: &Call) -> bool {
    let is_staging = call.paths().any(|path| path.iter().any(|name| name == "staging"));
    match &call.name[..] {
        // To clean up is tried, and is left to the next pull if it fails.
        "openat" | "openat2" => is_staging && !call.arguments.iter().any(|argument| argument.has("O_CREAT")),
        "getdents64" | "unlinkat" => is_staging,
        // Only asked to know how much memory to take, whether there is a directory to be made, or how far locks reach; and
        // to note a use is tried.
        "lseek" | "statfs" | "fstatfs" | "utimensat" => true,
        // A claim of an unfinished blob is tried twice.
        "statx" => {
            let is_ingest = |path: &Path| path.parent().is_some_and(|parent| parent.ends_with("ingest"));
            call.argument(0).has("AT_FDCWD") || call.paths().any(|path| is_ingest(&path))
        }
        _ => false,
    }
}
