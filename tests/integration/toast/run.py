#!/usr/bin/env python3
"""Without this an update that leaves a large value alone would write NULL over it, or lose it when the key
changes: unsent TOAST values are filled from a full old row, read again by key, or named in __unchanged.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import compare, lab, lake, oracle  # noqa: E402

BIG = "a" * 9000
SCHEMA = """create schema shop;
create table shop.plain (id int primary key, n int, body text);
create table shop.whole (id int primary key, n int, body text);
alter table shop.plain alter body set storage external;
alter table shop.whole alter body set storage external;
alter table shop.whole replica identity full;
create table shop.keyed (k text primary key, n int);
alter table shop.keyed alter k set storage external;
"""
NAMES = ["shop.plain", "shop.whole"]


def main(l):
    pg = l.postgres()
    pg.sql(SCHEMA)
    car = l.sidecar(pg).start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    for t in NAMES:
        pg.each(f"insert into {t} values (1, 0, '{BIG}'), (2, 0, null), (3, 0, 'short'), (4, 0, '{BIG}4')",
                f"update {t} set n = n + 1",
                f"update {t} set id = id + 10 where id = 1",
                f"begin; insert into {t} values (20, 0, '{BIG}20'); update {t} set n = 1 where id = 20; "
                f"update {t} set id = 21 where id = 20; update {t} set n = 2 where id = 21; commit",
                f"update {t} set body = '{BIG}new', id = 12 where id = 2",
                f"update {t} set n = 5 where id = 12",
                f"delete from {t} where id = 4",
                f"update {t} set id = 30 where id = 3; ",
                f"update {t} set body = null where id = 30")
    key = "k" * 2200
    pg.each(f"insert into shop.keyed values ('{key}', 1)", "update shop.keyed set n = 2",
            f"update shop.keyed set k = '{key}2'", "update shop.keyed set n = 3")
    l.step("the row gone before it can be read again")
    car.terminate()
    pg.each(f"insert into shop.plain values (50, 0, '{BIG}50')", "update shop.plain set id = 51 where id = 50",
            "delete from shop.plain where id = 51")
    car.catch_up()
    l.step(compare.everything(l, pg, car, events))
    rows = list(lake.Lake(car.lake).rows("shop.plain"))
    gone = [r for r in rows if r.cells["id"] == 51 and r.op == "c"]
    assert gone[0].cells["__unchanged"] == ["body"] and gone[0].cells["body"] is None, gone[0].cells
    updates = [r for r in rows if r.op == "u" and r.cells["id"] == 1]
    assert updates[0].cells["__unchanged"] == ["body"], updates[0].cells
    short = [r for r in rows if r.op == "u" and r.cells["id"] in (2, 3)]
    assert all(not r.cells["__unchanged"] for r in short), "only TOAST values are left unsent"
    full = list(lake.Lake(car.lake).rows("shop.whole"))
    assert all(not r.cells["__unchanged"] for r in full), "a full old row fills every value"


lab.run(main)
