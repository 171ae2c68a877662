# engine.sh - a container engine, and the images that no registry gives.
#
# Sourced by run.sh. An engine that runs is used as it is. Else dockerd is started,
# as root, with a socket and a data folder of its own; it changes no packet filter
# and no routing of this machine: ports are published by its proxy, and
# containers talk to each other over the bridges of their networks.

state=$root/build/compose # what is kept: the engine's data, logs
mkdir -p "$state"
engine_run=/tmp/cloakroom-engine-$UID-$(cksum <<<"$state" | cut -d' ' -f1)
engine_ours=no # whether it is ours to stop

engine_answers() { docker info >/dev/null 2>&1; }

# engine_find: fails if none runs. One that an earlier run left is ours.
engine_find() {
    if [ -S "$engine_run/socket" ] &&
        DOCKER_HOST=unix://$engine_run/socket engine_answers; then
        export DOCKER_HOST=unix://$engine_run/socket
        engine_ours=yes
        return 0
    fi
    engine_answers
}

engine_start() {
    ! engine_find || return 0
    [ "$(id -u)" = 0 ] ||
        die "no container engine runs, and only root can start one"
    mkdir -p "$engine_run" "$state/engine"
    export DOCKER_HOST=unix://$engine_run/socket
    # A session of its own: ^C is for this script, which then needs the engine.
    setsid dockerd --host "$DOCKER_HOST" --data-root "$state/engine" \
        --exec-root "$engine_run/exec" --pidfile "$engine_run/pid" \
        --storage-driver overlay2 --bridge none --iptables=false \
        --ip6tables=false --ip-forward=false \
        </dev/null >"$state/engine.log" 2>&1 9>&- &
    engine_ours=yes
    await 60 engine_answers || {
        tail -n 20 "$state/engine.log" >&2
        die "the container engine did not start"
    }
}

engine_stop() {
    local pid
    [ $engine_ours = yes ] && pid=$(cat "$engine_run/pid" 2>/dev/null) || return 0
    kill "$pid" 2>/dev/null || true
    await 60 engine_has_ended "$pid" || say "dockerd, process $pid, does not end"
    umount "$engine_run"/exec/netns/* 2>/dev/null || true # which it leaves
    rm -rf --one-file-system "$engine_run"
}

engine_has_ended() { ! kill -0 "$1" 2>/dev/null; }

# ---- images ------------------------------------------------------------------

image_is_there() { docker image inspect "$1" >/dev/null 2>&1; }

# image_is_ours NAME: made by us, not pulled
image_is_ours() {
    [ "$(docker image inspect "$1" --format \
        '{{index .Config.Labels "cloakroom.stand-in"}}' 2>/dev/null)" = yes ]
}

image_pull() { timeout 300 docker pull --quiet "$1" >/dev/null 2>&1; }

# image_build NAME ARG...
image_build() {
    quietly "$state/build-${1//[\/:]/-}.log" \
        timeout 900 docker build --network host --tag "$@" ||
        die "could not build the image $1"
}

# image_base NAME: what the Dockerfiles begin with
image_base() {
    local tree=$state/base
    ! image_is_there "$1" || return 0
    ! image_pull "$1" || return 0
    say "making $1 with debootstrap, as it cannot be pulled"
    [ "$(id -u)" = 0 ] || die "debootstrap is for root"
    rm -rf --one-file-system "$tree"
    quietly "$state/debootstrap.log" timeout 600 debootstrap --variant=minbase \
        bookworm "$tree" http://deb.debian.org/debian ||
        die "debootstrap failed"
    cp /etc/apt/sources.list.d/debian.sources \
        "$tree/etc/apt/sources.list.d/" 2>/dev/null &&
        rm "$tree/etc/apt/sources.list"
    rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/*
    tar -C "$tree" -c . | docker import --change 'CMD ["bash"]' \
        --change 'LABEL cloakroom.base=debootstrap' - "$1" >/dev/null
    rm -rf --one-file-system "$tree"
}

# image_kafka NAME: as pulled, or from the jars
image_kafka() {
    local from=$root/broker-config/kafka version=${1#*:}
    grep -q "<kafka>$version</kafka>" "$from/pom.xml" ||
        die "docker-compose.yml wants Kafka $version, $from/pom.xml another"
    if ! image_is_ours "$1"; then
        ! image_is_there "$1" || return 0
        ! image_pull "$1" || return 0
        say "making $1 from its jars, as it cannot be pulled"
    fi
    "$from/fetch"
    quietly "$state/context.log" tar -cf "$state/kafka.tar" \
        -C "$from" Dockerfile entrypoint log4j2.properties \
        -C "$root/build/kafka" libs
    image_build "$1" - <"$state/kafka.tar"
    rm "$state/kafka.tar"
}

images() {
    local base kafka
    # The builder of older engines, which needs nothing besides.
    docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
    base=$(sed -n 's/^FROM \([^ ]*\).*/\1/p' "$root/Dockerfile" | head -n 1)
    kafka=$(sed -n 's/^ *image: \(apache\/kafka:.*\)/\1/p' \
        "$root/docker-compose.yml")
    image_base "$base"
    image_kafka "$kafka"
    image_build cloakroom "$root"
    image_build cloakroom-balancer "$root/examples/compose/balancer"
}
