#!/usr/bin/env python3
"""Without this a lost slot would become a silent gap: over max_slot_wal_keep_size, or dropped, while the sidecar runs or while it
does not, it ends with 3, says what to do, and never makes a new slot by itself.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import lab, lake, wait  # noqa: E402

TABLE = "create schema if not exists shop; create table if not exists shop.t (id serial primary key, v text)"


def main(l):
    pg = l.postgres(conf=["max_slot_wal_keep_size = 1MB", "min_wal_size = 32MB", "wal_keep_size = 0"])
    pg.sql(TABLE)
    kept_too_long(l, pg)
    while_running(l, pg)
    dropped(l, pg)


def pipeline(l, pg, name):
    car = l.sidecar(pg, name=name)
    car.catch_up()
    pg.sql("insert into shop.t (v) values (%s)", [name])
    car.catch_up()
    pg.wait_slot_free(car.slot)  # the server may notice later that we have gone
    return car


def refused(car, *words):
    rows = lake.Lake(car.lake).count()
    for _ in range(2):
        got = car.call("run", "CONFIG", "--until-caught-up", timeout=60)
        assert got.code == 3 and all(w in got.err for w in words), got
    assert lake.Lake(car.lake).count() == rows


def overrun(pg, name):
    """Until the checkpointer gives the slot up."""
    def lost():
        pg.sql("create table public.noise as select repeat('x', 1000) v from generate_series(1, 40000)")
        pg.sql("drop table public.noise")
        pg.sql("select pg_switch_wal()")
        pg.sql("checkpoint")
        return pg.slot(name)["wal_status"] == "lost"
    wait.until("the slot to be lost", lost, 60)


def kept_too_long(l, pg):
    car = pipeline(l, pg, "kept")
    overrun(pg, car.slot)
    refused(car, car.slot, "invalidated", "max_slot_wal_keep_size")
    l.step("lost while nothing ran: refused")


def while_running(l, pg):
    """Its sink stands still, so the slot does not move; the server ends the session when it gives the slot up."""
    car = pipeline(l, pg, "running")
    env, flag = l.stall()
    car.start(env=env).wait_streaming(pg)
    flag.touch()
    pg.sql("insert into shop.t (v) values ('stuck')")
    overrun(pg, car.slot)
    flag.unlink()
    assert car.wait(60) == 3 and "invalidated" in car.log()[-3000:], car.log()[-3000:]
    refused(car, car.slot)
    l.step("lost while running: ended with 3")


def dropped(l, pg):
    car = pipeline(l, pg, "dropped")
    pg.sql("select pg_drop_replication_slot(%s)", [car.slot])
    refused(car, car.slot, "does not exist any more", "changes are missing")
    assert pg.slot(car.slot) is None, "a slot was made silently"
    l.step("dropped: refused")
    car = pipeline(l, pg, "dropped_live")
    car.start().wait_streaming(pg)
    pg.sql("select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = %s", [car.slot])

    def drop():
        try:
            pg.sql("select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = %s and active_pid > 0",
                   [car.slot])
            pg.sql("select pg_drop_replication_slot(%s)", [car.slot])
        except Exception:
            return False
        return True
    wait.until("the slot to be dropped", drop, 20)
    assert car.wait(30) == 3, car.log()[-2000:]
    assert pg.slot(car.slot) is None
    l.step("dropped beside a running one: ended with 3")


lab.run(main)
