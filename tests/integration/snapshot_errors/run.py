#!/usr/bin/env python3
"""Without this one table that cannot be copied would stop all others, or be taken for copied: tables are dropped, renamed,
forbidden, retyped while they are copied, the disk is full; each says so and what to do, the others go on.
"""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import json  # noqa: E402
import time  # noqa: E402

from sidestream_test import compare, copy_judge, http, lab, wait  # noqa: E402

TABLE = "create table shop.{0} (id int primary key, v int, body text); insert into shop.{0} select g, g, repeat(md5(g::text), 4) " \
        "from generate_series(1, 8000) g; alter table shop.{0} owner to cdc;"
ROLE = "create role cdc login replication; create schema shop authorization cdc; grant create on database postgres to cdc;"
SPOILED = {
    "dropped": "drop table shop.dropped",
    "renamed": "alter table shop.renamed rename to other",
    "retyped": "alter table shop.retyped alter v type bigint using v + 1000000000000",
    "rekeyed": "alter table shop.rekeyed alter id type bigint using -id",  # all lie in what was read already
    "again": "drop table shop.again; create table shop.again (id int primary key, v int, body text); insert into shop.again select "
             "g, g, 'another one' from generate_series(4000, 12000) g; alter table shop.again owner to cdc",
}


def state(car, table):
    return copy_judge.checkpoint(car).get(f"copy/{table}") or {}


def done(car, table):
    now = state(car, table)
    assert now.get("state") != "failed", f"{table}: {now}"
    return now.get("state") == "done"


def failed(car, table, *words):
    now = wait.until(f"the copy of {table} to fail", lambda: state(car, table).get("state") == "failed" and state(car, table), 60)
    text = now["why"] + car.log()
    for word in words:
        assert word in now["why"], f"{table}: {word!r} is not said: {now}"
    assert f"table {table} cannot be copied" in text and "`sidestream snapshot` copies it anew" in text, text[-1500:]


def live(car, table):
    rows = list(car.output().rows(table))
    cells = copy_judge.fold(rows, {table: ["id"]})[table]
    return [c for c in cells.values() if not c["__deleted"]]


def reading(car, table):
    """Some of it is there, and not all."""
    wait.until(f"{table} to be read", lambda: any(r.op == "r" for r in car.output().rows(table)), 60)
    return not state(car, table).get("state") == "done"


def spoiled(l, pg, name):
    """What is done to a table while it is copied, and nothing else is."""
    for _ in range(4):
        pg.sql(TABLE.format(name))
        car = pipeline(l, pg, name, [{"tables": f"shop.{name}", "priority": 1}, {"tables": "shop.*"}])
        car.start()
        if reading(car, f"shop.{name}"):
            break
        end(l, pg, car)  # it is copied already, since this machine stood still
    else:
        raise AssertionError(f"{name} is always copied already: nothing was tried")
    began = time.monotonic()
    pg.sql(SPOILED[name])
    assert time.monotonic() - began < 10, "the copy stands in the way"
    if name in ("dropped", "renamed"):
        failed(car, f"shop.{name}", "the source has no such table")
    else:
        if name == "again":  # it comes into the publication when it is looked for
            car.kill9()
            car.start()
        wait.until(f"shop.{name} to be copied", lambda: state(car, f"shop.{name}").get("state") == "done", 90)
        compare.tables_equal(pg, live(car, f"shop.{name}"), f"shop.{name}", "fold of the log")
    if name == "renamed":
        car.kill9()  # the new name is looked for at the start
        car.start()
        wait.until("shop.other to be copied", lambda: done(car, "shop.other"), 60)
        assert len(live(car, "shop.other")) == 8000
    wait.until("shop.fine to be copied", lambda: done(car, "shop.fine"), 60)
    assert len(live(car, "shop.fine")) == 8000
    end(l, pg, car)
    l.step(f"{name} while it was copied: {'failed, and said so' if name in ('dropped', 'renamed') else 'copied as it is now'}")


def pipeline(l, pg, name, capture, **more):
    url = pg.url(user="cdc", socket=True)
    return l.sidecar(pg, name=name, url=url, capture=capture, **{"snapshot": {"mode": "ranged", "range_bytes": "32KiB", "rate": "800kB",
                                                                            "threads": 2}, "sink": {"commit_interval": "20ms", "idle_interval": "1s"}, **more})


def end(l, pg, car):
    if car.alive():
        assert car.terminate() == 0
    assert car.call("drop", "CONFIG", "--yes").code == 0
    for table in [r[0] for r in pg.sql("select oid::regclass from pg_class where relnamespace = 'shop'::regnamespace and relkind = 'r' "
                                       "and relname <> 'fine'")]:
        pg.sql(f"drop table {table}")


