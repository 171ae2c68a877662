"""rows.py - one function for each group of rows in the table.

Each measures `runs` times on a fresh installation, Cloakroom and what it is
held against in turn, so that a change of the machine's mood meets both.
"""
import json
import os
import re
import socket
import statistics
import subprocess
import time

from machine import Broken, Window, rss_kib
from systems import (BODY, FIELDS, ask, bare, cloakroom, nginx_fcgiwrap,
                     submit)

CONNECTIONS = 64
WARM_UP_S = 1
PATIENCE_S = 60
CGI_AT_A_TIME = 16
SYNCS_OF_A_TRIP = 3      # accept, take, response
TRIP_ROOM_MS = 0.3
# "As with none": SQLite's page caches (4 MiB a connection, two in the ingress)
# fill only once the file is larger than they are; nothing else may grow.
BACKLOG_RSS_KIB = 8192
ASYNC = "respond-async"


class Row:
    """A line of the table. Values and baselines are one for each run."""

    def __init__(self, what, unit, values, beside=None, baselines=None,
                 floor="", holds=None):
        self.what, self.unit, self.values = what, unit, values
        self.beside, self.baselines = beside, baselines
        self.floor, self.holds = floor, holds

    @property
    def value(self):
        return statistics.median(self.values)

    @property
    def baseline(self):
        return statistics.median(self.baselines)

    @property
    def ratio(self):
        return statistics.median(
            v / b for v, b in zip(self.values, self.baselines) if b)


def at_least(row, floor, text):
    row.floor, row.holds = text, row.value >= floor
    return row


def at_most(row, floor, text):
    row.floor, row.holds = text, row.value <= floor
    return row


class Load:
    """What wrk saw, and what the programs used meanwhile."""

    def __init__(self, seen, use):
        self.n = seen["n"]
        self.rate = seen["n"] / seen["seconds"]
        self.p50, self.p99 = seen["p50"] / 1e3, seen["p99"] / 1e3  # ms
        self.use = use
        self.cpu = use.cpu * 1e6 / self.n  # us a request


def wrk_start(place, port, connections, seconds, prefer=None, method="POST",
              path=""):
    """SIGINT ends it before its time."""
    environment = {**os.environ, "METHOD": method,
                   **({"PREFER": prefer} if prefer else {})}
    return subprocess.Popen(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s",
         "-s", f"{place.sources}/post.lua", f"http://127.0.0.1:{port}/{path}"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True)


def wrk_seen(process, port):
    out, err = process.communicate()
    found = re.search(r"^\{.*\}$", out, re.M)
    if not found:
        raise Broken(f"wrk: {out}{err}")
    seen = json.loads(found.group())
    if seen["bad"] or seen["broken"] or not seen["n"]:
        raise Broken(f"port {port}: {seen['bad']} answers of 400 and above and"
                     f" {seen['broken']} broken connections among {seen['n']}")
    return seen


def wrk(place, port, connections, seconds, prefer=None, **request):
    return wrk_seen(wrk_start(place, port, connections, seconds, prefer,
                              **request), port)


def load(place, programs, port, connections, prefer=None, *, label, **request):
    """One measured run after a warm-up."""
    wrk(place, port, connections, WARM_UP_S, prefer, **request)
    os.sync()
    with Window(programs) as use:
        seen = wrk(place, port, connections, place.seconds, prefer, **request)
    got = Load(seen, use)
    by = " ".join(f"{name} {used * 1e6 / got.n:.1f}"
                  for name, used in use.by_name.items())
    place.say(f"{label}: {got.rate:,.0f}/s, p50 {got.p50:.3f} p99 {got.p99:.3f}"
              f" ms, {got.cpu:.1f} us of CPU ({by}), {use.flushes} flushes,"
              f" others {use.others:.2f} cores")
    return got


def bare_load(place, connections):
    with bare(place) as (port, programs):
        got = load(place, programs, port, connections, label="bare")
    place.noise = max(place.noise, got.use.others)
    return got


def expect_count(room, key, least):
    """The store itself must know as many as the clients saw."""
    there = room.queue()[key]
    if there < least:
        raise Broken(f"clients saw {least} answers, the store says"
                     f" {key}: {there}")


