#!/usr/bin/env python3
"""Without this rows around an ALTER TABLE would be read with the wrong columns or be lost: columns are added, dropped,
renamed and retyped between and inside transactions, beside open writers, and across a restart.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import compare, lab, lake, oracle  # noqa: E402


def main(l):
    pg = l.postgres()
    pg.sql("create schema shop; create table shop.t (id int primary key, a int, b text)")
    car = l.sidecar(pg).start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    pg.each("insert into shop.t values (1, 1, 'one'), (2, 2, 'two')",
            "alter table shop.t add c text default 'dflt'",
            "insert into shop.t values (3, 3, 'three', 'c3')",
            "begin; insert into shop.t values (4, 4, 'four', 'c4'); alter table shop.t add d int; "
            "insert into shop.t values (5, 5, 'five', 'c5', 55); alter table shop.t rename a to aa; "
            "insert into shop.t values (6, 6, 'six', 'c6', 66); commit",
            "begin; alter table shop.t add lost int; insert into shop.t (id, lost) values (7, 7); rollback",
            "update shop.t set c = 'now' where id = 1",
            "alter table shop.t drop b",
            "insert into shop.t values (8, 8, 'c8', 88)")
    car.terminate()
    l.step("retyped while the sidecar is away")
    pg.each("alter table shop.t alter aa type bigint", "insert into shop.t values (9, 9000000000, 'c9', 99)",
            "alter table shop.t add e numeric(10,2)", "insert into shop.t values (10, 10, 'c10', 1, 1.50)",
            "create table shop.late (id int primary key, v text)")
    car.start().wait_streaming(pg)
    pg.each("update shop.t set e = 2.25 where id = 9", "delete from shop.t where id = 3")
    car.terminate()
    car.catch_up()
    # The log is the oracle; the source's present rows are not: a fast default and the dropped column are no changes.
    keys = {"shop.t": ["id"]}
    found = [e for e in events.events() if e.table == "shop.t"]
    rows = list(lake.Lake(car.lake).rows("shop.t"))
    n = compare.history(rows, found, keys)
    columns = [sorted(c for c in r.cells if not c.startswith("__")) for r in rows]
    by_id = {r.cells["id"]: c for r, c in zip(rows, columns) if r.op == "c"}
    assert by_id[1] == ["a", "b", "id"] and by_id[3] == ["a", "b", "c", "id"], by_id
    assert by_id[5] == ["a", "b", "c", "d", "id"] and by_id[6] == ["aa", "b", "c", "d", "id"], by_id
    assert by_id[8] == ["aa", "c", "d", "id"] and by_id[10] == ["aa", "c", "d", "e", "id"], by_id
    assert rows[[r.cells["id"] for r in rows].index(9)].cells["aa"] == 9000000000
    path = car.replica()
    got = {r["id"]: r for r in compare.replica_rows(path, "shop.t") if not r["__deleted"]}
    want = dict(pg.sql("select id, aa from shop.t"))
    assert got.keys() == want.keys(), (got.keys(), want.keys())
    assert all(got[i]["aa"] == a for i, a in want.items() if i >= 6), "values after the rename"
    assert car.call("fsck", "CONFIG").code == 0
    l.step(f"{n} rows, the right columns in each")


lab.run(main)
