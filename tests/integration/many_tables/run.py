#!/usr/bin/env python3
"""Without this a pipeline over hundreds of tables would mix up relations or schemas, or run out of files or memory:
every table has other columns, all are written in the same transactions.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import compare, lab, lake, oracle  # noqa: E402

N = 300


def main(l):
    pg = l.postgres(conf=["max_locks_per_transaction = 512"])
    pg.sql("create schema shop; " + "".join(
        f"create table shop.t{i:03} (id int primary key, c{i} text, n{i % 7} int); " for i in range(N)))
    car = l.sidecar(pg, sink={"commit_interval": "1s"}).start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    for round in range(4):
        pg.sql("".join(f"insert into shop.t{i:03} values ({round}, 'r{round}t{i}', {i}); "
                       f"update shop.t{i:03} set n{i % 7} = n{i % 7} + 1; " for i in range(N)))
    used = car.memory()
    car.terminate()
    car.catch_up()
    l.step(compare.everything(l, pg, car, events))
    assert len({r.table for r in lake.Lake(car.lake).rows()}) == N
    l.step(f"{used >> 20} MiB at most")
    assert used < 96 << 20, f"{used >> 20} MiB resident"


lab.run(main)
