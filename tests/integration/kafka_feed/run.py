#!/usr/bin/env python3
"""Without this `cat`, `replica` and `fsck` of topics could give rows of a transaction that is not decided, give some twice after
a restart, hang behind a dead writer's open transaction, or go on over a topic that is not the one they have read.
"""
import json
import pathlib
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from confluent_kafka import Producer, TopicPartition  # noqa: E402
from sidestream_test import beside, http, kafka, lab, workload  # noqa: E402
from sidestream_test.sidecar import Sidecar  # noqa: E402
from sidestream_test.wait import until  # noqa: E402

TOPIC, PARTITIONS = "try.example.numbers", 6


def main(l):
    broker = l.kafka()
    car = Sidecar(l.folder / "car", None, name="try", kafka=broker, capture=[{"tables": "example.*", "snapshot": "never"}],
                  sink={"partitions": PARTITIONS})
    early, late = l.folder / "early.db", l.folder / "late.db"
    write(car, 100)
    assert ids(car) == list(range(1, 101))
    assert applied(car, early) == 100
    assert applied(car, early) == 0
    l.step("100 rows; a replica that comes back applies nothing twice")

    open_transaction(l, broker, car)
    assert applied(car, early) == 0
    l.step("killed inside a transaction: its rows are not given, and nobody waits for its end")

    write(car, 300)
    assert ids(car) == list(range(1, 301))
    assert applied(car, early) == 200
    assert count(early) == 300
    foreign(l, broker, car)
    l.step("a foreign open transaction is waited for; a signal ends the wait")

    follow(l, car)
    assert applied(car, late) == 420 and applied(car, early) == 120
    for path in (early, late):
        assert car.call("verify", "CONFIG", "--replica", str(path)).code == 0
    assert car.call("fsck", "CONFIG").code == 0
    l.step("followed while it was written")

    busy(l, broker)
    compacted(l, broker)
    retention(broker, car, early, late)
    l.step("retention that took what was not read is refused, and what was read is not missed")
    made_again(broker, car, late)
    l.step("a topic made again is refused")
    damage(broker, car)
    l.step("fsck and cat name the record that is none")


def write(car, rows, size=7, env=None):
    car.settings["source"] = {"type": "example", "rows": rows, "size": size}
    car.write_config()
    got = car.call("run", "CONFIG", "--until-caught-up", env=env)
    assert env or got.code == 0, got
    return got


def ids(car, timeout=60):
    began = time.monotonic()
    got = car.call("cat", "CONFIG", timeout=timeout)
    assert got.code == 0, got
    car.took = time.monotonic() - began
    return [json.loads(line)["row"]["id"] for line in got.out.splitlines()]


def applied(car, path):
    got = car.call("replica", "CONFIG", "--to", str(path), "--until-caught-up")
    assert got.code == 0, got
    return int(got.out.split(" rows applied")[0].split()[-1])


def count(path):
    with sqlite3.connect(path) as db:
        n, distinct = db.execute('select count(*), count(distinct id) from "example.numbers"').fetchone()
        assert n == distinct
        return n


def everything(broker):
    places = {(TOPIC, p): 0 for p in range(PARTITIONS)}
    return sum(map(len, kafka.read(broker, places, kafka.UNCOMMITTED)[0].values()))


def open_transaction(l, broker, car):
    """The writer dies before the commit: what it wrote lies there, undecided for a minute."""
    for nth in range(1, 6):
        assert write(car, 200, env={"SIDESTREAM_CRASH": f"kafka.before_commit:{nth}"}).code == -signal.SIGKILL
        if everything(broker) > 100:
            break
    assert everything(broker) > 100, "no open transaction with rows was left"
    assert ids(car) == list(range(1, 101))
    assert car.took < 30, f"cat took {car.took:.1f} s"


