"""machine.py - processes under test, and what they and the machine use.

CPU is user plus system time of a program and all its descendants, those that
have ended and were waited for included, never the load generator's. It comes
from /proc in ticks of 10 ms, so a window of seconds is exact to a percent.
"""
import itertools
import os
import resource
import signal
import socket
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")
PORTS = range(18300, 18400)
next_port = itertools.cycle(PORTS)
FLUSHES = 18  # column of /proc/diskstats: flush requests completed


class Broken(Exception):
    """The measurement is void: what happened and where to look."""


def stat(pid):
    """The fields of /proc/PID/stat after the name, and the name; None: gone."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            head, rest = f.read().rsplit(")", 1)
    except OSError:
        return None
    return rest.split(), head.split("(", 1)[1]


def family(roots):
    """The given processes and all their descendants that are alive."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (found := stat(name)):
            children.setdefault(int(found[0][1]), []).append(int(name))
    alive, todo = [], list(roots)
    while todo:
        pid = todo.pop()
        if (found := stat(pid)) and found[0][0] != "Z":
            alive.append(pid)
        todo += children.get(pid, [])
    return alive


def cpu(roots):
    """Seconds of CPU so far, by process: {pid: (name, seconds)}."""
    used = {}
    for pid in family(roots):
        if found := stat(pid):
            used[pid] = (found[1], sum(map(int, found[0][11:15])) / TICK)
    return used


def rss_kib(roots):
    """Resident memory of the given processes and their descendants."""
    total = 0
    for pid in family(roots):
        try:
            with open(f"/proc/{pid}/status") as f:
                total += sum(int(line.split()[1]) for line in f
                             if line.startswith("VmRSS:"))
        except OSError:
            pass
    return total


def busy():
    """Seconds that all processors worked, time stolen by the host left out."""
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, soft = map(
            int, f.readline().split()[1:8])
    return (user + nice + system + irq + soft) / TICK


def flushes():
    with open("/proc/diskstats") as f:
        rows = [line.split() for line in f]
    return sum(int(row[FLUSHES]) for row in rows if len(row) > FLUSHES)


def generator():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Window:
    """`with Window(programs) as w:` then w says what was used inside."""

    def __init__(self, programs):
        self.roots = [program.pid for program in programs]

    def __enter__(self):
        self.before = cpu(self.roots)
        self.at = [time.monotonic(), busy(), generator(), flushes()]
        return self

    def __exit__(self, *failure):
        now = [time.monotonic(), busy(), generator(), flushes()]
        after = cpu(self.roots)
        self.seconds, all_of_it, generated, self.flushes = [
            b - a for a, b in zip(self.at, now)]
        self.by_name = {}
        for pid, (name, used) in after.items():
            used -= self.before.get(pid, ("", 0))[1]
            self.by_name[name] = self.by_name.get(name, 0) + used
        self.cpu = sum(self.by_name.values())
        self.but_generator = all_of_it - generated
        self.others = max(0, self.but_generator - self.cpu) / self.seconds


class Program:
    """A program under test; stopped at the end of the with block."""

    def __init__(self, argv, log):
        self.log = log
        with open(log, "ab") as f:
            self.child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=f, stderr=f,
                start_new_session=True)
        self.pid = self.child.pid

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.stop()

    def alive(self):
        return self.child.poll() is None

    def stop(self, patience=30):
        """TERM to the program; KILL to whatever of its family is left."""
        if not self.alive():
            return
        members = family([self.pid])
        self.child.terminate()
        try:
            self.child.wait(patience)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        time.sleep(0.2)
        for pid in members:
            if stat(pid):
                os.kill(pid, signal.SIGKILL)

    def wait_until(self, ready, what, patience=30):
        """Until ready() holds, asked every 20 ms."""
        until = time.monotonic() + patience
        while not ready():
            if not self.alive() or time.monotonic() > until:
                with open(self.log, errors="replace") as f:
                    tail = f.read()[-2000:]
                raise Broken(f"{what}: not there after {patience} s or ended"
                             f" with {self.child.poll()}; its log ends:\n{tail}")
            time.sleep(0.02)


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def free_port():
    """A port that nothing holds; the last one to be given out again."""
    for port in itertools.islice(next_port, len(PORTS)):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise Broken(f"no free port in {PORTS.start}-{PORTS.stop - 1}")


def raise_descriptor_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def describe():
    """The machine in one line, as it stands above the table."""
    with open("/proc/cpuinfo") as f:
        model = next((line.split(":", 1)[1].strip() for line in f
                      if line.startswith("model name")), "unknown processor")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return (f"{os.cpu_count()} x {model}, {memory} GiB,"
            f" Linux {os.uname().release}, {time.strftime('%F %R')}")
