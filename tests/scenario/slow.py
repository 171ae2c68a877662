"""slow.py - clients that dribble: the server must end each by its deadline.

usage: slow.py PORT; header_timeout 2s and body_timeout 3s are expected there.
"""

import socket
import sys
import threading
import time

PORT = int(sys.argv[1])
LATEST = 12  # seconds; the deadlines are 2 and 3, the rest is a slow machine
HEAD = b"POST /r HTTP/1.1\r\nHost: h\r\nX-Long: "
BODY = b"POST /r HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n"
CHUNKS = b"POST /r HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
CASES = [
    ("a head that dribbles", HEAD, b"a"),
    ("a body that dribbles", BODY, b"a"),
    ("chunks that dribble", CHUNKS, b"1\r\na\r\n"),
    ("a connection without a word", b"", b""),
    ("half a head, then silence", HEAD, b""),
    ("half a body, then silence", BODY, b""),
]
failed = []


def dribble(name, first, more):
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", PORT)) as connection:
        connection.settimeout(0.1)
        try:
            connection.sendall(first)
            while time.monotonic() - began < LATEST:
                connection.sendall(more)
                try:
                    answer = connection.recv(65536)
                except TimeoutError:
                    continue
                if answer == b"" or b" 408 " in answer:
                    return
        except (BrokenPipeError, ConnectionResetError):
            return
    failed.append(f"{name}: still open after {LATEST} s")


threads = [threading.Thread(target=dribble, args=case) for case in CASES]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("\n".join(failed))
sys.exit(1 if failed else 0)
