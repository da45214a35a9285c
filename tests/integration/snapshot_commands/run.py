#!/usr/bin/env python3
"""Without this a table that was paused, added, or asked for again would stay with a hole: commands on a running instance copy
it anew, rows that are gone are swept away, gaps close, and in the end replica and source are equal.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import collections  # noqa: E402
import json  # noqa: E402
import signal  # noqa: E402
import time  # noqa: E402

from sidestream_test import compare, http, lab, wait, workload  # noqa: E402

TABLES = ["shop.account", "shop.item", "shop.code", "shop.part", "shop.scratch", "shop.txlog"]


def key(car, name):
    """A checkpoint key as the commits leave it."""
    value = None
    for record in car.output().commits():
        value = record.get("delta", {}).get(name, value)
    return (json.loads(value) if isinstance(value, str) else value) or {}


def copied(car, table, generation=1):
    now = key(car, f"copy/{table}")
    assert now.get("state") != "failed", now
    return now.get("state") == "done" and now["generation"] >= generation


def give(face, command, table):
    got = face.ask("/commands", {"command": command, "table": table})
    assert got[0] == 202, got
    number = json.loads(got[1])["id"]

    def settled():
        mine = [c for c in json.loads(face.ask("/commands")[1]) if c["id"] == number]
        return mine and mine[0]["state"] in ("done", "failed") and mine[0]
    return wait.until(f"{command} {table} to be settled", settled)


def main(l):
    pg = l.postgres(conf=["max_replication_slots = 20", "max_wal_senders = 20"])
    pg.sql(workload.SCHEMA + "create table shop.skipped (id int primary key); insert into shop.skipped values (1)")
    workload.Writers(pg, f"{l.seed}-before", 2, transactions=60).start().join()
    face = http.Face()
    capture = [{"tables": "shop.skipped", "skip": True}, {"tables": "shop.*", "priority": 1}]
    car = l.sidecar(pg, capture=capture, http=face.settings, snapshot={"range_bytes": "64KiB"})
    car.start().wait_streaming(pg)
    writers = workload.Writers(pg, l.seed, 2, pause=0.005).start()
    for table in TABLES:
        wait.until(f"{table} to be copied", lambda: copied(car, table), 60)
    l.step("copied at the start")
    repeat(l, face, car)
    pausing(l, pg, face, car)
    weights = without_truncate(pg, writers)
    before_rows(l, pg)
    writers.weights = weights
    taking(l, pg, face, car)
    writers.stop()
    assert car.terminate() == 0
    car.catch_up()
    total = compare.replica(pg, car.replica(), TABLES + ["shop.skipped", "shop.added"])
    assert car.call("fsck", "CONFIG").code == 0
    l.step(f"{total} rows equal in replica and source")


def repeat(l, face, car):
    assert give(face, "snapshot", "shop.nothing.at")["state"] == "done"  # a rule takes the name
    assert give(face, "snapshot", "shop.skipped")["outcome"] == "no rule captures a table of this name"
    for table in ("shop.account", "shop.code", "shop.account"):
        before = key(car, f"copy/{table}")["generation"]
        done = give(face, "snapshot", table)
        assert done["state"] == "done", done
        wait.until(f"{table}, after generation {before}", lambda: copied(car, table, before + 1), 60)
    sweeps = collections.Counter(r.table for r in car.output().rows()
                                 if r.op == "t" and r.cells["__delete_reason"] == "inferred")
    # A key that moves beside a copy, with a TOAST value that is not sent, has the table copied anew besides.
    assert set(sweeps) == {"shop.account", "shop.code"} and sweeps["shop.code"] == 1 and sweeps["shop.account"] >= 2, sweeps
    assert key(car, "copy/shop.nothing.at")["state"] == "failed"
    shown(face, car)
    l.step("copied again, swept, and shown")


def shown(face, car):
    copies = {c["table"]: c for c in json.loads(face.ask("/status")[1])["copies"]}
    assert set(TABLES) <= set(copies), copies
    again, failed = copies["shop.account"], copies["shop.nothing.at"]
    assert again["generation"] >= 3 and (again["state"] != "done" or again["part"] == 1), again
    once = copies["shop.code"]
    assert (once["state"], once["generation"], once["part"]) == ("done", 2, 1), once
    assert once["rows"] == key(car, "copy/shop.code")["rows"] > 0, once
    assert failed["state"] == "failed" and failed["why"], failed
    told = car.call("status", "CONFIG").out
    assert f"{len(copies) - 1} of {len(copies)} copies of tables are done" in told, told
    assert "shop.nothing.at" in told and failed["why"] in told, told
    assert 'state="failed"} 1' in face.ask("/metrics")[1]


def pausing(l, pg, face, car):
    for crash in (False, True):
        before = key(car, "copy/shop.item")["generation"]
        assert give(face, "pause", "shop.item")["state"] == "done"
        assert give(face, "snapshot", "shop.item")["outcome"] == "it is paused: resume copies it anew"
        time.sleep(0.5)
        assert "gap" in key(car, "table/shop.item")
        assert give(face, "resume", "shop.item")["state"] == "done"
        if crash:
            car.kill9()
            car.start().wait_streaming(pg)
        wait.until("the gap to be closed",
                   lambda: copied(car, "shop.item", before + 1) and "gap" not in key(car, "table/shop.item"), 60)
    l.step("paused and resumed: the gap is closed")


def without_truncate(pg, writers):
    """From here on; what the weights were. PostgreSQL can fail to decode a slot that was made in the middle of a TRUNCATE (XX000,
    filenode)."""
    weights, writers.weights = writers.weights, [w * (fn is not workload.truncate) for w, fn in workload.KINDS]
    now = pg.value("select clock_timestamp()")
    wait.until("what is open to end", lambda: not pg.value("select count(*) from pg_stat_activity where xact_start < %s and "
                                                           "backend_type = 'client backend'", [now]))
    return weights


def before_rows(l, pg):
    """A pattern, nothing is copied, and nothing has come of the table: the source is asked whether there is such a table."""
    pg.sql("create schema still; create table still.a (id int primary key); create table still.b (id int primary key)")
    face = http.Face()
    car = l.sidecar(pg, name="still", capture=[{"tables": "still.*", "snapshot": "never"}], http=face.settings)
    car.start().wait_streaming(pg)
    no = give(face, "pause", "still.nowhere")
    assert (no["state"], no["outcome"]) == ("failed", "no table of this name has been captured yet"), no
    assert give(face, "pause", "still.a")["state"] == "done"
    pg.sql("create table still.late (id int primary key)")
    pg.sql("insert into still.a values (1); insert into still.b values (1)")
    wait.until("the other table", lambda: any(r.op == "c" for r in car.output().rows("still.b")))
    assert "gap" in key(car, "table/still.a") and not list(car.output().rows("still.a"))
    assert give(face, "resume", "still.a")["state"] == "done"
    pg.sql("insert into still.a values (2)")
    wait.until("its rows again", lambda: [r.cells["id"] for r in car.output().rows("still.a")] == [2])
    car.process.send_signal(signal.SIGHUP)  # the new one joins the publication
    time.sleep(0.5)
    assert give(face, "pause", "still.late")["state"] == "done"
    assert car.terminate() == 0
    assert car.call("drop", "CONFIG", "--yes").code == 0
    l.step("paused before the first row")


def taking(l, pg, face, car):
    """A table that was skipped is taken, one that was not there is added, under a kill."""
    car.kill9()
    pg.sql("create table shop.added (id int primary key, v text); insert into shop.added select g, 'x' from "
           "generate_series(1, 5000) g; insert into shop.skipped select g from generate_series(2, 3000) g")
    car.settings["capture"] = [{"tables": "shop.*"}]
    car.write_config()
    car.start().wait_streaming(pg)
    time.sleep(0.3)
    car.kill9()
    car.start().wait_streaming(pg)
    for table in ("shop.added", "shop.skipped"):
        wait.until(f"{table} to be copied", lambda: copied(car, table), 60)
    car.process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert car.alive()
    l.step("taken and added")


lab.run(main)
