#!/usr/bin/env python3
"""Without this nobody could tell whether a lake or a replica still is what the source has: verify finds them equal beside
running writers, and names exactly the keys that are not once something was lost, changed or damaged.
"""
import json
import pathlib
import sqlite3
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import time  # noqa: E402

from sidestream_test import beside, http, lab, lake, workload  # noqa: E402
from sidestream_test.wait import until  # noqa: E402

SCHEMA = workload.SCHEMA + """
create table shop.kinds (id int primary key, b bool, i8 bigint, f4 real, f8 double precision, n numeric(12,3), nn numeric,
    t text, by bytea, d date, ts timestamp, tz timestamptz, u uuid, j jsonb, c char(5), body text);
alter table shop.kinds alter body set storage external;
create table shop.odd ("Key €" text collate "C", k2 int, "rowid" int, "quo""te" text, primary key ("Key €", k2));
create table shop.hard (id int primary key, v text);
create table shop.loose (v text);
alter table shop.loose replica identity full;
create table shop.renamed (id int primary key, v text);
create table shop.old (id int primary key, v text);
create table shop.slow (id int primary key, v text);
create table shop.people (email text primary key, phone text, bio text, secret text, gone_at timestamptz, born date);
insert into shop.old select g, 'before' || g from generate_series(1, 500) g;
"""
KINDS = """insert into shop.kinds values
 (1, true, 9223372036854775807, 'NaN', '-Infinity', 123456789.125, 1e40, 'ä''"', '\\x00ff', '2024-02-29', '0001-01-01',
  '9999-12-31 23:59:59.999999+00', gen_random_uuid(), '{"a": 1e400}', 'ab', repeat('x', 9000)),
 (2, false, -9223372036854775808, 0.1, 1e308, -0.001, 'NaN', '', '', '1999-12-31', 'infinity'::timestamp - interval '1 day',
  'now', null, 'null', '', null);"""


def verify(car, *args, code=0, timeout=180):
    got = car.call("verify", "CONFIG", *args, timeout=timeout)
    assert got.code == code, f"exit {got.code}, not {code}: {got!r}"
    got.found = [json.loads(line) for line in got.out.splitlines()]
    return got


def differences(got, table):
    """{key: (difference, columns)} of one table; a key is its values in order."""
    return {tuple(d["key"].values()): (d["difference"], d["columns"]) for d in got.found if d["table"] == table}


def beside_writers(l, car):
    """Exit 3 is allowed for one reason alone: a table that the writers truncate was truncated meanwhile."""
    for i in range(6):
        table = ["shop.account", "shop.item", "shop.code", "shop.part", "shop.txlog"][i % 5]
        got = verify(car, "--table", table)
        assert got.out == "" and "1 tables" in got.err, got
        got = car.call("verify", "CONFIG", timeout=180)
        assert got.out == "", f"equal by construction: {got!r}"
        assert got.code == 0 or (got.code == 3 and "shop.scratch: not compared: " in got.err
                                 and "1 tables or rows undecided" in got.err), repr(got)
        l.step(f"beside writers: {got.err.splitlines()[-1]}")


def lost_changes(pg):
    """Changes that never reach the stream, as when somebody takes a table out of the publication."""
    pg.each("alter publication sidestream_shop drop table shop.account, shop.odd, shop.hard, shop.people",
            "update shop.account set note = 'lost', balance = balance + 1 where id = 1001",
            "delete from shop.account where id = 1002",
            "insert into shop.account values (1003, 0, 'again', null, null)",  # deleted before: the lake knows the key
            "insert into shop.account values (1999, 0, 'new', null, null)",    # never heard of: excused
            """update shop.odd set "quo""te" = 'lost' where k2 = 1""",
            "insert into shop.hard values (2, 'again')",
            "update shop.people set secret = 'lost', phone = '3', bio = 'aaaalost', gone_at = null where email = 'b@x'",
            "alter publication sidestream_shop add table shop.account, shop.odd, shop.hard, shop.people")


