# The worker as an image: no shell, no package manager, not root, nothing written to its file system.
#
#   docker buildx build --platform linux/amd64 --load --tag misstep .   # or linux/arm64: where it will run
#   docker run --read-only --env-file misstep.env misstep
#
# For a release, pin both images by digest as well: `docker buildx imagetools inspect IMAGE` prints it,
# and `FROM IMAGE@sha256:…` holds it. The two must have the same Debian, for the sake of its C library.

FROM rust:1.95.0-slim-trixie AS build
WORKDIR /misstep
# Cargo features that are off by default, such as `ses`: --build-arg FEATURES=ses
ARG FEATURES=
# Dependencies first, in a layer that stays as long as the manifest and the lock file do: what is built
# around them here is an empty program.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
    && touch src/lib.rs \
    && echo 'fn main() {}' > src/main.rs \
    && cargo build --locked --release --features "$FEATURES" --bin misstep
COPY src src
# Cargo goes by the time of a file, and the real ones may be older than the empty ones.
RUN touch src/lib.rs src/main.rs \
    && cargo build --locked --release --features "$FEATURES" --bin misstep

# glibc, libgcc and the certificates of authorities: all that the program asks for.
FROM gcr.io/distroless/cc-debian13:nonroot
COPY --from=build /misstep/target/release/misstep /usr/local/bin/misstep
# By its number, so that Kubernetes can see that it is not root.
USER 65532:65532
# The orchestrator asks from outside. A port that nothing forwards is reachable by nobody else. Over IPv6 it
# takes [::]:9108, which is not the default since it cannot be had where IPv6 is switched off.
ENV MISSTEP_ADMIN_ADDR=0.0.0.0:9108
EXPOSE 9108
# Drains and gives back what is unfinished. The orchestrator has to wait longer than that takes:
# docs/deploy.md has the figures, infra/tests/test_stop_times.py holds them.
STOPSIGNAL SIGTERM
# For Docker alone: ECS has the check in its task definition, and Kubernetes asks /livez itself.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["/usr/local/bin/misstep", "health"]
ENTRYPOINT ["/usr/local/bin/misstep"]
CMD ["work"]
