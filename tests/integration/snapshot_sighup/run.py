#!/usr/bin/env python3
"""Without this a change of the rules would need a restart, lose what comes meanwhile, or end a pipeline by a slip of the pen:
SIGHUP has the configuration read again, under writers; tables are taken and let go, copies get faster; what cannot be is refused.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import copy  # noqa: E402
import json  # noqa: E402
import signal  # noqa: E402
import time  # noqa: E402

from sidestream_test import compare, copy_judge, http, lab, wait, workload  # noqa: E402

TAKEN = ["shop.account", "shop.item", "shop.code", "shop.part", "shop.scratch", "shop.txlog"]


def state(car, key):
    return copy_judge.checkpoint(car).get(key) or {}


def copied(car, table, generation=1):
    now = state(car, f"copy/{table}")
    assert now.get("state") != "failed", now
    return now.get("state") == "done" and now["generation"] >= generation


def said(car, words, since):
    return wait.until(f"the log to say {words!r}", lambda: words in car.log()[since:], 60)


def hup(car, words, **changes):
    """The configuration changed in the file, and read again. Returns what it was before."""
    before, since = copy.deepcopy(car.settings), len(car.log())
    car.settings.update(changes)
    car.write_config()
    car.process.send_signal(signal.SIGHUP)
    said(car, words, since)
    assert car.alive(), car.log()[-2000:]
    return before


def at_once(car):
    """One that comes before anybody waits for it neither kills nor is lost."""
    car.start()
    bit = 1 << (signal.SIGHUP - 1)
    status = pathlib.Path(f"/proc/{car.process.pid}/status")
    end = time.monotonic() + 10
    while not int(next(line for line in status.read_text().splitlines() if line.startswith("SigBlk:")).split()[1], 16) & bit:
        assert time.monotonic() < end and car.alive(), "SIGHUP is never held back"
    car.process.send_signal(signal.SIGHUP)
    said(car, "was read again; nothing in it is new", 0)


def refusals(l, pg, car):
    """What cannot be changed, what is wrong, what the source would refuse: said, and all goes on as it was."""
    sessions = car.log().count("in effect from here on")
    refused = "the one before stays in effect"
    old = copy.deepcopy(car.settings)
    source, sink = dict(old["source"]), dict(old["sink"])
    pg.sql("create table shop.bare (v int)")
    for name, words, changes in (
            ("another name", "name says something else", {"name": "other"}),
            ("another database", "source.url says something else", {"source": {**source, "url": source["url"] + "x"}}),
            ("another folder", "sink.path says something else", {"sink": {**sink, "path": str(car.folder / "elsewhere")}}),
            ("more memory", "memory says something else", {"memory": "128MiB"}),
            ("an option that is none", "unknown option", {"snapshot": {"thread": 2}}),
            ("a table without identity", "shop.bare", {"capture": [{"tables": "shop.*"}]}),
            ("a column that is not there", "nowhere", {"capture": old["capture"] + [{"tables": "shop.late", "key": ["nowhere"]}]})):
        since = len(car.log())
        hup(car, refused, **changes)
        assert words in car.log()[since:], f"{name}: {car.log()[since:]}"
        car.settings = copy.deepcopy(old)
    since = len(car.log())
    car.write_config("name: [unfinished")
    car.process.send_signal(signal.SIGHUP)
    said(car, refused, since)
    car.write_config()
    pg.sql("drop table shop.bare")
    assert car.log().count("in effect from here on") == sessions, "something of it came into effect"
    l.step("refused: 8 configurations, one of them no YAML")


def main(l):
    pg = l.postgres(conf=["max_replication_slots = 20", "max_wal_senders = 20"])
    pg.sql(workload.SCHEMA + "create table shop.late (id int primary key, v text); insert into shop.late select g, repeat('x', 200) from "
           "generate_series(1, 30000) g; create table shop.empty (id int primary key)")
    workload.Writers(pg, f"{l.seed}-before", 2, transactions=60).start().join()
    face = http.Face()
    rules = [{"tables": t} for t in TAKEN]
    car = l.sidecar(pg, capture=rules, http=face.settings, snapshot={"range_bytes": "64KiB", "threads": 1})
    at_once(car)
    car.wait_streaming(pg)
    pid = car.process.pid
    writers = workload.Writers(pg, l.seed, 2, pause=0.005).start()
    for table in TAKEN:
        wait.until(f"{table} to be copied", lambda: copied(car, table), 60)
    l.step("a signal before anybody waits for it; copied")
    refusals(l, pg, car)

    effect = "in effect from here on"
    hup(car, effect, capture=rules + [{"tables": "shop.late", "priority": 3}, {"tables": "shop.empty"}],
        snapshot={"range_bytes": "64KiB", "threads": 1, "rate": "300kB"})
    wait.until("some of shop.late to be copied", lambda: state(car, "copy/shop.late").get("rows", 0) > 500, 60)
    slow = state(car, "copy/shop.late")
    assert slow["state"] == "copying", "copied already: the rate is not minded"
    hup(car, effect, snapshot={"range_bytes": "64KiB", "threads": 3})
    wait.until("shop.late to be copied", lambda: copied(car, "shop.late"), 20)
    reads = sum(1 for r in car.output().rows("shop.late") if r.op == "r")
    assert 30000 <= reads <= 30000 + 6000, f"{reads} rows were read: it was begun again"
    l.step(f"a table taken, slowly, then faster: {reads - 30000} of 30000 rows read again")

    assert face.ask("/commands", {"command": "pause", "table": "shop.empty"})[0] == 202
    wait.until("the pause of a table without rows", lambda: state(car, "table/shop.empty").get("state") == "paused", 20)
    pg.sql("insert into shop.empty values (1), (2)")
    assert face.ask("/commands", {"command": "resume", "table": "shop.empty"})[0] == 202
    wait.until("shop.empty to be copied", lambda: copied(car, "shop.empty", 2) and "gap" not in state(car, "table/shop.empty"), 30)
    assert {r.cells["id"] for r in car.output().rows("shop.empty")} >= {1, 2}
    l.step("paused before its first row, and resumed")

    hup(car, effect, capture=[r for r in car.settings["capture"] if r["tables"] != "shop.item"])
    wait.until("shop.item to be let go", lambda: state(car, "table/shop.item").get("state") == "skipped", 30)
    time.sleep(1)
    hup(car, effect, capture=rules + [{"tables": "shop.*"}])
    wait.until("shop.item to be copied again", lambda: copied(car, "shop.item", 2) and "gap" not in state(car, "table/shop.item"), 60)
    l.step("a table let go and taken again")

    hup(car, "only the log follows it", log={"level": "debug"})
    pg.sql("create table shop.new (id int primary key); insert into shop.new select g from generate_series(1, 100) g")
    assert face.ask("/commands", {"command": "snapshot", "table": "shop.code"})[0] == 202
    wait.until("shop.code to be copied again", lambda: copied(car, "shop.code", 2), 60)
    said(car, " debug ", 0)
    hup(car, "nothing in it is new")  # ... but at the source is
    wait.until("shop.new to be copied", lambda: copied(car, "shop.new"), 20)
    l.step("the log says more; a table that came is seen at once")
    writers.stop()
    assert car.process.pid == pid and car.terminate() == 0
    car.catch_up()
    total = compare.replica(pg, car.replica(), TAKEN + ["shop.late", "shop.empty", "shop.new"])
    assert car.call("fsck", "CONFIG").code == 0
    assert json.loads(car.config.read_text())["capture"][-1] == {"tables": "shop.*"}
    l.step(f"{total} rows equal in replica and source")


lab.run(main)
