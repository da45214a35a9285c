#!/usr/bin/env python3
"""Without this a Kafka consumer would see something else than what was committed: every kind of change, in every partition it
belongs to, under the key that finds it, deletes with their tombstones, range deletes everywhere.

The topics are read by confluent-kafka and fastavro. A key's partition is judged twice: by the Java client's rule written
down in Python, and by librdkafka's own partitioner, to which the same keys are given.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import json  # noqa: E402

from sidestream_test import compare, kafka, lab, oracle, workload  # noqa: E402

MORE = """create table shop.hard (id int primary key, v text, body text);
alter table shop.hard alter body set storage external;
create table shop.bare (a int, v text); alter table shop.bare replica identity full;
create table shop.named (id int primary key, v text);
create table shop."odd näme" (id text primary key);
create table shop.pair (a int, b text, v text, primary key (b, a));
"""
CAPTURE = [{"tables": "shop.hard", "deletes": "hard", "snapshot": "never"},
           {"tables": "shop.named", "topic": "users", "snapshot": "never"}, {"tables": "shop.*", "snapshot": "never"}]
KEYED = ["shop.hard", "shop.named", "shop.odd näme", "shop.pair", "shop.account", "shop.item", "shop.code", "shop.txlog"]


def main(l):
    broker = l.kafka()
    pg = l.postgres()
    pg.sql(workload.SCHEMA + MORE)
    car = l.sidecar(pg, kafka=broker, capture=CAPTURE, sink={"partitions": 5}).start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    work(pg)
    workload.Writers(pg, l.seed, 2, transactions=150).start().join()
    assert car.terminate() == 0
    car.catch_up()
    quoted = [t.replace("shop.odd näme", 'shop."odd näme"') for t in KEYED]
    found = events.events()
    more = ["shop.part", "shop.scratch"]
    keys = {t: compare.key_columns(pg, q) for t, q in zip(KEYED + more, quoted + more)}
    keys["shop.bare"] = []
    log = car.output()
    rows = log.rows()
    n = compare.history(rows, found, keys)
    state = compare.fold([r for r in rows if r.table != "shop.bare"], keys)
    for table, name in zip(KEYED, quoted):
        compare.tables_equal(pg, [c for c in state[table].values() if not c["__deleted"]], name, "fold of the topics")
    l.step(f"{n} rows in order, {log.tombstones} tombstones, folded equal to the source")
    names(log)
    deletes(log, rows)
    bare(log, pg)
    partitions(broker, log)
    l.step("names, tombstones, range deletes, partitions as Java's and librdkafka's")
    theirs(car, pg, rows, quoted)
    l.step("cat, replica and fsck agree")
    by_fields(l, pg, broker)
    messages(l, pg, broker)


def work(pg):
    pg.each("insert into shop.hard select g, 'v' || g, repeat(md5(g::text), 100) from generate_series(1, 60) g",
            "update shop.hard set v = 'w' where id <= 30", "delete from shop.hard where id % 3 = 0",
            "insert into shop.hard values (3, 'again', null)", "update shop.hard set id = id + 1000 where id between 40 and 50",
            "begin; delete from shop.hard where id = 1; insert into shop.hard values (1, 'same', 'tx'); commit",
            "insert into shop.named select g, null from generate_series(1, 40) g",
            "begin; insert into shop.named values (100, 'gone'); truncate shop.named; "
            "insert into shop.named values (101, 'stays'); commit",
            "update shop.named set v = 'x'", "begin; insert into shop.named values (5, 'never'); rollback",
            "insert into shop.bare select g, 'b' from generate_series(1, 2000) g", "update shop.bare set v = 'c' where a <= 5",
            "delete from shop.bare where a > 1990", "truncate shop.bare", "insert into shop.bare values (1, 'after')",
            "insert into shop.\"odd näme\" values ('k'), ('ö'), ('')",
            "insert into shop.pair values (1, 'x', 'a'), (2, 'x', 'b'), (1, 'y', 'c')", "update shop.pair set a = 9 where b = 'y'",
            "delete from shop.pair where b = 'x' and a = 1")


def names(log):
    topics = log.topics()
    assert set(topics.values()) == {5}, topics
    want = {"users", "shop.shop.hard", "shop.shop.bare", "shop.shop.pair", "shop.shop.odd_n__me", "shop.shop.txlog"}
    assert want <= set(topics) and "shop.shop.named" not in topics, sorted(topics)
    assert all(not t.startswith("_sidestream") for t in topics)


def deletes(log, rows):
    gone = [r for r in rows if r.op == "d" and r.table == "shop.hard"]
    assert log.tombstones == len(gone) > 20, f"{log.tombstones} tombstones, {len(gone)} deletes"
    assert {r.cells["__delete_reason"] for r in gone} == {"delete", "key_change"}
    ranges = [r for r in rows if r.op == "t"]
    assert {r.table for r in ranges} >= {"shop.named", "shop.bare"}, "the reader found each of them in every partition"


def bare(log, pg):
    found = log.records("shop.shop.bare")
    assert all(r.key is None for records in found.values() for r in records), "a table without key has NULL keys"
    assert sum(len(r) > 0 for r in found.values()) == 5
    data = [len(r) for r in found.values()]
    assert max(data) < 2 * sum(data) / len(data), f"not spread: {data}"


def partitions(broker, log):
    """The same keys through librdkafka's murmur2 into a topic of as many partitions."""
    keys = {}
    for topic in log.topics():
        for records in log.records(topic).values():
            keys.update({r.key: r.partition for r in records if r.value and r.key and log.decode(r.value)[0]["__op"] != "t"})
    assert len(keys) > 300
    broker.create("judge", 5)
    got = broker.produce("judge", [(k, b"") for k in keys], partitioner="murmur2")
    for (key, mine), (theirs, _) in zip(keys.items(), got):
        assert mine == theirs, f"{key!r}: in {mine}, librdkafka puts it into {theirs}"


