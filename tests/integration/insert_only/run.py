#!/usr/bin/env python3
"""Without this a table without identity could be left out, or capturing it could break the application: under
`insert_only` its inserts and truncates arrive, each once, and its UPDATE and DELETE go on working.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import compare, lab, lake  # noqa: E402

CAPTURE = [{"tables": "shop.log_*", "snapshot": "never", "insert_only": True}, {"tables": "shop.*", "snapshot": "never"}]
PLAIN = [{"tables": "shop.log_bare", "skip": True}, {"tables": "shop.*", "snapshot": "never"}]


def published(pg):
    return {name: tables for name, tables in pg.sql(
        "select pubname, coalesce(string_agg(tablename, ',' order by tablename), '') from pg_publication "
        "left join pg_publication_tables using (pubname) group by 1")}


def ops(car, table):
    return [(r.op, r.cells.get("id")) for r in lake.Lake(car.lake).rows(table)]


def main(l):
    pg = l.postgres()
    pg.sql("create schema shop; create table shop.log_bare (id int, v text); create table shop.log_keyed (id int primary key, v text);"
           "create table shop.users (id int primary key, v text);"
           "create table shop.log_parts (id int, v text) partition by list (id);"
           "create table shop.log_parts_1 partition of shop.log_parts for values in (1, 2, 3)")
    car = l.sidecar(pg, capture=CAPTURE)
    got = car.call("check", "CONFIG")
    assert got.code == 0, f"{got!r}"
    car.start().wait_streaming(pg)
    want = {car.slot: "users", f"{car.slot}_inserts": "log_bare,log_keyed,log_parts"}
    assert published(pg) == want, published(pg)
    assert car.call("check", "CONFIG").code == 0
    both_kinds(pg)
    l.step("the application updates and deletes what has no identity")
    pg.sql("create table shop.log_late (id int)")
    assert car.terminate() == 0
    car.catch_up()
    pg.sql("insert into shop.log_late values (1); delete from shop.log_late")
    car.catch_up()
    assert ops(car, "shop.log_bare") == [("c", 1), ("c", 2), ("t", None), ("c", 3)], ops(car, "shop.log_bare")
    assert ops(car, "shop.log_keyed") == [("c", 1), ("c", 2)], ops(car, "shop.log_keyed")
    assert ops(car, "shop.log_parts") == [("c", 1)], ops(car, "shop.log_parts")
    assert ops(car, "shop.log_late") == [("c", 1)], ops(car, "shop.log_late")
    assert ops(car, "shop.users") == [("c", 1), ("u", 1), ("d", 1)], ops(car, "shop.users")
    path = car.replica()
    assert [r["id"] for r in compare.replica_rows(path, "shop.log_bare") if r["id"] and not r["__deleted"]] == [1, 2, 3]
    l.step("inserts and truncates, each once")
    change_rules(l, pg, car)
    got = car.call("drop", "CONFIG", "--yes")
    assert got.code == 0 and published(pg) == {}, f"{got!r} {published(pg)}"


def both_kinds(pg):
    pg.each("insert into shop.log_bare values (1, 'a'), (2, 'b')", "update shop.log_bare set v = 'c'", "delete from shop.log_bare",
            "truncate shop.log_bare", "insert into shop.log_bare values (3, 'd')",
            "insert into shop.log_keyed values (1, 'a'), (2, 'b')", "update shop.log_keyed set v = 'c' where id = 1",
            "delete from shop.log_keyed where id = 2", "insert into shop.log_parts values (1, 'a')", "update shop.log_parts set v = 'b'",
            "insert into shop.users values (1, 'a')", "update shop.users set v = 'b'", "delete from shop.users")


def change_rules(l, pg, car):
    """A table goes from one publication to the other, without a hole and without a row twice."""
    before = ops(car, "shop.log_keyed")
    car.settings["capture"] = PLAIN
    car.write_config()
    pg.sql("drop table shop.log_late, shop.log_parts")
    car.catch_up()
    assert published(pg) == {car.slot: "log_keyed,users", f"{car.slot}_inserts": ""}, published(pg)
    pg.each("insert into shop.log_keyed values (10, 'x')", "update shop.log_keyed set v = 'y' where id = 10")
    car.settings["capture"] = CAPTURE
    car.write_config()
    pg.each("insert into shop.log_keyed values (11, 'x')")
    car.catch_up()
    assert published(pg) == {car.slot: "users", f"{car.slot}_inserts": "log_bare,log_keyed"}, published(pg)
    pg.each("insert into shop.log_keyed values (12, 'x')", "update shop.log_keyed set v = 'y' where id = 12")
    car.catch_up()
    # The update of 10 came while the rule was insert_only again: those are not captured.
    assert ops(car, "shop.log_keyed") == before + [("c", 10), ("c", 11), ("c", 12)], ops(car, "shop.log_keyed")
    l.step("rules changed twice")


lab.run(main)
