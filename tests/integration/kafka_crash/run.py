#!/usr/bin/env python3
"""Without this a kill -9 beside a Kafka transaction would lose or double changes: the program dies at each named point of the
sink and at random instants, and a read_committed consumer sees everything once and in order.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import random  # noqa: E402
import re  # noqa: E402
import signal  # noqa: E402
import time  # noqa: E402

from sidestream_test import ROOT, compare, lab, oracle, workload  # noqa: E402

POINTS = ["kafka.fenced", "kafka.owner", "kafka.topic_created", "kafka.begun", "kafka.produced", "kafka.before_commit",
          "kafka.after_commit"]


def in_code():
    found = set()
    for path in (ROOT / "connectors/kafka").glob("*.c"):
        found.update(re.findall(r'CDC_POINT\("([^"]+)"\)', path.read_text()))
    return found


def main(l):
    assert in_code() == set(POINTS), f"the list differs from the code: {sorted(in_code() ^ set(POINTS))}"
    r = random.Random(l.seed)
    broker = l.kafka()
    pg = l.postgres(conf=["wal_sender_timeout = 5s"])
    pg.sql(workload.SCHEMA)
    car = l.sidecar(pg, kafka=broker, sink={"commit_interval": "20ms", "partitions": 3})
    for point in ("kafka.fenced", "kafka.owner"):  # of a pipeline that has nothing yet
        dies(car, point, 1)
    car.start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    car.kill9()
    writers = workload.Writers(pg, l.seed, 2, pause=0.01).start()
    kills = 0
    for _ in range(max(1, l.rounds // 20)):
        for point in POINTS:
            if point == "kafka.topic_created":
                if kills > len(POINTS):
                    continue
                dies(car, point, 2)  # of the second table: the first has its topic, and no record yet
            else:
                dies(car, point, 1 if point in ("kafka.fenced", "kafka.owner") else r.choice([1, 2, 5]))
            kills += 1
    l.step(f"{kills} kills at named points")
    for n in range(l.rounds or 5):
        car.start()
        time.sleep(r.choice([0.05, 0.3, 0.8, 1.5]) * r.random())
        assert car.alive(), f"ended by itself with {car.process.returncode}\n{car.log()[-1500:]}"
        car.kill9()
        kills += 1
    writers.stop()
    car.catch_up()
    l.step(f"{kills} kills: " + compare.everything(l, pg, car, events, writers))
    l.step(f"{car.output().aborted()} records of aborted transactions, which nobody saw")


def dies(car, name, n, timeout=30):
    code = car.start(env={"SIDESTREAM_CRASH": f"{name}:{n}"}).wait(timeout)
    assert code == -signal.SIGKILL, f"at {name}:{n} it ended with {code} instead\n{car.log()[-2000:]}"


lab.run(main)
