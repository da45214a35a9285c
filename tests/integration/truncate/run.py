#!/usr/bin/env python3
"""Without this rows that TRUNCATE removed would live on in every copy, or rows inserted after it in the same transaction
would die with them.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import compare, lab, lake, oracle  # noqa: E402


def main(l):
    pg = l.postgres()
    pg.sql("create schema shop; create schema other; create table shop.a (id int primary key, v int); "
           "create table shop.b (id int primary key, a int references shop.a); create table shop.c (id int primary key); "
           "create table other.x (id int primary key)")
    car = l.sidecar(pg).start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    pg.each("insert into shop.a select g, g from generate_series(1, 50) g", "insert into shop.b values (1, 1)",
            "insert into shop.c values (1), (2)", "insert into other.x values (1)",
            "begin; delete from shop.c where id = 1; truncate shop.a, shop.b, other.x; insert into shop.a values (3, 33); "
            "update shop.a set v = 34; commit",
            "begin; truncate shop.c; rollback",
            "truncate shop.a cascade",
            "insert into shop.a values (4, 4)", "insert into shop.b values (2, 4)",
            "truncate shop.c", "truncate shop.c")
    car.terminate()
    car.catch_up()
    l.step(compare.everything(l, pg, car, events, tables=["shop.a", "shop.b", "shop.c"]))
    marks = [r for r in lake.Lake(car.lake).rows() if r.op == "t"]
    assert len({r.seq for r in marks if r.table in ("shop.a", "shop.b")}) == 2, "one number for all tables of a TRUNCATE"
    assert all(v is None for r in marks for k, v in r.cells.items() if not k.startswith("__")), "a t has no values"
    deleted = [r for r in compare.replica_rows(car.folder / "replica.db", "shop.a") if r["__deleted"]]
    assert len(deleted) == 49, f"{len(deleted)} soft-deleted rows"
    assert {r["__delete_reason"] for r in deleted} == {"truncate"}, "the reason"
    assert all(r["v"] == (34 if r["id"] == 3 else r["id"]) for r in deleted), "last values are kept"


lab.run(main)
