"""raw.py - sends the bytes of stdin as they are and prints what comes back.

usage: raw.py PORT [--until TEXT] [--half-close] [--seconds N]

Ends when the server closes (exit 0), when TEXT has come (exit 0), or when
nothing more comes for N seconds (exit 3: still open).
"""

import argparse
import socket
import sys

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("--until")
parser.add_argument("--half-close", action="store_true")
parser.add_argument("--seconds", type=float, default=10)
args = parser.parse_args()

out = sys.stdout.buffer
with socket.create_connection(("127.0.0.1", args.port)) as connection:
    connection.settimeout(args.seconds)
    try:
        connection.sendall(sys.stdin.buffer.read())
        if args.half_close:
            connection.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused early: its answer may still be there
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
            out.write(part)
            out.flush()
            if args.until and args.until.encode("latin-1") in received:
                break
    except ConnectionResetError:
        pass
    except TimeoutError:
        sys.exit(3)
