#!/usr/bin/env python3
"""Without this a bad network would lose, double or stop changes: messages torn in the middle, one direction dead, everything late
or a few bytes at a time; the sidecar stays, connects again where it must, and everything is there once.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import random  # noqa: E402

from sidestream_test import compare, lab, lake, oracle, proxy, soak, wait, workload  # noqa: E402


def main(l):
    r = random.Random(l.seed)
    pg = l.postgres()
    pg.sql(workload.SCHEMA)
    net = proxy.Proxy(pg.port)
    l.undo.append(net.close)
    url = pg.url(port=net.port) + "?options=-c%20wal_sender_timeout%3D4s"
    car = l.sidecar(pg, url=url, sink={"commit_interval": "50ms"}).start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    writers = workload.Writers(pg, l.seed, 2, pause=0.02).start()
    folder = lake.Lake(car.lake)
    for how in list(soak.NETWORK) * max(1, l.rounds // len(soak.NETWORK)):
        soak.NETWORK[how](net, r)
        net.calm()
        if how.startswith("swallow"):
            net.cut()
        rows = folder.count()
        wait.until(f"rows after {how}", lambda: folder.count() > rows + 5, 60, 0.1)
        assert car.alive(), f"{how}: must go on, not end with {car.process.returncode}\n{car.log()[-1500:]}"
        l.step(f"{how}: went on")
    writers.stop()
    assert car.terminate() == 0
    car.catch_up()
    l.step(compare.everything(l, pg, car, events, writers))


lab.run(main)
