# The verbs of this repository. `make test` is what CI runs.

# program:Debian package that has it. sipp and baresip call, ffmpeg listens, rabbitmq-server carries, node runs NODE_TOOLS, chromium looks at the console.
TOOLS := python3:python3 sipp:sip-tester baresip:baresip-core ffmpeg:ffmpeg faketime:faketime git:git rabbitmq-server:rabbitmq-server node:nodejs npm:npm chromium:chromium
# Azurite's databases and telemetry, which no test uses, are overridden by an empty package there: they are half of all packages.
# Where the servers of tests/tools/package.json are installed; the tests look for them here.
NODE_TOOLS := target/test-tools
# Where those of tests/tools/requirements.txt are.
PYTHON_TOOLS := $(NODE_TOOLS)/python
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: help demo test everything tools lint unit blackbox soak rolling book pages deny fmt

help:            ## List the verbs
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo:            ## Place a recorded call on this machine
	cargo run --release -- demo

test: tools lint book everything   ## Tools, style, unit tests, real calls: what CI runs
	@echo "covered: formatting and lints; the documentation as a site; unit, property and talk tests of all crates; tidy rules;"
	@echo "         the bus on a real RabbitMQ, killed, cut off and starved; the store against CouchDB's API, down, killed and faulty;"
	@echo "         storage plans against S3's and Azure's API, killed, refusing and cut off;"
	@echo "         black-box calls by sipp and baresip against the real binary, in one process and in five, heard by ffmpeg; the console in Chromium"

tools:           ## Install what the tests need from Debian, npm and PyPI
	@missing=""; PATH="$$PATH:/usr/sbin:/sbin"; \
	for pair in $(TOOLS); do \
	  command -v "$${pair%%:*}" >/dev/null || missing="$$missing $${pair##*:}"; \
	done; \
	if [ -z "$$missing" ]; then echo "test tools: all there"; exit 0; fi; \
	echo "test tools: installing$$missing from Debian"; \
	$(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing
	@$(MAKE) --no-print-directory --quiet $(NODE_TOOLS)/package-lock.json
	@$(MAKE) --no-print-directory --quiet $(PYTHON_TOOLS)/requirements.txt

# The lock file is copied last: it is there when all it names is. Nothing of these packages runs while they are installed.
$(NODE_TOOLS)/package-lock.json: tests/tools/package.json tests/tools/package-lock.json
	@echo "test tools: installing the servers of tests/tools/package.json from npm"
	@rm -rf $(NODE_TOOLS) && mkdir -p $(NODE_TOOLS)/install
	@cp $^ $(NODE_TOOLS)/install && cd $(NODE_TOOLS)/install && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@mv $(NODE_TOOLS)/install/* $(NODE_TOOLS) && rmdir $(NODE_TOOLS)/install && touch $@

# Only wheels whose hashes are known: nothing of these packages runs while they are installed either.
# Debian's Python cannot make the folder without its package python3-venv.
$(PYTHON_TOOLS)/requirements.txt: tests/tools/requirements.txt
	@echo "test tools: installing tests/tools/requirements.txt from PyPI"
	@python3 -c 'import ensurepip' 2>/dev/null || $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv
	@rm -rf $(PYTHON_TOOLS) && python3 -m venv $(PYTHON_TOOLS)
	@$(PYTHON_TOOLS)/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --requirement $<
	@cp $< $@

lint:            ## Formatting, clippy and doc comments without warnings
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

# One cargo call for all of it, so that everything is built once with one set of features.
everything: tools
	cargo test --workspace --locked -- --test-threads=3

unit: tools      ## Only what needs no phones
	cargo test --workspace --locked --exclude callreel

blackbox: tools  ## Only the real binary, real phones, a real receiver
	cargo test --locked --test blackbox -- --test-threads=3

soak: tools      ## The crash test for half an hour: two thousand kills, six phones
	CALLREEL_CRASH_KILLS=2000 CALLREEL_CRASH_PHONES=6 cargo test --locked --test blackbox killed_at_random_moments -- --nocapture

book: tools      ## The documentation as a site, in target/book
	$(PYTHON_TOOLS)/bin/mdbook build

pages:           ## Write the pages that are made of the code (docs/configuration.md, docs/metrics.md)
	CALLREEL_WRITE_PAGES=1 cargo test --locked --workspace --lib --bins the_page_of

# Another commit's program is built from its own sources, beside everything else; the first time takes as long as any first build.
PREVIOUS ?= $(shell git describe --tags --abbrev=0 2>/dev/null)
rolling: tools   ## A cluster goes from the build of another commit to this one and back: make rolling PREVIOUS=COMMIT
	@test -n "$(PREVIOUS)" || { echo "there is no released version yet: name a commit, make rolling PREVIOUS=COMMIT"; exit 1; }
	rm -rf target/previous/source && mkdir -p target/previous/source
	git archive $(PREVIOUS) | tar -x -C target/previous/source
	CALLREEL_COMMIT=$(PREVIOUS) cargo build --locked --manifest-path target/previous/source/Cargo.toml --target-dir target/previous/build
	CALLREEL_PREVIOUS=$(CURDIR)/target/previous/build/debug/callreel cargo test --locked --test blackbox a_cluster_goes_to_another_build -- --nocapture

deny:            ## Licences, advisories, duplicates (needs cargo-deny)
	cargo deny check

fmt:             ## Format
	cargo fmt --all
