# Everything a user or a check runs. `make` alone lists it. Needs Rust, a C++ compiler, python3 and pip.

SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= python3
CARGO ?= cargo
# cpu, or cuda for the build that also runs on NVIDIA GPUs.
DEVICE ?= cpu
# Cargo features of what `make build` and `make serve` build: otlp, or none.
FEATURES ?=
# Passed to fer-serve by `make serve`, to cargo test by `make test`, to its program by each other target.
ARGS ?=
# What `make lint` checks with shellcheck.
SHELL_SCRIPTS := .ci/run benches/compare/run benches/served/run tools/fuzz tools/sanitize \
  tools/docker/dependencies tools/docker/libtorch tools/docker/programs

ifeq ($(filter $(DEVICE),cpu cuda),)
$(error DEVICE=$(DEVICE) is neither cpu nor cuda)
endif

# The user's LIBTORCH, or else the folder that setup fills.
OWN_LIBTORCH := $(LIBTORCH)
ifeq ($(OWN_LIBTORCH),)
LIBTORCH := $(shell $(PYTHON) tools/setup-libtorch --device $(DEVICE) --path 2>/dev/null)
endif
export LIBTORCH

.PHONY: help setup env build serve test lint bench clean tools docker docker-test deploy-test ops-test faces-test clients-test contract-test attack-test fuzz soak sanitize

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS='	' read -r name what; do printf '  make %-13s %s\n' "$$name" "$$what"; done
	@echo '  Options: DEVICE=cpu|cuda (which libtorch), ARGS="…" (passed on), LIBTORCH=… (your own libtorch 2.13.0), FEATURES=otlp'

tools:
	@command -v $(CARGO) >/dev/null || { echo 'make: cargo is not installed; see https://rustup.rs' >&2; exit 1; }
	@command -v "$${CXX:-c++}" >/dev/null || { echo 'make: there is no C++ compiler; on Debian and Ubuntu: sudo apt-get install g++' >&2; exit 1; }

setup: export LIBTORCH := $(OWN_LIBTORCH)
setup: ## put libtorch into the cache (about 490 MB; 540 MB to fetch); quiet when it is there
	@command -v $(PYTHON) >/dev/null || { echo 'make: $(PYTHON) is not installed; on Debian and Ubuntu: sudo apt-get install python3 python3-pip' >&2; exit 1; }
	@$(PYTHON) tools/setup-libtorch --device $(DEVICE)

env: setup ## print the line a shell needs for plain cargo: eval "$(make -s env)"
	@$(PYTHON) tools/setup-libtorch --device $(DEVICE) --env

build: tools setup ## leave fer-serve, fer-decode and fer-train in target/release
	$(CARGO) build --release --locked --bins $(if $(FEATURES),--features $(FEATURES))

serve: build ## build, then run the server (ARGS="--listen 127.0.0.1:9000")
	target/release/fer-serve $(ARGS)

test: tools setup ## run all tests
	cd tools && $(PYTHON) -B -m unittest
	$(CARGO) test --locked --features otlp $(ARGS)
ifeq ($(ARGS),)
	tests/browser/run "$${CARGO_TARGET_DIR:-target}/debug/fer-serve"
	$(PYTHON) tools/fer attack-test --quick "$${CARGO_TARGET_DIR:-target}/debug/fer-serve"
else
	@echo '*** SKIPPED: the browser test of the page and the attacks, because ARGS chooses among the tests'
endif

lint: tools setup ## formatting, clippy, rustdoc, subjects of commits; cargo-deny and shellcheck where installed
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets --features otlp -- -D warnings
	$(CARGO) clippy --locked --lib --bins -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --features otlp --no-deps --document-private-items --quiet
	@if command -v cargo-deny >/dev/null; then \
	echo '$(CARGO) deny check'; $(CARGO) deny --locked check bans licenses sources || exit 1; \
	if $(CARGO) deny --locked fetch db >/dev/null 2>&1; then $(CARGO) deny --locked check advisories; \
	else echo '*** SKIPPED: advisories, because their database cannot be fetched from here'; fi; \
	else echo '*** SKIPPED: licences and advisories, because cargo-deny is not installed (cargo install --locked cargo-deny)'; fi
	@if command -v shellcheck >/dev/null; then echo 'shellcheck $(SHELL_SCRIPTS)'; shellcheck $(SHELL_SCRIPTS) || exit 1; \
	else echo '*** SKIPPED: shellcheck, because it is not installed (sudo apt-get install shellcheck)'; fi
	$(PYTHON) tools/fer commit-subjects

bench: build ## the network alone and the service under load, and their peers (17 to 40 minutes; ARGS="--rounds 1 --short")
	@case '$(ARGS)' in *--short*) ;; *) benches/compare/run --rounds 3 ;; esac
	benches/served/run $(ARGS)

fuzz: tools setup ## libFuzzer with AddressSanitizer on every parser (ARGS="--seconds 600"); needs cargo-fuzz
	tools/fuzz $(ARGS)

soak: build ## two hours of mixed traffic (ARGS="--minutes 10"; ARGS=--attacks: good requests during attacks), kills of a training
	$(PYTHON) tools/fer soak $(ARGS)
	@case '$(ARGS)' in '') $(PYTHON) tools/fer kill-train ;; esac

sanitize: tools setup ## the library's tests under AddressSanitizer (compiles everything again)
	tools/sanitize $(ARGS)

docker: ## build the container image fer-serve:VERSION (DEVICE=cuda: fer-serve:VERSION-cuda)
	$(PYTHON) tools/fer docker-test --build-only --device $(DEVICE) $(ARGS)

docker-test: ## build the container image, run it in every way the README describes, and restart it under load
	$(PYTHON) tools/fer docker-test $(ARGS)

faces-test: build ## find the faces in photos of PyPI packages, none in drawings; memory and speed (ARGS="--load")
	$(PYTHON) tools/fer faces-test $(ARGS)

clients-test: build ## drive the server with tritonclient, perf_analyzer and every example of docs/clients.md
	$(PYTHON) tools/fer clients-test $(ARGS)

contract-test: build ## lint openapi.yaml, then generated requests against the server (ARGS="--cases 20000")
	$(PYTHON) tools/fer contract-test $(ARGS)

attack-test: build ## hostile images and clients: time, memory, and what others notice (15 minutes; ARGS="--only webp")
	$(PYTHON) tools/fer attack-test $(ARGS)

ops-test: build ## exact counters, dashboard, 50 reloads under load, rolling restarts with 100,000 requests (minutes)
	$(PYTHON) tools/fer ops-test $(ARGS)

deploy-test: ## render the Helm chart and check every manifest, the alert rules and compose.yaml against their schemas
	$(PYTHON) tools/fer deploy-test $(ARGS)

clean: ## remove what was built; libtorch stays in the cache
	$(CARGO) clean
