"""kafka.py - the rows of `bench/run --kafka`.

One broker for the whole run, Cloakroom, a plain librdkafka client and the Go
front of ../shared/peers all on it. In style and means as rows.py.
"""
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import time

import systems
from machine import Broken, Program, Window, listens
from pauses import (BEGUN, DRAINED, RECORDED, Spans, loaded, note,
                    noted_starts, pause_often)
from rows import (ASYNC, CGI_AT_A_TIME, CONNECTIONS, Row, at_most,
                  expect_count, load, until_drained, wrk, wrk_seen,
                  wrk_start)

PORT = 9192          # where the Go front looks for its broker
FRONT_PORT = 8210    # and where it listens itself
WARM_UP_S = 15       # of each kind of load
LEASE_S = 2
NO_START_MS = 100
SLEEP_MS = 20
SLOTS = 4            # of a worker, of the rows about sleeping handlers
BY_FACT = "… to the last start, by the log"

BROKER = """\
kafka:
    servers: 127.0.0.1:{port}
    prefix: b{number}
    topics: {{{{partitions: 4}}}}
    view: {{scratch}}/view
    secret_file: {{scratch}}/key"""


class Broker:
    """Kafka, as it is run in earnest: no flags for a fast start."""

    def __init__(self, place):
        self.place, self.directory = place, f"{place.scratch}/kafka"
        self.scripts = f"{place.root}/broker-config/kafka"
        self.servers, self.rooms = f"127.0.0.1:{PORT}", 0

    def __enter__(self):
        self.call("up", "--port", str(PORT))
        with open(f"{self.directory}/node-1/pid") as f:
            self.pid = int(f.read())
        try:
            self.warm_up()
        except BaseException:
            self.call("down")
            raise
        return self

    def warm_up(self):
        """A JVM that has just begun is many times slower."""
        self.place.broker = self
        self.plain("warm", str(WARM_UP_S))
        with room_on(self.place, "up") as (room, _):
            wrk(self.place, room.port, CONNECTIONS, WARM_UP_S)

    def __exit__(self, *failure):
        self.call("down")

    def call(self, script, *arguments):
        done = subprocess.run(
            [f"{self.scripts}/{script}", "--dir", self.directory, *arguments],
            capture_output=True, text=True,
            env={**os.environ, "KAFKA_HEAP_OPTS": "-Xms1g -Xmx1g",
                 "KAFKA_JVM_PERFORMANCE_OPTS": "-XX:+UseG1GC"})
        if done.returncode != 0:
            raise Broken(f"{script}: {done.stderr.strip()}")

    def plain(self, *arguments):
        done = subprocess.run(
            [f"{self.place.programs}/bench_kafka_plain", self.servers,
             *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            raise Broken(done.stderr.strip())
        return done.stdout

    def numbers(self):
        """Of plain librdkafka: p50 in ms, acknowledged and consumed; rate."""
        self.rooms += 1
        seen = json.loads(self.plain(f"plain-{self.rooms}",
                                     str(max(self.place.seconds // 2, 1))))
        self.place.say(f"plain: acknowledged {seen['ack']:.0f} us, consumed"
                       f" {seen['arrive']:.0f} us, {seen['rate']:,.0f}/s")
        return seen["ack"] / 1e3, seen["arrive"] / 1e3, seen["rate"]


@contextlib.contextmanager
def room_on(place, *commands, **settings):
    """An installation on the broker, with topics of its own."""
    place.broker.rooms += 1
    room = systems.Cloakroom(
        place, broker=BROKER.format(port=PORT, number=place.broker.rooms),
        **settings)
    with contextlib.ExitStack() as stack:
        stack.callback(room.remove)
        room.run("topics", "apply")
        programs = [stack.enter_context(room.start(c)) for c in commands]
        yield room, programs + [place.broker]


def answered():
    """Waits until the Go front's worker does something."""
    status, _, body = systems.ask(FRONT_PORT, "POST", "/call", systems.BODY)
    if status != 200:
        raise Broken(f"the Go front answers {status}: {body[:200]!r}")


@contextlib.contextmanager
def front(place, *roles):
    """The Go front and what else of it is asked for."""
    peers, program = place.peers, f"{place.scratch}/front"
    if not os.path.exists(program):
        done = subprocess.run(["go", "build", "-o", program, "./kafka"],
                              cwd=peers, capture_output=True, text=True)
        if done.returncode != 0:
            raise Broken(f"go build: {done.stderr.strip()}")
        place.broker.plain("make", "jobs:4", "results:1")
    with contextlib.ExitStack() as stack:
        programs = [stack.enter_context(
            Program([program, role], f"{place.scratch}/{role}.log"))
            for role in ("front", *roles)]
        programs[0].wait_until(lambda: listens(FRONT_PORT), "the Go front")
        if roles:  # its worker leaves no group: the next waits 45 s for it
            answered()
        yield programs + [place.broker]


def front_load(place, path, connections, *roles):
    with front(place, *roles) as programs:
        return load(place, programs, FRONT_PORT, connections, path=path,
                    label=f"Go front, {path}, c={connections}")


def rate_row(what, ours, theirs):
    return Row(what, "/s", [r.rate for r in ours], "Go front",
               [r.rate for r in theirs])


def cpu_row(ours, theirs):
    return Row("… CPU a request, the broker's included", "us",
               [r.cpu for r in ours], "Go front", [r.cpu for r in theirs])


def more_than_front(row):
    row.floor, row.holds = "1.0 of the Go front", row.ratio > 1
    return row


def kplain(place):
    """What there is to be had."""
    acks, arrivals, rates = zip(*(place.broker.numbers()
                                  for _ in range(place.runs)))
    yield Row("plain librdkafka: acknowledged, p50", "ms", acks)
    yield Row("… produced to consumed, p50", "ms", arrivals)
    yield Row("… messages of 256 bytes", "/s", rates)


def kaccept(place):
    """Accepted and acknowledged, nobody takes; then with a worker."""
    theirs, ours, theirs_beside, ours_beside = [], [], [], []
    for _ in range(place.runs):
        theirs.append(front_load(place, "submit", CONNECTIONS))
        with room_on(place, "ingress") as (room, programs):
            got = load(place, programs, room.port, CONNECTIONS, ASYNC,
                       label="accept")
            expect_count(room, "accepted", got.n)
            ours.append(got)
        theirs_beside.append(front_load(place, "submit", CONNECTIONS, "worker"))
        with room_on(place, "up") as (room, programs):
            got = load(place, programs, room.port, CONNECTIONS, ASYNC,
                       label="accept, worker beside")
            ours_beside.append(got)
    yield more_than_front(
        rate_row("accepted and durable, c=64", ours, theirs))
    yield cpu_row(ours, theirs)
    yield at_most(Row("… p50", "ms", [r.p50 for r in ours], "Go front",
                      [r.p50 for r in theirs]), 3, "3 ms")
    yield rate_row("accepted with a worker draining, c=64", ours_beside,
                   theirs_beside)


def trip(place, connections, method):
    with room_on(place, "up") as (room, programs):
        got = load(place, programs, room.port, connections, method=method,
                   label=f"trip {method} c={connections}")
        expect_count(room, "done", got.n)
    return got


def ktrip1(place):
    """One at a time, beside the plain client in the same run."""
    arrivals, theirs, ours = [], [], {"PUT": [], "POST": []}
    for _ in range(place.runs):
        arrivals.append(place.broker.numbers()[1])
        theirs.append(front_load(place, "call", 1, "worker"))
        for method, seen in ours.items():
            seen.append(trip(place, 1, method))
    for method, times in (("PUT", 2.5), ("POST", 3.5)):
        row = Row(f"round trip, {method}, c=1, p50", "ms",
                  [r.p50 for r in ours[method]], "plain, consumed", arrivals,
                  f"{times} of plain")
        row.holds = row.ratio <= times
        yield row
        yield Row("… p99", "ms", [r.p99 for r in ours[method]])
        yield Row("… CPU a request, the broker's included", "us",
                  [r.cpu for r in ours[method]], "Go front",
                  [r.cpu for r in theirs])
    yield Row("the Go front's, c=1, p50", "ms", [r.p50 for r in theirs],
              "plain, consumed", arrivals)


def ktrip64(place):
    theirs, ours, repeatable = [], [], []
    for _ in range(place.runs):
        theirs.append(front_load(place, "call", CONNECTIONS, "worker"))
        ours.append(trip(place, CONNECTIONS, "POST"))
        repeatable.append(trip(place, CONNECTIONS, "PUT"))
    yield more_than_front(rate_row("round trip, POST, c=64", ours, theirs))
    yield cpu_row(ours, theirs)
    yield Row("… p50", "ms", [r.p50 for r in ours], "Go front",
              [r.p50 for r in theirs])
    yield more_than_front(rate_row("round trip, PUT, c=64", repeatable, theirs))
    yield cpu_row(repeatable, theirs)


# ---- pauses, restarts, growth ------------------------------------------------


def until_done(room):
    """How many are done, once nothing waits or runs any more."""
    until_drained(room)
    until = time.monotonic() + LEASE_S + 10
    while (queue := room.queue())["running"] > 0 or queue["queued"] > 0:
        if time.monotonic() > until:
            raise Broken(f"{queue['running']} still run")
        time.sleep(0.1)
    return queue["done"]


def view_rows(room, what):
    """From the ingress's view, after its end. Each process has one of its
    own: the fullest is the one."""
    most = []
    for name in os.listdir(f"{room.scratch}/view"):
        if name.endswith(".db"):
            store = sqlite3.connect(f"{room.scratch}/view/{name}")
            found = store.execute(what).fetchall()
            store.close()
            most = max(most, found, key=len)
    return most


def kpause(place):
    """From a pause to the last start: by the log, and by the programs."""
    spans = Spans(place)
    for handler in ("respond", "cgi"):
        for _ in range(place.runs):
            pauses_once(place, spans, handler)
    yield spans.held(RECORDED.format("c=64"), NO_START_MS)
    yield spans.held(BY_FACT, NO_START_MS)
    yield spans.told(DRAINED)
    yield spans.held(RECORDED.format("CGI, c=64"), NO_START_MS)
    yield spans.held(BEGUN, NO_START_MS)


def pauses_once(place, spans, handler):
    path, settings = f"{place.fresh('starts')}/starts", {}
    if handler == "cgi":
        settings = {"handler": f"cgi: {{command: {place.programs}/bench_hello,"
                               f" environment: {{STARTS: {path}}}}}",
                    "concurrency": CGI_AT_A_TIME}
    with room_on(place, **settings) as (room, _):
        with room.start("up") as up:
            with Window([up, place.broker]) as use:
                with loaded(place, room):
                    pauses = pause_often(place, room, place.pauses)
        note(place, use)
        starts = sorted((ms + 1) * 1000000 for ms, in view_rows(
            room, "SELECT started FROM ticket WHERE started > 0"))
    what, last = (("c=64", BY_FACT) if handler == "respond"
                  else ("CGI, c=64", BEGUN))
    spans.add(RECORDED.format(what), [p.durable - p.asked for p in pauses])
    spans.add_pauses(pauses,
                     starts if handler == "respond" else noted_starts(path),
                     last)
    if handler == "respond":
        spans.add(DRAINED, [p.drained - p.asked for p in pauses])


def sleeper(place, path, sleep=SLEEP_MS):
    return (f"cgi: {{command: {place.programs}/bench_hello, environment:"
            f" {{STARTS: {path}, SLEEP_MS: '{sleep}'}}}}")


def krestart(place):
    """A worker is killed under load, another takes its place at once."""
    slowest, repeated = [], []
    for _ in range(place.runs):
        path = f"{place.fresh('starts')}/starts"
        with room_on(place, "ingress", handler=sleeper(place, path),
                     concurrency=SLOTS, lease=f"{LEASE_S}s") as (room, _):
            first = room.start("worker")
            running = wrk_start(place, room.port, 2 * SLOTS,
                                place.seconds + 2 * LEASE_S, method="PUT")
            time.sleep(1 + place.seconds / 2)
            os.kill(first.pid, signal.SIGKILL)
            with room.start("worker"):
                seen = wrk_seen(running, room.port)
                done = until_done(room)
        slowest.append(seen["max"] / 1e6)
        repeated.append(len(noted_starts(path)) - done)
        place.say(f"restart: slowest {slowest[-1]:.2f} s, {repeated[-1]}"
                  f" repeated of {done}")
    yield at_most(Row("slowest response, a worker killed and restarted", "s",
                      slowest), LEASE_S + 1, f"lease + 1 = {LEASE_S + 1} s")
    yield at_most(Row("… programs that were started again", "", repeated),
                  SLOTS, f"what ran: {SLOTS}")


def kscale(place):
    """1, 2 and 4 workers whose programs sleep 20 ms."""
    rates = {1: [], 2: [], 4: []}
    for _ in range(place.runs):
        for n, seen in rates.items():
            seen.append(sleepers(place, n))
    for n, seen in rates.items():
        row = Row(f"{n} workers of {SLOTS} slots, a program that sleeps"
                  f" {SLEEP_MS} ms", "/s", seen)
        if n > 1:
            row.beside, row.baselines = "1 worker", rates[1]
            row.floor, row.holds = f"{0.8 * n:.1f}", row.ratio >= 0.8 * n
        yield row


def sleepers(place, n):
    path = f"{place.fresh('starts')}/starts"
    with room_on(place, "ingress", *["worker"] * n,
                 handler=sleeper(place, path),
                 concurrency=SLOTS) as (room, programs):
        time.sleep(3)  # until the last one has its share
        got = load(place, programs, room.port, CONNECTIONS,
                   label=f"{n} workers")
        done = until_done(room)
    if len(noted_starts(path)) != done:
        raise Broken(f"{done} done, {len(noted_starts(path))} started")
    return got.rate


ROWS = {
    "kplain": kplain, "kaccept": kaccept, "ktrip1": ktrip1,
    "ktrip64": ktrip64, "kpause": kpause, "krestart": krestart,
    "kscale": kscale,
}
