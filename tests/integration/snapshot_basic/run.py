#!/usr/bin/env python3
"""Without this the rows that were there before would be missing, or older than the changes behind them: tables are copied
while writers work on them, as of the start and in ranges, and replica and source are equal.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import collections  # noqa: E402
import time  # noqa: E402

from sidestream_test import compare, lab, wait, workload  # noqa: E402

TABLES = ["shop.account", "shop.item", "shop.code", "shop.part", "shop.scratch", "shop.txlog", "shop.still"]
STILL = "create table shop.still (id bigint primary key, v text); " \
        "insert into shop.still select g, repeat(md5(g::text), 4) from generate_series(1, 30000) g"
WAYS = {
    "start": {"rate": "3MiB"},
    "ranged": {"mode": "ranged", "threads": 3, "range_bytes": "128KiB"},
}


def main(l):
    pg = l.postgres(conf=["max_replication_slots = 20", "max_wal_senders = 20"])
    pg.sql(workload.SCHEMA + STILL)
    workload.Writers(pg, f"{l.seed}-before", 3, transactions=100).start().join()
    for name, how in WAYS.items():
        one_way(l, pg, name, how)


def one_way(l, pg, name, how):
    car = l.sidecar(pg, name=name, capture=[{"tables": "shop.*"}], snapshot=how)
    car.start()
    # Not before: PostgreSQL can fail to decode a slot that was made in the middle of a TRUNCATE (XX000, filenode).
    wait.until("the slot", lambda: (pg.slot(car.slot) or {}).get("confirmed_flush_lsn"))
    writers = workload.Writers(pg, f"{l.seed}-{name}", 3).start()
    car.wait_streaming(pg)
    time.sleep(4)
    writers.stop()
    assert car.terminate() == 0
    car.catch_up()
    rows = list(car.output().rows())
    ops = collections.Counter(r.op for r in rows)
    total = compare.replica(pg, car.replica(), TABLES)
    state = compare.fold(rows, {t: compare.key_columns(pg, t) for t in {r.table for r in rows}})
    for table in TABLES:
        live = [c for c in state[table].values() if not c["__deleted"]]
        compare.tables_equal(pg, live, table, "fold of the log")
    check_order(rows, name)
    still = [r.cells["id"] for r in rows if r.table == "shop.still"]
    assert sorted(still) == list(range(1, 30001)), f"{len(still)} rows of shop.still"
    assert car.call("fsck", "CONFIG").code == 0
    check_cat(car)
    assert car.call("drop", "CONFIG", "--yes").code == 0
    l.step(f"{name}: {dict(ops)}, {total} rows equal in replica and source")


def check_order(rows, name):
    """A row that was read has the place of what was written before it, and the ordinal of its generation."""
    last, first_change = 0, None
    for i, row in enumerate(rows):
        _, place, ordinal = row.place()
        if row.op == "r":
            # A key that moves beside a copy, with a value that is not sent, has the table copied anew: a TOAST value is such a one.
            again = row.table == "shop.account" and ordinal > 0xF00000000001
            assert again or ordinal == 0xF00000000001, row
            assert place >= last, f"{row!r}: behind a change of {last:x}"
            late = again or row.table == "shop.scratch"  # truncated under the copy: another look
            assert late or name != "start" or not first_change, f"{row!r}: behind {first_change!r}"
            assert row.cells["__deleted"] is False and row.cells["__delete_reason"] is None, row
            assert row.cells["__tx"] is None, row
        else:
            first_change = first_change or row
            last = place


def check_cat(car):
    got = car.call("cat", "CONFIG", "--table", "shop.still")
    assert got.code == 0 and got.out.count('"__op":"r"') == 30000, got.err


lab.run(main)
