"""pauses.py - the rows of the table about pauses and upgrades.

In style and means as rows.py.
"""
import array
import bisect
import contextlib
import datetime
import json
import math
import os
import select
import shutil
import signal
import sqlite3
import subprocess
import time

from machine import Broken, Window
from rows import (ASYNC, CGI_AT_A_TIME, CONNECTIONS, PATIENCE_S, Row,
                  answers_within, at_most, close_all, load, open_clients,
                  until_drained, wrk, wrk_seen, wrk_start)
from systems import cloakroom

NO_START_MS = 20
WAIT_MS = 50
WAITS = 50            # `pause --wait` on an idle queue, in a run
UPGRADE_MS = 300
UPGRADES = 3          # in a run
UPGRADE_CLIENTS = 100
FILLERS = 4           # connections that fill the queue before them for 1 s
MAX_LOAD_S = 300
SETTLE_NS = 20e6      # of pausing.c


def rank(values, part):
    """The value that `part` of all do not exceed."""
    return sorted(values)[math.ceil(part * len(values)) - 1]


# ---- from a pause to "nothing starts" ----------------------------------------


class Pause:
    """One pause of bench_pauser, in ns of the wall clock."""

    def __init__(self, line):
        self.asked, self.durable, self.drained, self.resumed = map(
            int, line.split())

    def last_start(self, starts):
        """The last attempt's that was started before the resume."""
        at = bisect.bisect_left(starts, self.drained + SETTLE_NS / 2)
        if at == 0 or starts[at - 1] < self.asked - 1e9:
            raise Broken("nothing ran before a pause")
        if starts[at - 1] > self.drained + 2e6:
            raise Broken("an attempt started in a drained queue")
        return starts[at - 1]


def pause_often(place, room, times, *program):
    """Pauses the queue, whose load is somebody else's."""
    done = subprocess.run(
        [f"{place.programs}/bench_pauser", room.file, str(times), *program],
        capture_output=True, text=True)
    if done.returncode != 0:
        raise Broken(done.stderr.strip())
    return [Pause(line) for line in done.stdout.splitlines()]


def started_by_the_store(room):
    """`started` of all attempts, in whole ms: when the transaction that took
    them began. Rounded up, so that none counts as earlier than it was."""
    store = sqlite3.connect(f"{room.scratch}/data/cloakroom.db")
    starts = [(ms + 1) * 1000000 for ms, in store.execute(
        "SELECT started FROM response_1 ORDER BY started")]
    store.close()
    return starts


def noted_starts(path):
    """When attempts started as they noted it themselves, in ns."""
    starts = array.array("q")
    with open(path, "rb") as f:
        starts.frombytes(f.read())
    return sorted(starts)


@contextlib.contextmanager
def loaded(place, room):
    """64 clients in a closed loop, until the end of the block."""
    wrk(place, room.port, CONNECTIONS, 1)
    load = wrk_start(place, room.port, CONNECTIONS, MAX_LOAD_S)
    seen = {}
    try:
        yield seen
    finally:
        load.send_signal(signal.SIGINT)
        seen.update(wrk_seen(load, room.port))


def note(place, use):
    """What strangers took from the processors."""
    place.noise = max(place.noise, use.others)


def pauses_under_load(place, settings):
    """Pauses asked of the broker, pauses by the program, under one load; the
    `started` of the attempts."""
    with cloakroom(place, **settings) as (room, _):
        with room.start("up") as up:
            with Window([up]) as use:
                with loaded(place, room) as seen:
                    by_broker = pause_often(place, room, place.pauses)
                    by_program = pause_often(place, room, place.pauses // 2,
                                             room.binary)
        note(place, use)
        starts = started_by_the_store(room)
    if len(starts) < seen["n"]:
        raise Broken(f"{seen['n']} answers, {len(starts)} starts")
    open_s = seen["seconds"] - sum(
        p.resumed - p.asked for p in by_broker + by_program) / 1e9
    place.say(f"{len(by_broker) + len(by_program)} pauses, {seen['n']:,}"
              f" answers, {seen['n'] / open_s:,.0f}/s while it was open, others"
              f" {use.others:.2f} cores")
    return by_broker, by_program, starts


class Spans:
    """Rows of p99s of some spans of time, a value for each run."""

    def __init__(self, place):
        self.place, self.rows = place, {}

    def add(self, what, spans):
        """Spans of one run, in ns."""
        ms = [max(0, span) / 1e6 for span in spans]
        self.rows.setdefault(what, []).append(rank(ms, 0.99))
        self.place.say(f"{what}: p50 {rank(ms, 0.5):.2f}, p99"
                       f" {rank(ms, 0.99):.2f}, most {max(ms):.2f} ms")

    def add_pauses(self, pauses, starts, last):
        self.add(last, [p.last_start(starts) - p.asked for p in pauses])

    def held(self, what, most=NO_START_MS):
        return at_most(Row(what, "ms", self.rows[what]), most, f"{most} ms")

    def told(self, what):
        return Row(what, "ms", self.rows[what])


