#!/usr/bin/env python3
"""Without this a replica would drift from its source: after random histories, brought up to date in pieces, with soft and
hard deletes, it equals the source, and deleted rows keep their last values and never come back.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import time  # noqa: E402

from sidestream_test import compare, lab, lake, oracle, workload  # noqa: E402

TABLES = ["shop.account", "shop.item", "shop.code", "shop.scratch", "shop.txlog"]


def main(l):
    pg = l.postgres()
    pg.sql(workload.SCHEMA + "create table shop.hard (id int primary key, v text); "
           "create table shop.append (id int primary key, v text)")
    capture = [{"tables": "shop.hard", "deletes": "hard", "snapshot": "never"},
               {"tables": "shop.append", "deletes": "append", "snapshot": "never"},
               {"tables": "shop.part*", "skip": True},
               {"tables": "shop.*", "snapshot": "never"}]
    car = l.sidecar(pg, capture=capture).start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    writers = workload.Writers(pg, l.seed, 3).start()
    for _ in range(5):
        time.sleep(0.8)
        car.replica()  # of whatever is there
    pg.each("insert into shop.hard values (1, 'a'), (2, 'b'), (3, 'c')", "update shop.hard set v = 'aa' where id = 1",
            "delete from shop.hard where id = 2", "update shop.hard set id = 30 where id = 3",
            "insert into shop.append values (1, 'a'), (2, 'b')", "update shop.append set v = 'aa' where id = 1",
            "delete from shop.append where id = 2", "truncate shop.append")
    writers.stop()
    assert car.terminate() == 0
    car.catch_up()
    l.step(compare.everything(l, pg, car, events, writers, tables=TABLES))
    fresh = car.replica(car.folder / "fresh.db")
    deletes(l, car, events.events(), fresh)
    compare.replica(pg, fresh, TABLES + ["shop.hard"])
    for table in TABLES + ["shop.hard", "shop.append"]:
        a, b = (sorted(map(repr, compare.replica_rows(p, table))) for p in (car.folder / "replica.db", fresh))
        assert a == b, f"{table}: built in pieces and built at once differ"
    l.step("built in pieces and at once: the same")


def deletes(l, car, events, path):
    hard = compare.replica_rows(path, "shop.hard")
    assert sorted((r["id"], r["v"]) for r in hard) == [(1, "aa"), (30, "c")], hard
    append = [r["__op"] for r in compare.replica_rows(path, "shop.append")]
    assert sorted(append) == ["c", "c", "d", "t", "u"], append
    # Every key that ever was is there, alive or marked.
    ever = {e.new["id"] for e in events if e.table == "shop.account" and e.new}
    there = {str(r["id"]) for r in compare.replica_rows(path, "shop.account")}
    assert there == ever, (sorted(ever - there)[:5], sorted(there - ever)[:5])
    # A deleted item (identity FULL) keeps its last values.
    last = {}
    for row in lake.Lake(car.lake).rows("shop.item"):
        last[row.cells["a"], row.cells["b"]] = row
    for r in compare.replica_rows(path, "shop.item"):
        row = last[r["a"], r["b"]]
        assert bool(r["__deleted"]) == row.cells["__deleted"], r
        assert (r["qty"], r["mark"], r["body"]) == tuple(row.cells[c] for c in ("qty", "mark", "body")), r
        assert (r["__deleted_at"] is not None) == bool(r["__deleted"]), r


lab.run(main)
