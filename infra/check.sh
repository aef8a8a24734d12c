#!/usr/bin/env bash
# Every check and test, in the order in which mistakes are cheapest to find. Starts the servers that the tests need
# where they are not there already (infra/test-services.sh). Called by `make test`.
set -euo pipefail
cd "$(dirname "$0")/.."

began=$SECONDS
step() { printf '\n== %s (%d s)\n' "$1" "$((SECONDS - began))"; }

step "format"
cargo fmt --all --check
step "licences, bans and sources"
cargo deny check licenses bans sources
step "lints"
cargo clippy --quiet --workspace --all-targets -- -D warnings
step "a build without media"
cargo clippy --quiet --package lectern --no-default-features -- -D warnings
step "the browser application"
(cd web && npx vitest run --reporter=dot)
step "build of the tests"
cargo nextest run --workspace --no-run
# Servers started by hand stay: LECTERN_TEST_SERVICES says that they are there.
if [ ! -d "${LECTERN_TEST_SERVICES:-}" ]; then
    step "servers for the tests"
    exports=$(infra/test-services.sh start)
    eval "$exports"
    trap 'infra/test-services.sh stop' EXIT
fi
step "tests"
cargo nextest run --workspace
step "all green"
