//! A verification policy, on every way that an image is handed out, in every stack.

use std::fs;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hoist::{Builder, Durability, Hoist};
use hoist_cache::{Cached, Fallback, Limited, Observed, Policy};
use hoist_core::{
    Admission, Candidate, Digest, Error, ErrorKind, ImageRegistry, Platform, PulledImage, Reference, Result,
};
use hoist_local::LocalRegistry;
use hoist_remote::RemoteRegistry;
use hoist_store::{Store, StoreOptions};
use hoist_testkit::{Image, ImageIndex, LayoutOrigin, MockRegistry, Origin, PLATFORM, assert_valid_layout};
use hoist_tests::{Output, hoist_with};
use tempfile::TempDir;

/// Admits what is not on its list.
#[derive(Clone, Default)]
struct Unsigned {
    images: Arc<Mutex<Vec<Digest>>>,
    names: Arc<Mutex<Vec<String>>>,
    /// In place of a refusal, it cannot tell.
    is_lost: bool,
}

impl Unsigned {
    fn image(image: &Image) -> Self {
        let unsigned = Self::default();
        unsigned.add(image);
        unsigned
    }

    fn name(name: &str) -> Self {
        Self { names: Arc::new(Mutex::new(vec![name.to_owned()])), ..Self::default() }
    }

    fn add(&self, image: &Image) {
        self.images.lock().unwrap().push(image.digest().clone());
    }

    fn refusal(&self) -> Error {
        if self.is_lost {
            return Error::new(ErrorKind::Unavailable, "who knows the signatures cannot be reached");
        }
        Error::new(ErrorKind::Refused, "nobody has signed it").with_help("have it signed")
    }
}

impl Admission for Unsigned {
    fn admit_reference(&self, reference: &Reference) -> Result<()> {
        let is_refused = self.names.lock().unwrap().contains(&reference.to_string());
        if is_refused { Err(self.refusal()) } else { Ok(()) }
    }

    fn admit(&self, image: &Candidate<'_>) -> Result<()> {
        assert_valid_layout(image.path, &image.digest.to_string());
        let is_refused = self.images.lock().unwrap().contains(image.digest);
        if is_refused { Err(self.refusal()) } else { Ok(()) }
    }
}

/// Where images come from in a stack.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Registry,
    Directory,
}

/// A machine with one store, on which stacks are made with a policy and without.
struct Machine {
    dir: TempDir,
    mock: MockRegistry,
    layout: LayoutOrigin,
    from: Place,
}

impl Machine {
    async fn new(from: Place) -> Self {
        let dir = TempDir::new().unwrap();
        let layout = LayoutOrigin::new(dir.path().join("layout"), "registry.example.com");
        Self { dir, mock: MockRegistry::start().await, layout, from }
    }

    async fn publish(&self, image: &Image) -> String {
        let origin: &dyn Origin = match self.from {
            Place::Registry => &self.mock,
            Place::Directory => &self.layout,
        };
        origin.publish("team/app", "v1", &image.into()).await
    }

    /// A handle of its own, as another process has it.
    fn store(&self, name: &str, policy: Option<&Unsigned>) -> Store {
        let options = StoreOptions::default().with_durability(Durability::None);
        let store = Store::open(self.dir.path().join(name), options).unwrap();
        match policy {
            Some(policy) => store.with_admission(Arc::new(policy.clone())),
            None => store,
        }
    }

    fn remote(&self, store: &str, policy: Option<&Unsigned>) -> RemoteRegistry {
        RemoteRegistry::new(self.store(store, policy))
            .with_platform(platform())
            .with_options(|options| options.with_retries(0))
    }

    fn local(&self, policy: Option<&Unsigned>) -> LocalRegistry {
        LocalRegistry::open(self.layout.directory(), self.store("store", policy))
            .unwrap()
            .with_platform(platform())
    }

    fn cached<R>(&self, inner: R, policy: Option<&Unsigned>) -> Cached<R> {
        Cached::new(inner, self.store("store", policy)).with_platform(platform())
    }

