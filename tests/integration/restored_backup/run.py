#!/usr/bin/env python3
"""Without this a database restored from a backup would be read as if nothing had happened, and the lake would hold changes that
no longer exist: its end lies before our position, or the transaction at our position never comes, and it is refused.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import shutil  # noqa: E402

from sidestream_test import lab, lake  # noqa: E402


def main(l):
    pg = l.postgres()
    pg.sql("create schema shop; create table shop.t (id int primary key, v text)")
    car = l.sidecar(pg)
    car.catch_up()
    pg.sql("insert into shop.t values (1, 'before the backup')")
    car.catch_up()
    pg.stop()
    l.copy_owned(pg.base / "data", pg.base / "backup")
    pg.start()
    pg.sql("insert into shop.t select g, 'after it' from generate_series(10, 40) g")
    car.catch_up()
    before = ids(car)
    assert len(before) == 32
    restore(l, pg)
    refused(l, car, before, "beyond the end of the server's log")
    l.step("restored, and shorter than our position: refused")
    pg.sql("insert into shop.t values (2, 'another history')")
    pg.sql("create table public.noise as select repeat('x', 500) v from generate_series(1, 20000)")
    pg.sql("insert into shop.t values (3, 'more of it')")
    refused(l, car, before, "was not sent again")
    l.step("restored, and written beyond our position: refused")
    # The running sidecar meets it, too.
    restore(l, pg)
    car.start()
    assert car.wait(30) == 3 and ids(car) == before, car.log()[-2000:]


def ids(car):
    return [r.cells["id"] for r in lake.Lake(car.lake).rows()]


def restore(l, pg):
    pg.stop()
    shutil.rmtree(pg.base / "data")
    l.copy_owned(pg.base / "backup", pg.base / "data")
    pg.start()


def refused(l, car, before, words):
    for _ in range(2):
        got = car.call("run", "CONFIG", "--until-caught-up", timeout=60)
        assert got.code == 3 and words in got.err, got
        assert ids(car) == before, "nothing of the other history may be written"


lab.run(main)
