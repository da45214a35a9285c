#!/usr/bin/env python3
"""An ordinary consumer of the demo's topics: consumer.py BROKERS NAME [--count | --to FILE.db].

confluent-kafka reads them as read_committed, fastavro decodes them; nothing here is ours but one rule: of the records
of a key the one with the greatest `__seq` counts, and a `t` ends every row below its own. The schemas lie in the control topic
beside the position, as JSON; a schema's id stands before each value as Confluent has it (0, then four bytes).
"""
import argparse
import collections
import datetime
import decimal
import io
import json
import sqlite3

import fastavro
from confluent_kafka import Consumer, KafkaError, TopicPartition


def read(brokers, names, isolation="read_committed"):
    """Every record of topics whose name `names` accepts, up to the present end."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "demo", "enable.auto.commit": False, "log_level": 2,
                         "isolation.level": isolation, "enable.partition.eof": True})
    topics = consumer.list_topics(timeout=20).topics
    todo = {(name, p) for name, t in topics.items() if names(name) for p in t.partitions}
    consumer.assign([TopicPartition(name, p, 0) for name, p in todo])
    while todo:
        for message in consumer.consume(1000, 1):
            if not message.error():
                yield message
            elif message.error().code() == KafkaError._PARTITION_EOF:
                todo.discard((message.topic(), message.partition()))
            else:
                raise SystemExit(f"consumer: {message.error()}")
    consumer.close()


def schemas(brokers, name):
    """Schema id to parsed schema."""
    found = {}
    for message in read(brokers, f"_sidestream.{name}".__eq__):
        key = message.key().decode()
        if key.startswith("schema/") and message.value():
            found[int(key[7:])] = fastavro.parse_schema(json.loads(json.loads(message.value())["v"]["schema"]))
    return found


def decode(data, known):
    number = int.from_bytes(data[1:5], "big")
    return fastavro.schemaless_reader(io.BytesIO(data[5:]), known[number]), known[number]


def fold(rows):
    """Tables as dicts of key to row. Halves of a key change share one __seq: the delete comes first."""
    tables, shapes = collections.defaultdict(dict), {}
    for row, key, schema in sorted(rows, key=lambda r: (r[0]["__seq"], r[0]["__op"] != "d")):
        name = f"{schema['cdc.schema']}.{schema['cdc.table']}"
        table, shapes[name] = tables[name], schema
        if row["__op"] == "t":
            for old in table.values():
                old["__deleted"], old["__deleted_at"] = True, old["__deleted_at"] or row["__deleted_at"]
            continue
        before = json.loads(row["__prev_key"]) if row["__prev_key"] else key
        there = table.get(tuple(key.values()))
        old = there if there and not there["__deleted"] else table.get(tuple(before.values()), {})  # a copy may have read it moved
        for column in row["__unchanged"] or ():  # not sent, because it did not change
            row[column] = old.get(column)
        table[tuple(key.values())] = row
    return tables, shapes


def text(value):
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return str(value) if isinstance(value, (decimal.Decimal, list)) else value


def write(path, tables, shapes):
    con = sqlite3.connect(path)
    for name, table in tables.items():
        columns = [f["name"] for f in shapes[name]["fields"]]
        con.execute(f'create table "{name}" ({", ".join(columns)})')
        con.executemany(f'insert into "{name}" values ({", ".join("?" * len(columns))})',
                        [[text(row.get(c)) for c in columns] for row in table.values()])
    con.commit()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("brokers")
    parser.add_argument("name")
    parser.add_argument("--count", action="store_true", help="only how many records there are")
    parser.add_argument("--to", help="a new SQLite file")
    given = parser.parse_args()

    def mine(topic):
        return topic.startswith(given.name + ".")
    if given.count:
        print(sum(1 for _ in read(given.brokers, mine)), "records in the topics")
        return
    messages = [m for m in read(given.brokers, mine) if m.value()]
    known = schemas(given.brokers, given.name)
    rows = [(*decode(m.value(), known)[:1], decode(m.key(), known)[0], decode(m.value(), known)[1]) for m in messages]
    tables, shapes = fold(rows)
    write(given.to, tables, shapes)
    everything = sum(1 for m in read(given.brokers, mine, "read_uncommitted") if m.value())
    print(sum(r["__op"] == "r" for r, _, _ in rows), "rows copied as they were at the start")
    changes = {r["__seq"] for r, _, _ in rows if r["__op"] != "r"}
    print(len(changes), "row changes in", len({m.topic() for m in messages}), "topics")
    if everything > len(rows):
        print(everything - len(rows), "more records are of a transaction that the kill ended: no such consumer ever sees them")


main()
