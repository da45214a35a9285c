#!/usr/bin/env python3
"""Without this a promoted server would be read as if nothing had happened: behind the switch of the timeline the pipeline goes
on with a new incarnation, and where the new server lacks what was already emitted it refuses.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import os  # noqa: E402
import shutil  # noqa: E402
import subprocess  # noqa: E402

from sidestream_test import lab, lake, wait  # noqa: E402


def promote(pg):
    """The same data folder as a standby, promoted: a new timeline, its slots kept."""
    flag = pg.base / "data/standby.signal"
    flag.touch()
    if os.getuid() == 0:
        shutil.chown(flag, "postgres")
    pg.start()
    pg.sql("select pg_promote()")
    wait.until("promotion", lambda: not pg.value("select pg_is_in_recovery()"))


def main(l):
    pg = l.postgres(version=17)  # before 16 a standby does not start with a logical slot
    pg.sql("create schema shop; create table shop.t (id int primary key, v text)")
    car = l.sidecar(pg)
    car.catch_up()
    pg.sql("insert into shop.t values (1, 'before')")
    car.catch_up()
    pg.stop()
    promote(pg)
    pg.sql("insert into shop.t values (2, 'after')")
    pg.sql("update shop.t set v = 'later' where id = 1")
    car.catch_up()
    car.catch_up()
    rows = list(lake.Lake(car.lake).rows())
    assert [(r.op, r.cells["id"]) for r in rows] == [("c", 1), ("c", 2), ("u", 1)], rows
    assert [r.place()[0] for r in rows] == [1, 2, 2] or rows[1].place()[0] == rows[0].place()[0] + 1, [r.seq for r in rows]
    assert [r.seq for r in rows] == sorted(r.seq for r in rows)
    l.step("promoted: one incarnation more, nothing lost")
    lost_history(l, pg, car)


def lost_history(l, pg, car):
    pg.stop()
    shutil.copytree(pg.base / "data", pg.base / "copy", symlinks=True)
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", "postgres", pg.base / "copy"], check=True)
    (pg.base / "copy").chmod(0o700)
    pg.start()
    pg.sql("insert into shop.t select g, 'only on the old one' from generate_series(10, 20) g")
    car.catch_up()
    pg.stop()
    shutil.rmtree(pg.base / "data")
    (pg.base / "copy").rename(pg.base / "data")
    promote(pg)
    pg.sql("create table public.noise as select repeat('x', 500) v from generate_series(1, 20000)")  # beyond our position
    pg.sql("insert into shop.t values (3, 'another history')")
    got = car.call("run", "CONFIG", "--until-caught-up", timeout=60)
    assert got.code == 3 and "timeline" in got.err, got
    assert len(list(lake.Lake(car.lake).rows())) == 3 + 11, "nothing of the other history may be written"
    l.step("promoted from before our position: refused")


lab.run(main)
