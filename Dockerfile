# The service and its training program as a container image.
#
#   docker build .                    the CPU image (target `cpu`)
#   docker build --target cuda .      the image for NVIDIA GPUs
#
# linux/amd64 is what is built and run by `make docker-test`. Nothing below names a processor, so linux/arm64
# should follow once tools/libtorch-wheels.txt lists the wheels for aarch64; that is untested.
#
# Only syntax that the classic builder knows, too. That builder makes every stage up to the one asked for, so
# there `--target runtime-cpu` (what `make docker` asks for, and the same image) saves making the CUDA one.

ARG RUST_IMAGE=rust:1.95-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim

# ---- tools: Rust, a C++ compiler, and pip to fetch libtorch with
FROM ${RUST_IMAGE} AS tools
RUN c++ --version >/dev/null && python3 -m pip --version >/dev/null 2>&1 \
    || { apt-get update -q && apt-get install -y -q --no-install-recommends g++ python3 python3-pip \
         && rm -rf /var/lib/apt/lists/*; }
WORKDIR /src
ENV XDG_CACHE_HOME=/opt/cache LIBTORCH=/opt/libtorch CARGO_TERM_COLOR=never
COPY tools/setup-libtorch tools/libtorch-wheels.txt tools/
COPY tools/docker/libtorch tools/docker/

# ---- libtorch, and a stripped copy of it in /out
FROM tools AS libtorch-cpu
RUN tools/docker/libtorch cpu /out/libtorch

# ---- dependencies: made again only when Cargo.toml or Cargo.lock changes
FROM libtorch-cpu AS dependencies-cpu
COPY tools/docker/dependencies tools/docker/
COPY Cargo.toml Cargo.lock ./
COPY crates/fer-image/Cargo.toml crates/fer-image/
COPY crates/fer-engine/Cargo.toml crates/fer-engine/
COPY crates/fer-train/Cargo.toml crates/fer-train/
RUN tools/docker/dependencies

# ---- the programs, and in /out what goes with them
FROM dependencies-cpu AS build-cpu
COPY tools/docker/ tools/docker/
COPY Cargo.toml Cargo.lock build.rs openapi.yaml LICENSE-APACHE LICENSE-MIT ./
COPY assets/ assets/
COPY benches/ benches/
COPY build/ build/
COPY crates/ crates/
COPY src/ src/
COPY tests/ tests/
COPY web/ web/
RUN tools/docker/programs /out

# ---- what runs: the C and C++ runtime, libtorch, the model, the programs; no shell, no package manager
FROM scratch AS runtime-cpu
# In order of how seldom they change, so that an update is a small download.
COPY --from=build-cpu /out/system/ /
COPY --from=libtorch-cpu /out/libtorch/ /app/
COPY model/ /app/model/
COPY --from=build-cpu /out/app/ /app/
WORKDIR /app
ENV PATH=/app/bin FER_MODEL=/app/model FER_LISTEN=0.0.0.0:8080
# By number: Kubernetes' runAsNonRoot cannot look a name up.
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
# Not more often: each check loads the program anew, a quarter of a second of processor time.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["/app/bin/fer-serve", "healthcheck"]
ENTRYPOINT ["/app/bin/fer-serve"]
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="fer-serve" \
      org.opencontainers.image.description="HTTP service for facial-expression recognition, with the program that trains its model" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

# ---- the same for NVIDIA GPUs. Debian below it, because the NVIDIA container toolkit puts the driver's
# libraries where a distribution keeps them; next to 3 GB of CUDA its size does not count.
FROM tools AS libtorch-cuda
RUN tools/docker/libtorch cuda /out/libtorch

FROM libtorch-cuda AS dependencies-cuda
COPY tools/docker/dependencies tools/docker/
COPY Cargo.toml Cargo.lock ./
COPY crates/fer-image/Cargo.toml crates/fer-image/
COPY crates/fer-engine/Cargo.toml crates/fer-engine/
COPY crates/fer-train/Cargo.toml crates/fer-train/
RUN tools/docker/dependencies

FROM dependencies-cuda AS build-cuda
COPY tools/docker/ tools/docker/
COPY Cargo.toml Cargo.lock build.rs openapi.yaml LICENSE-APACHE LICENSE-MIT ./
COPY assets/ assets/
COPY benches/ benches/
COPY build/ build/
COPY crates/ crates/
COPY src/ src/
COPY tests/ tests/
COPY web/ web/
RUN tools/docker/programs /out

FROM ${DEBIAN_IMAGE} AS cuda
COPY --from=build-cuda /out/system/ /
COPY --from=libtorch-cuda /out/libtorch/ /app/
COPY model/ /app/model/
COPY --from=build-cuda /out/app/ /app/
WORKDIR /app
ENV PATH=/app/bin:/usr/bin:/bin FER_MODEL=/app/model FER_LISTEN=0.0.0.0:8080 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["/app/bin/fer-serve", "healthcheck"]
ENTRYPOINT ["/app/bin/fer-serve"]
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="fer-serve" \
      org.opencontainers.image.description="HTTP service for facial-expression recognition on NVIDIA GPUs, with the program that trains its model" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

FROM runtime-cpu AS cpu
