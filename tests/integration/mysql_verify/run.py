#!/usr/bin/env python3
"""Without this nobody could tell whether a lake or a replica still is what MySQL or MariaDB has: verify finds them equal beside
running writers, and names exactly the keys that are not, once changes did not reach the log.
"""
import pathlib
import sqlite3
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import json  # noqa: E402
import time  # noqa: E402

from sidestream_test import lab, mysql, mysql_workload  # noqa: E402

SCHEMA = mysql_workload.SCHEMA + """
create table shop.kinds (id int primary key, u bigint unsigned, f float, d double, n decimal(38,6), big decimal(65,30), t text, b blob,
    da date, ti time(3), dt datetime(6), ts timestamp(6) null, y year, e enum('a','ä'), s set('x','y'), bi bit(10), j json, g geometry,
    v int generated always as (id * 2) virtual, hidden int invisible default 3);
create table shop.odd (`Key €` varchar(20), k2 int, `quo``te` text, primary key (`Key €`(5), k2)) character set utf8mb4;
create table shop.dates (d datetime, v int, primary key (d));
create table shop.bin (k varbinary(8) primary key, v int);
create table shop.hard (id int primary key, v text);
create table shop.loose (v varchar(20));
create table shop.people (email varchar(40) primary key, phone text, secret text);
"""
KINDS = """insert into shop.kinds (id, u, f, d, n, big, t, b, da, ti, dt, ts, y, e, s, bi, j, g) values
 (1, 18446744073709551615, 1.1, 0.1, 12345678901234567890123456789012.123456, 0.5, 'ä''\\"', x'00ff', '2024-02-29', '23:59:59.999',
  '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07.999999', 2155, 'ä', 'x,y', b'1000000001', '{"b": 1, "a": [1.5, "ä"]}',
  ST_GeomFromText('POINT(1 2)')),
 (2, 0, -3.4e38, 1e308, -0.000001, -1, '', '', '0000-00-00', '-10:00:00', '2024-00-10 00:00:00', '0000-00-00', 0, '', '', 0, 'null', null),
 (3, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null)"""


def verify(car, *args, code=0, timeout=120):
    got = car.call("verify", "CONFIG", *args, timeout=timeout)
    assert got.code == code, f"exit {got.code}, not {code}: {got!r}"
    got.found = [json.loads(line) for line in got.out.splitlines()]
    return got


def differences(got, table):
    """{key: (difference, columns)} of one table; a key is its values in order."""
    return {tuple(d["key"].values()): (d["difference"], d["columns"]) for d in got.found if d["table"] == table}


def main(l):
    for kind in mysql.KINDS:
        server = l.mysql(kind)
        server.sql(server.can(SCHEMA))
        capture = [{"tables": "shop.hard", "deletes": "hard", "snapshot": "never"},
                   {"tables": "shop.kinds", "on_invalid": "null", "snapshot": "never"},
                   {"tables": "shop.people", "snapshot": "never", "columns": {"exclude": ["secret"], "hash": ["email"], "mask": ["phone"]}},
                   {"tables": "shop.*", "snapshot": "never"}]
        car = l.sidecar(server, folder=f"{kind}-verify", capture=capture, secrets={"hash": "0123456789abcdef0123456789abcdef"},
                        sink={"idle_interval": "1s", "commit_interval": "50ms"})
        car.start().wait_streaming(server)
        beside_writers(l, server, car)
        lost(l, server, car)
        replica(l, server, car)
        assert car.terminate() == 0
        server.sql("insert into shop.hard values (77, 'nobody reads it')")
        got = verify(car, "--table", "shop.kinds", "--timeout", "2s", code=3)
        assert "is `sidestream run` running" in got.err, got
        server.stop("immediate")