    fn builder(&self, policy: Option<&Unsigned>) -> Builder {
        let config = hoist::Config::default()
            .with_remote_options(|options| options.with_retries(0))
            .with_durability(Durability::None);
        let builder = Builder::config(Hoist::builder(), config).store(self.dir.path().join("store"));
        let builder = builder.platform(platform());
        match policy {
            Some(policy) => builder.admission(policy.clone()),
            None => builder,
        }
    }

    /// Over a registry of the program's own, which keeps its images in a store of its own and knows of no policy.
    fn own(&self, policy: Option<&Unsigned>) -> Builder {
        let store = self.store("own", None);
        self.builder(policy).without_remote().source(move |context| {
            RemoteRegistry::new(store.clone())
                .with_platform(context.platform.clone())
                .with_options(|options| options.with_retries(0))
        })
    }

    /// The image that the store has under this name.
    fn stored(&self, reference: &str) -> Option<String> {
        let image = self.store("store", None).peek(&reference.parse().unwrap(), &platform()).unwrap()?;
        assert_valid_layout(&image.path, &image.digest.to_string());
        Some(image.digest.to_string())
    }
}

fn platform() -> Platform {
    PLATFORM.parse().unwrap()
}

type Start = fn(&Machine, Option<&Unsigned>) -> Box<dyn ImageRegistry>;

const STACKS: &[(&str, Place, Start)] = &[
    ("remote", Place::Registry, |machine, policy| Box::new(machine.remote("store", policy))),
    ("local", Place::Directory, |machine, policy| Box::new(machine.local(policy))),
    ("cached(remote)", Place::Registry, |machine, policy| {
        Box::new(machine.cached(machine.remote("store", policy), policy))
    }),
    ("cached(remote), a store each", Place::Registry, |machine, policy| {
        Box::new(machine.cached(machine.remote("inner", None), policy))
    }),
    ("cached(local)", Place::Directory, |machine, policy| {
        Box::new(machine.cached(machine.local(policy), policy))
    }),
    ("cached(always, remote)", Place::Registry, |machine, policy| {
        Box::new(machine.cached(machine.remote("store", policy), policy).with_policy(Policy::Always))
    }),
    ("cached(newer-than, remote)", Place::Registry, |machine, policy| {
        let cached = machine.cached(machine.remote("store", policy), policy);
        Box::new(cached.with_policy(Policy::NewerThan(Duration::ZERO)).with_stale(true))
    }),
    ("fallback(local, remote)", Place::Registry, |machine, policy| {
        Box::new(Fallback::new(machine.local(policy), machine.remote("store", policy)))
    }),
    ("fallback(local, cached(remote))", Place::Directory, |machine, policy| {
        let remote = machine.cached(machine.remote("store", policy), policy);
        Box::new(Fallback::new(machine.local(policy), remote))
    }),
    ("observed(cached(limited(remote)))", Place::Registry, |machine, policy| {
        let limited = Limited::new(2, machine.remote("store", policy));
        Box::new(Observed::new(machine.cached(limited, policy)))
    }),
    ("hoist", Place::Registry, |machine, policy| Box::new(machine.builder(policy).build().unwrap())),
    ("hoist, of a directory", Place::Directory, |machine, policy| {
        Box::new(machine.builder(policy).local(machine.layout.directory()).offline().build().unwrap())
    }),
    ("hoist, without a cache", Place::Registry, |machine, policy| {
        Box::new(machine.builder(policy).without_cache().build().unwrap())
    }),
    ("hoist, on a store that is open", Place::Registry, |machine, policy| {
        Box::new(machine.builder(policy).opened_store(machine.store("store", None)).build().unwrap())
    }),
    ("hoist, over a registry of one's own", Place::Registry, |machine, policy| {
        Box::new(machine.own(policy).build().unwrap())
    }),
    ("hoist, over a registry of one's own, without a cache", Place::Registry, |machine, policy| {
        Box::new(machine.own(policy).without_cache().build().unwrap())
    }),
];