def until_drained(room, patience=300):
    until = time.monotonic() + patience
    while (left := room.queue()["queued"]) > 0:
        if time.monotonic() > until:
            raise Broken(f"{left} requests still queued after {patience} s")
        time.sleep(0.1)


# ---- accepting ---------------------------------------------------------------


def accept(place):
    """Accepted and durable, nobody takes."""
    base, ours = [], []
    for _ in range(place.runs):
        base.append(bare_load(place, CONNECTIONS))
        with cloakroom(place, "ingress") as (room, programs):
            got = load(place, programs, room.port, CONNECTIONS, ASYNC,
                       label="accept")
            expect_count(room, "accepted", got.n)
            ours.append(got)
    rate = Row("accepted and durable, c=64", "/s", [r.rate for r in ours],
               "bare", [r.rate for r in base], "0.4 of bare")
    rate.holds = rate.ratio >= 0.4
    yield rate
    yield at_most(
        Row("… CPU a request", "us", [r.cpu for r in ours],
            "bare", [r.cpu for r in base]), 14, "14 us")
    for name in ("p50", "p99"):
        yield Row(f"… {name}", "ms", [getattr(r, name) for r in ours],
                  "bare", [getattr(r, name) for r in base])


def drain(place):
    """The same while a worker drains; its CPU counts until all is done."""
    base, ours, cpu = [], [], []
    for _ in range(place.runs):
        base.append(bare_load(place, CONNECTIONS))
        with cloakroom(place, "up") as (room, programs):
            wrk(place, room.port, CONNECTIONS, WARM_UP_S, ASYNC)
            until_drained(room)
            done_before = room.queue()["done"]
            with Window(programs) as use:
                seen = wrk(place, room.port, CONNECTIONS, place.seconds, ASYNC)
                until_drained(room)
            n = room.queue()["done"] - done_before
            ours.append(seen["n"] / seen["seconds"])
            cpu.append(use.cpu * 1e6 / max(n, 1))
            place.say(f"drain: {ours[-1]:,.0f}/s, {cpu[-1]:.1f} us, done after"
                      f" {use.seconds - seen['seconds']:.1f} s more")
            if n < seen["n"]:
                raise Broken(f"{seen['n']} accepted, only {n} done")
    yield Row("accepted with a worker draining, c=64", "/s", ours,
              "bare", [r.rate for r in base])
    yield Row("… CPU a request, drained", "us", cpu,
              "bare", [r.cpu for r in base])


# ---- round trips -------------------------------------------------------------


def trip(place, connections):
    base, ours = [], []
    for _ in range(place.runs):
        base.append(bare_load(place, connections))
        with cloakroom(place, "up") as (room, programs):
            got = load(place, programs, room.port, connections,
                       label=f"trip c={connections}")
            expect_count(room, "done", got.n)
            ours.append(got)
    return base, ours


