//! The remote backend among registries as they are: what their quirks and faults come to for a pull.

mod arrivals;
mod connections;
mod counts;
mod credentials;
mod digests;
mod documents;
mod endless;
mod errors;
mod foreign;
mod hosts;
mod indexes;
mod lookup;
mod mirrors;
mod platform_checks;
mod ranges;
mod redirects;
mod setup;
mod slow;
mod sources;
mod statuses;
mod tokens;
mod transfers;
