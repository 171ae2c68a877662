"""framing.py - requests whose framing is a trick: each must be refused and its
connection closed, so that what follows is never read as another request.

usage: framing.py PORT

Each case is followed on the wire by a whole request for /smuggled. Prints what
was not refused; exits 1 when anything was not. Source: RFC 9112 sections 2 to
7 and 11.2.
"""

import re
import socket
import sys

PORT = int(sys.argv[1])
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
HOST = b"Host: h\r\n"


def post(fields, body=b""):
    return b"POST /r HTTP/1.1\r\n" + HOST + fields + b"\r\n" + body


def chunked(body):
    return post(b"Transfer-Encoding: chunked\r\n", body)


def get(fields, target=b"/r"):
    return b"GET " + target + b" HTTP/1.1\r\n" + fields + b"\r\n"


BAD = "400"
CASES = [
    # two ways to say how long a body is
    ("CL and TE", post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), BAD),
    ("TE and CL", post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"), BAD),
    ("two different CL", post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello"), BAD),
    ("two equal CL", post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"), BAD),
    ("CL as a list", post(b"Content-Length: 5, 5\r\n", b"hello"), BAD),
    ("CL with a sign", post(b"Content-Length: +5\r\n", b"hello"), BAD),
    ("CL below zero", post(b"Content-Length: -5\r\n", b"hello"), BAD),
    ("CL in hex", post(b"Content-Length: 0x5\r\n", b"hello"), BAD),
    ("CL with a point", post(b"Content-Length: 5.0\r\n", b"hello"), BAD),
    ("CL with a blank inside", post(b"Content-Length: 5 0\r\n", b"hello"), BAD),
    ("CL of words", post(b"Content-Length: five\r\n", b"hello"), BAD),
    ("CL past 64 bits", post(b"Content-Length: 18446744073709551621\r\n", b"hello"), "400 413"),
    ("CL of 63 bits", post(b"Content-Length: 9223372036854775807\r\n", b"hello"), "400 413"),
    ("CL with a blank before the colon", post(b"Content-Length : 5\r\n", b"hello"), BAD),
    # codings
    ("TE: xchunked", post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), "400 501"),
    ("TE: chunked, identity", post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"), "400 501"),
    ("TE: gzip, chunked", post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), "400 501"),
    ("TE: identity", post(b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n", b"hello"), "400 501"),
    ("two TE", post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), "400 501"),
    ("two TE, one odd", post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", b"0\r\n\r\n"), "400 501"),
    ("TE with a blank before the colon", post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"), "400 501"),
    ("TE with a control character", post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"), "400 501"),
    ("TE quoted", post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"), "400 501"),
    ("TE in HTTP/1.0", b"POST /r HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400 501"),
    # chunks
    ("chunk size of words", chunked(b"five\r\nhello\r\n0\r\n\r\n"), BAD),
    ("chunk size with 0x", chunked(b"0x5\r\nhello\r\n0\r\n\r\n"), BAD),
    ("chunk size below zero", chunked(b"-5\r\nhello\r\n0\r\n\r\n"), BAD),
    ("chunk size of 17 digits", chunked(b"10000000000000005\r\nhello\r\n0\r\n\r\n"), "400 413"),
    ("chunk longer than it says", chunked(b"3\r\nhello\r\n0\r\n\r\n"), BAD),
    # hosts and start lines
    ("no Host", get(b""), BAD),
    ("two Hosts", get(b"Host: a\r\nHost: b\r\n"), BAD),
    ("two equal Hosts", get(b"Host: a\r\nHost: a\r\n"), BAD),
    ("a bad Host", get(b"Host: a b\r\n"), BAD),
    ("a Host with a path", get(b"Host: a/b\r\n"), BAD),
    ("HTTP/0.9", b"GET /r\r\n", "400 505"),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400 405 501 505"),
    ("HTTP/3.7", b"GET /r HTTP/3.7\r\nHost: h\r\n\r\n", "400 505"),
    ("no version", b"GET /r HTTX\r\nHost: h\r\n\r\n", "400 505"),
    ("CONNECT", b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", "400 404 405 501"),
    ("TRACE", b"TRACE /r HTTP/1.1\r\nHost: h\r\n\r\n", "405 501"),
    ("a method that is none", b"G@T /r HTTP/1.1\r\nHost: h\r\n\r\n", "400 405 501"),
    # fields
    ("a line without a colon", get(HOST + b"just words\r\n"), BAD),
    ("a name with a blank", get(HOST + b"X Y: 1\r\n"), BAD),
    ("an empty name", get(HOST + b": 1\r\n"), BAD),
    ("a bare CR in a value", get(HOST + b"X: a\rb\r\n"), BAD),
    ("a control character in a value", get(HOST + b"X: a\x01b\r\n"), BAD),
    ("a control character in the path", get(HOST, b"/r\x01"), BAD),
    # too much
    ("5000 fields", get(HOST + b"".join(b"X-%d: 1\r\n" % i for i in range(5000))), "431"),
    ("a field of 1 MB", get(HOST + b"X: " + b"a" * 1000000 + b"\r\n"), "431"),
    ("a path of 100 kB", get(HOST, b"/r/" + b"a" * 100000), "414 431"),
]

# libmicrohttpd unfolds and cuts these before anybody can see them: they need
# not be refused, but they may not smuggle.
HARMLESS = [
    ("obs-fold", get(HOST + b"X: a\r\n b\r\n")),
    ("a fold of Content-Length", post(b"Content-Length:\r\n 5\r\n", b"hello")),
    ("NUL in a value", get(HOST + b"X: a\x00b\r\n")),
    ("NUL in the path", get(HOST, b"/r\x00/x")),
    ("line feeds alone", b"GET /r HTTP/1.1\nHost: h\n\n"),
    ("chunk ends in a line feed alone", chunked(b"5\nhello\n0\n\n")),
    ("a long chunk extension", chunked(b"5;x=" + b"y" * 4000 + b"\r\nhello\r\n0\r\n\r\n")),
]


def converse(data):
    """What came back, and whether the server closed the connection."""
    received = b""
    with socket.create_connection(("127.0.0.1", PORT), timeout=5) as connection:
        try:
            connection.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            while part := connection.recv(65536):
                received += part
        except ConnectionResetError:
            pass
        except TimeoutError:
            return received, False
    return received, True


def main():
    failed = 0
    for name, data, wanted in CASES:
        received, closed = converse(data + SMUGGLED)
        statuses = [s.decode() for s in re.findall(rb"HTTP/1\.[01] (\d{3})", received)]
        # libmicrohttpd 0.9.75 writes the head of its own refusals twice.
        if len(set(statuses)) > 1 or b"smuggled" in received or not closed or (
            statuses and statuses[0] not in wanted.split()
        ):
            failed += 1
            print(f"{name}: answers {statuses}, closed: {closed}; expected one of {wanted}, closed")
        elif not statuses and name not in ("HTTP/0.9",):
            # Closed without a word: safe, but the client is left to guess.
            failed += 1
            print(f"{name}: closed without an answer; expected {wanted}")
    for name, data in HARMLESS:
        received, _ = converse(data + SMUGGLED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        statuses = re.findall(rb"HTTP/1\.[01] (\d{3})", received)
        if len(statuses) > 2 or b" 500 " in received:
            failed += 1
            print(f"{name}: answers {statuses}")
    sys.exit(1 if failed else 0)


main()