#[track_caller]
fn assert_refused(stack: &str, outcome: Result<PulledImage>) {
    let error = outcome.expect_err(stack);
    assert_eq!(*error.kind(), ErrorKind::Refused, "{stack}: {}", error.report());
    let report = error.report();
    assert!(report.contains("is not admitted: nobody has signed it; have it signed"), "{stack}: {report}");
}

#[tokio::test]
async fn a_verification_policy_is_applied_on_cache_hits_too() {
    for (stack, from, start) in STACKS {
        let machine = Machine::new(*from).await;
        let image = Image::sample(1);
        let reference = machine.publish(&image).await;
        // Another process has no policy, and puts the image into the store.
        let free = start(&machine, None);
        free.pull(&reference).await.unwrap();
        let guarded = start(&machine, Some(&Unsigned::image(&image)));
        let pinned = format!("{reference}@{}", image.digest());
        for name in [&reference, &pinned] {
            assert_refused(stack, guarded.pull(name).await);
            assert_refused(stack, guarded.force_pull(name).await);
        }
        assert!(guarded.is_cached(&reference).await, "{stack}: it is told what is there");
        assert!(guarded.list_cached().await.unwrap().contains(&reference), "{stack}");
        let named = machine.store("store", None).list(&platform()).unwrap();
        assert!(named.iter().all(|name| name.digest().is_none()), "{stack}: {named:?}");
        assert_valid_layout(&free.pull(&reference).await.unwrap().path, &image.digest().to_string());
        match guarded.remove(&reference).await {
            Err(error) => assert_eq!((*from, error.kind()), (Place::Directory, &ErrorKind::Unsupported)),
            removed => assert!(removed.unwrap(), "{stack}: it can be removed"),
        }
    }
}

#[tokio::test]
async fn a_refused_pull_gives_nothing_a_name() {
    for (stack, from, start) in STACKS {
        let machine = Machine::new(*from).await;
        let image = Image::sample(1);
        let reference = machine.publish(&image).await;
        let policy = Unsigned::image(&image);
        let guarded = start(&machine, Some(&policy));
        assert_refused(stack, guarded.pull(&reference).await);
        assert_refused(stack, guarded.force_pull(&reference).await);
        assert_eq!(machine.stored(&reference), None, "{stack}");
        assert_eq!(machine.store("store", None).list(&platform()).unwrap(), [], "{stack}");
        // Somebody has signed it since: what was said is not remembered.
        policy.images.lock().unwrap().clear();
        let pulled = guarded.pull(&reference).await.unwrap();
        assert_eq!(pulled.digest, image.digest().to_string(), "{stack}");
    }
}

#[tokio::test]
async fn a_refused_force_pull_leaves_the_old_image_as_it_was() {
    for (stack, from, start) in STACKS {
        let machine = Machine::new(*from).await;
        let (old, new) = (Image::sample(1), Image::sample(2));
        let reference = machine.publish(&old).await;
        let guarded = start(&machine, Some(&Unsigned::image(&new)));
        let pulled = guarded.pull(&reference).await.unwrap();
        let stored = machine.stored(&reference);
        machine.publish(&new).await;
        assert_refused(stack, guarded.force_pull(&reference).await);
        assert_eq!(machine.stored(&reference), stored, "{stack}: the name leads where it did");
        assert_valid_layout(&pulled.path, &old.digest().to_string());
    }
}

#[tokio::test]
async fn for_a_name_that_is_refused_nobody_is_asked() {
    for (stack, from, start) in STACKS {
        let machine = Machine::new(*from).await;
        let reference = machine.publish(&Image::sample(1)).await;
        let guarded = start(&machine, Some(&Unsigned::name(&reference)));
        assert_refused(stack, guarded.pull(&reference).await);
        assert_refused(stack, guarded.force_pull(&reference).await);
        assert_eq!(machine.mock.requests(), [], "{stack}");
        let blobs = machine.dir.path().join("store/blobs/sha256");
        assert_eq!(blobs.read_dir().map_or(0, Iterator::count), 0, "{stack}: nothing was taken");
    }
}

