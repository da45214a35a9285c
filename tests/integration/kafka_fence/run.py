#!/usr/bin/env python3
"""Without this two instances of one pipeline would write side by side, or fence each other for ever: exactly one goes on, the
other says by whom it was replaced and ends with 3; a transaction that merely outlasted its time is no such reason.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import signal  # noqa: E402
import time  # noqa: E402

from confluent_kafka import Consumer, TopicPartition  # noqa: E402

from sidestream_test import compare, kafka, lab, oracle, soak_kafka, wait, workload  # noqa: E402


def main(l):
    broker = l.kafka(conf=["transaction.abort.timed.out.transaction.cleanup.interval.ms=500"])
    pg = l.postgres(conf=["wal_sender_timeout = 60s"])
    pg.sql(workload.SCHEMA + "create table shop.bulk (id int primary key, v text);")
    car = l.sidecar(pg, kafka=broker, sink={"partitions": 2, "transaction_timeout": "10s"}).start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    writers = workload.Writers(pg, l.seed, 2, pause=0.02).start()
    control = f"_sidestream.{car.name}"

    def goes_on(what):
        end = kafka.stable_end(broker, control)
        wait.until(f"commits after {what}", lambda: kafka.stable_end(broker, control) > end + 3, 60, 0.1)
        assert car.alive(), f"{what}: ended with {car.process.returncode}\n{car.log()[-1500:]}"

    goes_on("the start")
    for n in range(max(2, l.rounds // 20)):
        l.step(f"second instance {n + 1}: " + soak_kafka.fenced(l, car))
        goes_on("a second instance")
    for n in range(max(1, l.rounds // 20)):
        outlasted(l, pg, car, broker, n)
        goes_on("its own time-out")
    writers.stop()
    assert car.terminate() == 0
    car.catch_up()
    owners = car.output().control().values("owner")
    assert all(set(o) == {"instance", "host", "pid", "at"} for o in owners), owners[:1]
    l.step(f"{len(owners)} owners; " + compare.everything(l, pg, car, events, writers))


def is_open(broker, topic):
    """A transaction has written to a partition of it, and not ended."""
    consumer = [Consumer(broker.client(group_id="sst", isolation_level=i)) for i in (kafka.COMMITTED, kafka.UNCOMMITTED)]
    try:
        for p in range(2):
            stable, high = (c.get_watermark_offsets(TopicPartition(topic, p), timeout=20)[1] for c in consumer)
            if stable < high:
                return True
        return False
    finally:
        for c in consumer:
            c.close()


def outlasted(l, pg, car, broker, n):
    """Stops the process inside a transaction until the broker aborts that."""
    pg.sql("insert into shop.bulk values (%s, 'its topic')", [-1 - n])
    wait.until("the topic", lambda: "shop.shop.bulk" in broker.topics())
    for attempt in range(20):
        first = 100000 * (n * 20 + attempt)
        pg.sql(f"insert into shop.bulk select g, repeat(md5(g::text), 20) from generate_series({first}, {first} + 20000) g")
        try:
            wait.until("a transaction under way", lambda: is_open(broker, "shop.shop.bulk"), 10, 0)
        except wait.Timeout:
            continue  # it came and went between two looks
        car.process.send_signal(signal.SIGSTOP)
        if is_open(broker, "shop.shop.bulk"):
            break
        car.process.send_signal(signal.SIGCONT)
    assert is_open(broker, "shop.shop.bulk"), "it never was stopped inside a transaction"
    wait.until("the broker to give the transaction up", lambda: not is_open(broker, "shop.shop.bulk"), 30, 0.2)
    before = len(car.log())
    pid = car.process.pid
    car.process.send_signal(signal.SIGCONT)
    wait.until("a new producer", lambda: len(car.log()) > before, 30)
    time.sleep(0.5)
    assert car.alive() and car.process.pid == pid, f"ended with {car.process.returncode}\n{car.log()[-1500:]}"
    l.step("its own transaction outlasted its time: the same process goes on")


lab.run(main)