def source(l, pg, car):
    pg.each("insert into shop.account values (1001, 1, 'a', null, 'x'), (1002, 1, 'b', null, 'x'), (1003, 1, 'c', null, 'x')",
            "delete from shop.account where id = 1003",
            """insert into shop.odd values ('ä"', 1, 7, 'x'), ('z', 2, null, 'y')""",
            "insert into shop.hard values (1, 'a'), (2, 'b')", "delete from shop.hard where id = 2",
            "insert into shop.people values ('a@x', '1', 'aaaaa', 's', null, '2001-01-01'), ('b@x', '2', 'aaaab', 's', now(), 'infinity')",
            "insert into shop.people values ('c@x', '1', 'c', 's', now(), null)", "delete from shop.people where phone = '1' and bio = 'c'",
            "insert into shop.loose values ('a'), ('a')", "update shop.old set v = 'after' where id <= 20", KINDS,
            "update shop.kinds set i8 = 1 where id = 1")
    got = verify(car)
    assert "shop.old: 20 rows compared, 480 not captured yet" in got.err, got.err
    assert "shop.loose: not compared: it has no key" in got.err, got.err
    l.step("equal: " + got.err.splitlines()[-1])
    lost_changes(pg)
    got = verify(car, code=1)
    assert differences(got, "shop.account") == {(1001,): ("differs", ["balance", "note"]), (1002,): ("not in source", []),
                                                (1003,): ("missing in lake", [])}, got.out
    assert differences(got, "shop.odd") == {('ä"', 1): ("differs", ['quo"te'])}, got.out
    assert differences(got, "shop.hard") == {(2,): ("missing in lake", [])}, got.out
    people = differences(got, "shop.people")
    assert list(people.values()) == [("differs", ["gone_at", "__deleted"])], "masked and cut columns tell nothing"
    assert all(len(key[0]) == 64 for key in people), "the key is hashed"
    assert len(got.found) == 6 and "b@x" not in got.out and "lost" not in got.out + got.err, got
    assert "1 not captured yet" in next(t for t in got.err.splitlines() if t.startswith("shop.account:")), got.err
    got = verify(car, "--table", "shop.odd", "--limit", "1", code=1)
    assert len(got.found) == 1 and "1 tables" in got.err, got
    l.step("lost changes are found: " + got.err.splitlines()[-1])
    pg.each("update shop.account set mark = mark where id = 1001", "insert into shop.account values (1002, 0)",
            "delete from shop.account where id in (1002, 1003)", """update shop.odd set k2 = 5 where k2 = 1""",
            "delete from shop.hard where id = 2", "update shop.people set born = born")
    verify(car)
    l.step("equal again once the rows were touched")


def tables_that_change(l, pg, car):
    pg.each("insert into shop.renamed values (1, 'a'), (2, 'b')", "delete from shop.renamed where id = 2")
    verify(car)
    pg.sql("alter table shop.renamed rename to other; alter table shop.other set schema public")
    got = verify(car, code=1)
    assert differences(got, "shop.renamed") == {(1,): ("not in source", [])}, got.out
    pg.each("drop table public.other", "alter table shop.hard add column w int",
            "alter table shop.odd alter k2 type bigint, drop column rowid")
    verify(car, "--table", "shop.hard")
    verify(car, "--table", "shop.odd")
    pg.sql("alter table shop.hard add column x int default 7")
    got = verify(car, "--table", "shop.hard", code=1)
    assert differences(got, "shop.hard") == {(1,): ("differs", ["x"])}, got.out
    pg.sql("update shop.hard set v = v")
    verify(car, "--table", "shop.hard")
    l.step("tables altered, renamed and gone")


def in_nobodys_way(l, pg, car):
    """A slow comparison holds one table's lock; whoever wants to alter it waits a second or two."""
    pg.sql("insert into shop.slow select g, 'v' from generate_series(1, 400) g")
    until("the rows in the lake", lambda: lake.Lake(car.lake).count("shop.slow") == 400)
    import threading
    got = []
    thread = threading.Thread(target=lambda: got.append(car.call("verify", "CONFIG", "--table", "shop.slow", "--rate", "20")))
    thread.start()
    until("reading", lambda: pg.value("select 1 from pg_locks l join pg_class c on c.oid = l.relation join pg_stat_activity a"
                                      " using (pid) where relname = 'slow' and a.query like 'FETCH%'"), 60)
    assert pg.value("select count(*) from pg_replication_slots where temporary") == 0, "the slot must be gone by now"
    began = time.monotonic()
    pg.sql("alter table shop.slow add column w int")
    waited = time.monotonic() - began
    thread.join()
    assert waited < 6, waited
    assert got[0].code == 3 and "somebody waits to alter the table" in got[0].err, got[0]
    l.step(f"ALTER TABLE waited {waited:.1f} s")
    began = time.monotonic()
    verify(car, "--table", "shop.slow", "--rate", "200")
    assert time.monotonic() - began > 1.5, "400 rows at 200 a second"