#[tokio::test]
async fn a_policy_that_cannot_tell_hands_out_nothing() {
    for (stack, from, start) in STACKS {
        let machine = Machine::new(*from).await;
        let reference = machine.publish(&Image::sample(1)).await;
        start(&machine, None).pull(&reference).await.unwrap();
        let lost = Unsigned { is_lost: true, ..Unsigned::image(&Image::sample(1)) };
        let error = start(&machine, Some(&lost)).pull(&reference).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unavailable, "{stack}: {}", error.report());
        assert!(error.report().contains("cannot be reached"), "{stack}: {}", error.report());
    }
}

#[tokio::test]
async fn what_is_refused_is_not_served_stale() {
    let machine = Machine::new(Place::Registry).await;
    let image = Image::sample(1);
    let reference = machine.publish(&image).await;
    let policy = Unsigned::default();
    let cached = machine.cached(machine.remote("store", Some(&policy)), Some(&policy));
    let cached = cached.with_policy(Policy::Always).with_stale(true);
    cached.pull(&reference).await.unwrap();
    machine.mock.go_down().await;
    cached.pull(&reference).await.expect("stale, and admitted");
    policy.add(&image);
    let error = cached.pull(&reference).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable, "why it could not be had: {}", error.report());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_a_stack_that_hands_out_an_image_asks() {
    for from_index in [false, true] {
        let machine = Machine::new(Place::Registry).await;
        let index = ImageIndex::sample(1);
        let arm: Platform = "linux/arm64".parse().unwrap();
        let (image, arm_image) = (index.image(PLATFORM).clone(), index.image("linux/arm64").clone());
        let top = index.digest().clone();
        let reference = machine.mock.publish("team/app", "v1", index);
        let free = machine.builder(None).build().unwrap();
        free.pull(&reference).await.unwrap();
        free.for_platform(arm.clone()).pull(&reference).await.unwrap();
        let policy = Unsigned::image(&image);
        policy.add(&arm_image);
        let name = if from_index { format!("{reference}@{top}") } else { reference };
        let guarded = machine.builder(Some(&policy)).build().unwrap();
        for hoist in [&guarded, &guarded.for_platform(arm)] {
            assert_refused("pull", hoist.pull(&name).await);
            assert_refused("force_pull", hoist.force_pull(&name).await);
            assert_refused("pull_leased", hoist.pull_leased(&name).await.map(|(image, _)| image));
            assert_refused("resolve", hoist.resolve(&name).await.map(Option::unwrap));
            assert!(hoist.is_cached(&name).await);
        }
        let remote = machine.remote("store", Some(&policy));
        assert_refused("remote", remote.pull(&name).await);
        let blocking = machine.builder(Some(&policy)).build_blocking().unwrap();
        let calls = thread::spawn(move || {
            assert_refused("blocking", blocking.pull(&name));
            assert_refused("blocking", blocking.force_pull(&name));
            assert_refused("blocking", blocking.pull_leased(&name).map(|(image, _)| image));
            assert_refused("blocking", blocking.resolve(&name).map(Option::unwrap));
            assert!(blocking.is_cached(&name));
        });
        calls.join().unwrap();
    }
}

#[tokio::test]
async fn what_a_cache_only_passes_on_is_asked_about_too() {
    let machine = Machine::new(Place::Registry).await;
    let index = ImageIndex::sample(1);
    let policy = Unsigned::image(index.image(PLATFORM));
    let by_index = format!("{}/team/app@{}", machine.mock.host(), index.digest());
    machine.mock.publish("team/app", "v1", index);
    // The index is in another's store, so that the cache has no proof of it, and keeps nothing.
    let cached = |policy| machine.cached(machine.remote("inner", None), policy);
    cached(None).pull(&by_index).await.unwrap();
    assert_refused("cached", cached(Some(&policy)).pull(&by_index).await);
    assert_refused("cached", cached(Some(&policy)).force_pull(&by_index).await);
}

