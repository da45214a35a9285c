#!/usr/bin/env python3
"""Without this a broker that dies, stands still or has no room left would cost changes or the sidecar's life: it waits, the
source's log is held, and everything is in the topics once as soon as the broker is back.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import time  # noqa: E402

from sidestream_test import compare, kafka, lab, oracle, wait, workload  # noqa: E402

# A transaction that outlasts its time is given up within half a second.
CONF = ["transaction.abort.timed.out.transaction.cleanup.interval.ms=500"]


def main(l):
    pg = l.postgres()
    pg.sql(workload.SCHEMA)
    room = None
    try:
        room = l.tmpfs("160m")
    except lab.Skip as e:
        print(f"without a full disk: {e}")
    broker = l.kafka(name="small/k" if room else None, conf=CONF)
    car = l.sidecar(pg, kafka=broker, sink={"partitions": 2, "transaction_timeout": "10s"}).start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    writers = workload.Writers(pg, l.seed, 2, pause=0.02).start()
    control = f"_sidestream.{car.name}"

    def goes_on(what):
        end = kafka.stable_end(broker, control)
        wait.until(f"commits after {what}", lambda: kafka.stable_end(broker, control) > end + 5, 60, 0.1)
        assert car.alive(), f"{what}: must go on, not end with {car.process.returncode}\n{car.log()[-1500:]}"
        l.step(f"{what}: went on")

    goes_on("the start")
    for _ in range(max(1, l.rounds // 20)):
        for seconds in (0, 2):
            broker.kill9()
            time.sleep(seconds)
            broker.start()
            goes_on(f"kill -9, {seconds} s away")
        for seconds in (2, 13):  # shorter and longer than a transaction lives
            broker.pause()
            time.sleep(seconds)
            broker.go_on()
            goes_on(f"{seconds} s of standing still")
    if room:
        full(l, broker, room, car)
        goes_on("a full disk")
    writers.stop()
    assert car.terminate() == 0
    car.catch_up()
    l.step(compare.everything(l, pg, car, events, writers))


def full(l, broker, room, car):
    """The broker stops by itself when it cannot write."""
    fill = room / "fill"
    with open(fill, "wb", buffering=0) as f:  # a buffer that could not be written would be written again by close
        try:
            while True:
                f.write(b"x" * (1 << 16))
        except OSError:
            pass
    wait.until("the broker to meet its full disk", lambda: not alive(broker), 60, 0.2)
    l.step("the broker's disk is full: it has ended")
    time.sleep(1)
    assert car.alive(), f"ended with {car.process.returncode}\n{car.log()[-1500:]}"
    fill.unlink()
    broker.kill9()
    broker.start()


def alive(broker):
    try:
        state = pathlib.Path(f"/proc/{broker.nodes[0].pid()}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


lab.run(main)
