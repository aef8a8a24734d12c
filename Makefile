# Two ways in: `make demo` and `make test`. Both install what is missing on a Debian with Rust and Node, and say so.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR

.PHONY: help demo test bench build web fmt lint clients clip install-build install-test install-bench

help:
	@echo "make demo    install what is missing, build, run the main job on a sample lecture, keep serving"
	@echo "make test    install what the tests need, run every check and test"
	@echo "make bench   side by side with ffmpeg, Shaka Streamer and bare lapin, and how long learners wait; writes docs/benchmarks*"
	@echo "make build   an optimised lectern in $(CARGO_TARGET_DIR)/release"

demo: install-build web
	cargo build --bin lectern
	$(CARGO_TARGET_DIR)/debug/lectern demo

build: install-build web
	cargo build --release --bin lectern

test: install-test web clients
	infra/check.sh

bench: install-bench install-test clients benches/.venv/installed build
	benches/run
	benches/playable
	benches/many-machines

install-build:
	@command -v cargo >/dev/null || { echo "Rust is missing: see https://rustup.rs" >&2; exit 1; }
	@command -v npm >/dev/null || { echo "Node 20.19 or newer with npm is missing: see https://nodejs.org" >&2; exit 1; }
	@infra/install.sh build

install-test: install-build
	@infra/install.sh test
	@cargo nextest --version >/dev/null 2>&1 || { echo "Installing cargo-nextest, which runs the tests …"; \
		cargo install --locked --quiet cargo-nextest; }
	@cargo deny --version >/dev/null 2>&1 || { echo "Installing cargo-deny, which checks licences and sources …"; \
		cargo install --locked --quiet cargo-deny; }

install-bench: install-build
	@infra/install.sh bench

# The browser application, before the program that has it built in.
web: web/dist/index.html

web/dist/index.html: web/node_modules/.package-lock.json web/index.html web/vite.config.ts web/tsconfig.json $(shell find web/src web/public -type f 2>/dev/null)
	cd web && npm run build --silent
	@touch $@

%/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci --silent --no-audit --no-fund
	@touch $@

# Clients and players of others, as published, for the tests.
clients: tests/clients/node_modules/.package-lock.json tests/players/node_modules/.package-lock.json \
	tests/browser/node_modules/.package-lock.json tests/clients/.venv/installed clip

clip:
	@tests/clips/fetch.sh >/dev/null

# Each with an environment of its own: what tests and benches install must not meet.
%/.venv/installed: %/requirements.txt
	python3 -m venv $*/.venv
	$*/.venv/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

fmt:
	cargo fmt --all

lint: install-build web
	cargo clippy --workspace --all-targets -- -D warnings
