#!/usr/bin/env python3
"""Without this the other Kafka scenarios could pass whatever the topics hold: topics written by hand are right, then spoilt in a
dozen ways (a tombstone gone, a key in another partition, a range delete missing in one), and each must be found.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import io  # noqa: E402
import json  # noqa: E402

from sidestream_test import kafka, lab  # noqa: E402

import fastavro  # noqa: E402
from confluent_kafka import Producer  # noqa: E402

SCHEMAS = {1: {"type": "record", "name": "Row", "cdc.schema": "shop", "cdc.table": "t", "fields":
               [{"name": "id", "type": ["null", "int"]}] +
               [{"name": n, "type": ["null", "string"]} for n in ("__op", "__seq", "__delete_reason")] +
               [{"name": "__deleted", "type": "boolean"}]},
           2: {"type": "record", "name": "Key", "fields": [{"name": "id", "type": ["null", "int"]}]}}
N = 3


def framed(number, value):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(SCHEMAS[number]), value)
    return b"\0" + number.to_bytes(4, "big") + out.getvalue()


def record(i, op, place, ordinal=1, key=None, partition=None):
    seq = f"00000000-{place:024x}-{ordinal:012x}"
    value = framed(1, {"id": i, "__op": op, "__seq": seq, "__delete_reason": None, "__deleted": op in "dt"})
    key = framed(2, {"id": i if key is None else key if key else None})
    return [key, value, kafka.partition_of(key, N) if partition is None else partition]


def right():
    """Ten rows; three deleted with their tombstones; all ended; one more."""
    made = [record(i, "c", i) for i in range(1, 11)]
    for i in range(1, 4):
        gone = record(i, "d", 20 + i)
        made += [gone, [gone[0], None, gone[2]]]
    made += [record(None, "t", 30, key=0, partition=p) for p in range(N)]
    return made + [record(11, "c", 31)]


def control(txn=1, name="x"):
    body = [(f"schema/{n}", {"subject": "s", "version": 1, "schema": json.dumps(t)}) for n, t in SCHEMAS.items()]
    body += [("kafka/topic/" + name, {"tables": ["shop.t"], "partitions": N, "ends": []}), ("position", "tx:0/1")]
    body += [("kafka/end", {"seq": ""})]
    return [[k.encode(), json.dumps({"instance": "a" * 16, "txn": txn, "v": v}).encode(), 0] for k, v in body]


def write(broker, name, data, keys, abort=()):
    """Everything in one transaction; before it, one that is aborted."""
    topic = f"{name}.shop.t"
    broker.create(topic, N)
    broker.create(f"_sidestream.{name}", 1)
    producer = Producer({"bootstrap.servers": broker.address(), "transactional.id": name})
    producer.init_transactions(20)
    if abort:
        producer.begin_transaction()
        for k, v, p in abort:
            producer.produce(topic, v, k, p)
        producer.flush(10)
        producer.abort_transaction()
    producer.begin_transaction()
    for where, records in ((topic, data), (f"_sidestream.{name}", keys)):
        for k, v, p in records:
            producer.produce(where, v, k, p)
    producer.commit_transaction(20)
    return kafka.Topics(broker, name, hard={"shop.t"})


def main(l):
    broker = l.kafka()
    good = write(broker, "good", right(), control(name="good.shop.t"), abort=[record(99, "c", 1)])
    rows = good.rows()
    assert [r.op for r in rows] == ["c"] * 10 + ["d"] * 3 + ["t", "c"] and good.tombstones == 3, rows
    assert good.aborted() == 1, "the aborted record exists, and is not seen"
    assert len(good.new()) == 15 and good.new() == [], "what is new is given once"
    l.step("right topics are read as they are")
    data = right()
    tombstone = next(i for i, r in enumerate(data) if r[1] is None)
    first = data[0][2]
    second = next(i for i, r in enumerate(data) if i and r[2] == first)
    spoilt = {
        "a tombstone gone": lambda d, c: d.pop(tombstone),
        "a tombstone without its delete": lambda d, c: d.pop(tombstone - 1),
        "a tombstone of another key": lambda d, c: d[tombstone].__setitem__(0, d[5][0]),
        "a key in another partition": lambda d, c: d[0].__setitem__(2, (first + 1) % N),
        "a range delete missing in one partition": lambda d, c: d.pop(-2),
        "a range delete twice in one": lambda d, c: d.append(d[-2]),
        "a row doubled out of order": lambda d, c: d.append(d[0]),
        "two rows of a partition swapped": lambda d, c: d.insert(0, d.pop(second)),
        "a key that is not the row's": lambda d, c: d[0].__setitem__(0, next(r[0] for r in d[1:] if r[2] == first)),
        "a value that is not framed": lambda d, c: d[0].__setitem__(1, b"{}"),
        "bytes behind a value": lambda d, c: d[0].__setitem__(1, d[0][1] + b"x"),
        "an unknown schema": lambda d, c: c.pop(0),
        "a transaction without its end": lambda d, c: c.pop(),
        "a transaction number that falls": lambda d, c: c.extend(control(txn=0, name=c[2][0].decode()[12:])),
        "another number of partitions": lambda d, c: c[2].__setitem__(1, c[2][1].replace(b'"partitions": 3', b'"partitions": 4')),
    }
    for n, (what, change) in enumerate(spoilt.items()):
        name = f"bad{n}"
        data, keys = right(), control(name=f"{name}.shop.t")
        change(data, keys)
        topics = write(broker, name, data, keys)
        try:
            topics.rows()
        except kafka.Damaged:
            continue
        raise AssertionError(f"not found: {what}")
    l.step(f"{len(spoilt)} kinds of damage are found")


lab.run(main)
