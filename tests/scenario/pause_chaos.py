"""pause_chaos.py - pauses and resumes under load, while everything is killed.

usage: pause_chaos.py BINARY CONFIG DIRECTORY PAUSES SEED

Runs an ingress and two workers each of releases v1 and v2, and sees to them: they are
killed -9, asked to end, or stopped past their lease and continued, one every
few tenths of a second. Meanwhile it pauses the queue `work` PAUSES times with
--wait and resumes it for either release; some of these commands are killed -9
at a random instant and given again.

The handler writes a line to DIRECTORY/runs when it starts and when it ends:
start|end TIME EPOCH RELEASE TICKET ATTEMPT PID. Checked:
 - from the moment that `pause --wait` said drained until the next resume was
   begun no handler is alive, by its pid, and none starts (P5);
 - two runs that overlap are of one release (P6), and bear it;
 - no pause takes longer than the lease and what a slow machine adds.
Prints what was broken and a line of numbers; exits 1 when something was.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

binary, config, directory = sys.argv[1:4]
pauses, seed = int(sys.argv[4]), int(sys.argv[5])
RELEASES = ("v1", "v2")
LEASE = 1.0
PATIENCE = 20.0  # seconds for a pause: the lease, on a machine that is busy
dice = random.Random(seed)
broken = []


def complain(text):
    broken.append(text)
    print(text, flush=True)


# ---- the processes ----------------------------------------------------------


class Process:
    """One of ours: started again as often as it ends."""

    def __init__(self, name, *words):
        self.name, self.words = name, words
        self.lock = threading.Lock()
        self.start()

    def start(self):
        with open(f"{directory}/{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                [binary, self.words[0], "-c", config, *self.words[1:]],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self):
        with self.lock:
            self.process.kill()
            self.process.wait()
            self.start()

    def term(self):
        with self.lock:
            self.process.terminate()
            self.process.wait()
            self.start()

    def stop_past_the_lease(self):
        with self.lock:
            self.process.send_signal(signal.SIGSTOP)
            time.sleep(LEASE * 1.5)  # the fault itself, not a wait
            self.process.send_signal(signal.SIGCONT)

    def end(self):
        with self.lock:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait()


class Chaos(threading.Thread):
    def __init__(self, ingress, workers):
        super().__init__()
        self.ingress, self.workers = ingress, workers
        self.over = threading.Event()
        self.counts = {"kill": 0, "term": 0, "stop": 0, "ingress": 0}

    def run(self):
        while not self.over.wait(dice.uniform(0.1, 0.5)):
            what = dice.choice(("kill", "kill", "term", "stop", "ingress"))
            self.counts[what] += 1
            if what == "ingress":
                self.ingress.kill()
            elif what == "kill":
                dice.choice(self.workers).kill()
            elif what == "term":
                dice.choice(self.workers).term()
            else:
                dice.choice(self.workers).stop_past_the_lease()


# ---- pausing ----------------------------------------------------------------


def command(*words):
    return subprocess.Popen(
        [binary, words[0], "-c", config, *words[1:]], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def insist(*words):
    """Runs a command to its end; now and then kills one before, at random."""
    if dice.random() < 0.2:
        doomed = command(*words)
        time.sleep(dice.uniform(0, 0.03))  # the instant of the kill
        doomed.kill()
        doomed.communicate()
    asked = command(*words)
    out, err = asked.communicate(timeout=60)
    return asked.returncode, out, err


def runs():
    with open(f"{directory}/runs", encoding="ascii") as lines:
        for line in lines:
            what, at, epoch, release, ticket, attempt, pid = line.split()
            yield what, float(at), int(epoch), release, ticket, attempt, int(pid)


def is_alive(pid, ticket):
    """Is that handler a process still, and no zombie?"""
    try:
        with open(f"/proc/{pid}/environ", "rb") as environ:
            if f"CLOAKROOM_TICKET={ticket}".encode() not in environ.read():
                return False
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def living():
    started = {}
    for what, _, _, _, ticket, _, pid in runs():
        if what == "start":
            started[pid] = ticket
        else:
            started.pop(pid, None)
    return [(pid, t) for pid, t in started.items() if is_alive(pid, t)]


def pause_and_resume(number, windows, waits):
    begun = time.time()
    code, out, err = insist("pause", "work", "--wait", "--json",
                            "--reason", f"pause {number}")
    drained = time.time()
    waits.append(drained - begun)
    if code != 0:
        complain(f"pause {number}: exit code {code}: {err}")
        return
    if waits[-1] > PATIENCE:
        complain(f"pause {number} took {waits[-1]:.1f} s")
    receipt = json.loads(out)[0]
    for pid, ticket in living():
        complain(f"pause {number}: drained at epoch {receipt['epoch']}, and "
                 f"handler {pid} of {ticket} is alive")
    time.sleep(dice.uniform(0, 0.02))  # in which nothing may start
    windows.append((drained, time.time(), receipt["epoch"]))
    release = dice.choice(RELEASES)
    code, out, err = insist("resume", "work", "--release", release)
    if code != 0:
        complain(f"resume {number}: exit code {code}: {err}")


# ---- what ran ---------------------------------------------------------------


def spans():
    """Runs as (start, end or None, epoch, release, ticket, attempt)."""
    done = {}
    for what, at, epoch, release, ticket, attempt, pid in runs():
        key = (ticket, attempt, pid)
        if what == "start":
            done[key] = [at, None, epoch, release]
        elif key in done:
            done[key][1] = at
    return [(*run, *key) for key, run in done.items()]


def audit(windows):
    all_runs = sorted(spans(), key=lambda run: run[0])
    for start, end, epoch, release, ticket, attempt, pid in all_runs:
        for drained, resumed, at in windows:
            if start < resumed and start > drained or (
                    end is not None and start < drained < end):
                complain(f"{ticket} attempt {attempt} of epoch {epoch} ran at "
                         f"{start:.6f}..{end}, and the queue was drained at "
                         f"epoch {at} from {drained:.6f} to {resumed:.6f}")
    # One that has no end was killed; a later drained window proves when.
    closed = [(s, e, r, t) for s, e, _, r, t, _, _ in all_runs if e is not None]
    latest = {}
    for start, end, release, ticket in closed:
        for other, until in latest.items():
            if other != release and start < until[0]:
                complain(f"{ticket} of {release} began at {start:.6f}, while "
                         f"{until[1]} of {other} ran until {until[0]:.6f}")
        if end > latest.get(release, (0, ""))[0]:
            latest[release] = (end, ticket)
    by_epoch = {}
    for _, _, epoch, release, ticket, _, _ in all_runs:
        first = by_epoch.setdefault(epoch, release)
        if first != release:
            complain(f"at epoch {epoch} ran {first} and {release} ({ticket})")
    return len(all_runs), len({r[3] for r in all_runs})


def await_start():
    """The ingress makes the store, and a worker runs the first request."""
    until = time.monotonic() + PATIENCE
    while not os.path.getsize(f"{directory}/runs"):
        if time.monotonic() > until:
            sys.exit("nothing ran at all")
        time.sleep(0.01)


def main():
    ingress = Process("ingress", "ingress")
    workers = [Process(f"worker-{release}-{i}", "worker", "--release", release)
               for release in RELEASES for i in range(2)]
    chaos = Chaos(ingress, workers)
    windows, waits = [], []
    await_start()
    chaos.start()
    try:
        for number in range(pauses):
            pause_and_resume(number, windows, waits)
            # Work goes on before the next pause.
            time.sleep(dice.uniform(0, 0.05))
    finally:
        chaos.over.set()
        chaos.join()
    with open(f"{directory}/stop", "w", encoding="ascii"):
        pass  # the clients come to their end
    while not os.path.exists(f"{directory}/clients-done"):
        time.sleep(0.05)
    for process in (ingress, *workers):
        process.end()
    ran, releases = audit(windows)
    if releases < 2:
        complain("only one release ever ran")
    waits.sort()
    print(f"{len(windows)} pauses, {ran} runs, {chaos.counts}, longest pause "
          f"{waits[-1]:.2f} s, median {waits[len(waits) // 2]:.3f} s")
    sys.exit(1 if broken else 0)


main()
