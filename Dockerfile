# Cloakroom, from Debian's packages alone. Handlers and the configuration are not in
# it: mount them, or build an image of your own FROM this one.
#
# Runs as a normal user and with a read-only root: /var/lib/cloakroom (the store, or
# an ingress's view), /var/lib/cloakroom-secret (the ticket key, shared by all)
# and /tmp (bodies on their way) are all that it writes to.

FROM debian:bookworm-slim AS build
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        gcc libc6-dev cmake ninja-build pkg-config check libfyaml-dev \
        libjansson-dev libmicrohttpd-dev librdkafka-dev libsodium-dev \
        libsqlite3-dev libuv1-dev uthash-dev && \
    rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cmake --preset release && \
    cmake --build build/release --target cloakroom && \
    strip build/cloakroom

FROM debian:bookworm-slim
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        libfyaml0 libjansson4 libmicrohttpd12 librdkafka1 libsodium23 \
        libsqlite3-0 libuv1 && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --uid 1000 --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin cloakroom && \
    install -d -o cloakroom -g cloakroom -m 0700 \
        /var/lib/cloakroom /var/lib/cloakroom-secret
COPY --from=build /src/build/cloakroom /usr/local/bin/cloakroom
USER cloakroom
VOLUME ["/var/lib/cloakroom"]
EXPOSE 8080 8081
ENTRYPOINT ["cloakroom"]
CMD ["--help"]
