//! What the whole-system tests share: the real peers, run as a user would run them, and the command watched
//! call by call.

mod audit;
mod call;
mod command;
mod dice;
mod history;
mod links;
mod numbers;
mod parallel;
mod pulls;
mod recorder;
mod registry;
mod strace;
mod tree;

pub use audit::{check_content, check_nothing_left, check_refs};
pub use call::{Argument, Call, Span};
pub use command::{Output, hoist, hoist_binary, hoist_with, run};
pub use dice::Dice;
pub use history::{CALLS, Change, History, Name, What};
pub use links::{Faulty, Slow};
pub use numbers::Numbers;
pub use parallel::in_parallel;
pub use pulls::{Pull, PullSetup, STORE, Site};
pub use registry::Registry;
pub use strace::Strace;
pub use tree::{Node, TOP, Tree};