def foreign(l, broker, car):
    """An open transaction of another program in the topic: where it ends cannot be known, so it is waited for."""
    other = Producer(broker.client(transactional_id="other", linger_ms=0))
    other.init_transactions(30)
    other.begin_transaction()
    for partition in range(PARTITIONS):
        other.produce(TOPIC, b"never seen", b"k", partition=partition)
    other.flush(30)
    write(car, 307)
    cat = subprocess.Popen([lab.BINARY, "cat", car.config], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    time.sleep(2)
    assert cat.poll() is None
    cat.send_signal(signal.SIGINT)
    assert cat.communicate(timeout=10)[0] == b"" and cat.returncode == 0
    cat = subprocess.Popen([lab.BINARY, "cat", car.config], stdout=subprocess.PIPE)
    time.sleep(1)
    assert cat.poll() is None
    other.abort_transaction(30)
    assert len(cat.communicate(timeout=30)[0].splitlines()) == 307 and cat.returncode == 0


def follow(l, car):
    """cat --follow while transactions come one by one: each row once, in order."""
    out = (l.folder / "follow.out").open("w+")
    cat = subprocess.Popen([lab.BINARY, "cat", "--follow", car.config], stdout=out)
    try:
        for rows in range(314, 421, 7):
            write(car, min(rows, 420))
        write(car, 420)
        until("420 rows", lambda: len((l.folder / "follow.out").read_text().splitlines()) >= 420, 30)
    finally:
        cat.terminate()
        assert cat.wait(10) == 0
    got = [json.loads(line)["row"]["id"] for line in (l.folder / "follow.out").read_text().splitlines()]
    assert got == list(range(1, 421)), got[-20:]


def busy(l, broker):
    """Topics that are written to all the time: where a replica stands is long past, and it is compared as of there."""
    pg, face = l.postgres(), http.Face()
    pg.sql(workload.SCHEMA)
    car = l.sidecar(pg, name="busy", kafka=broker, capture=[{"tables": "shop.txlog", "deletes": "append"}, {"tables": "shop.*"}],
                    sink={"partitions": 5}, http=face.settings)
    car.start().wait_streaming(pg)
    writers = workload.Writers(pg, l.seed, 3, pause=0.002).start()
    time.sleep(1)
    beside.replicas(l, car, face)
    writers.stop()
    assert car.terminate() == 0


def compacted(l, broker):
    """Of compacted topics what was there before cannot be told once there is more: refused, and said how to go about it."""
    car = Sidecar(l.folder / "small", None, name="small", kafka=broker, capture=[{"tables": "example.*", "snapshot": "never"}],
                  sink={"topic_config": {"cleanup.policy": "compact"}})
    path = l.folder / "small.db"
    write(car, 50)
    assert applied(car, path) == 50
    write(car, 100)
    got = car.call("verify", "CONFIG", "--replica", str(path))
    assert got.code == 3 and "is compacted" in got.err and "while nothing is captured" in got.err, got
    assert applied(car, path) == 50
    assert car.call("verify", "CONFIG", "--replica", str(path)).code == 0
    l.step("compacted topics are compared at their end alone")


def cut(broker, partitions):
    """Everything in these partitions goes, as retention would take it."""
    ends = {p: kafka.stable_end(broker, TOPIC, p) for p in partitions}
    for f in broker.admin().delete_records([TopicPartition(TOPIC, p, end) for p, end in ends.items()]).values():
        f.result(30)


def refused(car, path, words):
    got = car.call("replica", "CONFIG", "--to", str(path), "--until-caught-up")
    assert got.code == 3 and words in got.err, got


def retention(broker, car, early, late):
    cut(broker, range(PARTITIONS))
    assert applied(car, early) == 0  # all of it was read
    write(car, 500)
    assert applied(car, late) == 80
    cut(broker, range(PARTITIONS))
    assert applied(car, late) == 0
    refused(car, early, "retention took them")
    got = car.call("cat", "CONFIG")
    assert got.code == 0 and got.out == "" and "not all that was written" in got.err, got


def made_again(broker, car, late):
    broker.delete(TOPIC)
    refused(car, late, "not there any more")
    broker.create(TOPIC, PARTITIONS)
    refused(car, late, "made again")
    got = car.call("fsck", "CONFIG")
    assert got.code == 1 and TOPIC in got.out, got


def damage(broker, car):
    broker.produce(TOPIC, [(b"k", b"rubbish", 3)])
    got = car.call("fsck", "CONFIG")
    assert got.code == 1 and f"{TOPIC}[3] at offset 0" in got.out, got
    got = car.call("cat", "CONFIG")
    assert got.code == 1 and f"{TOPIC}[3] at offset 0" in got.err, got


lab.run(main)
