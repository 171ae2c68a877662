#!/usr/bin/python3
"""app.cgi of v2 - a guest book: a guest has a first and a last name.

It writes to its own schema only, and reads that of v1 as well: so reads can go
to v2 before the schema does, and go on while it changes."""
import os
import sqlite3
import sys

SCHEMA = 2  # what this release writes

# Nothing is committed but by COMMIT.
database = sqlite3.connect(os.environ["DATABASE"], timeout=20, isolation_level=None)


def note(event, schema):
    """For ../../run.sh: lines that are appended keep their order."""
    with open(os.environ["RUNS"], "a") as runs:
        runs.write(f"{event} {os.environ['CLOAKROOM_RELEASE']} {schema}\n")


def schema_version():
    return database.execute("PRAGMA user_version").fetchone()[0]


def write(name):
    first, _, last = name.partition(" ")
    note("write-begins", schema_version())
    database.execute("BEGIN IMMEDIATE")
    schema = schema_version()
    if schema != SCHEMA:
        sys.exit(f"this is v2, and the schema is {schema}")
    database.execute("INSERT INTO guests (first, last) VALUES (?, ?)", (first, last))
    database.execute("COMMIT")
    note("write-ends", schema)
    return f"welcome, {first} of the house of {last}"


def read():
    database.execute("BEGIN")  # version and guests are of the same moment
    schema = schema_version()
    name = {1: "name", 2: "last || ', ' || first"}[schema]
    count, last = database.execute(
        f"SELECT count(*), (SELECT {name} FROM guests ORDER BY id DESC LIMIT 1)"
        " FROM guests").fetchone()
    note("read", schema)
    return f"{count} guests, the last one is {last}"


if os.environ["REQUEST_METHOD"] == "POST":
    answer = write(sys.stdin.read().strip())
else:
    answer = read()
print(f"Content-Type: text/plain\n\n{answer}")
