"""systems.py - what is measured: Cloakroom, the bare server, nginx + fcgiwrap.

Each is started fresh in a scratch directory of its own, on loopback.
"""
import contextlib
import http.client
import json
import os
import shutil
import subprocess

from machine import Broken, Program, free_port, listens

BODY = b'{"name":"bench","pad":"' + b"x" * 231 + b'"}'
FIELDS = {"Content-Type": "application/json"}

CONFIGURATION = """\
broker:
  {broker}
ingress:
  listen: 127.0.0.1:{port}
  admin: 127.0.0.1:{admin}
routes:
  - {{path: /, queue: bench, wait: 600s, max_wait: 600s}}
queues:
  - name: bench
    handler:
      {handler}
    concurrency: {concurrency}
    lease: {lease}
    max_depth: 10000000
"""
EMBEDDED = "embedded: {{directory: {scratch}/data}}"
RESPOND = ("respond: {status: 200, fields: {Content-Type: application/json},"
           " body: '" + '{"ok":true,"pad":"' + "y" * 80 + '"}' + "'}")


class Cloakroom:
    """One installation; its processes are started one by one or by `up`."""

    def __init__(self, place, handler=RESPOND, concurrency=64, binary=None,
                 broker=EMBEDDED, lease="10s"):
        self.binary = binary or place.binary
        self.scratch = place.fresh("cloakroom")
        self.port, self.admin = free_port(), free_port()
        self.file = f"{self.scratch}/cloakroom.yaml"
        with open(self.file, "w") as f:
            f.write(CONFIGURATION.format(
                broker=broker.format(scratch=self.scratch), port=self.port,
                admin=self.admin, handler=handler, concurrency=concurrency,
                lease=lease))

    def start(self, command):
        program = Program([self.binary, command, "-c", self.file],
                          f"{self.scratch}/{command}.log")
        if command != "worker":
            program.wait_until(self.ready, f"cloakroom {command}")
        return program

    def ready(self):
        try:
            return ask(self.admin, "GET", "/readyz")[0] == 200
        except OSError:
            return False

    def run(self, command, *arguments):
        """A command from outside, as a script would give it: its stdout."""
        done = subprocess.run(
            [self.binary, command, *arguments, "-c", self.file],
            capture_output=True, text=True)
        if done.returncode != 0:
            raise Broken(f"cloakroom {command}: {done.stderr.strip()}")
        return done.stdout

    def queue(self):
        """The queue's numbers."""
        return json.loads(self.run("status", "--json"))["queues"][0]

    def remove(self):
        shutil.rmtree(self.scratch)


@contextlib.contextmanager
def cloakroom(place, *commands, **settings):
    """A fresh installation with these processes: (installation, programs)."""
    room = Cloakroom(place, **settings)
    with contextlib.ExitStack() as stack:
        stack.callback(room.remove)
        yield room, [stack.enter_context(room.start(c)) for c in commands]


@contextlib.contextmanager
def bare(place):
    port = free_port()
    with Program([f"{place.programs}/bench_bare", str(port)],
                 f"{place.scratch}/bare.log") as program:
        program.wait_until(lambda: listens(port), "bare server")
        yield port, [program]


NGINX = """\
worker_processes 1; daemon off; pid {scratch}/pid; error_log {scratch}/error.log;
{user}
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {scratch}/body; fastcgi_temp_path {scratch}/answer;
  proxy_temp_path {scratch}/proxy; uwsgi_temp_path {scratch}/uwsgi;
  scgi_temp_path {scratch}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      include /etc/nginx/fastcgi_params;
      fastcgi_param SCRIPT_FILENAME {program};
      fastcgi_pass unix:{scratch}/socket;
    }}
  }}
}}
"""


@contextlib.contextmanager
def nginx_fcgiwrap(place, children):
    """fcgiwrap with so many children behind nginx, each request one CGI run."""
    scratch, port = place.fresh("nginx"), free_port()
    with open(f"{scratch}/nginx.conf", "w") as f:
        f.write(NGINX.format(scratch=scratch, port=port,
                             program=f"{place.programs}/bench_hello",
                             user="user root;" if os.getuid() == 0 else ""))
    wrap = Program(["fcgiwrap", "-c", str(children), "-s",
                    f"unix:{scratch}/socket"], f"{scratch}/fcgiwrap.log")
    with wrap:
        wrap.wait_until(lambda: os.path.exists(f"{scratch}/socket"), "fcgiwrap")
        with Program(["nginx", "-c", f"{scratch}/nginx.conf", "-p", scratch],
                     f"{scratch}/nginx.log") as front:
            front.wait_until(lambda: listens(port), "nginx")
            yield port, [front, wrap]
    shutil.rmtree(scratch)


def ask(port, method, path, body=None, fields=None):
    """One request on a connection of its own: (status, fields, body)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, fields or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def submit(port):
    """Hands in one request without waiting; the path of its ticket."""
    status, fields, body = ask(port, "POST", "/", BODY,
                               {**FIELDS, "Prefer": "respond-async"})
    if status != 202:
        raise Broken(f"a submit was answered {status}: {body[:200]!r}")
    return fields["Location"]
