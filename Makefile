# Taffrail's commands. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

UI_SOURCES := $(shell find web/ui -path '*/node_modules' -prune -o -path '*/dist' -prune -o -type f -print 2>/dev/null)
ADDRESS ?= 127.0.0.1:6464
DATA ?= data

.PHONY: help run demo test soak bench lint ui clean need-rust need-node

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)$$/  make \1\t\2/' | expand -t 16

run: need-rust ui ## build everything and start Taffrail on this machine's own logs and metrics
	cargo build --release
	exec target/release/taffrail serve --data-dir $(DATA) --http $(ADDRESS)

demo: need-rust ui ## the same beside a small simulated shop, so that every page is alive
	cargo build --release
	exec target/release/taffrail demo --data-dir $(DATA)-demo --http $(ADDRESS)

test: need-rust need-node ## install what the tests need and run them all
	bash tests/prepare.sh
	$(MAKE) --no-print-directory ui lint
	cd web/ui && npm test
	cargo test --workspace
	@echo "all tests passed"

soak: need-rust ## kill agents and servers for hours: SOAK_MINUTES=60 or SOAK_KILLS=10000 (TAFFRAIL_TEST_SEED=… repeats a schedule)
	SOAK_KILLS=$${SOAK_KILLS:-3000} SOAK_MINUTES=$${SOAK_MINUTES:-0} cargo test --test it kill::three_hundred -- --nocapture

bench: need-rust ## print the table of benches/ with its targets (ROWS=500000 for fewer log lines, GROW=1 for how answers grow)
	cargo build --release
	cargo bench --bench whole_system
	cargo bench -p taffrail-collector --bench enrich
	cargo bench -p taffrail-collector --bench statsd
	cargo bench -p taffrail-collector --bench statsd_lines
	cargo bench -p taffrail-ingest --bench samples
	cargo bench -p taffrail-query --bench series
	cargo bench -p taffrail-query --bench rules
	cargo bench --bench series_peers

lint: need-rust need-node web/ui/node_modules/.installed ## formatting, clippy, fuzz targets that compile, licences and sources of dependencies, TypeScript
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo check --quiet --locked --manifest-path fuzz/Cargo.toml --target-dir target/fuzz
	cargo deny --log-level error --offline check bans licenses sources
	cd web/ui && npm run --silent check

ui: need-node web/ui/dist/index.html ## build the browser's part into web/ui/dist

web/ui/node_modules/.installed: web/ui/package-lock.json
	cd web/ui && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

web/ui/dist/index.html: web/ui/node_modules/.installed $(UI_SOURCES)
	cd web/ui && npm run --silent build
	touch $@

need-rust:
	@command -v cargo >/dev/null && command -v cc >/dev/null && \
		printf '1.95\n%s\n' "$$(rustc --version | cut -d' ' -f2)" | sort -VC || \
		{ echo "missing: Rust 1.95 or newer (rustup installs it) and a C compiler (Debian: build-essential); install them, then run this again" >&2; exit 1; }

need-node:
	@command -v npm >/dev/null && printf '20.19\n%s\n' "$$(node --version | tr -d v)" | sort -VC || \
		{ echo "missing: Node.js 20.19 or newer with npm; install it, then run this again ('cargo run --release -- --data-dir data' works without the browser pages)" >&2; exit 1; }

clean: ## remove what was built (not the data)
	rm -rf target web/ui/dist web/ui/node_modules
