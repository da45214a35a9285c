#!/usr/bin/env python3
"""Without this a sink that stands still would block the database's own shutdown, or what was not yet durable would be
acknowledged on the way out and be lost.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import time  # noqa: E402

from sidestream_test import compare, lab, lake, oracle, wait, workload  # noqa: E402

LIMIT = 15


def stopped_in(pg):
    began = time.monotonic()
    pg.stop("fast", LIMIT + 30)
    return time.monotonic() - began


def healthy(l, pg, car):
    writers = workload.Writers(pg, l.seed + "h", 2).start()
    time.sleep(1)
    writers.stop()
    seconds = stopped_in(pg)
    l.step(f"beside a healthy sink the server stops in {seconds:.1f} s")
    assert seconds < LIMIT, seconds
    assert car.alive(), "the sidecar must wait for the server to come back"
    pg.start()
    return writers


def stalled(l, pg, car, flag):
    """The sink hangs in fsync, with rows read and not durable, and a queue that may be full."""
    wait.until("a commit after the start", lambda: lake.Lake(car.lake).count() > 0)
    flag.touch()
    writers = workload.Writers(pg, l.seed + "s", 3).start()
    time.sleep(4)
    writers.stop()
    seconds = stopped_in(pg)
    l.step(f"beside a dead sink the server stops in {seconds:.1f} s")
    assert seconds < LIMIT, seconds
    assert car.alive(), "the sidecar must wait for the server to come back"
    pg.start()
    flag.unlink()
    return writers


def main(l):
    pg = l.postgres()
    pg.sql(workload.SCHEMA)
    env, flag = l.stall()
    car = l.sidecar(pg, memory="8MiB").start(env=env).wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    healthy(l, pg, car)
    car.wait_streaming(pg, 60)
    stalled(l, pg, car, flag)
    car.wait_streaming(pg, 60)
    assert car.terminate() == 0
    car.catch_up()
    l.step(compare.everything(l, pg, car, events))


lab.run(main)
