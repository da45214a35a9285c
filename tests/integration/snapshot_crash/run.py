#!/usr/bin/env python3
"""Without this a copy that was cut off would lose rows or begin from the start each time: the program dies at each point of
a copy and at random while tables are copied under writers, and in the end replica and source are equal.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import json  # noqa: E402
import random  # noqa: E402
import signal  # noqa: E402
import time  # noqa: E402

from sidestream_test import compare, lab, wait, workload  # noqa: E402

TABLES = ["shop.account", "shop.item", "shop.code", "shop.part", "shop.scratch", "shop.txlog", "shop.big"]
BIG = "create table shop.big (id bigint primary key, v text); " \
      "insert into shop.big select g, repeat(md5(g::text), 8) from generate_series(1, 60000) g"
HOW = {"range_bytes": "1MiB", "rate": "4MiB"}


def main(l):
    r = random.Random(l.seed)
    pg = l.postgres(conf=["max_replication_slots = 20", "max_wal_senders = 20"])
    pg.sql(workload.SCHEMA + BIG)
    workload.Writers(pg, f"{l.seed}-before", 2, transactions=60).start().join()
    for turn in range(max(2, l.rounds // 10)):
        for again in range(4):
            if histories(l, pg, r, turn, again):
                break  # else this machine was so busy that all was copied before the first kill
        else:
            raise AssertionError("no point was ever passed")
    half_way(l, pg)


def histories(l, pg, r, turn, again):
    """How often it died at a point."""
    how = HOW if turn % 2 else {**HOW, "mode": "ranged"}
    source = {"copy_split": r.choice(["auto", "key", "ctid"])}
    car = l.sidecar(pg, name=f"turn{turn}_{again}", capture=[{"tables": "shop.*"}], snapshot=how, source=source)
    car.start()
    # Not before: PostgreSQL can fail to decode a slot that was made in the middle of a TRUNCATE (XX000, filenode).
    wait.until("the slot", lambda: (pg.slot(car.slot) or {}).get("confirmed_flush_lsn"))
    writers = workload.Writers(pg, f"{l.seed}-{turn}-{again}", 2).start()
    time.sleep(r.uniform(0, 1))
    car.kill9()
    deaths = 0
    for point in ("snapshot.held", "snapshot.placed", "snapshot.range", "snapshot.range", "snapshot.read"):
        car.start(env={"SIDESTREAM_CRASH": f"{point}:{r.randint(1, 4)}"})
        try:
            deaths += car.wait(4) == -signal.SIGKILL
        except AssertionError:
            car.kill9()  # it had less to do than that
    for _ in range(6):
        car.start()
        time.sleep(r.uniform(0.05, 1.5))
        car.kill9()
    writers.stop()
    car.catch_up()
    total = compare.replica(pg, car.replica(), TABLES)
    states = copies(car)
    assert set(states.values()) == {"done"}, states
    assert car.call("fsck", "CONFIG").code == 0
    assert car.call("drop", "CONFIG", "--yes").code == 0
    l.step(f"{how.get('mode', 'start')}, {source['copy_split']}: {deaths} deaths at points, {total} rows equal")
    return deaths


def half_way(l, pg):
    """What was read is not read again: 60,000 rows, killed in the middle."""
    car = l.sidecar(pg, name="half", capture=[{"tables": "shop.big"}], source={"copy_split": "key"},
                    snapshot={"range_bytes": "256KiB", "rate": "8MiB"}, sink={"commit_interval": "20ms"})
    car.start()
    until = time.monotonic() + 30
    while sum(1 for row in car.output().rows() if row.op == "r") < 25000:
        assert time.monotonic() < until, car.log()[-2000:]
        time.sleep(0.05)
    car.kill9()
    car.catch_up()
    ids = [row.cells["id"] for row in car.output().rows() if row.op == "r"]
    again = len(ids) - len(set(ids))
    assert set(ids) == set(range(1, 60001)) and again <= 0.05 * 60000, f"{again} rows were read again"
    assert car.call("drop", "CONFIG", "--yes").code == 0
    l.step(f"killed half way: {again} of 60000 rows were read again")


def copies(car):
    """table -> state, as the commits say."""
    states = {}
    for record in car.output().commits():
        for key, value in record.get("delta", {}).items():
            if key.startswith("copy/") and value:
                states[key[5:]] = (json.loads(value) if isinstance(value, str) else value)["state"]
    return states


lab.run(main)
