# The server in a container: built with the workspace's own compiler, run by nobody in particular, keeping what it keeps
# in /data. docker-compose.yml uses it for every role.
FROM rust:1.95.0-slim-bookworm AS build
# The image's compiler is the one of rust-toolchain.toml; its tools for developers need not be fetched.
ENV RUSTUP_TOOLCHAIN=1.95.0
# The bundled SQLite is compiled.
RUN apt-get update && apt-get install -y --no-install-recommends build-essential && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    cargo build --release --locked --package hubbub-server && cp target/release/hubbub /hubbub

FROM debian:12.13-slim
COPY --from=build /hubbub /usr/local/bin/hubbub
COPY --chmod=755 deploy/healthy /usr/local/bin/healthy
RUN install -d -m 700 -o 10001 -g 10001 /data
USER 10001:10001
ENV HUBBUB_LISTEN=0.0.0.0:8080 HUBBUB_DATA=/data HUBBUB_LOG_FORMAT=json
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 CMD ["healthy"]
ENTRYPOINT ["hubbub"]
CMD ["serve"]
