#!/usr/bin/env python3
"""Without this a kill -9 at a bad moment would lose or double changes: the sidecar and the replica are killed at random
instants beside concurrent writers, and everything committed is there once, in order.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import random  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402

from sidestream_test import compare, lab, oracle, sidecar, workload  # noqa: E402


def main(l):
    rounds = l.rounds or 15
    r = random.Random(l.seed)
    l.step(f"seed {l.seed}, {rounds} rounds")
    # Histories of 25 kills each: what was read so far is compared as a whole, so it must stay small.
    while rounds > 0:
        one_history(l, r, min(rounds, 25))
        rounds -= 25


def one_history(l, r, kills):
    pg = l.postgres(conf=["wal_sender_timeout = 5s"])
    pg.sql(workload.SCHEMA)
    interval = r.choice(["0", "20ms", "200ms"])
    car = l.sidecar(pg, sink={"commit_interval": interval}).start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    writers = workload.Writers(pg, f"{l.seed}-{len(l.servers)}", 3, pause=0.005).start()
    replica = None
    for _ in range(kills):
        time.sleep(r.choice([0.02, 0.1, 0.4, 1.2]) * r.random())
        if replica is None or r.random() < 0.5:
            if replica is not None:
                replica.kill()
                replica.wait()
            replica = subprocess.Popen([sidecar.BINARY, "replica", car.config, "--to", car.folder / "replica.db"],
                                       stdin=subprocess.DEVNULL, stderr=open(car.folder / "replica.log", "ab"))
            time.sleep(0.3 * r.random())
        assert car.alive(), f"ended by itself with {car.process.returncode}"
        car.kill9()
        car.start()
    replica.kill()
    replica.wait()
    writers.stop()
    car.kill9()
    car.catch_up()
    l.step(f"{kills} kills, commits every {interval}: " + compare.everything(l, pg, car, events, writers))
    pg.stop("fast")


lab.run(main)
