#!/usr/bin/env python3
"""Without this a topic that was deleted, made again, too small for a record or compacted would lose rows and nobody would know:
each is refused with its name, or treated as the configuration says.
"""
import collections
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import compare, kafka, lab, wait  # noqa: E402

from confluent_kafka.admin import NewPartitions  # noqa: E402

TOPIC = "{}.shop.t"


def main(l):
    broker = l.kafka(conf=["auto.create.topics.enable=true"])  # Kafka's default: a topic that is gone must not come back by itself
    pg = l.postgres(conf=["max_replication_slots = 60", "max_wal_senders = 60"])  # a slot for each pipeline
    pg.sql("create schema shop; create table shop.t (id int primary key, v text, w text); "
           "alter table shop.t alter w set storage external; create table shop.u (id int primary key)")
    created(l, pg, broker)
    lost(l, pg, broker)
    while_running(l, pg, broker)
    widened(l, pg, broker)
    oversized(l, pg, broker)
    copied(l, pg, broker)
    compacted(l, pg, broker)


def made(l, pg, broker, name, sink=None, capture=None):
    """A pipeline that has one row in its topic, and is not running."""
    pg.sql("delete from shop.t")
    car = l.sidecar(pg, name=name, kafka=broker, sink={"partitions": 2, **(sink or {})}, capture=capture)
    car.catch_up()
    pg.sql("insert into shop.t values (1, 'one', repeat('w', 3000))")
    car.catch_up()
    return car


def created(l, pg, broker):
    broker.create(TOPIC.format("made"), 3)  # by somebody else, before: taken as it is
    config = {"retention.ms": "123456789", "cleanup.policy": "delete"}
    car = made(l, pg, broker, "made", sink={"topic_config": config})
    pg.sql("insert into shop.u values (1)")
    car.catch_up()
    topics = broker.topics("made.")
    assert topics == {"made.shop.t": 3, "made.shop.u": 2}, topics
    got = broker.config("made.shop.u")
    assert {k: got.get(k) for k in config} == config, got
    assert "retention.ms" not in broker.config("made.shop.t"), "a topic that was there is left alone"
    control = broker.config("_sidestream.made")
    assert broker.topics("_sidestream.made") == {"_sidestream.made": 1} and control["cleanup.policy"] == "compact", control
    assert control["segment.ms"] == "3600000" and control["segment.bytes"] == str(16 << 20), control
    assert all(kafka.partition_of(r.record.key, topics[r.record.topic]) == r.record.partition for r in car.output().rows())
    l.step("topics made as configured; the control topic is compacted, of one partition")


def lost(l, pg, broker):
    for how in ("deleted", "made again"):
        name = how.replace(" ", "_")
        car = made(l, pg, broker, name)
        topic = TOPIC.format(name)
        broker.delete(topic)
        if how == "made again":
            broker.create(topic, 2)
        pg.sql("insert into shop.t values (2)")
        got = car.call("run", "CONFIG", "--until-caught-up", timeout=60)
        assert got.code == 3 and topic in got.err and "on_lost_topic" in got.err, f"{how}: {got!r}"
        car.settings["sink"]["on_lost_topic"] = "continue"
        car.write_config()
        car.catch_up()
        rows = [r.cells["id"] for r in car.output().rows("shop.t")]
        assert rows == [2], f"{how}, continue: {rows}"
        car.settings["sink"].pop("on_lost_topic")
        car.write_config()
        car.catch_up()  # and it is not asked again
        l.step(f"a topic {how} while the sidecar was away: refused, then continued as told")


def while_running(l, pg, broker):
    """Long before a transaction would time out, at the next rows: seconds, on a machine that is not busy."""
    for which in ("{}.shop.t", "_sidestream.{}"):
        for how in ("deleted", "made again", "made again with fewer partitions"):
            name = f"running{len(l.sidecars)}"
            topic = which.format(name)
            if which.startswith("_") and "fewer" in how:
                continue  # it has one
            car = running(l, pg, broker, name)
            partitions = broker.topics()[topic]
            broker.delete(topic)
            if how != "deleted":
                broker.create(topic, 1 if "fewer" in how else partitions, **({"cleanup_policy": "compact"} if partitions == 1 else {}))
            wait.until("it to notice", lambda: one_more(pg) and not car.alive(), 60, 0.2)
            said = car.log().splitlines()[-1]
            assert car.process.returncode == 3 and f" {topic}: the " in said, f"{car.process.returncode}: {car.log()[-1500:]}"
            assert (topic in broker.topics()) == (how != "deleted"), "the broker made it again because somebody asked"
            l.step(f"{which.format('NAME')} {how} under it: refused")
    car = running(l, pg, broker, "goes_on", {"on_lost_topic": "continue"})
    broker.delete("goes_on.shop.t")
    one_more(pg)
    wait.until("the topic", lambda: "goes_on.shop.t" in broker.topics(), 60)
    one_more(pg)
    want = [r[0] for r in pg.sql("select id from shop.t where id > 2 order by id")]
    wait.until("the rows", lambda: [r.cells["id"] for r in car.output().rows("shop.t")] == want, 60)
    assert broker.topics()["goes_on.shop.t"] == 2 and car.terminate() == 0, car.log()[-1500:]
    l.step("a topic deleted under it, on_lost_topic: continue: made again as configured, and every later row is there")


def one_more(pg):
    pg.sql("insert into shop.t select max(id) + 1 from shop.t")
    return True


