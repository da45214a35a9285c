#!/usr/bin/env python3
"""Without this one large transaction would block every reader of the topics for minutes, outlast Kafka's time for it, or end the
process for want of memory: it is cut, each cut's position is verified after a kill, and no row is lost or doubled.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import json  # noqa: E402
import re  # noqa: E402

from sidestream_test import lab, lake, wait  # noqa: E402

ROWS = 300_000
LIMIT = 96 << 20
CUT = re.compile(r"cut:([0-9A-F/]+),(\d+),(\d+),([0-9a-f]+)", re.I)


def main(l):
    broker = l.kafka()
    pg = l.postgres(conf=["max_wal_size = 1GB"])
    pg.sql("create schema shop; create table shop.big (id int primary key, a int, b text, c text)")
    car = l.sidecar(pg, kafka=broker, sink={"partitions": 3, "transaction_bytes": "8MiB"}).start().wait_streaming(pg)
    peak = kill_inside(l, pg, car)
    log = car.output()
    car.start()
    wait.until("the rest", lambda: position(log).startswith("tx:") or position(log).startswith("idle:"), 120, 0.2)
    peak = max(peak, car.memory())
    assert car.terminate() == 0
    car.catch_up()
    l.step(f"{peak >> 20} MiB resident at most")
    assert peak < LIMIT, f"{peak >> 20} MiB resident, the limit is {LIMIT >> 20}"
    cuts = [CUT.fullmatch(v) for v in log.control().values("position") if v]
    numbers = [int(c[3]) for c in cuts if c]
    assert numbers == sorted(numbers) and len(set(numbers)) == len(numbers) > 5, f"cuts after rows {numbers}"
    rows(log)
    l.step(f"{len(numbers)} cuts, the last after row {numbers[-1]}; every row once and in order")
    forged(l, pg, car, broker, log)


def position(log):
    return log.control().map.get("position", "")


def kill_inside(l, pg, car):
    """Kills twice between the cuts of one transaction; the most memory it took."""
    log, peak = car.output(), 0
    wait.until("the control topic", lambda: log.control_topic in log.broker.topics())
    pg.sql(f"insert into shop.big select g, g * 7, 'row number ' || g, repeat(md5(g::text), 6) from generate_series(1, {ROWS}) g")
    for least in (1, ROWS // 3):
        got = wait.until("a cut", lambda: cut(log, least), 60, 0.01)
        peak = max(peak, car.memory())
        car.kill9()
        now = cut(log, 0)
        assert now, f"killed outside the transaction, after row {got}"
        l.step(f"killed after row {now} of {ROWS} was committed")
        car.start()
    wait.until("a cut behind, or the end", lambda: cut(log, now + 1) or not position(log).startswith("cut:"), 60, 0.01)
    peak = max(peak, car.memory())
    car.kill9()
    return peak


def cut(log, least):
    found = CUT.fullmatch(position(log))
    return int(found[3]) if found and int(found[3]) >= least else None


def rows(log):
    """By the light way: so many rows, decoded for their number alone."""
    log._learn()
    seen, total = set(), 0
    for place, records in log.records().items():
        before = ""
        for r in records:
            cells, _ = log.decode(r.value)
            assert lake.SEQ.fullmatch(cells["__seq"]) and cells["__seq"] > before, f"{place}: out of order"
            before = cells["__seq"]
            ordinal = int(before[-12:], 16)
            assert ordinal not in seen, f"row {ordinal} comes twice"
            seen.add(ordinal)
            assert cells["id"] == ordinal, f"row {ordinal} is row {cells['id']}"
            total += cells["a"]
    assert seen == set(range(1, ROWS + 1)), f"{len(seen)} rows"
    assert total == 7 * ROWS * (ROWS + 1) // 2, "the sum of a column"


def forged(l, pg, car, broker, log):
    """A position inside a transaction whose checksum is not that of the rows read again: refused, not believed."""
    car.start().wait_streaming(pg)
    pg.sql(f"insert into shop.big select g, 0, '', repeat(md5(g::text), 6) from generate_series({ROWS + 1}, {2 * ROWS}) g")
    wait.until("a cut", lambda: cut(log, 1), 60, 0.01)
    car.kill9()
    at = position(log)
    assert CUT.fullmatch(at), "killed outside the transaction"
    control = log.control()
    last = next(b for k, b, _ in reversed(control.records) if b)
    wrong = at[:-1] + ("0" if at[-1] != "0" else "1")
    end = control.map["kafka/end"]
    forgery = [(k, json.dumps({"instance": last["instance"], "txn": last["txn"] + 1, "v": v}, separators=(",", ":")).encode())
               for k, v in (("position", wrong), ("kafka/end", end))]
    broker.produce(log.control_topic, forgery)
    got = car.call("run", "CONFIG", "--until-caught-up", timeout=60)
    assert got.code == 3, f"a forged checksum: {got!r}"
    l.step("a checksum that is not that of the rows: refused with 3")


lab.run(main)
