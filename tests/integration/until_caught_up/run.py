#!/usr/bin/env python3
"""Without this a scheduled run would end before it has everything that was committed when it began, or never end beside
a busy database.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import time  # noqa: E402

from sidestream_test import compare, lab, lake, oracle, workload  # noqa: E402


def main(l):
    pg = l.postgres()
    pg.sql(workload.SCHEMA)
    car = l.sidecar(pg, sink={"commit_interval": "1h"})
    first = car.catch_up(60)
    l.step(f"first start, nothing to read: {first.seconds:.1f} s")
    assert pg.slot(car.slot), "the slot is made by the first run"
    events = oracle.Oracle(pg, car.slot)
    again = car.catch_up(60)
    assert again.seconds < 10, again
    writers = workload.Writers(pg, l.seed, 3).start()
    folder = lake.Lake(car.lake)
    for _ in range(4):
        time.sleep(0.7)
        pg.sql("insert into shop.scratch values (%s, 'flag') on conflict (id) do update set mark = 'flag'", [7000 + _])
        got = car.catch_up(60)
        ids = {r.cells["id"] for r in folder.rows("shop.scratch")}
        assert 7000 + _ in ids, f"ended without a row committed before it began: {got!r}"
        l.step(f"beside writers: {got.seconds:.1f} s, {folder.count()} rows")
    writers.stop()
    car.catch_up()
    l.step(compare.everything(l, pg, car, events, writers))


lab.run(main)
