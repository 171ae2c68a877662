"""answers.py - the stored response of each ticket on stdin, one per line.

usage: answers.py PORT <TICKETS; prints status, ticket, first word of the body.
"""

import http.client
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
for line in sys.stdin:
    ticket = line.strip()
    connection.request("GET", f"/-/tickets/{ticket}/response")
    answer = connection.getresponse()
    words = answer.read().decode("latin-1").split() or ["-"]
    print(answer.status, ticket, words[0])