#[tokio::test]
async fn a_cache_asks_also_where_the_registry_within_has_named_the_image() {
    let machine = Machine::new(Place::Registry).await;
    let image = Image::sample(1);
    let reference = machine.publish(&image).await;
    let policy = Unsigned::image(&image);
    for when in [Policy::Always, Policy::IfNotPresent, Policy::NewerThan(Duration::ZERO)] {
        let cached = machine.cached(machine.remote("store", None), Some(&policy)).with_policy(when);
        assert_refused(&cached.to_string(), cached.pull(&reference).await);
        assert_refused(&cached.to_string(), cached.force_pull(&reference).await);
    }
}

/// A user of the command, with a registry, a store and a configuration.
struct User {
    mock: MockRegistry,
    dir: TempDir,
}

impl User {
    async fn new() -> Self {
        Self { mock: MockRegistry::start().await, dir: TempDir::new().unwrap() }
    }

    /// Runs `hoist` with this configuration.
    async fn hoist(&self, config: &str, arguments: &[&str]) -> Output {
        let (file, root) = (self.dir.path().join("hoist.toml"), self.dir.path().join("store"));
        fs::write(&file, config).unwrap();
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let run = move || {
            let arguments: Vec<_> =
                arguments.iter().map(String::as_str).chain(["--platform", PLATFORM]).collect();
            hoist_with(&[("HOIST_CONFIG", &file)], &root, &arguments)
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    /// The command must say this and nothing else, with the exit code of what may not be handed out.
    async fn is_refused(&self, config: &str, arguments: &[&str], said: &str) {
        let output = self.hoist(config, arguments).await;
        assert_eq!((output.code, &*output.stdout), (14, ""), "{}", output.stderr);
        assert_eq!(output.stderr, format!("hoist: {said}\n"));
    }
}

#[tokio::test]
async fn the_command_hands_out_only_what_the_configuration_admits() {
    let user = User::new().await;
    let (host, image) = (user.mock.host(), Image::sample(1));
    let reference = user.mock.publish("team/app", "v1", &image);
    let allow = "[admission]\nallow = ['ghcr.io/acme', 'docker.io/library']";
    let not_allowed = format!(
        "{reference} is not admitted: no scope of `admission.allow` has {host}/team/app; \
         choose what is in one of them (ghcr.io/acme, docker.io/library), or add another"
    );
    user.is_refused(allow, &["pull", &reference], &not_allowed).await;
    user.is_refused(allow, &["pull", "--force", &reference], &not_allowed).await;
    let deny = format!("[admission]\ndeny = ['{host}/team']");
    let denied = format!(
        "{reference} is not admitted: `admission.deny` has {host}/team; choose another image, or take that scope out"
    );
    user.is_refused(&deny, &["pull", &reference], &denied).await;
    let require = "[admission]\nrequire-digest = ['*']";
    let by_tag = format!(
        "{reference} is not admitted: `admission.require-digest` has *, and a tag is no digest; \
         pull it as {host}/team/app@sha256:...; `hoist resolve` tells the digest of a tag"
    );
    user.is_refused(require, &["pull", &reference], &by_tag).await;
    assert_eq!(user.mock.requests(), [], "nobody was asked");
    let pinned = format!("{host}/team/app@{}", image.digest());
    let resolved = user.hoist(require, &["resolve", &reference]).await;
    assert!(resolved.ok().contains(&image.digest().to_string()), "{}", resolved.stdout);
    assert_valid_layout(user.hoist(require, &["pull", &pinned]).await.ok(), &image.digest().to_string());
    assert_eq!(user.hoist("", &["pull", &reference]).await.code, 0);
    // It is here now, which changes nothing, and is told and removed.
    user.is_refused(allow, &["pull", &reference], &not_allowed).await;
    user.is_refused(allow, &["inspect", &reference], &not_allowed).await;
    assert_eq!(user.hoist(allow, &["is-cached", &reference]).await.code, 0);
    assert_eq!(user.hoist(allow, &["list"]).await.ok(), [&*reference, &*pinned].join("\n"));
    assert_eq!(user.hoist(allow, &["list", "--json"]).await.ok().lines().count(), 2);
    assert_eq!(user.hoist(allow, &["remove", &reference]).await.ok(), reference);
    assert!(user.hoist("", &["--help"]).await.stdout.contains("  14  the image may not be handed out"));
}