RECORDED = "pause asked to recorded, {}, p99"
BY_STORE = "… to the last take, by the store's clock"
BEGUN = "… to the last program's first deed"
DRAINED = "… to drained"
SHELL = "… from the start of `cloakroom pause` to the last {}"


def pause64(place):
    """Under full load of round trips."""
    spans = Spans(place)
    recorded, shell = RECORDED.format("c=64"), SHELL.format("take")
    for _ in range(place.runs):
        by_broker, by_program, starts = pauses_under_load(place, {})
        spans.add(recorded, [p.durable - p.asked for p in by_broker])
        spans.add_pauses(by_broker, starts, BY_STORE)
        spans.add(DRAINED, [p.drained - p.asked for p in by_broker])
        spans.add_pauses(by_program, starts, shell)
    yield spans.held(recorded)
    yield spans.held(BY_STORE)
    yield spans.told(DRAINED)
    yield spans.told(shell)


def pausecgi(place):
    """The same with programs, 16 at a time."""
    spans = Spans(place)
    recorded, shell = RECORDED.format("CGI, c=64"), SHELL.format("program's")
    for _ in range(place.runs):
        path = f"{place.fresh('starts')}/starts"
        handler = (f"cgi: {{command: {place.programs}/bench_hello,"
                   f" environment: {{STARTS: {path}}}}}")
        by_broker, by_program, taken = pauses_under_load(
            place, {"handler": handler, "concurrency": CGI_AT_A_TIME})
        begun = noted_starts(path)
        spans.add(recorded, [p.durable - p.asked for p in by_broker])
        spans.add_pauses(by_broker, taken, BY_STORE)
        spans.add_pauses(by_broker, begun, BEGUN)
        spans.add(DRAINED, [p.drained - p.asked for p in by_broker])
        spans.add_pauses(by_program, begun, shell)
    yield spans.held(recorded)
    yield spans.held(BY_STORE)
    yield spans.held(BEGUN)
    yield spans.told(DRAINED)
    yield spans.told(shell)


def pausealone(place):
    """The broker without HTTP; when its worker was given the last attempt."""
    spans = Spans(place)
    recorded = RECORDED.format("the broker alone, 64 in flight")
    given = "… to the last attempt given to the worker"
    for _ in range(place.runs):
        folder = place.fresh("alone")
        with Window([]) as use:
            done = subprocess.run(
                [f"{place.programs}/broker_bench", f"{folder}/data", "pause",
                 str(place.pauses), str(CONNECTIONS)],
                capture_output=True, text=True)
        note(place, use)
        if done.returncode != 0:
            raise Broken(f"broker_bench: {done.stderr.strip()}")
        pauses = [Pause(line) for line in done.stdout.splitlines()]
        spans.add(recorded, [p.durable - p.asked for p in pauses])
        spans.add_pauses(pauses, noted_starts(f"{folder}/data/starts"), given)
        shutil.rmtree(folder)
    yield spans.held(recorded)
    yield spans.held(given)


# ---- an idle queue -----------------------------------------------------------


def timed(room, command, *arguments):
    """Milliseconds from the start of the process to its end."""
    start = time.monotonic()
    room.run(command, *arguments)
    return (time.monotonic() - start) * 1e3


def pausewait(place):
    """`pause --wait` where nothing runs."""
    middle, most = [], []
    for _ in range(place.runs):
        took = []
        with cloakroom(place, "up") as (room, (up,)):
            with Window([up]) as use:
                for _ in range(WAITS):
                    took.append(timed(room, "pause", "--wait"))
                    room.run("resume")
        note(place, use)
        middle.append(rank(took, 0.5))
        most.append(rank(took, 0.99))
        place.say(f"pause --wait: p50 {middle[-1]:.1f}, p99 {most[-1]:.1f} ms")
    yield at_most(Row("pause --wait, idle queue, p50", "ms", middle),
                  WAIT_MS, f"{WAIT_MS} ms")
    yield at_most(Row("… p99", "ms", most), WAIT_MS, f"{WAIT_MS} ms")


# ---- an upgrade --------------------------------------------------------------


def releases(place, labels):
    """A folder with a program for each release; the command that runs it."""
    folder = place.fresh("releases")
    for label in labels:
        os.makedirs(f"{folder}/{label}")
        shutil.copy(f"{place.programs}/bench_hello", f"{folder}/{label}/hello")
    return f"{folder}/{{release}}/hello"


def times_of(room):
    """When the last pause began, and when it was over: ms."""
    at = {}
    for record in json.loads(room.run("history", "--json")):
        at[record["change"]] = datetime.datetime.fromisoformat(
            record["at"].replace("Z", "+00:00")).timestamp() * 1e3
    return at["pause"], at["resume"]


