#!/usr/bin/env python3
"""Without this rows of partitioned tables would be lost (a leaf attached later), doubled (leaf and root both captured), or
left behind when an update moves them: captured by the root, and by the leaves.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import compare, lab, lake, oracle, workload  # noqa: E402

BY_ROOT = [{"tables": "shop.part_*", "skip": True}, {"tables": "shop.*", "snapshot": "never"}]
BY_LEAF = [{"tables": "shop.part", "skip": True}, {"tables": "shop.*", "snapshot": "never"}]


def history(pg):
    pg.each("insert into shop.part select g, g % 3, 0, 'm' || g from generate_series(1, 30) g",
            "update shop.part set v = v + 1 where id < 10",
            "update shop.part set region = 2 where id = 1",
            "begin; update shop.part set region = 0 where id = 2; update shop.part set region = 1 where id = 2; commit",
            "delete from shop.part where id in (5, 29)",
            "insert into shop.part_2 (id, region, v, mark) values (99, 2, 1, 'straight into the leaf')",
            "update shop.part_2 set v = 7 where id = 99")


def main(l):
    for way, capture, tables in (("root", BY_ROOT, ["shop.part"]),
                                 ("leaf", BY_LEAF, ["shop.part_0", "shop.part_1", "shop.part_2"])):
        pg = l.postgres()
        pg.sql(workload.SCHEMA)
        car = l.sidecar(pg, capture=capture, source={"partitions": way}).start().wait_streaming(pg)
        events = oracle.Oracle(pg, car.slot)
        history(pg)
        writers = workload.Writers(pg, l.seed, 2, transactions=60).start().join()
        car.terminate()
        pg.sql("create table shop.part_9 partition of shop.part for values in (9)")
        car.start().wait_streaming(pg)
        pg.each("insert into shop.part values (1000, 9, 0, 'a leaf attached later')", "update shop.part set v = 1 where id = 1000",
                "update shop.part set region = 0 where id = 1000")
        car.terminate()
        car.catch_up()
        tables = tables + ["shop.part_9"] if way == "leaf" else tables
        l.step(f"by {way}: " + compare.everything(l, pg, car, events, writers, tables))
        seen = {r.table for r in lake.Lake(car.lake).rows() if r.table.startswith("shop.part")}
        assert seen == set(tables), f"by {way} came {seen}"


lab.run(main)
