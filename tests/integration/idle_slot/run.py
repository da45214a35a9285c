#!/usr/bin/env python3
"""Without this an idle pipeline would make the server keep its log until the disk is full: the slot moves on while only
other tables change, and nothing of ours is lost by it.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import compare, lab, lake, oracle, wait  # noqa: E402


def main(l):
    pg = l.postgres()
    pg.sql("create schema shop; create schema other; create table shop.t (id int primary key, v text); "
           "create table other.noise (id int, v text)")
    car = l.sidecar(pg, sink={"idle_interval": "1h", "idle_bytes": "16MiB"}).start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    pg.sql("insert into shop.t values (1, 'before')")
    wait.until("the row in the lake", lambda: lake.Lake(car.lake).count() == 1)
    before = pg.slot(car.slot)["confirmed_flush_lsn"]
    for i in range(10):
        pg.sql("insert into other.noise select g, repeat(md5(g::text), 30) from generate_series(1, 12000) g")
    end = pg.wal_end()
    l.step(f"{(end - before) >> 20} MiB of other tables' log")
    wait.until("the slot to follow, for the bytes that went by",
               lambda: pg.slot(car.slot)["confirmed_flush_lsn"] > end - (32 << 20), 30, 0.2)
    assert car.terminate() == 0
    car.settings["sink"].update(idle_interval="1s", idle_bytes="1GiB")
    car.write_config()
    car.start().wait_streaming(pg)
    pg.sql("insert into other.noise values (0, 'a little')")
    little = pg.wal_end()
    pg.sql("checkpoint")  # restart_lsn moves at its record of running transactions, once that is confirmed
    wait.until("the slot to follow, for the time that went by", lambda: pg.slot(car.slot)["confirmed_flush_lsn"] >= little, 30, 0.2)
    wait.until("the log to be released", lambda: pg.slot(car.slot)["restart_lsn"] > before + (16 << 20), 30, 0.5)
    kinds = [c["kind"] for c in lake.Lake(car.lake).commits()]
    assert "idle" in kinds, f"the position was acknowledged without a commit of its own: {kinds}"
    l.step("log released, idle commits made")
    floor = pg.slot(car.slot)["confirmed_flush_lsn"]
    car.kill9()
    pg.sql("insert into shop.t values (2, 'while it was dead')")
    car.start().wait_streaming(pg)
    assert pg.slot(car.slot)["confirmed_flush_lsn"] >= floor
    assert car.terminate() == 0
    car.catch_up()
    l.step(compare.everything(l, pg, car, events))


lab.run(main)
