"""crash_client.py - numbered requests through any number of crashes.

usage: crash_client.py PORT CLIENTS STOP-FILE SEEN-FILE

Each client keeps a connection and sends one request after the other: a GET, a
POST with a key, a plain POST, a keyed POST for a ticket, in turn. What may be
repeated is repeated until it is answered, under the same key. Every answer is
a line of SEEN-FILE at once: number, kind, status, ticket, body in JSON. Ends
when STOP-FILE is there and every ticket that was given out is answered.
"""

import http.client
import json
import os
import sys
import threading
import time

port, clients = int(sys.argv[1]), int(sys.argv[2])
stop_file, seen_file = sys.argv[3], sys.argv[4]
KINDS = ("get", "keyed", "plain", "async")
GIVE_UP = 120  # seconds without an answer to one request: something is stuck


class Client:
    lock = threading.Lock()
    number = 0
    seen = open(seen_file, "a", encoding="ascii")

    def __init__(self):
        self.connect()

    def connect(self):
        self.connection = http.client.HTTPConnection(
            "127.0.0.1", port, timeout=60
        )

    @classmethod
    def next_number(cls):
        with cls.lock:
            cls.number += 1
            return cls.number

    @classmethod
    def saw(cls, **line):
        with cls.lock:
            print(json.dumps(line), file=cls.seen, flush=True)

    def ask(self, method, path, fields, data=None):
        """Status, ticket, body; None when the connection broke."""
        try:
            self.connection.request(method, path, body=data, headers=fields)
            answer = self.connection.getresponse()
            body = answer.read().decode("latin-1")
        except (OSError, http.client.HTTPException):
            self.connection.close()
            return None
        location = answer.getheader("Location") or ""
        return answer.status, location.rsplit("/", 1)[-1], body

    def ask_until_answered(self, *request):
        until = time.monotonic() + GIVE_UP
        while time.monotonic() < until:
            answer = self.ask(*request)
            # 503: nothing was stored, and the client is told to come back.
            if answer is not None and answer[0] != 503:
                return answer
            time.sleep(0.05)  # do not storm a port that nobody listens on
        sys.exit(f"no answer within {GIVE_UP} s to {request[:3]}")

    def one(self):
        number = self.next_number()
        kind = KINDS[number % len(KINDS)]
        method = "GET" if kind == "get" else "POST"
        path = f"/work?{number}"
        fields, data = {}, None
        if method == "POST":
            data = f"request {number}".encode()
        if kind in ("keyed", "async"):
            fields["Idempotency-Key"] = f'"key-{number}"'
        if kind == "async":
            fields["Prefer"] = "respond-async"
        if kind == "plain":
            answer = self.ask(method, path, fields, data)
            if answer is None:
                return  # it may have run once, or not at all
        else:
            answer = self.ask_until_answered(method, path, fields, data)
        status, ticket, body = answer
        self.saw(number=number, kind=kind, status=status, ticket=ticket, body=body)
        if kind == "keyed":  # a client that is not sure asks once more
            status, ticket, body = self.ask_until_answered(method, path, fields, data)
            self.saw(
                number=number, kind=kind, status=status, ticket=ticket, body=body
            )
        while status == 202:
            target = f"/-/tickets/{ticket}/response"
            status, _, body = self.ask_until_answered(
                "GET", target, {"Prefer": "wait=30"}
            )
            self.saw(
                number=number, kind=kind, status=status, ticket=ticket, body=body
            )

    def run(self):
        while not os.path.exists(stop_file):
            self.one()


failed = threading.Event()


def guarded():
    try:
        Client().run()
    except BaseException as why:  # a thread's exit must fail the whole
        print(why, file=sys.stderr)
        failed.set()


threads = [threading.Thread(target=guarded) for _ in range(clients)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(1 if failed.is_set() else 0)
