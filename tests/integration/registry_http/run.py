#!/usr/bin/env python3
"""Without this a real schema registry would hold other schemas than the data has, or a change that its readers cannot read
would go out unseen: registered once, found again after a restart, and each policy of on_incompatible carried out.
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import ROOT, lab, lake, registry  # noqa: E402

from confluent_kafka.schema_registry import SchemaRegistryClient  # noqa: E402
from confluent_kafka.schema_registry.avro import AvroDeserializer  # noqa: E402
from confluent_kafka.serialization import MessageField, SerializationContext  # noqa: E402

LEVELS = ["none", "backward", "backward_transitive", "forward", "forward_transitive", "full", "full_transitive"]


def rows(car, table):
    return list(lake.Lake(car.lake).rows(f"shop.{table}"))


def states(car):
    got = {}
    for path in sorted(pathlib.Path(car.lake).glob("_cdc/commits/*.json")):
        got.update({k: v for k, v in json.loads(path.read_text())["delta"].items() if k.startswith(("table/", "schema/"))})
    return got


def pairs(l, reg):
    """Avro's schema-resolution cases: the registry's verdict is the one that our unit tests have."""
    cases = json.loads((ROOT / "tests/data/registry/compat.json").read_text())
    assert reg.call("PUT", "/config", {"compatibility": "BACKWARD"})[0] == 200
    subjects = {}
    for i, (name, schema) in enumerate(cases["schemas"].items()):
        status, got = reg.call("POST", f"/subjects/case{i}/versions", {"schema": json.dumps(schema)})
        assert status == 200, (name, got)
        subjects[name] = f"case{i}"
    for verdict, reader, writer in cases["pairs"]:
        status, got = reg.call("POST", f"/compatibility/subjects/{subjects[writer]}/versions/latest",
                               {"schema": json.dumps(cases["schemas"][reader])})
        assert status == 200 and got["is_compatible"] == (verdict == "yes"), (reader, "reads", writer, verdict, got)
    reg.call("PUT", "/config", {"compatibility": "NONE"})  # as it comes; the pipelines set the subjects' own
    l.step(f"{len(cases['pairs'])} pairs, one verdict")


def registers(l, reg, car):
    """Once, byte for byte; the ids in the files are the registry's; a restart asks for nothing new."""
    l.pg.sql("insert into shop.a values (1, 1, 1.50)")
    car.catch_up()
    assert reg.versions("reg.shop.a-value") == [1], reg.subjects()
    there = reg.version("reg.shop.a-value")
    mine = states(car)[f"schema/{there['id']}"]
    assert mine["subject"] == "reg.shop.a-value" and mine["schema"] == there["schema"] and mine["version"] == 1, mine
    assert all(e["schema_id"] == there["id"] for c in lake.Lake(car.lake).commits() for e in c["files"] if e["table"] == "shop.a")
    l.pg.each("insert into shop.a values (2, 2, 2.50)", "alter table shop.a add note text", "insert into shop.a values (3, 3, 3.5, 'x')")
    car.catch_up()
    assert reg.versions("reg.shop.a-value") == [1, 2]
    l.pg.sql("insert into shop.a values (4, 4, 4.5, 'y')")
    reg.stop()
    car.catch_up()  # nothing new to know: no registry is needed
    reg.start()
    assert [r.cells["id"] for r in rows(car, "a")] == [1, 2, 3, 4]
    assert reg.versions("reg.shop.a-value") == [1, 2]
    assert car.call("fsck", "CONFIG").code == 0
    l.step("registered once, kept over restarts of both")


def readers(l, reg, car):
    """Stock deserializers against this registry."""
    sent = registry.messages(car, "shop.a")
    decode = AvroDeserializer(SchemaRegistryClient({"url": reg.url}))
    rows = [decode(m, SerializationContext("reg.shop.a", MessageField.VALUE)) for m in sent]
    assert [(r["id"], str(r["price"]), r.get("note")) for r in rows][2:] == [(3, "3.50", "x"), (4, "4.50", "y")], rows
    rows = registry.java_decode(reg.url, "reg.shop.a-value", sent, ["id", "note"])
    assert rows == [["1", "null"], ["2", "null"], ["3", "x"], ["4", "y"]], rows
    l.step("confluent-kafka for Python and Avro for Java read by it")


def hold(l, reg, car):
    """Exit 3, the difference in words, nothing registered; what came before is there; then decided."""
    l.pg.each("insert into shop.hold values (1, 1, 1.25)", "insert into shop.a values (10, 10, 1)",
              "insert into shop.hold values (2, 2, 2.25)")
    car.catch_up()
    l.pg.each("alter table shop.hold alter price type numeric(12,4)",
              "insert into shop.hold values (3, 3, 3.1234)", "insert into shop.a values (11, 11, 1)")
    for _ in range(2):
        got = car.call("run", "CONFIG", "--until-caught-up", timeout=60)
        assert got.code == 3 and "column price: was decimal(10,2), is decimal(12,4)" in got.err, got
        assert "on_incompatible" in got.err
    assert [r.cells["id"] for r in rows(car, "hold")] == [1, 2] and reg.versions("reg.shop.hold-value") == [1]
    car.settings["capture"].insert(0, {"tables": "shop.hold", "snapshot": "never", "on_incompatible": "force"})
    car.write_config()
    got = car.catch_up()
    assert "although it may not follow" in got.err and "column price" in got.err, got
    assert [str(r.cells["price"]) for r in rows(car, "hold")] == ["1.25", "2.25", "3.1234"]
    assert reg.versions("reg.shop.hold-value") == [1, 2]
    assert [r.cells["id"] for r in rows(car, "a")][-2:] == [10, 11]
    level = reg.get("/config/reg.shop.hold-value")
    assert level[1].get("compatibilityLevel") == "BACKWARD", level
    l.step("hold, then force")


