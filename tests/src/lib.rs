//! What the whole-system tests share: the real peers, run as a user would run them, and the command watched
//! call by call.

mod audit;
mod authority;
mod call;
mod command;
mod dice;
mod history;
mod links;
mod nginx;
mod numbers;
mod openssl;
mod parallel;
mod proxy;
mod pulls;
mod recorder;
mod registry;
mod strace;
mod tls_front;
mod tree;

pub use audit::{check_content, check_nothing_left, check_refs};
pub use authority::{Authority, Certified};
pub use call::{Argument, Call, Span};
pub use command::{Output, hoist, hoist_at_home, hoist_binary, hoist_with, run};
pub use dice::Dice;
pub use history::{CALLS, Change, History, Name, What};
pub use links::{Faulty, Slow};
pub use nginx::Nginx;
pub use numbers::Numbers;
pub use openssl::Openssl;
pub use parallel::in_parallel;
pub use proxy::Proxy;
pub use pulls::{Pull, PullSetup, STORE, Site};
pub use registry::Registry;
pub use strace::Strace;
pub use tls_front::TlsFront;
pub use tree::{Node, TOP, Tree};
