# Everything here needs Rust, Python 3.10 to 3.12 and make, and nothing else.

PYTHON ?= python3
# What is off by default, tested and linted in one build.
FEATURES = failpoints,otel,ses
# The page is opened in it; `cargo test` alone ignores those tests.
CHROMIUM := $(or $(MISSTEP_TEST_CHROMIUM),$(shell command -v chromium || command -v chromium-browser || command -v google-chrome))
LOCALSTACK = $(PYTHON) localstack/localstack.py run --
# An emulator of DynamoDB; `cargo test` alone ignores the tests that need it.
MINISTACK = $(PYTHON) localstack/ministack.py run --

.PHONY: help demo test crash-matrix storm soak bench infra-test check build clean python

help: ## lists these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build python ## shows misstep at work: state machines fail on LocalStack, people are told
	$(LOCALSTACK) sh -c 'exec "$$MISSTEP_TEST_PYTHON" localstack/demo.py'

test: python ## runs all tests, those against LocalStack included
	$(LOCALSTACK) sh -c 'exec "$$MISSTEP_TEST_PYTHON" -m unittest discover -s localstack/tests -t localstack'
	$(LOCALSTACK) cargo test --locked --all-targets
	$(LOCALSTACK) cargo test --locked --features $(FEATURES) --lib --test it -- \
	    admin::a_panic crash:: docs::notifications:: docs::sample_configurations:: leaks:: localstack::mail:: otel::
	$(MINISTACK) cargo test --locked --test it -- --ignored incidents::dynamodb::
	cargo test --locked --doc
ifneq ($(CHROMIUM),)
	MISSTEP_TEST_CHROMIUM='$(CHROMIUM)' cargo test --locked --test it -- --ignored browser::
endif

crash-matrix: ## crashes the worker at every step and writes docs/crash-matrix.md
	CRASH_MATRIX=docs/crash-matrix.md cargo test --locked --features failpoints --test it crash:: -- --nocapture

storm: python ## two workers killed three times each: 300 failures on LocalStack, and 3,000 of three bugs in incidents
	STORM_FAILURES=300 $(LOCALSTACK) cargo test --locked --test it localstack::storm:: -- --nocapture
	INCIDENT_STORM=3000 cargo test --locked --test it incidents::storm:: -- --nocapture

soak: ## a release build: 200,000 messages, large payloads, and waiting: memory, file descriptors, CPU
	SOAK_MESSAGES=200000 SOAK_LARGE_MESSAGES=320 SOAK_SECONDS=60 cargo test --locked --release --test it soak:: -- --nocapture --test-threads=1

bench: ## a release build beside the bare SDK loop: throughput, CPU, memory; BENCH_TABLE=1 shows how they grow
	cargo bench --locked --bench throughput

infra-test: python ## deploys infra/ to LocalStack with Terraform and CloudFormation, and lints it; says SKIPPED where a tool is absent
	$(LOCALSTACK) sh -c 'exec "$$MISSTEP_TEST_PYTHON" -m unittest discover -s infra/tests -t infra'

check: ## formatting, lints and documentation
	cargo fmt --all --check
	cargo clippy --all-targets --locked -- -D warnings
	cargo clippy --all-targets --locked --features $(FEATURES) -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps

build: ## builds target/debug/misstep
	cargo build --locked

clean: python ## removes what was built and installed here, LocalStack included
	$(PYTHON) localstack/localstack.py down
	rm -rf localstack/.venv localstack/.venv-ministack localstack/.run infra/tests/.tools
	find localstack infra -name __pycache__ -prune -exec rm -rf {} +
	cargo clean

python:
	@command -v $(PYTHON) >/dev/null || { \
	    echo 'make: there is no $(PYTHON): install Python 3.10, 3.11 or 3.12, or name it: make PYTHON=…' >&2; \
	    exit 1; }
