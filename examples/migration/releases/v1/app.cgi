#!/usr/bin/python3
"""app.cgi of v1 - a guest book: a guest has a name."""
import os
import sqlite3
import sys

SCHEMA = 1  # what this release works on

# Nothing is committed but by COMMIT.
database = sqlite3.connect(os.environ["DATABASE"], timeout=20, isolation_level=None)


def note(event, schema):
    """For ../../run.sh: lines that are appended keep their order."""
    with open(os.environ["RUNS"], "a") as runs:
        runs.write(f"{event} {os.environ['CLOAKROOM_RELEASE']} {schema}\n")


def schema_version():
    return database.execute("PRAGMA user_version").fetchone()[0]


def write(name):
    note("write-begins", schema_version())
    database.execute("BEGIN IMMEDIATE")
    schema = schema_version()
    if schema != SCHEMA:
        sys.exit(f"this is v1, and the schema is {schema}")
    database.execute("INSERT INTO guests (name) VALUES (?)", (name,))
    database.execute("COMMIT")
    note("write-ends", schema)
    return f"welcome, {name}"


def read():
    database.execute("BEGIN")
    schema = schema_version()
    if schema != SCHEMA:
        sys.exit(f"this is v1, and the schema is {schema}")
    count, last = database.execute(
        "SELECT count(*), (SELECT name FROM guests ORDER BY id DESC LIMIT 1)"
        " FROM guests").fetchone()
    note("read", schema)
    return f"{count} guests, the last one is {last}"


if os.environ["REQUEST_METHOD"] == "POST":
    answer = write(sys.stdin.read().strip())
else:
    answer = read()
print(f"Content-Type: text/plain\n\n{answer}")
