//! The decorators, around registries of the tests' own.

mod caching;
mod fallback;
mod limited;
mod observed;
mod policies;
mod support;
