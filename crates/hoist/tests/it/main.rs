//! Tests of what a program depends on: configurations, the builder, the stacks that come of them.

#[cfg(feature = "local")]
mod admission;
#[cfg(all(feature = "blocking", feature = "local"))]
mod blocking;
mod config;
mod documented;
mod environment;
mod layout;
#[cfg(feature = "local")]
mod leases;
mod mine;
#[cfg(all(feature = "local", feature = "rootfs"))]
mod root_fs;
mod stack;
