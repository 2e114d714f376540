//! The whole contract in one call, for a backend and a function that starts it.

use super::ability::Ability;
use super::harness::{Harness, Subject};
use super::report::run_contract;

/// Runs the whole contract on a backend, and panics with the report where a promise is broken.
///
/// `name` is what the report calls it; `abilities` are what it and its origin can do: cases that need more are left
/// out. `start` makes a registry with nothing in its store, which speaks for [`PLATFORM`](super::PLATFORM), on an
/// origin of its own with nothing published yet; it is called once for each case.
///
/// ```no_run
/// use hoist_testkit::contract::{self, Ability, Subject};
/// use hoist_testkit::MockRegistry;
/// # async fn my_registry() -> std::sync::Arc<dyn hoist_core::ImageRegistry> { unimplemented!() }
///
/// # async fn run() {
/// let mine = [Ability::AlwaysAsks, Ability::StartsEmpty, Ability::Removes];
/// contract::assert_kept("mine", &[MockRegistry::ABILITIES, &mine].concat(), async || {
///     Subject::new(my_registry().await, MockRegistry::start().await)
/// })
/// .await;
/// # }
/// ```
pub async fn assert_kept<F, Starting>(name: &str, abilities: &[Ability], start: F)
where
    F: Fn() -> Starting + Send + Sync,
    Starting: Future<Output = Subject> + Send,
{
    run_contract(&Backend { name, abilities, start }).await.assert_kept();
}

struct Backend<'a, F> {
    name: &'a str,
    abilities: &'a [Ability],
    start: F,
}

#[async_trait::async_trait]
impl<F, Starting> Harness for Backend<'_, F>
where
    F: Fn() -> Starting + Send + Sync,
    Starting: Future<Output = Subject> + Send,
{
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn abilities(&self) -> Vec<Ability> {
        self.abilities.to_owned()
    }

    async fn start(&self) -> Subject {
        (self.start)().await
    }
}
