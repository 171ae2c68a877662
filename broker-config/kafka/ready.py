#!/usr/bin/env python3
"""Waits until a Kafka cluster is ready; its exit status says whether it came to be.

    ready.py REPLICAS SERVER...

Each server must answer that a topic of so many replicas could be made, which
takes a controller and as many brokers that it knows to live, and who coordinates
a consumer group. Plain requests over a socket: a client of its own would be one
more thing to install, and Kafka's take longer to start than Kafka.
"""
import os
import socket
import struct
import sys
import time

CREATE_TOPICS, FIND_COORDINATOR = (19, 4), (10, 2)


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def ask(server, api, body):
    """The response after its correlation id."""
    host, _, port = server.rpartition(":")
    request = struct.pack(">hhi", *api, 1) + text("ready") + body
    with socket.create_connection((host, int(port)), timeout=5) as conn:
        conn.sendall(struct.pack(">i", len(request)) + request)
        answer = conn.makefile("rb")
        size = struct.unpack(">i", answer.read(4))[0]
        return answer.read(size)[4:]


def takes_topics(server, replicas):
    topic = text("ready") + struct.pack(">ihii", 1, replicas, 0, 0)
    only_validate = struct.pack(">i?", 5000, True)
    answer = ask(server, CREATE_TOPICS, struct.pack(">i", 1) + topic + only_validate)
    name_len = struct.unpack_from(">h", answer, 8)[0]
    return struct.unpack_from(">h", answer, 10 + name_len)[0] == 0


def has_coordinator(server):
    answer = ask(server, FIND_COORDINATOR, text("ready") + b"\0")
    return struct.unpack_from(">h", answer, 4)[0] == 0


def wait(claim, *about, until):
    while time.monotonic() < until:
        try:
            if claim(*about):
                return True
        except (OSError, struct.error):
            pass  # not yet, or no longer
        time.sleep(0.02)
    return False


def main():
    replicas, servers = int(sys.argv[1]), sys.argv[2:]
    until = time.monotonic() + float(os.environ.get("KAFKA_TIMEOUT", "90"))
    return all(wait(takes_topics, s, replicas, until=until) for s in servers) and all(
        wait(has_coordinator, s, until=until) for s in servers
    )


sys.exit(0 if main() else 1)