def running(l, pg, broker, name, sink=None):
    """Rows 1 and 2 are in its topic; what a transaction may take is longer than any wait of this scenario."""
    car = made(l, pg, broker, name, sink={"transaction_timeout": "300s", **(sink or {})})
    car.start().wait_streaming(pg)
    pg.sql("insert into shop.t values (2)")
    wait.until("the row", lambda: car.output().count("shop.t") == 2)
    return car


def widened(l, pg, broker):
    """More partitions: said aloud, taken at the next start, and every key from then on where Java puts it among all of them."""
    car = made(l, pg, broker, "wider")
    topic = TOPIC.format("wider")
    for future in broker.admin().create_partitions([NewPartitions(topic, 5)]).values():
        future.result(30)
    wait.until("the partitions", lambda: broker.topics()[topic] == 5)
    pg.sql("insert into shop.t select generate_series(2, 200)")
    got = car.catch_up()
    assert f"{topic} has 5 partitions now, before 2" in got.err, got
    records = [r for part in car.output().records(topic).values() for r in part]
    assert len(records) == 200 and {r.partition for r in records} == set(range(5)), collections.Counter(r.partition for r in records)
    astray = [r for r in records if r.partition != kafka.partition_of(r.key, 5)]
    assert len(astray) <= 1 and car.output().topics()[topic] == 5, astray[:3]  # the one of before
    assert "partitions now" not in car.catch_up().err
    l.step("partitions added: warned of once, taken")


def oversized(l, pg, broker):
    """With compression only the broker knows what is too large, and says so by a refusal."""
    big = "insert into shop.t select {}, string_agg(md5(g::text), ''), 'kept' from generate_series(1, 8000) g"  # 256 kB
    for policy, compression in [(p, c) for c in ("none", "lz4") for p in ("fail", "drop", "placeholder")]:
        car = made(l, pg, broker, f"over_{policy}_{compression}",
                   sink={"oversized": policy, "compression": compression, "topic_config": {"max.message.bytes": "100000"}})
        pg.each("insert into shop.t values (2, 'before')", big.format(3), "insert into shop.t values (4, 'after')")
        if policy == "fail":
            got = car.call("run", "CONFIG", "--until-caught-up", timeout=120)
            assert got.code == 3 and "table shop.t: a record of 2" in got.err and "oversized" in got.err, got
            assert compression != "none" or "100000" in got.err, got  # the topic's limit
            l.step(f"oversized: fail, compression {compression}: refused, with table and size")
            continue
        got = car.catch_up()
        rows = {r.cells["id"]: r.cells for r in car.output().rows("shop.t")}
        if policy == "drop":
            assert sorted(rows) == [1, 2, 4] and "shop.t" in got.err, (sorted(rows), got.err)
        else:
            assert sorted(rows) == [1, 2, 3, 4] and rows[3]["v"] is None and rows[3]["__invalid"] == ["v"], rows.get(3)
            assert rows[3]["w"] == "kept", "only the largest is left out"
        l.step(f"oversized: {policy}, compression {compression}: as it says, the rest is there")


def copied(l, pg, broker):
    """Rows of a copy have one __seq, and what stands before the large one is committed before it is refused."""
    pg.each("create table shop.copied (id int primary key, v text)",
            "insert into shop.copied select i, case i when 15000 then (select string_agg(md5(g::text), '') from generate_series(1, 8000) g) "
            "else repeat('x', 200) end from generate_series(1, 30000) i", "analyze shop.copied")
    for policy in ("fail", "drop", "placeholder"):
        car = l.sidecar(pg, name=f"copied_{policy}", kafka=broker, capture=[{"tables": "shop.copied", "snapshot": "initial"}],
                        sink={"partitions": 2, "oversized": policy, "compression": "lz4", "topic_config": {"max.message.bytes": "100000"}},
                        snapshot={"threads": 1, "range_bytes": "1MiB"})
        got = car.call("run", "CONFIG", "--until-caught-up", timeout=90)
        assert got.code == (3 if policy == "fail" else 0), got
        if policy == "fail":
            assert "table shop.copied: a record of 2" in got.err, got
        else:
            rows = {r.cells["id"]: r.cells["v"] for r in car.output().rows("shop.copied")}
            assert len(rows) == (29999 if policy == "drop" else 30000) and rows.get(15000) is None, len(rows)
        l.step(f"a copied row that only the broker finds too large, oversized: {policy}: as it says, the rest is there")


def compacted(l, pg, broker):
    """An update without its unchanged value would become the only record of its key."""
    car = made(l, pg, broker, "small", sink={"topic_config": {"cleanup.policy": "compact"}})
    pg.sql("update shop.t set v = 'two' where id = 1")
    got = car.call("run", "CONFIG", "--until-caught-up", timeout=60)
    assert got.code == 3 and "small.shop.t" in got.err and "REPLICA IDENTITY FULL" in got.err.upper(), got
    l.step("a compacted topic and a value that was not sent: refused")
    pg.sql("alter table shop.t replica identity full")
    car = made(l, pg, broker, "whole", sink={"topic_config": {"cleanup.policy": "compact"}})
    pg.sql("update shop.t set v = 'two' where id = 1")
    car.catch_up()
    rows = car.output().rows("shop.t")
    assert rows[-1].op == "u" and rows[-1].cells["w"] == "w" * 3000 and not rows[-1].cells["__unchanged"], rows[-1]
    live = [c for c in compare.fold(rows, {"shop.t": ["id"]})["shop.t"].values() if not c["__deleted"]]
    compare.tables_equal(pg, live, "shop.t", "fold")
    l.step("with the whole old row: complete records")


lab.run(main)
