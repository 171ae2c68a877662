"""idle.py - many connections that say nothing, until they are told to.

usage: idle.py PORT COUNT THERE ENOUGH

Makes the file THERE when all are open, waits for the file ENOUGH, then asks
for /r on every hundredth of them (and the first), and exits 0 if each is
answered with 200.
"""

import http.client
import os
import resource
import socket
import sys
import time

port, count = int(sys.argv[1]), int(sys.argv[2])
there, enough = sys.argv[3], sys.argv[4]
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

connections = [
    socket.create_connection(("127.0.0.1", port), timeout=30)
    for _ in range(count)
]
open(there, "w").close()
until = time.monotonic() + 60
while not os.path.exists(enough) and time.monotonic() < until:
    time.sleep(0.05)
failed = 0
for connection in connections[::100]:
    try:
        connection.sendall(b"GET /r HTTP/1.1\r\nHost: h\r\n\r\n")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        failed += answer.status != 200
        answer.read()
    except (OSError, http.client.HTTPException):
        failed += 1
if failed:
    print(f"{failed} of the idle connections were not answered")
sys.exit(1 if failed else 0)