def sync_ms(place, *over):
    """The median time of one synced append, in a file beside the store."""
    done = subprocess.run(
        [f"{place.programs}/bench_sync", f"{place.scratch}/sync", "1", *over],
        check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["p50"] / 1e3


def trip1(place):
    """One at a time: what waiting costs beyond the syncs."""
    growing, over = [], []
    for _ in range(place.runs):
        growing.append(sync_ms(place))
        over.append(sync_ms(place, "over"))
    base, ours = trip(place, 1)
    append = Row("one synced append of 4 KiB, growing file", "ms", growing,
                 "written before", over)
    yield append
    allowed = SYNCS_OF_A_TRIP * append.value + TRIP_ROOM_MS
    yield at_most(
        Row("round trip, c=1, p50", "ms", [r.p50 for r in ours],
            "bare", [r.p50 for r in base]),
        allowed, f"3 appends + 0.3 = {allowed:.2f} ms")
    yield Row("… p99", "ms", [r.p99 for r in ours],
              "bare", [r.p99 for r in base])
    yield Row("… CPU a request", "us", [r.cpu for r in ours],
              "bare", [r.cpu for r in base])


def trip64(place):
    base, ours = trip(place, CONNECTIONS)
    yield at_least(
        Row("round trip, c=64", "/s", [r.rate for r in ours],
            "bare", [r.rate for r in base]), 25000, "25,000/s")
    yield at_most(
        Row("… CPU a request", "us", [r.cpu for r in ours],
            "bare", [r.cpu for r in base]), 35, "35 us")
    for name in ("p50", "p99"):
        yield Row(f"… {name}", "ms", [getattr(r, name) for r in ours],
                  "bare", [getattr(r, name) for r in base])


# ---- CGI ---------------------------------------------------------------------


def cgi(place):
    """The same C program behind both, 16 runs at a time."""
    base, base_cpu, ours = [], [], []
    handler = f"cgi: {{command: {place.programs}/bench_hello}}"
    for _ in range(place.runs):
        with nginx_fcgiwrap(place, CGI_AT_A_TIME) as (port, programs):
            got = load(place, programs, port, CGI_AT_A_TIME,
                       label="nginx+fcgiwrap")
            base.append(got)
            # fcgiwrap waits for none of its children: what they used is
            # only in the machine's total.
            base_cpu.append(got.use.but_generator * 1e6 / got.n)
        with cloakroom(place, "up", handler=handler,
                       concurrency=CGI_AT_A_TIME) as (room, programs):
            got = load(place, programs, room.port, CGI_AT_A_TIME, label="cgi")
            expect_count(room, "done", got.n)
            ours.append(got)
    rate = Row("CGI in C, 16 at a time", "/s", [r.rate for r in ours],
               "nginx + fcgiwrap", [r.rate for r in base],
               "1.0 of nginx + fcgiwrap")
    rate.holds = rate.ratio >= 1
    yield rate
    yield Row("… CPU a request, program included", "us",
              [r.use.but_generator * 1e6 / r.n for r in ours],
              "nginx + fcgiwrap", base_cpu)


# ---- memory ------------------------------------------------------------------


def request_bytes(fields):
    head = "".join(f"{k}: {v}\r\n" for k, v in fields.items())
    return (f"POST / HTTP/1.1\r\nHost: localhost\r\n{head}"
            f"Content-Length: {len(BODY)}\r\n\r\n").encode() + BODY


def open_clients(port, n, used):
    """n connections that wait for an answer; used: for their second one."""
    first = request_bytes({**FIELDS, "Prefer": ASYNC})
    request, clients = request_bytes(FIELDS), []
    for _ in range(n):
        client = socket.create_connection(("127.0.0.1", port), 30)
        if used:
            client.sendall(first)
            client.recv(4096)
        client.sendall(request)
        clients.append(client)
    return clients


def answers_within(clients, seconds):
    """How many clients got a 200, read one by one."""
    until = time.monotonic() + seconds
    good = 0
    for client in clients:
        client.settimeout(max(0.1, until - time.monotonic()))
        try:
            good += client.recv(4096).startswith(b"HTTP/1.1 200")
        except OSError:
            pass
    return good


def kib_each(programs, port, n, used, there):
    """Growth of the programs' memory by n clients, and the clients."""
    roots = [program.pid for program in programs]
    time.sleep(1)
    idle = rss_kib(roots)
    clients, until = open_clients(port, n, used), time.monotonic() + PATIENCE_S
    while not there():
        if time.monotonic() > until:
            raise Broken(f"not all of {n} clients wait after {PATIENCE_S} s")
        time.sleep(0.1)
    time.sleep(1)
    return (rss_kib(roots) - idle) / n, clients


def close_all(clients):
    for client in clients:
        client.close()


def waiting(place, n, used):
    """KiB for each of n clients, who all must get their answer at last."""
    with cloakroom(place, "ingress") as (room, programs):
        each, clients = kib_each(
            programs, room.port, n, used,
            lambda: room.queue()["queued"] >= n * (2 if used else 1))
        with room.start("worker"):
            good = answers_within(clients, PATIENCE_S)
        close_all(clients)
    place.say(f"waiters: {each:.2f} KiB each{', used before' * used}")
    if good < n:
        raise Broken(f"of {n} waiting clients {good} got an answer")
    return each


def waiters(place):
    """Clients that wait for a worker that is not there yet."""
    base, fresh, used, n = [], [], [], place.waiters
    for _ in range(place.runs):
        with bare(place) as (port, programs):
            each, clients = kib_each(programs, port, n, False, lambda: True)
            close_all(clients)
        base.append(each)
        fresh.append(waiting(place, n, False))
        used.append(waiting(place, n, True))
    yield at_most(
        Row(f"memory per waiting client, at {n:,}", "KiB", fresh,
            "bare, answered", base), 10, "10 KiB")
    yield Row("… on connections used before", "KiB", used,
              "bare, answered", base)


# ---- backlog -----------------------------------------------------------------

SAMPLES = 20      # tickets watched, spread over the backlog
LOOKED_AT_FOR = 5  # seconds of draining in which the worker's memory is read


def status_of(room, sample):
    status, _, body = ask(room.port, "GET", sample)
    if status != 200:
        raise Broken(f"{sample}: {status} {body[:200]!r}")
    return json.loads(body)


def fill(place, room, depth):
    """Queues up to depth; tickets on the way, oldest first."""
    samples = [submit(room.port)]
    while (there := room.queue()["queued"]) < depth:
        if there >= depth * len(samples) // SAMPLES:
            samples.append(submit(room.port))
        wrk(place, room.port, CONNECTIONS, 1, ASYNC)
    samples.append(submit(room.port))
    return samples


def expect_order(room, samples):
    """Older tickets stand before younger ones."""
    places = [status_of(room, s)["position"] for s in samples]
    if places != sorted(places):
        raise Broken(f"queued out of order, positions {places}")


def taken_in_order(room, samples, patience):
    """Waits until all samples have ended; they were started in order."""
    until, started = time.monotonic() + patience, []
    for sample in samples:
        while "ended" not in (seen := status_of(room, sample)):
            if time.monotonic() > until:
                raise Broken(f"{sample} is {seen['state']} after {patience} s")
            time.sleep(0.05)
        started.append(seen["started"])
    if started != sorted(started):
        raise Broken(f"taken out of order: {started}")


def rss_with_none(place, room, ingress):
    """Memory of both after the same load, all of it worked off."""
    with room.start("worker") as worker:
        for _ in range(LOOKED_AT_FOR):
            wrk(place, room.port, CONNECTIONS, 1, ASYNC)
        until_drained(room)
        return rss_kib([ingress.pid]), rss_kib([worker.pid])


def rss_while_draining(worker):
    most, until = 0, time.monotonic() + LOOKED_AT_FOR
    while time.monotonic() < until:
        most = max(most, rss_kib([worker.pid]))
        time.sleep(0.2)
    return most


def accept_rate(place, room):
    os.sync()
    seen = wrk(place, room.port, CONNECTIONS, 3, ASYNC)
    return seen["n"] / seen["seconds"]


def backlog(place):
    rates, base_rates, drained = [], [], []
    rss, base_rss = {"ingress": [], "worker": []}, {"ingress": [], "worker": []}
    for _ in range(place.runs):
        with cloakroom(place, "ingress") as (room, (ingress,)):
            for name, kib in zip(rss, rss_with_none(place, room, ingress)):
                base_rss[name].append(kib / 1024)
            base_rates.append(accept_rate(place, room))
            samples = fill(place, room, place.backlog)
            rates.append(accept_rate(place, room))
            rss["ingress"].append(rss_kib([ingress.pid]) / 1024)
            expect_order(room, samples)
            depth, start = room.queue()["queued"], time.monotonic()
            with room.start("worker") as worker:
                rss["worker"].append(rss_while_draining(worker) / 1024)
                taken_in_order(room, samples, patience=600)
                until_drained(room)
            drained.append(depth / (time.monotonic() - start))
            place.say(f"backlog {depth:,}: accept {base_rates[-1]:,.0f}/s with"
                      f" none, {rates[-1]:,.0f}/s with it; drained at"
                      f" {drained[-1]:,.0f}/s; in order")
    rate = Row(f"accepted at a backlog of {place.backlog:,}", "/s", rates,
               "with none", base_rates, "0.8 of none")
    rate.holds = rate.ratio >= 0.8
    yield rate
    for name in rss:
        more = [a - b for a, b in zip(rss[name], base_rss[name])]
        yield Row(f"… RSS of the {name}", "MiB", rss[name],
                  "with none", base_rss[name], "none + 8 MiB of page cache",
                  statistics.median(more) * 1024 <= BACKLOG_RSS_KIB)
    yield Row("… drained by one worker, in order", "/s", drained)


ROWS = {
    "accept": accept, "drain": drain, "trip1": trip1, "trip64": trip64,
    "cgi": cgi, "waiters": waiters, "backlog": backlog,
}