def theirs(car, pg, rows, quoted):
    got = car.call("cat", "CONFIG")
    lines = [json.loads(t) for t in got.out.splitlines()]
    assert got.code == 0, got.err[-500:]
    assert [t["row"]["__seq"] for t in lines] == [r.seq for r in rows], f"cat: {len(lines)} lines, {len(rows)} rows"
    commits = [t["commit"] for t in lines]
    assert commits == sorted(commits), "cat: commits out of order"
    path = car.replica()
    for table, name in zip(KEYED, quoted):
        live = [r for r in compare.replica_rows(path, table) if not r["__deleted"]]
        compare.tables_equal(pg, live, name, "replica")
    assert not [r for r in compare.replica_rows(path, "shop.hard") if r["__deleted"]], "hard deletes leave nothing"
    assert [r for r in compare.replica_rows(path, "shop.account") if r["__deleted"]], "soft ones do"
    got = car.call("fsck", "CONFIG")
    assert got.code == 0, got


def by_fields(l, pg, broker):
    """partition_by: key_fields: the partition does not depend on the key schema's id."""
    car = l.sidecar(pg, name="fields", kafka=broker, sink={"partitions": 4, "partition_by": "key_fields"},
                    capture=[{"tables": "shop.pair", "snapshot": "never"}])
    car.catch_up()
    pg.sql("insert into shop.pair select g, 'f', '' from generate_series(100, 200) g")
    car.catch_up()
    rows = car.output().rows()
    assert len(rows) == 101 and len({r.record.partition for r in rows}) == 4, rows[:3]
    for r in rows:
        assert r.record.partition == kafka.partition_of(r.record.key[5:], 4)
    l.step("partition_by: key_fields")


def messages(l, pg, broker):
    car = l.sidecar(pg, name="talk", kafka=broker,
                    capture=[{"messages": ["app.*"]}, {"tables": "shop.named", "snapshot": "never"}])
    car.catch_up()
    pg.each("select pg_logical_emit_message(true, 'app.one', 'first')", "select pg_logical_emit_message(true, 'other', 'no')",
            "begin; insert into shop.named values (900, 'm'); select pg_logical_emit_message(true, 'app.two', 'in it'); commit")
    car.catch_up()
    rows = car.output().rows()
    got = [(r.table, r.op, r.cells.get("content")) for r in rows]
    assert got == [("_sidestream._messages", "m", b"first"), ("shop.named", "c", None), ("_sidestream._messages", "m", b"in it")], got
    assert all(r.record.key is None for r in rows if r.op == "m")
    l.step("messages")


lab.run(main)
