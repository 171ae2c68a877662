"""vanish.py - clients that send a whole request and go away before the answer.

usage: vanish.py PORT PATH CLIENTS
"""

import socket
import sys

port, path, clients = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
request = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".encode()
connections = []
for _ in range(clients):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(request)
    connections.append(connection)
for connection in connections:
    connection.close()
