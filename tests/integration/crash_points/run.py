#!/usr/bin/env python3
"""Without this a crash between two particular steps would lose or double changes, and chance would seldom find it: the
program dies at each of its named points, is started again, and everything committed is there once, in order.

POINTS says in which situation each is passed; a name in the code that is missing here fails the scenario, so
that nobody adds one that is never tried.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import random  # noqa: E402
import re  # noqa: E402
import signal  # noqa: E402
import time  # noqa: E402

from sidestream_test import ROOT, compare, lab, lake, oracle, workload  # noqa: E402

# first: the first start of a pipeline; load: beside writers; start: at a restart; table: a start that finds a new table;
# replica: building one; thousand: after a thousand commits.
POINTS = {
    "engine.recovered": "first load",
    "engine.before_commit": "first load",
    "engine.after_commit": "first load",
    "lake.file_open": "load",
    "lake.before_publish": "load",
    "lake.after_publish": "load",
    "lake.before_commit": "first load",
    "lake.after_commit": "first load",
    "lake.before_fence": "first start",
    "lake.after_fence": "first start",
    "lake.checkpoint": "thousand",
    "postgres.creating": "first",
    "postgres.publication_made": "first",
    "postgres.slot_made": "first",
    "postgres.publication_altered": "table",
    "replica.before_commit": "replica",
    "replica.after_commit": "replica",
}


def in_code():
    found = set()
    for folder in ("core", "connectors"):
        for path in (ROOT / folder).rglob("*.c"):
            found.update(re.findall(r'CDC_POINT\("([^"]+)"\)', path.read_text()))
    return {name for name in found if not name.startswith(("kafka.", "snapshot.", "lake.trim_"))}  # kafka_crash, snapshot_crash, lake_retention


def dies(car, name, n, timeout=30):
    """Starts it, and waits until it has died at the n-th passage of that point."""
    code = car.start(env={"SIDESTREAM_CRASH": f"{name}:{n}"}).wait(timeout)
    assert code == -signal.SIGKILL, f"at {name}:{n} it ended with {code} instead\n{car.log()[-2000:]}"


def main(l):
    assert in_code() == POINTS.keys(), f"the list differs from the code: {sorted(in_code() ^ POINTS.keys())}"
    r = random.Random(l.seed)
    pg = l.postgres(conf=["max_replication_slots = 60", "max_wal_senders = 60", "wal_sender_timeout = 5s"])
    pg.sql(workload.SCHEMA)
    for name in at("first"):
        # Up to the third passage: `creating`, the slot's position and the first rows are commits of their own.
        for n in (1, 2, 3):
            if not first_start(l, pg, name, n):
                break
    under_load(l, pg, r)
    thousand(l, pg)


def at(where):
    return [name for name, all in POINTS.items() if where in all.split()]


def first_start(l, pg, name, n):
    """Whether the point was passed that often before there was anything to capture."""
    car = l.sidecar(pg, name=f"first_{name.replace('.', '_')}_{n}", sink={"commit_interval": "0"})
    got = car.call("run", "CONFIG", "--until-caught-up", env={"SIDESTREAM_CRASH": f"{name}:{n}"})
    assert got.code == -signal.SIGKILL or (got.code == 0 and n > 1), f"{name}:{n}: {got!r}"
    if got.code == 0:
        assert car.call("drop", "CONFIG", "--yes").code == 0
        return False
    car.start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot, slot=f"oracle_{car.name}"[:60])
    workload.Writers(pg, f"{l.seed}-{car.name}", 1, transactions=15).start().join()
    assert car.terminate() == 0
    car.catch_up()
    found = events.events()
    keys = {t: compare.key_columns(pg, t) for t in {e.table for e in found}}
    rows = compare.history(lake.Lake(car.lake).rows(), found, keys)
    pg.sql("select pg_drop_replication_slot(%s)", [events.slot])
    assert car.call("drop", "CONFIG", "--yes").code == 0
    l.step(f"first start, {name}:{n}: {rows} rows in order")
    return True


def under_load(l, pg, r):
    pg.sql("drop schema shop cascade")
    pg.sql(workload.SCHEMA)
    car = l.sidecar(pg, name="load", sink={"commit_interval": "50ms"}).start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    car.kill9()
    writers = workload.Writers(pg, l.seed, 2, pause=0.01).start()
    for turn in range(max(1, l.rounds // 20)):
        for name in at("load"):
            once = name == "engine.recovered"
            for n in (1,) if once else (1, r.randint(2, 12)):
                dies(car, name, n)
        for name in at("start"):
            dies(car, name, 1)
        for name in at("table"):
            pg.sql(f"create table shop.new_{turn} (id int primary key, v text)")
            dies(car, name, 1)
            pg.sql(f"insert into shop.new_{turn} values (1, 'after the publication was altered')")
        for name in at("replica"):
            car.catch_up()
            for n in (1, 2):
                got = car.call("replica", "CONFIG", "--to", car.folder / "replica.db", "--until-caught-up",
                               env={"SIDESTREAM_CRASH": f"{name}:{n}"})
                assert got.code == -signal.SIGKILL or (n > 1 and got.code == 0), f"{name}:{n}: {got!r}"
                car.catch_up()  # something new for the next
        l.step(f"every point under load, turn {turn + 1}")
    writers.stop()
    car.catch_up()
    l.step(compare.everything(l, pg, car, events, writers))


def thousand(l, pg):
    """The checkpoint object, every thousand commits: a start after it does not read the log from its beginning."""
    pg.sql("create schema many; create table many.t (id int primary key)")
    car = l.sidecar(pg, name="many", capture=[{"tables": "many.*", "snapshot": "never"}],
                    sink={"commit_interval": "0", "fsync": False})
    car.start(env={"SIDESTREAM_CRASH": at("thousand")[0]}).wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot, slot="oracle_many")
    con, n = pg.connect(), 0
    while car.alive():
        assert n < 20000, f"no checkpoint object after {n} transactions, {len(lake.Lake(car.lake).commits())} commits"
        n += 1
        con.cursor().execute("insert into many.t values (%s)", [n])
        time.sleep(0.001)
    con.close()
    assert car.wait() == -signal.SIGKILL
    for _ in range(2):
        car.catch_up()
        n += 1
        pg.sql("insert into many.t values (%s)", [n])
    car.catch_up()
    assert list((car.lake / "_cdc/checkpoints").iterdir()), "no checkpoint object was made after all"
    rows = compare.history(lake.Lake(car.lake).rows(), events.events(), {"many.t": ["id"]})
    assert rows == n and car.call("fsck", "CONFIG").code == 0
    l.step(f"checkpoint object: {rows} rows in {len(lake.Lake(car.lake).commits())} commits")


lab.run(main)