def replica(l, pg, car):
    path = car.replica()
    got = verify(car, "--replica", path)
    l.step("replica: " + got.err.splitlines()[-1])
    with sqlite3.connect(path) as db:
        n = db.execute('select count(*) from "shop.item"').fetchone()[0]
        assert n > 3
        a, b, c = db.execute('select a, b from "shop.item" order by a, b limit 3').fetchall()
        db.execute('update "shop.item" set qty = -77, body = null where a = ? and b = ?', a)
        db.execute('delete from "shop.item" where a = ? and b = ?', b)
        db.execute('update "shop.item" set __deleted = 1 - __deleted where a = ? and b = ?', c)
        db.execute("""insert into "shop.item" (a, b, __seq, __op, __deleted) values (4711, 'extra', '', 'c', 0)""")
        db.execute("""update "shop.loose" set v = 'other' where rowid = 1""")
        hard = {row: ("missing in replica", []) for row in db.execute('select id from "shop.hard"').fetchall()}
        db.execute("""delete from "shop.hard" """)
        db.execute("create table mine (a)")
    got = verify(car, "--replica", path, code=1)
    body = ["qty", "body"] if not differences(got, "shop.item")[a][1] == ["qty"] else ["qty"]
    assert differences(got, "shop.item") == {a: ("differs", body), b: ("missing in replica", []),
                                             c: ("differs", ["__deleted"]), (4711, "extra"): ("not in lake", [])}, got.out
    assert [d["difference"] for d in got.found if d["table"] == "shop.loose"].count("missing in replica") == 1, got.out
    assert hard and differences(got, "shop.hard") == hard, got.out
    assert len(got.found) == 6 + len(hard) and "-77" not in got.out, got.out
    got = verify(car, "--replica", path, "--table", "shop.code")
    assert verify(car, "--replica", path, "--rate", "5", code=2)
    assert verify(car, "--replica", car.folder / "none.db", code=2)
    other = car.folder / "other.db"
    with sqlite3.connect(other) as db:
        db.execute("create table t (a)")
    verify(car, "--replica", other, code=3)
    with sqlite3.connect(path) as db:
        db.execute('update _sidestream_position set "commit" = 999999')
    got = verify(car, "--replica", path, code=3)
    assert "999999" in got.err, got
    l.step("a damaged replica is told by its keys")


def damaged_lake(l, car):
    entry = next(e for c in lake.Lake(car.lake).commits() for e in c.get("files", []) if e["table"] == "shop.account")
    path = car.lake / entry["path"]
    raw = bytearray(path.read_bytes())
    raw[-20] ^= 1
    path.write_bytes(raw)
    got = verify(car, code=1)
    assert entry["path"] in got.err and "SHA-256" in got.err and got.out == "", got
    verify(car, "--table", "shop.kinds")
    l.step("an altered data file is damage")


def main(l):
    pg = l.postgres()
    pg.sql(SCHEMA)
    capture = [{"tables": "shop.hard", "deletes": "hard", "snapshot": "never"},
               {"tables": "shop.code", "deletes": "append", "snapshot": "never"},
               {"tables": "shop.kinds", "on_invalid": "null", "snapshot": "never"},
               {"tables": "shop.people", "snapshot": "never", "on_invalid": {"born": "string"},
                "columns": {"exclude": ["secret"], "hash": ["email"], "mask": ["phone"], "truncate": {"bio": 4}},
                "logical_delete": {"column": "gone_at"}},
               {"tables": "shop.*", "snapshot": "never"}]
    face = http.Face()
    car = l.sidecar(pg, capture=capture, secrets={"hash": "0123456789abcdef0123456789abcdef"}, sink={"idle_interval": "1s"},
                    http=face.settings)
    car.start().wait_streaming(pg)
    writers = workload.Writers(pg, l.seed, 3, pause=0.002).start()
    time.sleep(1)
    beside_writers(l, car)
    beside.replicas(l, car, face)
    writers.stop()
    source(l, pg, car)
    tables_that_change(l, pg, car)
    in_nobodys_way(l, pg, car)
    replica(l, pg, car)
    damaged_lake(l, car)
    assert car.terminate() == 0
    got = verify(car, "--table", "shop.kinds", "--timeout", "2s", code=3)
    assert "is `sidestream run` running" in got.err, got
    l.step("without a running sidecar: undecided")
    assert pg.value("select count(*) from pg_replication_slots") == 1


lab.run(main)
