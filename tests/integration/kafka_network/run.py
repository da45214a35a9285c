#!/usr/bin/env python3
"""Without this a bad network to the broker would lose, double or stop changes: connections reset, refused, torn in the middle,
replies swallowed; the sidecar stays, makes a new producer where it must, and everything is there once.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import random  # noqa: E402

from sidestream_test import compare, kafka, lab, oracle, soak, wait, workload  # noqa: E402

FEW = ["cut", "refused", "swallow down", "torn up", "frozen"]


def main(l):
    r = random.Random(l.seed)
    broker = l.kafka(proxied=True)
    pg = l.postgres()
    pg.sql(workload.SCHEMA)
    car = l.sidecar(pg, kafka=broker, sink={"partitions": 3}).start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    writers = workload.Writers(pg, l.seed, 2, pause=0.02).start()
    control = f"_sidestream.{car.name}"
    hows = list(soak.NETWORK) * max(1, l.rounds // len(soak.NETWORK)) if l.rounds else FEW
    for how in hows:
        soak.NETWORK[how](broker.net, r)
        broker.net.calm()
        if how.startswith("swallow"):
            broker.net.cut()
        end = kafka.stable_end(broker, control)
        wait.until(f"commits after {how}", lambda: kafka.stable_end(broker, control) > end + 5, 60, 0.1)
        assert car.alive(), f"{how}: must go on, not end with {car.process.returncode}\n{car.log()[-1500:]}"
        l.step(f"{how}: went on")
    writers.stop()
    assert car.terminate() == 0
    car.catch_up()
    l.step(f"{len(hows)} faults: " + compare.everything(l, pg, car, events, writers))


lab.run(main)
