//! The contract, on every backend and on the stacks that they are used in: one test for each pair.

use std::sync::Arc;

use hoist_cache::{Cached, Fallback, Limited, Observed, Policy};
use hoist_core::{ImageRegistry, Platform};
use hoist_distribution::DistributionRegistry;
use hoist_local::LocalRegistry;
use hoist_remote::RemoteRegistry;
use hoist_store::{Durability, Store, StoreOptions};
use hoist_testkit::{Ability, Harness, LayoutOrigin, MockRegistry, Outcome, PLATFORM, Subject, cases};
use hoist_tests::{Faulty, Slow};
use libtest_mimic::{Arguments, Trial};
use tempfile::TempDir;

/// A stack under test.
struct Stack {
    name: &'static str,
    abilities: &'static [&'static [Ability]],
    start: fn(Place) -> Start,
}

type Start = std::pin::Pin<Box<dyn Future<Output = Subject> + Send>>;

/// Directories of a test's own.
struct Place(Arc<TempDir>);

impl Place {
    fn new() -> Self {
        Self(Arc::new(TempDir::new().expect("a temporary directory can be made")))
    }

    fn store(&self, name: &str) -> Store {
        // No power fails here; `hoist::open` has the usual options.
        let options = StoreOptions::default().with_durability(Durability::None);
        Store::open(self.0.path().join(name), options).expect("a store can be opened")
    }

    fn remote(&self, store: &str) -> RemoteRegistry {
        RemoteRegistry::new(self.store(store))
            .with_platform(platform())
            .with_options(|options| options.with_retries(1))
    }

    fn distribution(&self, store: &str) -> DistributionRegistry {
        DistributionRegistry::new(self.store(store)).expect("there is TLS").with_platform(platform())
    }

    fn cached<R>(&self, inner: R, store: &str) -> Cached<R> {
        Cached::new(inner, self.store(store)).with_platform(platform())
    }

    /// A directory, and the registry that reads it.
    fn local(&self, store: &str) -> (LayoutOrigin, LocalRegistry) {
        let origin = LayoutOrigin::new(self.0.path().join("layout"), "registry.example.com");
        let registry = LocalRegistry::open(origin.directory(), self.store(store)).expect("a layout is there");
        (origin, registry.with_platform(platform()))
    }

    async fn over_http(self, registry: impl ImageRegistry + 'static) -> Subject {
        Subject::new(registry, MockRegistry::start().await).keeping(self.0)
    }

    fn over_files(self, registry: impl ImageRegistry + 'static, origin: LayoutOrigin) -> Subject {
        Subject::new(registry, origin).keeping(self.0)
    }
}

fn platform() -> Platform {
    PLATFORM.parse().expect("the suite's platform is one")
}

const LAYOUT: &[Ability] = &[Ability::Damage, Ability::KeepsCopies];
const CACHE: &[Ability] = &[Ability::Remembers, Ability::StartsEmpty, Ability::Removes];
const ASKS: &[Ability] = &[Ability::AlwaysAsks, Ability::StartsEmpty, Ability::Removes];

