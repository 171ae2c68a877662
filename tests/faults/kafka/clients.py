"""clients.py - clients that submit while brokers, workers and networks fail.

usage: clients.py STOP-FILE SEEN-FILE CLIENTS PATIENCE SLACK ADDRESS...

Each client sends one request after the other: a GET, a POST with a key, a plain
POST, each as one that waits and as one that takes a ticket. One with a key is
repeated until it is answered, each time at the next address; a GET that got no
ticket as well; a plain POST is not repeated. Every answer is a line of SEEN-FILE
at once: number, kind, status, code, ticket, body, seconds, the kind of question.
Ends when STOP-FILE is there and every ticket that was given out is answered.
"""

import http.client
import json
import os
import sys
import threading
import time

stop_file, seen_file = sys.argv[1:3]
clients, patience, slack = int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])
addresses = sys.argv[6:]
KINDS = ("get", "keyed", "plain", "get-async", "keyed-async", "plain-async")
GIVE_UP = 120  # seconds without an answer: something is stuck


class Client:
    lock = threading.Lock()
    number = 0
    seen = open(seen_file, "a", encoding="ascii")

    def __init__(self, turn):
        self.turn = turn
        self.connect()

    def connect(self):
        host, _, port = addresses[self.turn % len(addresses)].rpartition(":")
        self.connection = http.client.HTTPConnection(host, int(port), timeout=45)

    def next_address(self):
        self.connection.close()
        self.turn += 1
        self.connect()

    @classmethod
    def next_number(cls):
        with cls.lock:
            cls.number += 1
            return cls.number

    @classmethod
    def saw(cls, **line):
        with cls.lock:
            print(json.dumps(line), file=cls.seen, flush=True)

    def ask(self, asked, number, kind, method, path, fields, data=None):
        """One answer as a dict, written down; None when the connection broke."""
        begun = time.monotonic()
        line = {"number": number, "kind": kind, "asked": asked,
                "at": addresses[self.turn % len(addresses)], "when": time.time()}
        try:
            self.connection.request(method, path, body=data, headers=fields)
            answer = self.connection.getresponse()
            body = answer.read().decode("latin-1")
        except (OSError, http.client.HTTPException) as why:
            self.saw(**line, status=0, code=type(why).__name__, ticket="",
                     body="", seconds=time.monotonic() - begun)
            self.next_address()
            return None
        line["seconds"] = time.monotonic() - begun
        location = answer.getheader("Location") or ""
        line["status"], line["body"] = answer.status, body
        line["ticket"] = location.rsplit("/", 1)[-1]
        line["code"] = ""
        if (answer.getheader("Content-Type") or "") == "application/problem+json":
            line["code"] = json.loads(body).get("code", "")
        self.saw(**line)
        return line

    def insist(self, *question):
        until = time.monotonic() + GIVE_UP
        while time.monotonic() < until:
            line = self.ask(*question)
            if line is not None and line["status"] != 503:
                return line
            if line is not None:
                self.next_address()
            time.sleep(0.1)  # do not storm one that cannot help it
        sys.exit(f"no answer within {GIVE_UP} s to {question}")

    def one(self):
        number = self.next_number()
        kind = KINDS[number % len(KINDS)]
        method = "GET" if kind.startswith("get") else "POST"
        fields, data = {}, None
        if method == "POST":
            data = f"request {number}".encode()
        if kind.startswith("keyed"):
            fields["Idempotency-Key"] = f'"key-{number}"'
        if kind.endswith("async"):
            fields["Prefer"] = "respond-async"
        question = ("submit", number, kind, method, f"/work?{number}", fields, data)
        if kind.startswith("plain"):
            line = self.ask(*question)
            if line is None or line["status"] == 503:
                return
        else:
            line = self.insist(*question)
        if kind == "keyed":  # who is not sure asks once more, elsewhere
            self.next_address()
            line = self.insist(*question)
        ticket = line["ticket"]
        while line["status"] == 202:
            target = f"/-/tickets/{ticket}/response"
            line = self.insist("response", number, kind, "GET", target,
                               {"Prefer": "wait=20"})
            if line["status"] == 404:
                sys.exit(f"ticket {ticket} is a 404 at {line['at']}")

    def run(self):
        while not os.path.exists(stop_file):
            self.one()


failed = threading.Event()


def guarded(turn):
    try:
        Client(turn).run()
    except BaseException as why:  # a thread's exit must fail the whole
        print(why, file=sys.stderr)
        failed.set()


threads = [threading.Thread(target=guarded, args=(i,)) for i in range(clients)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(1 if failed.is_set() else 0)
