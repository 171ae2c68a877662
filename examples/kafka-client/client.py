#!/usr/bin/env python3
"""Submits a request to Cloakroom's Kafka without an ingress, prints the response.

    client.py SERVERS PREFIX PARTITIONS SECRET_FILE QUEUE METHOD TARGET [BODY]
"""
import hashlib, hmac, secrets, sys, time, uuid
from confluent_kafka import Consumer, Producer, TopicPartition

servers, prefix, partitions, secret_file, queue, method, target, *body = sys.argv[1:]
body = (body or [""])[0].encode()
now = int(time.time() * 1000)

# The ticket: a UUIDv8 (48 bits of time, 16 of slot, 58 random ones) and 64 bits of its HMAC.
slot = secrets.randbits(16)
name = (now << 80 | 8 << 76 | (slot >> 4) << 64 | 2 << 62 | (slot & 15) << 58
        | secrets.randbits(58)).to_bytes(16, "big")
secret = open(secret_file, "rb").read()
bits = int.from_bytes(name + hmac.digest(secret, name, hashlib.sha256)[:8], "big")
ticket = "".join("0123456789abcdefghjkmnpqrstvwxyz"[bits >> 5 * i & 31] for i in reversed(range(39)))
print(f"{uuid.UUID(bytes=name)} is ticket {ticket}", file=sys.stderr)

message = b"%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (
    method.encode(), target.encode(), queue.encode(), len(body), body)
partition = slot % int(partitions)  # everything about the ticket is there
where = TopicPartition(f"{prefix}.tickets", partition)
# Where the facts about it begin: asked before there are any.
consumer = Consumer({"bootstrap.servers": servers, "group.id": f"{prefix}-clients",
                     "enable.auto.commit": False})
where.offset = consumer.get_watermark_offsets(where)[1]
consumer.assign([where])

# It is accepted when it is acknowledged.
failed = []
producer = Producer({"bootstrap.servers": servers, "acks": "all", "enable.idempotence": True})
headers = [("cloakroom", "request/1"), ("at", str(now)), ("queue", queue), ("scheme", "http")]
headers += [("idempotent", "1")] if method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS") else []
producer.produce(f"{prefix}.requests.{queue}", message, ticket, partition, headers=headers,
                 on_delivery=lambda error, record: error and failed.append(error))
if producer.flush(10) or failed:
    sys.exit(f"outcome unknown: {failed}")

while True:  # the first ending is the response
    record = consumer.poll(1)
    if record and not record.error() and record.key() == ticket.encode():
        if record.headers()[0][1] in (b"response/1", b"failed/1"):
            if any(name == "body" for name, _ in record.headers()):
                sys.exit("the response is large: it lies in pieces in `bodies`")
            sys.stdout.buffer.write(record.value())
            break
consumer.close()
