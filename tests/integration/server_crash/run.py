#!/usr/bin/env python3
"""Without this a crash of the database would lose what was committed just before it, or let in what never was: the server
is killed and restarted under load, the sidecar stays and goes on by itself.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import random  # noqa: E402
import time  # noqa: E402

from sidestream_test import compare, lab, lake, oracle, wait, workload  # noqa: E402


def main(l):
    r = random.Random(l.seed)
    pg = l.postgres()
    pg.sql(workload.SCHEMA)
    car = l.sidecar(pg, sink={"commit_interval": r.choice(["0", "100ms"])}).start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    writers = workload.Writers(pg, l.seed, 3, pause=0.005).start()
    folder = lake.Lake(car.lake)
    for round in range(l.rounds or 4):
        time.sleep(0.5 + r.random())
        how = r.choice(["immediate", "kill", "fast"])
        if how == "kill":
            pg.crash()
        else:
            pg.stop(how)
        if r.random() < 0.3:
            car.kill9()
            car.start()
        time.sleep(r.random())
        assert car.alive(), f"must wait for the server, not end with {car.process.returncode}"
        rows = folder.count()
        pg.start()
        wait.until("rows after the restart", lambda: folder.count() > rows, 60, 0.1)
        l.step(f"{how}: went on")
    writers.stop()
    assert car.terminate() == 0
    car.catch_up()
    l.step(compare.everything(l, pg, car, events, writers))


lab.run(main)
