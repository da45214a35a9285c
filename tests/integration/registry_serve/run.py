#!/usr/bin/env python3
"""Without this stock deserializers could not be pointed at the sidecar: Confluent's Python client, a JavaScript one and Avro
for Java read rows by the schemas that the embedded registry serves, and nothing can be written to it.
"""
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import http, lab, registry  # noqa: E402
from sidestream_test.wait import until  # noqa: E402

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError  # noqa: E402
from confluent_kafka.schema_registry.avro import AvroDeserializer  # noqa: E402
from confluent_kafka.serialization import MessageField, SerializationContext  # noqa: E402

TOPIC = "shop.shop.users"
SUBJECT = TOPIC + "-value"
def python_reads(url, sent):
    client = SchemaRegistryClient({"url": url})
    decode = AvroDeserializer(client)
    ctx = SerializationContext(TOPIC, MessageField.VALUE)
    rows = [decode(m, ctx) for m in sent]
    assert [(r["id"], r["name"], r.get("city", "absent")) for r in rows] == WANT, rows
    latest = client.get_latest_version(SUBJECT)
    assert client.get_subjects() == [SUBJECT] and client.get_versions(SUBJECT) == [1, 2]
    assert client.get_version(SUBJECT, 1).schema_id == 1 and latest.schema_id == 2 and latest.version == 2
    there = client.lookup_schema(SUBJECT, latest.schema)
    assert (there.schema_id, there.version) == (2, 2)
    assert client.register_schema(SUBJECT, latest.schema) == 2, "what is there may be registered again"
    assert client.get_compatibility() == "BACKWARD"
    assert client.test_compatibility(SUBJECT, latest.schema)
    newer = AvroDeserializer(client, latest.schema.schema_str)
    assert [newer(m, ctx)["city"] for m in sent] == [None, None, "Ulm"], "old rows by the new schema"
    other = Schema(latest.schema.schema_str.replace('"name":"Row"', '"name":"Other"'), "AVRO")
    try:
        client.register_schema(SUBJECT, other)
        raise AssertionError("it took a schema")
    except SchemaRegistryError as e:
        assert e.error_code == 42205, e
    assert not client.test_compatibility(SUBJECT, other)


def others_read(l, url, sent):
    rows = registry.java_decode(url, SUBJECT, sent, ["id", "name", "city"])
    assert rows == [["1", "Ada", "null"], ["2", "Bob", "null"], ["3", "Eve", "Ulm"]], rows
    l.step("Avro for Java")
    rows = registry.js_decode(url, sent)
    assert [(r["id"], r["name"], r.get("city", "absent")) for r in rows] == WANT, rows
    l.step("JavaScript")


WANT = [(1, "Ada", "absent"), (2, "Bob", "absent"), (3, "Eve", "Ulm")]

# What clients ask beyond that, and what Confluent's registry answers.
PATHS = [("GET", "/schemas/types", 200, ["AVRO"]), ("GET", "/contexts", 200, ["."]), ("GET", "/mode", 200, {"mode": "READONLY"}),
         ("GET", "/config", 200, {"compatibilityLevel": "BACKWARD"}), ("GET", f"/config/{SUBJECT}", 404, 40408),
         ("GET", f"/config/{SUBJECT}?defaultToGlobal=true", 200, {"compatibilityLevel": "BACKWARD"}),
         ("GET", f"/mode/{SUBJECT}", 404, 40409), ("GET", "/schemas/ids/1/subjects", 200, [SUBJECT]),
         ("GET", "/schemas/ids/2/versions", 200, [{"subject": SUBJECT, "version": 2}]),
         ("GET", "/schemas/ids/99", 404, 40403), ("GET", "/schemas/ids/x", 404, 40403), ("GET", "/subjects/none/versions", 404, 40401),
         ("GET", f"/subjects/{SUBJECT}/versions/9", 404, 40402), ("GET", f"/subjects/{SUBJECT}/versions/x", 422, 42202),
         ("GET", f"/subjects/{SUBJECT}/versions/-1?deleted=false", 200, None), ("GET", "/nothing", 404, None),
         ("GET", f"/associations/resources/-/{TOPIC}?resourceType=topic", 404, 404),
         ("PUT", "/config", 422, 42205), ("PUT", f"/config/{SUBJECT}", 422, 42205), ("PUT", "/mode", 422, 42205),
         ("DELETE", f"/subjects/{SUBJECT}", 422, 42205), ("DELETE", f"/subjects/{SUBJECT}/versions/1", 422, 42205),
         ("POST", f"/subjects/{SUBJECT}", 422, 42201), ("POST", f"/subjects/{SUBJECT}/versions", 422, 42201)]


def paths(api):
    for method, path, status, want in PATHS:
        got = api.call(method, path, {} if method in ("PUT", "POST") else None)
        assert got[0] == status, (method, path, got)
        if isinstance(want, int):
            assert got[1]["error_code"] == want and got[1]["message"], (method, path, got)
        elif want is not None:
            assert got[1] == want, (method, path, got)
    version = api.version(SUBJECT, 2)
    assert isinstance(version["schema"], str) and "schemaType" not in version and version["id"] == 2, version
    assert api.get("/schemas/ids/2/schema")[1] == json.loads(version["schema"])


def main(l):
    pg = l.postgres()
    pg.sql("create schema shop; create table shop.users (id int primary key, name text)")
    face = http.Face()
    car = l.sidecar(pg, http=face.settings)
    car.catch_up()
    car.start().wait_streaming(pg)
    url = f"http://127.0.0.1:{face.port}"
    api = registry.Api(url)
    assert api.subjects() == [], "nothing is served that is not committed"
    pg.each("insert into shop.users values (1, 'Ada'), (2, 'Bob')", "alter table shop.users add city text",
            "insert into shop.users values (3, 'Eve', 'Ulm')")
    until("three rows", lambda: len(registry.messages(car)) == 3, 30)
    sent = registry.messages(car)
    paths(api)
    l.step("paths and error codes")
    python_reads(url, sent)
    l.step("confluent-kafka for Python")
    others_read(l, url, sent)
    car.terminate()
    car.start().wait_streaming(pg)
    until("the face", lambda: face.ask("/healthz"), 10)
    assert api.versions(SUBJECT) == [1, 2], "served from the first moment of a restart"
    began = time.monotonic()
    for _ in range(300):
        assert api.get("/schemas/ids/2")[0] == 200
    l.step(f"300 look-ups in {time.monotonic() - began:.2f} s")
    assert car.terminate() == 0


lab.run(main)
