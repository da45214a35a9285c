#!/usr/bin/env python3
"""Without this a sink that stands still would let the sidecar eat the machine's memory beside a production database: it
stays flat, and what waits on the server is not lost.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import os  # noqa: E402
import time  # noqa: E402

from sidestream_test import compare, lab, lake, oracle, wait, workload  # noqa: E402

SECONDS = int(os.environ.get("SIDESTREAM_STALL_SECONDS", "25"))
LIMIT = 96 << 20


def settled(car, idle):
    """What it holds once it takes no more: far more than before, and the same for three seconds."""
    seen = []

    def steady():
        seen.append(car.memory("VmRSS"))
        last = seen[-30:]
        return len(last) == 30 and last[0] > idle + (16 << 20) and max(last) - min(last) < 1 << 20
    wait.until("its memory to be full", steady, 90, 0.1)
    return seen[-1]


def main(l):
    pg = l.postgres()
    pg.sql(workload.SCHEMA)
    env, flag = l.stall()
    car = l.sidecar(pg).start(env=env).wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    time.sleep(1)
    idle = car.memory("VmRSS")
    l.step(f"idle: {idle >> 20} MiB")
    assert idle < 32 << 20, f"idle: {idle >> 20} MiB"
    pg.sql("insert into shop.txlog values ('first', 0)")
    wait.until("a commit", lambda: lake.Lake(car.lake).count() > 0)
    flag.touch()
    pg.sql("insert into shop.scratch select g, repeat(md5(g::text), 40) from generate_series(10000, 130000) g")
    before = settled(car, idle)
    l.step(f"sink stalled, 150 MB behind: {before >> 20} MiB")
    writers = workload.Writers(pg, l.seed, 2, pause=0.02).start()
    time.sleep(SECONDS)
    writers.stop()
    after, top = car.memory("VmRSS"), car.memory()
    l.step(f"{SECONDS} s later: {after >> 20} MiB, at most {top >> 20}")
    assert after - before < 4 << 20, "memory grows beside a stalled sink"
    assert top < LIMIT, f"{top >> 20} MiB resident, the limit is {LIMIT >> 20}"
    slot = pg.slot(car.slot)
    assert slot["active"], "the server gave the connection up: it was not served"
    flag.unlink()
    assert car.terminate(60) == 0
    car.catch_up()
    l.step(compare.everything(l, pg, car, events))


lab.run(main)
