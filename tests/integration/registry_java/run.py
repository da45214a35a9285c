#!/usr/bin/env python3
"""Without this our topics could be readable by Python alone: a Java consumer with an Avro deserializer (and Confluent's for
Python beside it) reads keys and values by the embedded registry, and by a real one, before and after a column came.
"""
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import http, java, lab, registry  # noqa: E402
from sidestream_test.wait import until  # noqa: E402

from confluent_kafka import DeserializingConsumer  # noqa: E402
from confluent_kafka.schema_registry import SchemaRegistryClient  # noqa: E402
from confluent_kafka.schema_registry.avro import AvroDeserializer  # noqa: E402

WANT = [["1", "1", "Ada", "null"], ["2", "2", "Bob", "null"], ["3", "3", "Eve", "Ulm"]]
# By the writer's schema alone, as Apicurio's reads: an old row has no such column.
WRITTEN = [["1", "1", "Ada", "absent"], ["2", "2", "Bob", "absent"], ["3", "3", "Eve", "Ulm"]]
COLUMNS = ["id", "name", "city"]


def python_reads(broker, url, topic):
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
                found.append([str(m.key()["id"]), *(str(m.value().get(c, "absent")) for c in COLUMNS)])
            return len(found) >= len(WRITTEN)
        until(f"the records of {topic}", poll, 60)
    finally:
        consumer.close()
    return sorted(found)


def fill(l, pg, car, topic, api):
    """Rows of two schemas in the topic."""
    pg.sql("drop schema if exists shop cascade; create schema shop; create table shop.users (id int primary key, name text)")
    car.catch_up()
    car.start().wait_streaming(pg)
    pg.each("insert into shop.users values (1, 'Ada'), (2, 'Bob')", "alter table shop.users add city text",
            "insert into shop.users values (3, 'Eve', 'Ulm')")
    until("both schemas", lambda: api.versions(f"{topic}-value") == [1, 2], 60)


def main(l):
    if not shutil.which("mvn"):
        raise lab.Skip("mvn is not here")
    pg, broker = l.postgres(), l.kafka()
    face = http.Face()
    url = f"http://127.0.0.1:{face.port}"
    car = l.sidecar(pg, kafka=broker, http=face.settings)
    fill(l, pg, car, "shop.shop.users", registry.Api(url))
    assert java.consume("confluent", broker, url, "shop.shop.users", 3, COLUMNS) == WANT
    l.step("Java by the embedded registry")
    assert python_reads(broker, url, "shop.shop.users") == WRITTEN
    l.step("Python by the embedded registry")
    assert car.terminate() == 0
    assert car.call("drop", "CONFIG", "--yes").code == 0
    real = registry.Real(l)
    mirror = http.Face()
    car = l.sidecar(pg, name="real", kafka=broker, registry=registry.config(real.url), http=mirror.settings)
    fill(l, pg, car, "real.shop.users", real)
    assert java.consume("confluent", broker, real.url, "real.shop.users", 3, COLUMNS) == WANT
    l.step("Java by Apicurio, over Confluent's API")
    core = real.url.replace("/apis/ccompat/v7", "/apis/registry/v2")
    assert java.consume("apicurio", broker, core, "real.shop.users", 3, COLUMNS) == WRITTEN
    l.step("Apicurio's own deserializer by Apicurio")
    assert python_reads(broker, real.url, "real.shop.users") == WRITTEN
    l.step("Python by Apicurio")
    assert java.consume("confluent", broker, f"http://127.0.0.1:{mirror.port}", "real.shop.users", 3, COLUMNS) == WANT
    l.step("Java by the sidecar, which mirrors what it registered there")
    assert car.terminate() == 0


lab.run(main)
