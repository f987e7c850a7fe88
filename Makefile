# The verbs of this repository. `make test` is what CI runs.

# program:Debian package that has it. sipp and baresip call, ffmpeg listens.
TOOLS := sipp:sip-tester baresip:baresip-core ffmpeg:ffmpeg git:git
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: help demo test tools lint unit blackbox deny fmt

help:            ## List the verbs
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo:            ## Place a recorded call on this machine
	cargo run --release -- demo

test: tools lint unit blackbox   ## Everything: tools, style, unit tests, real calls
	@echo "covered: style and lints; unit tests of all crates; black-box calls by sipp and baresip, heard by ffmpeg"

tools:           ## Install what the tests need from Debian
	@missing=""; \
	for pair in $(TOOLS); do \
	  command -v "$${pair%%:*}" >/dev/null || missing="$$missing $${pair##*:}"; \
	done; \
	if [ -z "$$missing" ]; then echo "test tools: all there"; exit 0; fi; \
	echo "test tools: installing$$missing from Debian"; \
	$(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing

lint:            ## Formatting, clippy without warnings
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

unit:            ## Unit tests of every crate
	cargo test --workspace --locked --lib --bins --tests --exclude callreel
	cargo test --locked --bins

blackbox: tools  ## The real binary, real phones, a real receiver
	cargo test --locked --test blackbox -- --test-threads=4

deny:            ## Licences, advisories, duplicates (needs cargo-deny)
	cargo deny check

fmt:             ## Format
	cargo fmt --all
