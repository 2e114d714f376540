//! The decorators, around registries of the tests' own.

mod caching;
mod fallback;
mod policies;
mod support;
