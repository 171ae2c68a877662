"""torn.py - uploads that break off, at every byte of a request.

usage: torn.py PORT

Each piece is sent on a connection of its own, which is then closed, or closed
for sending only. Says which got an answer of the handler; exits 1 for any.
"""

import socket
import sys
import threading

PORT = int(sys.argv[1])
HEAD = b"POST /r HTTP/1.1\r\nHost: h\r\n"
PLAIN = HEAD + b"Content-Length: 20\r\n\r\n12345678901234567890"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\na\r\n1234567890\r\n0\r\n\r\n"
failed = []


def tear(piece, half):
    received = b""
    with socket.create_connection(("127.0.0.1", PORT), timeout=15) as connection:
        try:
            connection.sendall(piece)
            if not half:
                return
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                received += part
        except (BrokenPipeError, ConnectionResetError):
            pass
        except TimeoutError:
            failed.append(f"{piece!r}: still open after 15 s")
    if b" 200 " in received or b" 202 " in received:
        failed.append(f"{piece!r}: {received!r}")


threads = [
    threading.Thread(target=tear, args=(whole[:length], half))
    for whole in (PLAIN, CHUNKED)
    for length in range(1, len(whole))
    for half in (False, True)
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("\n".join(failed))
sys.exit(1 if failed else 0)
