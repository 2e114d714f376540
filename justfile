# The same commands as `.ci/run`, by shorter names. `just` alone lists them.

_list:
    @just --list

# Everything that a commit must pass
check: (run "format" "lints" "docs" "features" "dependencies" "test")

# All tests; installs the real peers that are missing
test: (run "test")

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
