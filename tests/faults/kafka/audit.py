"""audit.py - compares what clients saw, what ran, and what is stored.

usage: audit.py MARKS LOSSES PATIENCE SLACK ADDRESS...

MARKS/seen is clients.py's; MARKS/runs the handler's: two lines for a run that
came to its end, `start` and `end`, one for one that was killed. LOSSES is yes
when workers were lost. MARKS/cut, if there is one, names addresses that were cut
off from the brokers or killed: only these may leave a client without an answer.
Prints every broken promise, then a line of numbers; exits 1 when one was.
"""

import collections
import http.client
import json
import os
import sys

marks, losses = sys.argv[1], sys.argv[2] == "yes"
patience, slack = float(sys.argv[3]), float(sys.argv[4])
addresses = sys.argv[5:]
broken = 0
connections = {
    at: http.client.HTTPConnection(*at.rsplit(":", 1), timeout=60) for at in addresses
}


def breaks(*words):
    global broken
    broken += 1
    print("BROKEN:", *words)


def get(at, path):
    connections[at].request("GET", path)
    answer = connections[at].getresponse()
    return answer.status, answer.read().decode("latin-1")


def ticket_of(body):
    """The handler's answer begins with its ticket; a problem names it."""
    if body.startswith("{"):
        return json.loads(body).get("ticket", "")
    return body.split(" ", 1)[0]


# ---- what ran ------------------------------------------------------------------

runs = collections.defaultdict(dict)  # ticket -> id -> run
tickets_of_key = collections.defaultdict(set)
for text in open(f"{marks}/runs", encoding="ascii"):
    what, when, method, key, ticket, attempt, pid = text.split()
    if what == "start":
        # What may be repeated begins while its start is on its way to the log: one
        # that came too late is not counted, and the next bears its number (P4).
        runs[ticket][f"{pid}-{attempt}"] = {
            "start": float(when), "end": None, "may": method == "GET" or key != "-",
        }
    else:
        runs[ticket][f"{pid}-{attempt}"]["end"] = float(when)
    if key != "-":
        tickets_of_key[key].add(ticket)
for key, tickets in tickets_of_key.items():
    if len(tickets) != 1:
        breaks("under the key", key, "ran", tickets)
for ticket, tries in runs.items():
    if len(tries) > 1 and not losses:
        breaks(ticket, "ran again, and no worker was lost:", tries)
    if len(tries) > 1 and not all(run["may"] for run in tries.values()):
        breaks(ticket, "must not be repeated and was:", tries)
    ordered = sorted(tries.values(), key=lambda run: run["start"])
    for one, other in zip(ordered, ordered[1:]):
        if one["end"] is not None and other["start"] < one["end"]:
            breaks(ticket, "ran twice at a time:", tries)

# ---- what clients saw ----------------------------------------------------------


def limit(line):
    """Seconds; whose a key is must be told first."""
    return patience * (1.5 if line["kind"].startswith("keyed") else 1) + slack


cut = set()
if os.path.exists(f"{marks}/cut"):
    cut = set(open(f"{marks}/cut", encoding="ascii").read().split())
seen = [json.loads(text) for text in open(f"{marks}/seen", encoding="ascii")]
answers = collections.defaultdict(set)  # ticket -> what clients got for it
of_number = collections.defaultdict(set)
ticket_known = {}  # number -> ticket of its 202
codes = collections.Counter()
slowest = 0.0
for line in seen:
    if line["status"] == 0:
        codes["silent"] += 1
        if line["at"] not in cut:
            breaks("no answer:", line)
        continue
    if line["status"] == 503:
        codes[line["code"]] += 1
        slowest = max(slowest, line["seconds"])
        if line["seconds"] > limit(line):
            breaks("a 503 came late:", line)
        continue
    if line["status"] == 202:
        ticket = line["ticket"] or ticket_known[line["number"]]
        ticket_known[line["number"]] = ticket
        answers[ticket]
        if (line["asked"] == "submit" and line["kind"].endswith("async")
                and line["seconds"] > limit(line)):
            breaks("a ticket came late:", line)
    elif line["status"] in (200, 502):
        ticket = line["ticket"] or ticket_of(line["body"])
        answers[ticket].add((line["status"], line["body"]))
    else:
        breaks("an answer that is none:", line)
        continue
    if line["kind"].startswith("keyed"):
        of_number[line["number"]].add(ticket)
for number, tickets in of_number.items():
    if len(tickets) != 1:
        breaks("request", number, "has tickets", tickets)

# ---- what is stored ------------------------------------------------------------

states = collections.Counter()
uncounted = 0
for ticket in sorted(set(answers) | set(runs)):
    told = {at: get(at, f"/-/tickets/{ticket}") for at in addresses}
    got = {at: get(at, f"/-/tickets/{ticket}/response") for at in addresses}
    if any(status != 200 for status, _ in told.values()):
        breaks("ticket", ticket, "is", told)
        continue
    if len(set(got.values())) != 1:
        breaks("two readings of", ticket, "differ:", got)
    told = [json.loads(text) for _, text in told.values()]
    stored, state = next(iter(got.values())), told[0]["state"]
    states[state] += 1
    if len({(one["state"], one["attempts"]) for one in told}) != 1:
        breaks("ticket", ticket, "is not the same everywhere:", told)
    tries = runs.get(ticket, {})
    if state not in ("done", "failed"):
        breaks(ticket, "is", state)
    if state == "failed":
        if not losses:
            breaks(ticket, "failed, and no worker was lost:", stored)
        if tries and all(run["may"] for run in tries.values()):
            breaks(ticket, "failed and may be repeated:", stored)
    if answers[ticket] - {stored}:
        breaks("clients saw", answers[ticket], "for", ticket, "and now", stored)
    if state == "done" and stored[1].split()[1] not in tries:
        breaks("the answer of", ticket, "is of none of its runs:", stored, tries)
    uncounted += max(0, len(tries) - told[0]["attempts"])

again = sum(len(tries) > 1 for tries in runs.values())
print(
    f"{len(seen)} answers seen, {len(answers)} tickets, {dict(states)}, "
    f"{sum(map(len, runs.values()))} runs, {again} tickets ran more than once, "
    f"{uncounted} runs not counted, "
    f"refused or unanswered {dict(codes)}, slowest 503 {slowest:.1f} s, "
    f"{broken} broken promises"
)
sys.exit(1 if broken else 0)