def forbidden(l, pg):
    """No SELECT, on a running instance; then the right is given, and the command given that the message names."""
    pg.sql(TABLE.format("forbidden") + "revoke select on shop.forbidden from cdc")
    face = http.Face()
    car = pipeline(l, pg, "forbidden", [{"tables": "shop.*"}], http=face.settings, snapshot={"threads": 2}).start()
    failed(car, "shop.forbidden", "GRANT SELECT ON \"shop\".\"forbidden\" TO \"cdc\"")
    wait.until("shop.fine to be copied", lambda: done(car, "shop.fine"), 60)
    pg.sql("insert into shop.forbidden values (0, 0, 'its changes go on')")
    wait.until("a change of the table", lambda: any(r.op == "c" for r in car.output().rows("shop.forbidden")), 30)
    told = json.loads(face.ask("/status")[1])
    assert "GRANT SELECT" in json.dumps(told), "`status` does not say why"
    pg.sql("grant select on shop.forbidden to cdc")
    assert face.ask("/commands", {"command": "snapshot", "table": "shop.forbidden"})[0] == 202
    wait.until("shop.forbidden to be copied", lambda: state(car, "shop.forbidden").get("state") == "done", 60)
    assert len(live(car, "shop.forbidden")) == 8001
    end(l, pg, car)
    l.step("no right to read it: failed, mended by a GRANT and `snapshot`")


def full(l, pg):
    """A full disk is no table's failure: all wait, and go on."""
    disk = l.tmpfs("400k")
    car = pipeline(l, pg, "full", [{"tables": "shop.*"}], snapshot={"mode": "ranged", "range_bytes": "64KiB"},
                   sink={"path": str(disk / "lake"), "commit_interval": "20ms", "idle_interval": "1s", "codec": "null"}).start()
    wait.until("the disk to be full", lambda: "No space left" in car.log(), 60)
    time.sleep(0.5)
    assert car.alive() and state(car, "shop.fine").get("state") != "failed", car.log()[-2000:]
    car.kill9()
    car.start()
    time.sleep(0.5)
    subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
    wait.until("shop.fine to be copied", lambda: done(car, "shop.fine"), 60)
    assert len(live(car, "shop.fine")) == 8000
    end(l, pg, car)
    l.step("a full disk: waited, went on")


def room(l, pg):
    """`check` says what a copy takes of the connections; it gets on with just that many."""
    def told(threads):
        car.settings["snapshot"]["threads"] = threads
        car.write_config()
        got = car.call("check", "CONFIG")
        assert got.code == 0, got
        return got.out

    pg.sql("alter role cdc connection limit 9; alter database postgres connection limit 70")
    car = pipeline(l, pg, "room", [{"tables": "shop.*"}])
    many = told(32)
    assert "to the server are to be had; a copy of tables takes up to 68 (snapshot.threads)" in many, many
    assert "9 more connections of the role" in many and 'ALTER ROLE "cdc" CONNECTION LIMIT 70;' in many, many
    assert "to the database are to be had; a copy of tables takes up to 70" in many and "ALTER DATABASE" not in many, many
    few = told(2)
    assert "9 more connections of the role are to be had; a copy of tables takes up to 10 (snapshot.threads)" in few, few
    assert few.count("(snapshot.threads)") == 1, few
    pg.sql("alter role cdc connection limit 10")
    assert "(snapshot.threads)" not in told(2)
    for mode in ("ranged", "auto"):
        car = pipeline(l, pg, f"room_{mode}", [{"tables": "shop.*"}])
        car.settings["snapshot"]["mode"] = mode
        assert "(snapshot.threads)" not in told(2)
        car.start()
        reading(car, "shop.fine")
        assert "(snapshot.threads)" not in told(2), "a pipeline's own connections are in its way"
        wait.until(f"shop.fine to be copied, {mode}", lambda: done(car, "shop.fine"), 60)
        assert "too many connections" not in car.log(), car.log()[-2000:]
        end(l, pg, car)
    car.settings["capture"] = [{"tables": "shop.*", "snapshot": "never"}]
    assert "connections" not in told(32)
    pg.sql("alter role cdc connection limit -1; alter database postgres connection limit -1")
    l.step("connections: told before, and enough")


def main(l):
    pg = l.postgres(conf=["max_replication_slots = 20", "max_wal_senders = 20", "max_connections = 60"])
    pg.sql(ROLE + TABLE.format("fine"))
    for name in SPOILED:
        spoiled(l, pg, name)
    forbidden(l, pg)
    room(l, pg)
    full(l, pg)


lab.run(main)
