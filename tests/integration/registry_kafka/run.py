#!/usr/bin/env python3
"""Without this a stock consumer could not read our topics by the schemas that the sidecar serves, and a changed key would send
rows of one key to two partitions unseen: hold refuses it, new_topic goes on elsewhere, each with its own schemas.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import http, lab, registry  # noqa: E402
from sidestream_test.wait import until  # noqa: E402

from confluent_kafka import DeserializingConsumer  # noqa: E402
from confluent_kafka.schema_registry import SchemaRegistryClient  # noqa: E402
from confluent_kafka.schema_registry.avro import AvroDeserializer  # noqa: E402


def consume(broker, url, topic, n):
    """n records as (key's id, value's id and name), by Confluent's consumer and its Avro deserializers."""
    client = SchemaRegistryClient({"url": url})
    consumer = DeserializingConsumer({"bootstrap.servers": broker.address(), "group.id": f"g-{topic}", "auto.offset.reset": "earliest",
                                      "isolation.level": "read_committed", "enable.auto.commit": False,
                                      "key.deserializer": AvroDeserializer(client), "value.deserializer": AvroDeserializer(client)})
    consumer.subscribe([topic])
    found = []
    try:
        def poll():
            m = consumer.poll(1)
            if m is not None and not m.error():
                found.append((m.key()["id"], m.value()["id"], m.value()["name"]))
            return len(found) >= n
        until(f"{n} records of {topic}", poll, 60)
    finally:
        consumer.close()
    return sorted(found)


def main(l):
    pg = l.postgres()
    broker = l.kafka()
    pg.sql("create schema shop; create table shop.users (id int primary key, name text); create table shop.other (id int primary key, name text)")
    face = http.Face()
    car = l.sidecar(pg, kafka=broker, http=face.settings)
    car.catch_up()
    pg.each("insert into shop.users values (1, 'Ada'), (2, 'Bob')", "insert into shop.other values (1, 'x')")
    car.start().wait_streaming(pg)
    url = f"http://127.0.0.1:{face.port}"
    api = registry.Api(url)
    until("schemas", lambda: len(api.subjects()) == 4, 60)
    assert api.subjects() == sorted(f"shop.shop.{t}-{h}" for t in ("users", "other") for h in ("key", "value"))
    assert consume(broker, url, "shop.shop.users", 2) == [(1, 1, "Ada"), (2, 2, "Bob")]
    l.step("Confluent's consumer by the embedded registry")
    pg.each("insert into shop.users values (3, 'Eve')")
    until("row 3", lambda: len(consume(broker, url, "shop.shop.users", 3)) == 3, 60)
    assert car.terminate() == 0
    pg.each("alter table shop.users alter id type bigint", "insert into shop.users values (4, 'Joe')", "insert into shop.other values (2, 'y')")
    got = car.call("run", "CONFIG", "--until-caught-up", timeout=60)
    assert got.code == 3 and "the key's schema changed" in got.err and "was (id int), is (id long)" in got.err, got
    car.settings["capture"].insert(0, {"tables": "shop.users", "snapshot": "never", "envelope": "row", "on_incompatible": "new_topic"})
    car.write_config()
    car.catch_up()
    car.start().wait_streaming(pg)
    until("the face", lambda: face.ask("/healthz"), 10)
    pg.sql("insert into shop.users values (5, 'Kim')")
    assert consume(broker, url, "shop.shop.users.v2", 2) == [(4, 4, "Joe"), (5, 5, "Kim")]
    assert consume(broker, url, "shop.shop.other", 2) == [(1, 1, "x"), (2, 2, "y")]
    assert api.versions("shop.shop.users.v2-key") == [1] and api.versions("shop.shop.users-key") == [1]
    assert car.terminate() == 0
    l.step("a changed key: refused, then in a topic of its own")


lab.run(main)