def upgrade_once(place, room, label):
    """ms from pause to resume, with clients that wait all along."""
    wrk(place, room.port, FILLERS, 1, ASYNC)
    clients = open_clients(room.port, UPGRADE_CLIENTS, False)
    before = room.queue()["queued"]
    room.run("upgrade", "bench", "--to", label, "--migrate", "true")
    if select.select(clients, [], [], 0)[0]:
        raise Broken("the backlog was too short: clients did not wait")
    began, over = times_of(room)
    good = answers_within(clients, PATIENCE_S)
    close_all(clients)
    if good < UPGRADE_CLIENTS:
        raise Broken(f"of {UPGRADE_CLIENTS} clients {good} got an answer")
    until_drained(room)
    place.say(f"upgrade to {label}: {over - began:.0f} ms; {before} waited")
    return over - began


def upgrade(place):
    """From one release to the next while clients wait."""
    took, labels = [], [str(n) for n in range(1, UPGRADES + 2)]
    for _ in range(place.runs):
        handler = f"cgi: {{command: '{releases(place, labels)}'}}"
        with cloakroom(place, "up", handler=handler,
                       concurrency=CGI_AT_A_TIME) as (room, _):
            took += [upgrade_once(place, room, label) for label in labels[1:]]
    yield at_most(Row(f"upgrade, {UPGRADE_CLIENTS} clients waiting, pause to"
                      " resume", "ms", took), UPGRADE_MS, f"{UPGRADE_MS} ms")


# ---- a long pause ------------------------------------------------------------


def wait_through(place, n):
    """How many got their answer, and how long after the resume all had."""
    with cloakroom(place, "up") as (room, _):
        room.run("pause", "--wait")
        clients = open_clients(room.port, n, False)
        until = time.monotonic() + PATIENCE_S
        while room.queue()["queued"] < n and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(place.long_pause)
        early = select.poll()
        for client in clients:
            early.register(client, select.POLLIN)
        if told := len(early.poll(0)):
            raise Broken(f"{told} clients were answered in a pause")
        room.run("resume")
        start = time.monotonic()
        good = answers_within(clients, PATIENCE_S)
        took = time.monotonic() - start
        done = room.queue()["done"]
        close_all(clients)
    if done < good:
        raise Broken(f"{good} answers, the store says done: {done}")
    place.say(f"{good:,} of {n:,} answered, {took:.2f} s after the resume")
    return good, took


def pause10k(place):
    """Clients that wait for their answer through a long pause."""
    got = [wait_through(place, place.waiters) for _ in range(place.runs)]
    answered = Row(f"answers to {place.waiters:,} clients that waited through"
                   f" a pause of {place.long_pause} s", "",
                   [good for good, _ in got], floor="all")
    answered.holds = min(answered.values) == place.waiters
    yield answered
    yield Row("… the last one, after the resume", "s", [s for _, s in got])


# ---- an older commit beside it -----------------------------------------------


def built(place, commit):
    """The program of that commit; built once, in build/against."""
    folder = f"{place.root}/build/against/{commit}"
    binary = f"{folder}/build/cloakroom"
    if os.access(binary, os.X_OK):
        return binary
    place.say(f"building {commit}")
    os.makedirs(folder, exist_ok=True)
    script = ("git archive \"$0\" | tar -x -C \"$1\" && cd \"$1\" &&"
              " cmake --preset release &&"
              " cmake --build build/release --target cloakroom")
    done = subprocess.run(["bash", "-o", "pipefail", "-c", script, commit,
                           folder], cwd=place.root, capture_output=True,
                          text=True)
    if done.returncode != 0:
        raise Broken(f"{commit}: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    return binary


def beside(place, connections):
    """Round trips, here and there in turn."""
    binaries, values = [None, built(place, place.against)], ([], [])
    for _ in range(place.runs):
        for binary, of in zip(binaries, values):
            with cloakroom(place, "up", binary=binary) as (room, programs):
                got = load(place, programs, room.port, connections,
                           label=f"c={connections} of {binary or 'this'}")
                note(place, got.use)
                of.append(got)
    return values


def spread(values):
    return max(values) - min(values)


def compared(what, unit, ours, theirs, place):
    row = Row(what, unit, ours, place.against, theirs, "within the spread")
    row.holds = (abs(row.value - row.baseline)
                 <= max(spread(ours), spread(theirs)))
    return row


def gate(place):
    """What the round trip costs more than before."""
    ours, theirs = beside(place, 1)
    yield compared("round trip beside that commit, c=1, p50", "ms",
                   [r.p50 for r in ours], [r.p50 for r in theirs], place)
    yield compared("… CPU a request", "us", [r.cpu for r in ours],
                   [r.cpu for r in theirs], place)
    ours, theirs = beside(place, CONNECTIONS)
    yield compared("… c=64", "/s", [r.rate for r in ours],
                   [r.rate for r in theirs], place)
    yield compared("… CPU a request", "us", [r.cpu for r in ours],
                   [r.cpu for r in theirs], place)


ROWS = {
    "pause64": pause64, "pausecgi": pausecgi, "pausealone": pausealone,
    "pausewait": pausewait, "upgrade": upgrade, "pause10k": pause10k,
    "gate": gate,
}
