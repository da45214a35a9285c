#!/usr/bin/env python3
"""Without this the row under the old key would live on for ever, or a swap of two keys would end in the wrong
one: an update of the key is a delete and an insert under one number, in that order.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import compare, lab, lake, oracle  # noqa: E402

SCHEMA = """create schema shop;
create table shop.a (id int primary key, v text);
create table shop.pair (x int, y text, v text, primary key (y, x));
create table shop.whole (id int primary key, v text);
alter table shop.whole replica identity full;
"""


def main(l):
    pg = l.postgres()
    pg.sql(SCHEMA)
    car = l.sidecar(pg).start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    for t in ("shop.a", "shop.whole"):
        pg.each(f"insert into {t} select g, 'v' || g from generate_series(1, 10) g",
                f"update {t} set id = 101 where id = 1",
                f"update {t} set id = 1, v = 'back' where id = 101",
                f"begin; update {t} set id = -2 where id = 2; update {t} set id = 2 where id = 3; "
                f"update {t} set id = 3 where id = -2; commit",
                f"begin; delete from {t} where id = 4; insert into {t} values (4, 'again'); commit",
                f"begin; update {t} set id = 55 where id = 5; delete from {t} where id = 55; "
                f"insert into {t} values (5, 'third'); commit",
                f"update {t} set id = id where id = 6",
                f"update {t} set id = id + 1000 where id > 6")
    pg.each("insert into shop.pair values (1, 'p', 'one'), (2, 'p', 'two')", "update shop.pair set x = 3 where x = 1",
            "update shop.pair set y = 'q\"\\ü' where x = 2", "update shop.pair set v = 'new' where x = 2")
    car.terminate()
    car.catch_up()
    l.step(compare.everything(l, pg, car, events))
    halves = [r for r in lake.Lake(car.lake).rows("shop.a") if r.cells["id"] in (1, 101)][1:]
    assert [(r.op, r.cells["id"]) for r in halves] == [("d", 1), ("c", 101), ("d", 101), ("c", 1)], halves
    assert halves[0].seq == halves[1].seq and halves[2].seq == halves[3].seq, "two numbers for one raw row"


lab.run(main)
