#!/usr/bin/env python3
"""Without this the other scenarios could pass whatever happens: a lake that is right is spoilt in ten ways (a row gone,
doubled, swapped, changed, a commit record rewritten), and each must be found.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import copy  # noqa: E402
import json  # noqa: E402

from sidestream_test import compare, lab, lake, oracle, workload  # noqa: E402


def main(l):
    pg = l.postgres()
    pg.sql(workload.SCHEMA)
    car = l.sidecar(pg).start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    workload.Writers(pg, l.seed, 2, transactions=150).start().join()
    car.terminate()
    car.catch_up()
    l.step(compare.everything(l, pg, car, events))
    found = events.events()
    keys = {t: compare.key_columns(pg, t) for t in {e.table for e in found}}
    good = list(lake.Lake(car.lake).rows())
    middle = next(i for i, r in enumerate(good) if r.table == "shop.account" and r.op == "u" and i > len(good) // 3)

    def spoilt(what, change):
        rows = [lake.Row(r.commit, r.table, dict(r.cells), r.schema) for r in good]
        rows = change(rows) or rows
        try:
            compare.history(rows, found, keys)
        except compare.Differs:
            return
        raise AssertionError(f"not found: {what}")

    def cell(name, value):
        def change(rows):
            rows[middle].cells[name] = value
        return change
    spoilt("a row gone", lambda rows: rows[:middle] + rows[middle + 1:])
    spoilt("the last row gone", lambda rows: rows[:-1])
    spoilt("a row doubled", lambda rows: rows[:middle + 1] + rows[middle:])
    spoilt("the last row doubled", lambda rows: rows + rows[-1:])
    spoilt("two rows swapped", lambda rows: rows[:middle] + rows[middle + 1:middle + 2] + rows[middle:middle + 1] + rows[middle + 2:])
    spoilt("a value", cell("mark", "another"))
    spoilt("a NULL", cell("balance", None))
    spoilt("a key", cell("id", 12345))
    spoilt("the operation", cell("__op", "c"))
    spoilt("the transaction", cell("__tx", "1"))
    spoilt("an unsent value as NULL", lambda rows: rows[unsent(rows)].cells.update(__unchanged=None))
    l.step("spoilt rows are found")
    files(car, pg, l)
    tables(car, pg)
    l.step("spoilt files and replicas are found")


def unsent(rows):
    return next(i for i, r in enumerate(rows) if r.op == "u" and r.cells["__unchanged"])


def files(car, pg, l):
    folder = lake.Lake(car.lake)
    records = sorted((car.lake / "_cdc/commits").glob("*.json"))
    victim = next(p for p in records[:-1] if json.loads(p.read_bytes())["files"])
    entry = json.loads(victim.read_bytes())["files"][0]
    data = car.lake / entry["path"]

    def found(path, change):
        whole = path.read_bytes()
        change(path, copy.copy(whole))
        try:
            list(folder.rows())
        except lake.Damaged:
            path.write_bytes(whole)
            return
        raise AssertionError(f"{path.name}: damage not found")
    found(victim, lambda p, b: p.write_bytes(b + b"\n"))
    found(victim, lambda p, b: p.unlink())
    found(data, lambda p, b: p.write_bytes(b[:-1]))
    found(data, lambda p, b: p.write_bytes(b[:50] + bytes([b[50] ^ 1]) + b[51:]))
    found(data, lambda p, b: p.unlink())


def tables(car, pg):
    pg.sql("insert into shop.txlog values ('only in the source', 0)")
    try:
        compare.replica(pg, car.folder / "replica.db", ["shop.txlog"])
    except compare.Differs:
        return
    raise AssertionError("a replica that lacks a row passes for equal")


lab.run(main)
