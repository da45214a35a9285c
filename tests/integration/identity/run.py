#!/usr/bin/env python3
"""Without this a table whose old rows come in another form (key only, whole row, a named index) would lose deletes
or find the wrong row; and one that is switched over mid-stream would fall between two forms.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import compare, lab, oracle  # noqa: E402

SCHEMA = """create schema shop;
create table shop.dflt (id int primary key, u text not null, v int);
create table shop.whole (id int primary key, u text not null, v int);
alter table shop.whole replica identity full;
create table shop.indexed (id int primary key, u text not null, v int);
create unique index indexed_u on shop.indexed (u);
alter table shop.indexed replica identity using index indexed_u;
create table shop.nopk (u text not null unique, v int);
alter table shop.nopk replica identity using index nopk_u_key;
create table shop.switched (id int primary key, u text not null, v int);
"""


def main(l):
    pg = l.postgres()
    pg.sql(SCHEMA)
    car = l.sidecar(pg).start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    for t in ("shop.dflt", "shop.whole", "shop.indexed", "shop.switched"):
        pg.each(f"insert into {t} select g, 'u' || g, g from generate_series(1, 9) g",
                f"update {t} set v = v + 1 where id < 5",
                f"update {t} set u = u || 'x' where id = 3",
                f"delete from {t} where id in (1, 9)")
    pg.each("insert into shop.nopk values ('a', 1), ('b', 2)", "update shop.nopk set v = 3 where u = 'a'",
            "update shop.nopk set u = 'c' where u = 'b'", "delete from shop.nopk where u = 'a'")
    l.step("identity changed mid-stream")
    pg.each("alter table shop.switched replica identity full", "update shop.switched set v = 100 where id = 2",
            "delete from shop.switched where id = 4", "alter table shop.switched replica identity default",
            "update shop.switched set v = 101 where id = 2", "delete from shop.switched where id = 5")
    car.terminate()
    car.catch_up()
    l.step(compare.everything(l, pg, car, events))


lab.run(main)
