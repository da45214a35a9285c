#!/usr/bin/env python3
"""Without this the loss of a leader in a cluster of three would lose or double changes, or stop them: the other two go on, and
so does the sidecar.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import time  # noqa: E402

from sidestream_test import compare, kafka, lab, oracle, wait, workload  # noqa: E402


def main(l):
    broker = l.kafka(3, env={"KAFKA_HEAP": "320m"})
    l.step("three brokers")
    pg = l.postgres()
    pg.sql(workload.SCHEMA)
    car = l.sidecar(pg, kafka=broker, sink={"partitions": 3, "replication": 3}).start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    writers = workload.Writers(pg, l.seed, 2, pause=0.02).start()
    control = f"_sidestream.{car.name}"
    wait.until("first rows", lambda: len(broker.topics("shop.")) >= 4, 60)
    for what, topic in (("leader of the position", control), ("coordinator", "__transaction_state")) * max(1, l.rounds // 20):
        node = broker.leader(topic)
        began = time.monotonic()
        broker.kill9(node)
        end = kafka.stable_end(broker, control)
        wait.until(f"commits without {node}", lambda: kafka.stable_end(broker, control) > end + 5, 60, 0.1)
        l.step(f"the {what} (broker {node}) is lost: commits again after {time.monotonic() - began:.1f} s")
        assert car.alive(), f"ended with {car.process.returncode}\n{car.log()[-1500:]}"
        broker.start(node)
        # Only with all in step the next may go: two of three must have every record.
        wait.until("all in step", lambda: in_step(broker), 90, 0.3)
    writers.stop()
    assert car.terminate() == 0
    car.catch_up()
    assert {len(p.replicas) for p in partitions(broker)} == {3}, "the topics have three replicas"
    l.step(compare.everything(l, pg, car, events, writers))


def partitions(broker):
    topics = broker.admin().list_topics(timeout=20).topics
    return [p for t in topics.values() for p in t.partitions.values()]


def in_step(broker):
    return all(len(p.isrs) == len(p.replicas) for p in partitions(broker))


lab.run(main)
