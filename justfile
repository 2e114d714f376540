# The same commands as `.ci/run`, by shorter names. `just` alone lists them.

_list:
    @just --list

# Everything that a commit must pass
check: (run "format" "lints" "docs" "features" "dependencies" "packages" "test" "interop")

# All tests; installs the real peers that are missing
test: (run "test")

# crane, oras and regctl read what hoist writes, and hoist pulls what they push; needs Go
interop: (run "interop")

# A pull with each of its system calls on the store made to fail; `test` tries a part of them
failing-calls:
    cargo build -p hoist-cli
    HOIST_FAILING_CALLS=all cargo test -p hoist-tests --test it failing_calls::

# 10,000 steps of eight processes on one store, at random; `test` takes a few hundred
churn:
    cargo build -p hoist-cli
    HOIST_STEPS=10000 cargo test -p hoist-tests --test it many_processes:: -- --nocapture

# Symlinks, FIFOs, directories and files planted at every path of a store; `test` tries a part of them
planted:
    cargo build -p hoist-cli
    HOIST_PLANTED=all cargo test -p hoist-tests --test it planted::

# 1,000 pulls killed with `kill -9`; `test` kills 100
kills:
    cargo build -p hoist-cli
    HOIST_KILLS=1000 cargo test -p hoist-tests --test it crash:: -- --nocapture

# 1,000 pulls dropped, each at a moment of its own; `test` drops 100
drops:
    HOIST_DROPS=1000 cargo test -p hoist-tests --test it drops::

# The tests of the store on xfs, btrfs, tmpfs and overlayfs; as root
file-systems: (run "file-systems")

# What it costs to look into stores of 10 and of 100,000 images, made without a network (takes minutes)
scale *ARGS:
    cargo build --release -p hoist-cli
    cargo run --release -p hoist-bench -- scale {{ARGS}}

# Random input for all that reads what others wrote; `test` tries a few hundred cases of each
fuzz CASES="200000":
    HOIST_FUZZ_CASES={{CASES}} cargo test --workspace fuzz_

# What is hand-written in the sharing of pulls, in every order that threads can take turns in
loom:
    RUSTFLAGS="--cfg loom" cargo test -p hoist-cache --lib --target-dir target/loom singleflight::model

# The main job, with an embedded registry
demo:
    cargo run --release -p hoist-examples --example demo

# hoist side by side with other clients, as tables: `just bench --help`
bench *ARGS:
    cargo build --release -p hoist-cli
    cargo run --release -p hoist-bench -- {{ARGS}}

# Licences, advisories and sources of all dependencies
deny:
    cargo deny check

[private]
run +STEPS:
    .ci/run {{STEPS}}
