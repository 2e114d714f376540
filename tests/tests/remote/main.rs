//! The remote backend among registries as they are: what their quirks and faults come to for who pulls.

mod connections;
mod counts;
mod credentials;
mod documents;
mod hosts;
mod mirrors;
mod ranges;
mod redirects;
mod setup;
mod statuses;
mod tokens;
mod transfers;