const STACKS: &[Stack] = &[
    Stack {
        name: "remote",
        abilities: &[MockRegistry::ABILITIES, ASKS],
        start: |place| {
            let registry = place.remote("store");
            Box::pin(place.over_http(registry))
        },
    },
    Stack {
        name: "distribution",
        abilities: &[MockRegistry::ABILITIES, ASKS],
        start: |place| {
            let registry = place.distribution("store");
            Box::pin(place.over_http(registry))
        },
    },
    Stack {
        name: "cached(fallback(faulty(distribution), distribution))",
        abilities: &[MockRegistry::ABILITIES, CACHE],
        start: |place| {
            let chain = Fallback::new(Faulty::new(place.distribution("store")), place.distribution("store"));
            let registry = place.cached(chain, "store");
            Box::pin(place.over_http(registry))
        },
    },
    Stack {
        name: "local",
        abilities: &[LAYOUT, &[Ability::AlwaysAsks, Ability::Removes]],
        start: |place| {
            let (origin, registry) = place.local("store");
            Box::pin(async { place.over_files(registry.writable(), origin) })
        },
    },
    Stack {
        name: "cached(remote)",
        abilities: &[MockRegistry::ABILITIES, CACHE],
        start: |place| {
            let registry = place.cached(place.remote("store"), "store");
            Box::pin(place.over_http(registry))
        },
    },
    Stack {
        name: "cached(remote), a store each",
        abilities: &[MockRegistry::ABILITIES, CACHE],
        start: |place| {
            let registry = place.cached(place.remote("inner"), "outer");
            Box::pin(place.over_http(registry))
        },
    },
    Stack {
        name: "cached(local)",
        abilities: &[LAYOUT, CACHE],
        start: |place| {
            let (origin, registry) = place.local("store");
            let registry = place.cached(registry, "store");
            Box::pin(async { place.over_files(registry, origin) })
        },
    },
    Stack {
        name: "cached(cached(remote))",
        abilities: &[MockRegistry::ABILITIES, CACHE],
        start: |place| {
            let registry = place.cached(place.cached(place.remote("store"), "store"), "store");
            Box::pin(place.over_http(registry))
        },
    },
    Stack {
        name: "Box<dyn> of cached(Arc<dyn> of remote)",
        abilities: &[MockRegistry::ABILITIES, CACHE],
        start: |place| {
            let inner: Arc<dyn ImageRegistry> = Arc::new(place.remote("store"));
            let registry: Box<dyn ImageRegistry> = Box::new(place.cached(inner, "store"));
            Box::pin(place.over_http(registry))
        },
    },
    Stack {
        name: "fallback(local, remote)",
        abilities: &[MockRegistry::ABILITIES, ASKS],
        start: |place| {
            let (_, local) = place.local("store");
            let registry = Fallback::new(local, place.remote("store"));
            Box::pin(place.over_http(registry))
        },
    },
    Stack {
        name: "hoist::open",
        abilities: &[MockRegistry::ABILITIES, CACHE],
        start: |place| {
            let config = hoist::Config::default()
                .with_root(place.0.path().join("store"))
                .with_remote_options(|options| options.with_retries(1));
            let registry = hoist::open(&config.with_platform(platform())).expect("a stack can be opened");
            Box::pin(place.over_http(registry))
        },
    },
    Stack {
        name: "cached(fallback(local, remote))",
        abilities: &[MockRegistry::ABILITIES, CACHE],
        start: |place| {
            let (_, local) = place.local("store");
            let registry = place.cached(Fallback::new(local, place.remote("store")), "store");
            Box::pin(place.over_http(registry))
        },
    },
    Stack {
        name: "limited(remote)",
        abilities: &[MockRegistry::ABILITIES, ASKS],
        start: |place| {
            let registry = Limited::new(1, place.remote("store"));
            Box::pin(place.over_http(registry))
        },
    },
    Stack {
        name: "observed(cached(limited(remote)))",
        abilities: &[MockRegistry::ABILITIES, CACHE],
        start: |place| {
            let remote = Limited::new(2, place.remote("store"));
            let registry = Observed::new(place.cached(remote, "store"));
            Box::pin(place.over_http(registry))
        },
    },
    Stack {
        name: "cached(always, slow(limited(remote)))",
        abilities: &[MockRegistry::ABILITIES, ASKS],
        start: |place| {
            let remote = Slow::new(Limited::new(2, place.remote("store")));
            let registry = place.cached(remote, "store").with_policy(Policy::Always);
            Box::pin(place.over_http(registry))
        },
    },
    Stack {
        name: "cached(fallback(faulty(remote), remote))",
        abilities: &[MockRegistry::ABILITIES, CACHE],
        start: |place| {
            let chain = Fallback::new(Faulty::new(place.remote("store")), place.remote("store"));
            let registry = place.cached(chain, "store");
            Box::pin(place.over_http(registry))
        },
    },
    Stack {
        name: "limited(cached(slow(fallback(faulty(remote), local, remote)))), a store each",
        abilities: &[MockRegistry::ABILITIES, CACHE],
        start: |place| {
            let (_, local) = place.local("inner");
            let rest = Fallback::new(local, place.remote("inner"));
            let chain = Fallback::new(Faulty::new(place.remote("inner")), rest);
            let registry = Limited::new(4, place.cached(Slow::new(chain), "outer"));
            Box::pin(place.over_http(registry))
        },
    },
    Stack {
        name: "fallback(local, cached(newer-than, remote))",
        abilities: &[MockRegistry::ABILITIES, CACHE],
        start: |place| {
            let (_, local) = place.local("store");
            let hour = Policy::NewerThan(std::time::Duration::from_hours(1));
            let registry =
                Fallback::new(local, place.cached(place.remote("store"), "store").with_policy(hour));
            Box::pin(place.over_http(registry))
        },
    },
];

#[async_trait::async_trait]
impl Harness for Stack {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn abilities(&self) -> Vec<Ability> {
        self.abilities.concat()
    }

    async fn start(&self) -> Subject {
        (self.start)(Place::new()).await
    }
}

fn main() {
    let mut trials = Vec::new();
    for stack in STACKS {
        let abilities = stack.abilities();
        for case in cases().iter().filter(|case| case.applies_to(&abilities)) {
            trials.push(Trial::test(format!("{}::{}", stack.name, case.name), move || {
                let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
                match runtime.block_on(case.run(stack)) {
                    Outcome::Kept => Ok(()),
                    Outcome::Broken(why) => Err(why.into()),
                    Outcome::NotApplicable(ability) => Err(format!("needs {ability:?}").into()),
                }
            }));
        }
    }
    for case in cases().iter().filter(|case| !STACKS.iter().any(|stack| case.applies_to(&stack.abilities())))
    {
        trials.push(Trial::test(case.name, || Err("no stack can do what this case needs".into())));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
