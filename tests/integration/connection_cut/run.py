#!/usr/bin/env python3
"""Without this a lost connection would lose or double the transaction it was cut in: the walsender is ended, the
network cut, and swallowed for longer than the server waits.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import random  # noqa: E402
import time  # noqa: E402

from sidestream_test import compare, lab, lake, oracle, proxy, wait, workload  # noqa: E402


def main(l):
    r = random.Random(l.seed)
    pg = l.postgres(conf=["wal_sender_timeout = 2s"])
    pg.sql(workload.SCHEMA)
    net = proxy.Proxy(pg.port)
    l.undo.append(net.close)
    car = l.sidecar(pg, url=pg.url(port=net.port), sink={"commit_interval": "50ms"}).start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    writers = workload.Writers(pg, l.seed, 3, pause=0.005).start()
    folder = lake.Lake(car.lake)
    for round in range(l.rounds or 7):
        time.sleep(0.5 * r.random())
        how = ["terminate", "cut", "hole", "refuse"][round % 4]
        if how == "terminate":
            pg.sql("select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = %s", [car.slot])
        elif how == "cut":
            net.cut()
        elif how == "hole":
            net.hole.set()
            time.sleep(5)  # the server gives the connection up meanwhile
            net.cut()
            net.hole.clear()
        else:
            net.refuse = True
            net.cut()
            time.sleep(1.5)
            net.refuse = False
        assert car.alive(), f"must connect again, not end with {car.process.returncode}\n{car.log()[-1500:]}"
        rows = folder.count()
        wait.until(f"rows after {how}", lambda: folder.count() > rows + 5, 60, 0.1)
        l.step(f"{how}: went on")
    writers.stop()
    assert car.terminate() == 0
    car.catch_up()
    l.step(compare.everything(l, pg, car, events, writers))


lab.run(main)
