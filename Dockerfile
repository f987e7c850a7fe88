# The image that k8s/ runs: `docker build -t callreel .` in the repository's root. It has one program, which needs no shell.
FROM rust:1.95-slim-bookworm AS build
# LAME and SQLite are built from source that their crates bring along: a C compiler and make, and nothing else.
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock build.rs ./
COPY crates crates
COPY proto proto
COPY src src
# Git is not here: `--build-arg CALLREEL_COMMIT=$(git rev-parse HEAD)` has `callreel --version` tell what this is.
ARG CALLREEL_COMMIT=
RUN cargo build --release --locked --package callreel --bin callreel \
 && strip target/release/callreel

FROM debian:bookworm-slim
# Certificates of brokers, databases and receivers are vouched for by the system's authorities.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /build/target/release/callreel /usr/local/bin/callreel
# A number, so that a cluster can tell that it is not root.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/callreel"]
CMD ["serve"]
