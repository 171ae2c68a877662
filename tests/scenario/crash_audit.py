"""crash_audit.py - compares what clients saw, what ran, and what is stored.

usage: crash_audit.py PORT SEEN-FILE RUNS-FILE ATTEMPTS BACKEND

SEEN-FILE is crash_client.py's. A line of RUNS-FILE is one run of the handler:
method, key (or -), ticket, attempt, and the run's own id, which its answer
carries. On kafka the start of what may be repeated is on its way to the log when
it runs: one that was lost with its worker is not counted (P4). Prints every broken promise; exits 1 when there is one.
"""

import collections
import http.client
import json
import sys

port, seen_file, runs_file, attempts = (
    int(sys.argv[1]),
    sys.argv[2],
    sys.argv[3],
    int(sys.argv[4]),
)
on_kafka = sys.argv[5] == "kafka"
broken = 0
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)


def breaks(*words):
    global broken
    broken += 1
    print("BROKEN:", *words)


def get(path):
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode("latin-1")


def ticket_of(body):
    """The handler's answer begins with its ticket; a problem names it."""
    if body.startswith("{"):
        return json.loads(body).get("ticket", "")
    return body.split(" ", 1)[0]


seen = [json.loads(line) for line in open(seen_file, encoding="ascii")]
runs = collections.defaultdict(list)
tickets_of_key = collections.defaultdict(set)
for line in open(runs_file, encoding="ascii"):
    method, key, ticket, attempt, run = line.split()
    runs[ticket].append((method, key, int(attempt), run))
    if key != "-":
        tickets_of_key[key].add(ticket)
for key, tickets in tickets_of_key.items():
    if len(tickets) != 1:
        breaks("under the key", key, "ran", tickets)

answers = collections.defaultdict(set)  # ticket -> what clients got for it
keyed = collections.defaultdict(set)  # request -> its tickets
for line in seen:
    if line["status"] == 202:
        answers[line["ticket"]]
        ticket = line["ticket"]
    elif line["status"] in (200, 502):
        ticket = line["ticket"] or ticket_of(line["body"])
        answers[ticket].add((line["status"], line["body"]))
    else:
        breaks("an answer that is none:", line)
        continue
    if line["kind"] in ("keyed", "async"):
        keyed[line["number"]].add(ticket)
for number, tickets in keyed.items():
    if len(tickets) != 1:
        breaks("request", number, "has tickets", tickets)

states = collections.Counter()
for ticket in set(answers) | set(runs):
    status, text = get(f"/-/tickets/{ticket}")
    if status != 200:
        breaks("ticket", ticket, "is a", status)
        continue
    told = json.loads(text)
    states[told["state"]] += 1
    first, second = (get(f"/-/tickets/{ticket}/response") for _ in range(2))
    if first != second:
        breaks("two readings of", ticket, "differ:", first, second)
    if told["state"] not in ("done", "failed"):
        breaks(ticket, "is", told["state"])
    if answers[ticket] - {first}:
        breaks("clients saw", answers[ticket], "for", ticket, "and now", first)
    ran = runs.get(ticket, [])
    if told["state"] == "done":
        if first[1].split()[1] not in [run for *_, run in ran]:
            breaks("the answer of", ticket, "is of none of its runs:", first, ran)
    for method, key, *_ in ran[:1]:
        allowed = attempts if method == "GET" or key != "-" else 1
        if len(ran) > allowed:
            breaks(ticket, "ran", len(ran), "times, allowed are", allowed)
    if on_kafka and ran and (ran[0][0] == "GET" or ran[0][1] != "-"):
        continue
    if len(ran) > told["attempts"]:
        breaks(ticket, "ran", len(ran), "times, counted", told["attempts"])
    numbers = [attempt for _, _, attempt, _ in ran]
    if len(set(numbers)) != len(numbers):
        breaks(ticket, "ran twice under one number:", numbers)

again = sum(len(ran) > 1 for ran in runs.values())
print(
    f"{len(seen)} answers seen, {len(answers)} tickets, {dict(states)},"
    f" {again} ran more than once, {broken} broken promises"
)
sys.exit(1 if broken else 0)
