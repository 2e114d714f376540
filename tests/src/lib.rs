//! What the whole-system tests share: the real peers, run as a user would run them.

mod command;
mod registry;

pub use command::{Output, hoist, hoist_binary, hoist_with, run};
pub use registry::Registry;
