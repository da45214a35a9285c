#!/usr/bin/env python3
"""Without this tables without a primary key would lose rows in the replica: with `key:` they are followed by it, without
any key every record is kept; and a value that its type cannot hold stops or is marked, as the rule says.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import compare, lab, lake  # noqa: E402

SCHEMA = """create schema shop;
create table shop.named (a int, b int, v text); alter table shop.named replica identity full;
create table shop.bare (a int, v text); alter table shop.bare replica identity full;
create table shop.dates (id int primary key, d date, n numeric(8,2));
"""


def main(l):
    pg = l.postgres()
    pg.sql(SCHEMA)
    capture = [{"tables": "shop.named", "key": ["a", "b"], "snapshot": "never"}, {"tables": "shop.*", "snapshot": "never"}]
    car = l.sidecar(pg, capture=capture)
    car.catch_up()
    pg.each("insert into shop.named values (1, 1, 'x'), (1, 2, 'y'), (2, 1, 'z')", "update shop.named set v = 'xx' where a = 1 and b = 1",
            "update shop.named set b = 7 where a = 1 and b = 2", "delete from shop.named where a = 2",
            "insert into shop.bare values (1, 'twice'), (1, 'twice')", "update shop.bare set v = 'new'", "delete from shop.bare")
    car.catch_up()
    path = car.replica()
    live = [r for r in compare.replica_rows(path, "shop.named") if not r["__deleted"]]
    compare.tables_equal(pg, live, "shop.named", "replica")
    halves = [(r.op, r.cells["b"]) for r in lake.Lake(car.lake).rows("shop.named") if r.cells["a"] == 1 and r.cells["b"] in (2, 7)]
    assert halves == [("c", 2), ("d", 2), ("c", 7)], halves
    ops = [r["__op"] for r in compare.replica_rows(path, "shop.bare")]
    assert sorted(ops) == ["c", "c", "d", "d", "u", "u"], ops
    l.step("with key: followed; without: every record kept")
    invalid(l, pg, car)


def invalid(l, pg, car):
    pg.each("insert into shop.dates values (1, '2024-01-01', 1)", "insert into shop.dates values (2, 'infinity', 2)",
            "insert into shop.dates values (3, '20001-01-01', 'NaN')")
    got = car.call("run", "CONFIG", "--until-caught-up", timeout=60)
    assert got.code in (1, 3) and "shop.dates" in got.err and "on_invalid" in got.err, got
    car.settings["capture"].insert(0, {"tables": "shop.dates", "on_invalid": "null", "snapshot": "never"})
    car.write_config()
    car.catch_up()
    rows = [(r.cells["id"], r.cells["d"] is None, r.cells["n"] is None, r.cells["__invalid"])
            for r in lake.Lake(car.lake).rows("shop.dates")]
    assert rows == [(1, False, False, None), (2, True, False, ["d"]), (3, True, True, ["d", "n"])], rows
    l.step("a value that cannot be held: refused, then marked")


lab.run(main)