def beside_writers(l, server, car):
    """Exit 3 is allowed for one reason alone: a table that the writers truncate was truncated meanwhile."""
    writers = mysql_workload.Writers(server, l.seed, 2, pause=0.003).start()
    time.sleep(0.7)
    for table in ("shop.account", "shop.item", "shop.word", None):
        got = car.call("verify", "CONFIG", *(("--table", table) if table else ()), timeout=120)
        assert got.out == "", f"{table}: equal by construction: {got!r}"
        assert got.code == 0 or (table is None and got.code == 3 and "shop.scratch: not compared: " in got.err
                                 and "1 tables or rows undecided" in got.err), repr(got)
    writers.stop()
    l.step(f"{server.kind}: beside writers: {got.err.splitlines()[-1]}")


def lost(l, server, car):
    """Changes that never reach the log: made with sql_log_bin = 0."""
    server.each("insert into shop.account values (1001, 1, 'a', null, 'x'), (1002, 1, 'b', null, 'x'), (1003, 1, 'c', null, 'x')",
                "delete from shop.account where id = 1003", "insert into shop.odd values ('ä\"bcdefg', 1, 'x'), ('z', 2, null)",
                "insert into shop.bin values (x'00', 1), (x'ff00', 2), (x'', 3)", "insert into shop.hard values (1, 'a'), (2, 'b')",
                "insert into shop.dates values ('2024-01-01 00:00:00', 1), ('1000-01-01 23:59:59', 2)", "delete from shop.hard where id = 2",
                "insert into shop.people values ('a@x', '1', 's'), ('b@x', '2', 's')", "insert into shop.loose values ('a'), ('a')", KINDS)
    got = verify(car)
    assert "shop.loose: not compared: it has no key" in got.err, got.err
    l.step(f"{server.kind}: equal: {got.err.splitlines()[-1]}")
    server.each("set sql_log_bin = 0", "update shop.account set balance = 5, note = 'lost' where id = 1001", "delete from shop.account where id = 1002",
                "insert into shop.account values (1003, 0, 'again', null, null)", "update shop.odd set `quo``te` = 'y' where k2 = 1",
                "insert into shop.hard values (2, 'lost')", "update shop.kinds set f = 1.2, dt = '2024-01-01', j = '[1]' where id = 1",
                "update shop.bin set v = 9 where k = x'ff00'", "delete from shop.dates where v = 2", "delete from shop.people where phone = '2'")
    got = verify(car, code=1)
    assert differences(got, "shop.account") == {(1001,): ("differs", ["balance", "note"]), (1002,): ("not in source", []),
                                                (1003,): ("missing in lake", [])}, got.out
    assert differences(got, "shop.odd") == {('ä"bcdefg', 1): ("differs", ["quo`te"])}, got.out
    assert differences(got, "shop.hard") == {(2,): ("missing in lake", [])}, got.out
    assert differences(got, "shop.kinds") == {(1,): ("differs", ["f", "dt", "j"])}, got.out
    assert list(differences(got, "shop.bin").values()) == [("differs", ["v"])], got.out
    assert list(differences(got, "shop.dates").values()) == [("not in source", [])], got.out
    (person,) = differences(got, "shop.people")
    assert len(person[0]) == 64 and len(got.found) == 9, got.out
    server.each("update shop.account set mark = 'touched' where id = 1001", "insert into shop.account values (1002, 0, null, null, null)",
                "delete from shop.account where id in (1002, 1003)", "update shop.odd set k2 = 5 where k2 = 1", "delete from shop.hard where id = 2",
                "update shop.kinds set t = 'touched' where id = 1", "update shop.bin set v = v + 1", "insert into shop.dates values ('1000-01-01 23:59:59', 3)",
                "insert into shop.people values ('b@x', '2', 't')")
    verify(car)
    l.step(f"{server.kind}: lost changes are found by their keys, and equal again once the rows were touched")


def replica(l, server, car):
    path = car.replica()
    got = verify(car, "--replica", path)
    with sqlite3.connect(path) as db:
        key = db.execute('select word from "shop.word" where not __deleted limit 1').fetchone()
        db.execute('update "shop.word" set v = -77 where word = ?', key)
    got = verify(car, "--replica", path, code=1)
    assert differences(got, "shop.word") == {key: ("differs", ["v"])}, got.out
    l.step(f"{server.kind}: a damaged replica is told by its keys")


lab.run(main)
