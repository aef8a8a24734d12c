#!/usr/bin/env bash
# Every check and test, in the order in which mistakes are cheapest to find. Starts a PostgreSQL of its own when none
# answers. Called by `make test`.
set -euo pipefail
cd "$(dirname "$0")/.."

began=$SECONDS
step() { printf '\n== %s (%d s)\n' "$1" "$((SECONDS - began))"; }

# The test suites open databases of their own in this server.
default_url=postgres://postgres@127.0.0.1:5432/postgres
url=${LECTERN_TEST_POSTGRES_URL:-$default_url}
answers() { command -v psql >/dev/null && psql "$1" -Atqc 'select 1' >/dev/null 2>&1; }

own=
stop_own() {
    [ -z "$own" ] || { as_server "$bin/pg_ctl" -D "$own/data" -m immediate stop >/dev/null 2>&1; rm -rf "$own"; }
}
# PostgreSQL refuses to run as root.
as_server() { if [ "$(id -u)" -eq 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

if ! answers "$url"; then
    step "no PostgreSQL takes $default_url: starting one for the tests"
    if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
        root=(); [ "$(id -u)" -eq 0 ] || root=(sudo)
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null
    fi
    bin=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)")
    own=$(mktemp -d /tmp/lectern-postgres-XXXXXX)
    trap stop_own EXIT
    [ "$(id -u)" -ne 0 ] || chown postgres "$own"
    as_server "$bin/initdb" -D "$own/data" -U postgres -A trust -E UTF8 --no-sync >/dev/null
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    # The data is thrown away with the tests: no need to wait for the disk.
    as_server "$bin/pg_ctl" -D "$own/data" -l "$own/log" -w start \
        -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$own -c fsync=off -c max_connections=400" >/dev/null
    export LECTERN_TEST_POSTGRES_URL=postgres://postgres@127.0.0.1:$port/postgres
fi

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
step "tests"
cargo nextest run --workspace
step "all green"
