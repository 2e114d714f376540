//! The examples are the files beside this one: `cargo run -p hoist-examples --example NAME`.