def pause(l, reg, car):
    """The table is left out from there on with its gap written down; the others go on; it stays so over a restart."""
    car.settings["capture"].insert(0, {"tables": "shop.pause", "snapshot": "never", "on_incompatible": "pause"})
    car.write_config()
    l.pg.each("insert into shop.pause values (1, 1, 1.25)")
    car.catch_up()
    before = json.loads(sorted(pathlib.Path(car.lake).glob("_cdc/commits/*.json"))[-1].read_text())["to"]
    l.pg.each("begin; insert into shop.pause values (2, 2, 2.25); insert into shop.a values (20, 20, 1); commit",
              "alter table shop.pause alter n type text", "insert into shop.pause values (3, 'three', 3)",
              "insert into shop.a values (21, 21, 1)")
    got = car.catch_up()
    assert "shop.pause is paused" in got.err and "column n: was int, is string" in got.err, got
    l.pg.each("insert into shop.pause values (4, 'four', 4)", "insert into shop.a values (22, 22, 1)")
    got = car.catch_up()
    assert "table shop.pause is paused" in got.err, got
    state = states(car)["table/shop.pause"]
    assert state["state"] == "paused" and "column n" in state["why"] and state["gap"]["from"] >= before, state
    assert [r.cells["id"] for r in rows(car, "pause")] == [1, 2], "the rows before the change are there"
    assert [r.cells["id"] for r in rows(car, "a")][-3:] == [20, 21, 22]
    assert reg.versions("reg.shop.pause-value") == [1]
    l.step(f"pause, gap from {state['gap']['from']}")


def new_topic(l, reg, car):
    """Another subject, and the table goes on whole, also over a restart."""
    car.settings["capture"].insert(0, {"tables": "shop.topic", "snapshot": "never", "on_incompatible": "new_topic"})
    car.write_config()
    l.pg.each("insert into shop.topic values (1, 1, 1.25)")
    car.catch_up()
    l.pg.each("alter table shop.topic alter n type text", "insert into shop.topic values (2, 'two', 2)")
    got = car.catch_up()
    assert ".v2" in got.err and "column n: was int, is string" in got.err, got
    l.pg.each("insert into shop.topic values (3, 'three', 3)", "alter table shop.topic add more int",
              "insert into shop.topic values (4, 'four', 4, 4)")
    car.catch_up()
    assert [r.cells["id"] for r in rows(car, "topic")] == [1, 2, 3, 4]
    assert reg.versions("reg.shop.topic-value") == [1] and reg.versions("reg.shop.topic.v2-value") == [1, 2], reg.subjects()
    assert states(car)["table/shop.topic"]["stream"] == 2
    l.step("new_topic")


def levels(l, reg):
    """Each level is set for the subject, and the server's verdict followed: int to bigint, which old readers cannot read."""
    for level in LEVELS:
        name = f"lv_{level}"
        car = l.sidecar(l.pg, name=name, registry=registry.config(reg.url, compatibility=level),
                        capture=[{"tables": "shop.wide", "snapshot": "never"}])
        l.pg.sql("truncate shop.wide; alter table shop.wide alter n type int")
        car.catch_up()
        l.pg.sql("insert into shop.wide values (1, 1)")
        car.catch_up()
        l.pg.each("alter table shop.wide add c text", "insert into shop.wide values (2, 2, 'c')")
        car.catch_up()
        l.pg.each("alter table shop.wide drop c", "insert into shop.wide values (3, 3)")
        car.catch_up()
        subject = f"{name}.shop.wide-value"
        assert reg.get(f"/config/{subject}")[1]["compatibilityLevel"] == level.upper()
        l.pg.each("alter table shop.wide alter n type bigint", "insert into shop.wide values (4, 4)")
        got = car.call("run", "CONFIG", "--until-caught-up", timeout=60)
        may = level in ("none", "backward", "backward_transitive")
        assert got.code == (0 if may else 3), (level, got)
        assert may or "column n: was int, is long" in got.err, got
        assert reg.versions(subject) == ([1, 2, 3, 4] if may else [1, 2, 3])
        car.call("drop", "CONFIG", "--yes")
    l.step("seven levels")


def strategies(l, reg):
    for how, subject in (("record", "by_record.shop.a.Row"), ("topic_record", "by_topic_record.shop.a-by_topic_record.shop.a.Row")):
        car = l.sidecar(l.pg, name=f"by_{how}", registry=registry.config(reg.url, subject=how),
                        capture=[{"tables": "shop.a", "snapshot": "never"}])
        car.catch_up()
        l.pg.sql("insert into shop.a values (%s, 1, 1)", [100 + len(how)])
        car.catch_up()
        assert reg.versions(subject) == [1], reg.subjects()
        car.call("drop", "CONFIG", "--yes")
    l.step("subjects by record, by topic and record")


def main(l):
    l.pg = l.postgres(conf=["max_replication_slots = 30", "max_wal_senders = 30"])
    reg = registry.Real(l)
    pairs(l, reg)
    tables = "".join(f"create table shop.{t} (id int primary key, n int, price numeric(10,2));" for t in ("a", "hold", "pause", "topic"))
    l.pg.sql(f"create schema shop; {tables} create table shop.wide (id int primary key, n int)")
    car = l.sidecar(l.pg, name="reg", registry=registry.config(reg.url, compatibility="backward"))
    car.catch_up()
    for scenario in (registers, readers, hold, pause, new_topic):
        scenario(l, reg, car)
    assert car.call("fsck", "CONFIG").code == 0
    levels(l, reg)
    strategies(l, reg)


lab.run(main)
