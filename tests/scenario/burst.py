"""burst.py - many clients at once; one line per answer: status, ticket, body.

The body is printed as its SHA-256, or with --show as it is. Connections are
kept alive; a client sends one request after the other. Status 000 is a
connection that broke. Exits 0 also then: the scenario judges.
"""

import argparse
import hashlib
import http.client
import threading


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--requests", type=int, default=10)
    parser.add_argument("--method", default="GET")
    parser.add_argument("--field", action="append", default=[])
    parser.add_argument("--data", default=None)
    parser.add_argument("--size", type=int, default=0, help="of the body")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--timeout", type=float, default=60)
    parser.add_argument("path", help="%%d in it becomes the request's number")
    return parser.parse_args()


def ticket_of(answer):
    location = answer.getheader("Location") or ""
    return location.rsplit("/", 1)[-1] or "-"


class Burst:
    def __init__(self, args):
        self.args = args
        self.lock = threading.Lock()
        self.sent = 0
        self.fields = dict(f.split(": ", 1) for f in args.field)
        self.data = args.data.encode() if args.data else None
        if args.size:
            self.data = b"x" * args.size

    def next_number(self):
        with self.lock:
            if self.sent == self.args.requests:
                return None
            self.sent += 1
            return self.sent

    def say(self, status, ticket, body):
        if self.args.show:
            body = body.decode("latin-1").strip()
        else:
            body = hashlib.sha256(body).hexdigest()
        with self.lock:
            print(status, ticket, body, flush=True)

    def client(self):
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.args.port, timeout=self.args.timeout
        )
        while (number := self.next_number()) is not None:
            path = self.args.path.replace("%d", str(number))
            try:
                connection.request(
                    self.args.method, path, body=self.data, headers=self.fields
                )
                answer = connection.getresponse()
                body = answer.read()
                self.say(answer.status, ticket_of(answer), body)
            except (OSError, http.client.HTTPException):
                self.say("000", "-", b"")
                connection.close()
        connection.close()


def main():
    burst = Burst(arguments())
    threads = [
        threading.Thread(target=burst.client) for _ in range(burst.args.clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


main()
