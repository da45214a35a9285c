#!/usr/bin/env python3
"""Without this the loss of a primary would end the capture, or let it go on over a gap: the standby is promoted under load, its
synchronised slot (PostgreSQL 17) is used behind the same address, and everything the new primary has is there once; a standby
that lacks what was already emitted is refused.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import os  # noqa: E402
import random  # noqa: E402
import time  # noqa: E402

from sidestream_test import compare, lab, lake, oracle, proxy, wait, workload  # noqa: E402

STANDBY = ["hot_standby_feedback = on", "sync_replication_slots = on"]


def pair(l, version, conf=()):
    pg = l.postgres(version=version, conf=["wal_sender_timeout = 5s", *conf])
    pg.sql("select pg_create_physical_replication_slot('phys')")
    standby = l.postgres(version=version, conf=STANDBY, start=False).standby_of(pg, "phys")
    return pg, standby.start()


def synced(pg, standby, slots):
    """Until every slot would outlive a promotion: a slot is kept by the standby once it has advanced beyond what that
    has reserved. Ours advances by its idle positions, the oracle's by hand: so before there is anything to capture."""
    def there():
        pg.each("create table if not exists public.traffic ()", "drop table public.traffic", "select pg_log_standby_snapshot()")
        if "oracle" in slots:
            pg.sql("select pg_replication_slot_advance('oracle', pg_current_wal_flush_lsn())")
        rows = standby.sql("select slot_name from pg_replication_slots where synced and not temporary")
        return {r[0] for r in rows} >= set(slots)
    wait.until("the slots on the standby", there, 90, 0.5)


def incarnations(car):
    return sorted({r.place()[0] for r in lake.Lake(car.lake).rows()})


def main(l):
    version = max(17, int(os.environ.get("SIDESTREAM_PG", 17)))
    r = random.Random(l.seed)
    for _ in range(max(1, l.rounds // 25)):
        taken_over(l, version, r)
    behind(l, version)


def taken_over(l, version, r):
    pg, standby = pair(l, version, ["synchronized_standby_slots = 'phys'"])
    pg.sql(workload.SCHEMA)
    net = proxy.Proxy(pg.port)
    l.undo.append(net.close)
    car = l.sidecar(pg, url=pg.url(port=net.port), source={"failover": True},
                    sink={"commit_interval": "50ms", "idle_interval": "1s"})
    car.start().wait_streaming(pg)
    pg.sql("select pg_create_logical_replication_slot('oracle', 'pgoutput', false, false, true)")
    events = oracle.Oracle(pg, car.slot, make=False)
    synced(pg, standby, [car.slot, "oracle"])
    l.step("both slots are on the standby")
    writers = workload.Writers(pg, l.seed, 3, pause=0.01).start()
    time.sleep(1 + r.random())
    wait.until("rows from the old primary", lambda: incarnations(car) == [1])
    pg.crash()
    writers.stop()
    if r.random() < 0.5:
        car.kill9()
        car.start()
        l.step("the sidecar was killed, too")
    standby.promote()
    standby.sql("alter system set synchronized_standby_slots = ''")  # its standby is yet to be made
    standby.reload()
    net.retarget(standby.port)
    folder = lake.Lake(car.lake)
    writers = workload.Writers(standby, f"{l.seed}-after", 3, pause=0.01).start()
    wait.until("rows from the new primary", lambda: incarnations(car)[-1:] == [2], 60, 0.3)
    assert car.alive(), f"must go on by itself, not end with {car.process.returncode}\n{car.log()[-2000:]}"
    time.sleep(1)
    car.kill9()
    writers.stop()
    car.catch_up()
    net.close()
    events.pg = standby
    l.step(compare.everything(l, standby, car, events))
    assert incarnations(car) == [1, 2], incarnations(car)
    compare.transactions(standby, folder.rows(), None)
    standby.stop("immediate")


def behind(l, version):
    """The standby is down while more is emitted: promoted, it has another history."""
    pg, standby = pair(l, version)
    pg.sql("create schema shop; create table shop.t (id int primary key, v text)")
    net = proxy.Proxy(pg.port)
    l.undo.append(net.close)
    car = l.sidecar(pg, url=pg.url(port=net.port), source={"failover": True}, sink={"idle_interval": "1s"})
    car.start().wait_streaming(pg)
    pg.sql("insert into shop.t values (1, 'on both')")
    synced(pg, standby, [car.slot])
    car.terminate()
    car.catch_up()
    standby.stop()
    pg.sql("insert into shop.t values (2, 'only on the old one')")
    car.catch_up()
    pg.crash()
    standby.start()
    standby.promote()
    standby.sql("create table public.noise as select repeat('x', 500) v from generate_series(1, 20000)")  # beyond our position
    standby.sql("insert into shop.t values (3, 'another history')")
    net.retarget(standby.port)
    got = car.call("run", "CONFIG", "--until-caught-up", timeout=60)
    assert got.code == 3 and "timeline" in got.err, got
    assert [r.cells["id"] for r in lake.Lake(car.lake).rows()] == [1, 2]
    l.step("a standby without what was emitted: refused")


lab.run(main)
