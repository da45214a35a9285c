#!/usr/bin/env python3
"""Without this rows around a DDL of MySQL or MariaDB would be read with the wrong columns, vanish, or stay for ever: columns are
added, moved, renamed, retyped; tables truncated, dropped, made again, renamed, swapped as online tools do; partitions dropped;
and rows written as statements are a gap that is mended by a new copy.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import json  # noqa: E402
import time  # noqa: E402

import pymysql.err  # noqa: E402

from sidestream_test import compare, lab, lake, mysql, mysql_oracle, wait  # noqa: E402


def main(l):
    for kind in mysql.KINDS:
        server = l.mysql(kind)
        server.sql("create database shop character set utf8mb4; create database other; create database `Mixed`")
        columns(l, server)
        gone(l, server)
        online(l, server)
        statements(l, server)
        if server.mariadb and server.version() >= (10, 7):  # CONVERT TABLE
            swallowed(l, server)
        if server.mariadb and server.version() >= (10, 8):  # binlog_alter_two_phase
            two_phases(l, server)
        linked(l, server)
        noise(l, server)
        server.stop("immediate")


def live(car, table):
    """The rows of the replica that are alive, by id."""
    return {r["id"]: r for r in compare.replica_rows(car.replica(), table) if not r["__deleted"]}


def columns(l, server):
    """Between transactions, while the sidecar is away, and several behind each other before it reads the first."""
    server.sql("create table shop.t (id int primary key, a int, b varchar(20))")
    car = l.sidecar(server, folder=f"{server.kind}-columns", name="columns", capture=[{"tables": "shop.t", "snapshot": "never"}])
    car.start().wait_streaming(server)
    events = mysql_oracle.Oracle(server)
    server.each("insert into shop.t values (1, 1, 'one'), (2, 2, 'two')",
                "alter table shop.t add c varchar(20) default 'dflt'",
                "insert into shop.t values (3, 3, 'three', 'c3')",
                "alter table shop.t add first_of_all int first",
                "insert into shop.t values (44, 4, 4, 'four', 'c4')",
                "update shop.t set c = 'now' where id = 1")
    car.terminate()
    server.each("alter table shop.t drop first_of_all, modify a bigint", "insert into shop.t values (5, 5000000000, 'five', 'c5')",
                "alter table shop.t change a aa bigint after c", "insert into shop.t values (6, 'six', 'c6', 6)",
                "alter table shop.t drop b", "insert into shop.t values (7, 'c7', 7)",
                "alter table shop.t rename column c to cc, add e enum('x','y')", "insert into shop.t values (8, 'c8', 8, 'y')",
                "alter table shop.t modify e enum('y','x','z')", "insert into shop.t values (9, 'c9', 9, 'z')",
                "alter table shop.t convert to character set latin1", "insert into shop.t values (10, 'äöü', 10, 'x')",
                "alter table shop.t drop primary key, add primary key (aa), add index (id)", "update shop.t set cc = 'other key' where aa = 10",
                "alter table shop.t comment 'nothing of matter', engine=innodb")
    car.start().wait_streaming(server)
    server.each("delete from shop.t where aa = 3", "begin; insert into shop.t values (11, 'c11', 11, 'y'); savepoint s; "
                "insert into shop.t values (12, 'never', 12, 'y'); rollback to s; commit")
    car.terminate()
    car.catch_up()
    rows = list(lake.Lake(car.lake).rows("shop.t"))
    found = [e for e in events.events() if e.table == "shop.t"]
    n = compare.history([r for r in rows if r.op == "c"], [e for e in found if e.op == "I"], {"shop.t": ["id"]})
    names = {r.cells["id"]: sorted(c for c in r.cells if not c.startswith("__")) for r in rows if r.op == "c"}
    assert names[1] == ["a", "b", "id"] and names[3] == ["a", "b", "c", "id"], names
    assert names[4] == ["a", "b", "c", "first_of_all", "id"], names
    assert names[5] == ["a", "b", "c", "id"] and names[6] == ["aa", "b", "c", "id"] and names[7] == ["aa", "c", "id"], names
    assert names[8] == names[10] == ["aa", "cc", "e", "id"], names
    by_id = {r.cells["id"]: r.cells for r in rows if r.op == "c"}
    assert (by_id[5]["a"], by_id[8]["e"], by_id[9]["e"], by_id[10]["cc"]) == (5000000000, "y", "z", "äöü"), by_id
    assert 12 not in by_id and len(rows) == len(found), (len(rows), len(found))
    last = [r for r in rows if r.op in "ud"]
    assert [r.op for r in last] == ["u", "u", "d"] and last[1].cells["cc"] == "other key" and last[2].cells["aa"] == 3, last
    assert car.call("fsck", "CONFIG").code == 0
    l.step(f"{server.kind}: {n} rows, the right columns in each")


def ranges(car):
    return [(r.table, r.cells["__delete_reason"]) for r in lake.Lake(car.lake).rows() if r.op == "t"]


def gone(l, server):
    """TRUNCATE, DROP, DROP DATABASE, CREATE OR REPLACE: what was there is gone, what comes then is not."""
    server.sql("create database gone; create table gone.a (id int primary key, v int); create table gone.b like gone.a; "
               "create table gone.c like gone.a; create database left_alone; create table left_alone.a like gone.a;")
    car = l.sidecar(server, folder=f"{server.kind}-gone", name="gone",
                    capture=[{"tables": "gone.*", "snapshot": "never"}, {"tables": "left_alone.*", "snapshot": "never"}])
    car.start().wait_streaming(server)
    server.each(*(f"insert into {t} values (1, 1), (2, 2), (3, 3)" for t in ("gone.a", "gone.b", "gone.c", "left_alone.a")),
                "use gone; truncate a", "insert into gone.a values (2, 22)",
                "drop table if exists gone.b, gone.none", "create table gone.b (id int primary key, v int, w int)",
                "insert into gone.b values (3, 33, 333)",
                "create temporary table gone.c (x int)", "insert into gone.c values (9)", "drop temporary table gone.c",
                "begin; insert into gone.a values (4, 44); commit", "truncate table `gone` . `a` /* all */", "insert into gone.a values (5, 55)")
    car.terminate()
    car.catch_up()
    assert {i: r["v"] for i, r in live(car, "gone.a").items()} == {5: 55}
    assert {i: (r["v"], r["w"]) for i, r in live(car, "gone.b").items()} == {3: (33, 333)}
    assert set(live(car, "gone.c")) == {1, 2, 3}, "a temporary table is another"
    if server.mariadb:
        server.each("create or replace table gone.c (id int primary key, v int)", "insert into gone.c values (7, 7)")
        car.catch_up()
        assert set(live(car, "gone.c")) == {7}
    server.sql("drop database gone")
    car.catch_up()
    for table in ("gone.a", "gone.b", "gone.c"):
        assert not live(car, table), table
    assert set(live(car, "left_alone.a")) == {1, 2, 3}
    assert {t for t, _ in ranges(car)} == {"gone.a", "gone.b", "gone.c"}, ranges(car)
    assert all(why == "truncate" for _, why in ranges(car)), ranges(car)
    seqs = [r.seq for r in lake.Lake(car.lake).rows()]
    assert seqs == sorted(seqs)
    l.step(f"{server.kind}: {len(ranges(car))} range deletes")


def copied(car, table, generation):
    """Whether that copy is done, and no gap is open."""
    from sidestream_test import copy_judge
    there = copy_judge.checkpoint(car)
    copy, state = there.get(f"copy/{table}") or {}, there.get(f"table/{table}") or {}
    return copy.get("state") == "done" and copy.get("generation", 0) >= generation and "gap" not in state


def equal(server, car, *tables):
    return compare.replica(server, car.replica(), tables)


def named(car):
    return {r.table for r in lake.Lake(car.lake).rows()}


def online(l, server):
    """RENAME: what leaves is gone, what comes in is copied; two at once, as gh-ost and pt-online-schema-change do."""
    server.sql("create database online; create table online.t (id int primary key, v varchar(10)); "
               "insert into online.t values (1, 'a'), (2, 'b'), (3, 'c'); create table online.u like online.t; "
               "insert into online.u values (1, 'u'); create table other.coming (id int primary key, v varchar(10)); "
               "insert into other.coming values (7, 'x'), (8, 'y')")
    car = l.sidecar(server, folder=f"{server.kind}-online", name="online",
                    capture=[{"tables": "online._*", "skip": True}, {"tables": "online.*"}], sink={"commit_interval": "50ms"})
    car.start().wait_streaming(server)
    wait.until("the first copies", lambda: copied(car, "online.t", 1) and copied(car, "online.u", 1))
    server.each("create table online._t_new like online.t", "alter table online._t_new add w int default 5",
                "insert into online._t_new (id, v) select id, v from online.t", "update online._t_new set w = 6 where id = 2",
                "rename table online.t to online._t_old, online._t_new to online.t",
                "insert into online.t values (4, 'd', 4)", "update online.t set v = 'bb' where id = 2")
    wait.until("the table that came in to be copied", lambda: copied(car, "online.t", 2), 60)
    server.each("delete from online.t where id = 1", "drop table online._t_old",
                "rename table online.u to online.away", "rename table other.coming to online.came",
                "insert into online.came values (9, 'z')", "alter table online.away rename to other.gone")
    wait.until("the table from elsewhere to be copied", lambda: copied(car, "online.came", 1), 90)
    time.sleep(0.5)
    assert car.terminate() == 0
    car.catch_up()
    n = equal(server, car, "online.t", "online.came")
    assert not live(car, "online.u"), "what left is gone"
    assert "online.away" not in named(car) or not live(car, "online.away"), "what left at once was never there, or is gone"
    l.step(f"{server.kind}: renamed and swapped, {n} rows equal")


def statements(l, server):
    """Rows that are in the log as SQL alone: a gap, named, and mended by a copy; other tables go on."""
    server.sql("create database stm; create table stm.t (id int primary key, v int); create table stm.quiet like stm.t; "
               "insert into stm.t values (1, 1), (2, 2); insert into stm.quiet values (1, 1); "
               "create database far; create table far.t like stm.t; insert into far.t values (1, 1), (2, 2)")
    car = l.sidecar(server, folder=f"{server.kind}-statements", name="statements", capture=[{"tables": "stm.*"}, {"tables": "far.*"}],
                    sink={"commit_interval": "50ms"}, log={"format": "json"})
    car.start().wait_streaming(server)
    wait.until("the first copies", lambda: copied(car, "stm.t", 1) and copied(car, "stm.quiet", 1) and copied(car, "far.t", 1))
    server.each("insert into stm.t values (3, 3)", "set binlog_format = 'STATEMENT'; use stm; update t set v = v * 10 where id <= 2; delete from stm.t where id = 3",
                "set binlog_format = 'ROW'; insert into stm.t values (4, 4)")
    wait.until("a new copy", lambda: copied(car, "stm.t", 2), 60)
    server.each("update stm.t set v = 5 where id = 4", "insert into stm.quiet values (2, 2)",
                "set binlog_format = 'STATEMENT'; use other; delete gone from far.t as gone join far.t as stays on stays.id = gone.id + 1")
    wait.until("a new copy of a table that only the statement's own words name", lambda: copied(car, "far.t", 2), 60)
    assert car.terminate() == 0
    car.catch_up()
    n = equal(server, car, "stm.t", "stm.quiet", "far.t")
    assert set(live(car, "far.t")) == {2} and not copied(car, "stm.quiet", 2), "a table that nobody touched is not copied again"
    warned = [json.loads(t) for t in car.log().splitlines() if t.startswith("{")]
    assert [w for w in warned if w.get("level") in ("warn", "warning") and "stm.t" in json.dumps(w)], "nobody was told"
    assert "v * 10" not in car.log(), "the statement's text is the user's"
    l.step(f"{server.kind}: changes that were logged as statements, copied again, {n} rows equal")


def swallowed(l, server):
    """A table that becomes a partition of another is gone, and the other has its rows."""
    server.sql("create database eat; create table eat.t (id int primary key, v int) partition by range (id) "
               "(partition p0 values less than (10)); create table eat.q (id int primary key, v int); "
               "insert into eat.t values (1, 1); insert into eat.q values (11, 1), (12, 2)")
    car = l.sidecar(server, folder=f"{server.kind}-eat", name="eat", capture=[{"tables": "eat.*"}], sink={"commit_interval": "50ms"})
    car.start().wait_streaming(server)
    wait.until("the first copies", lambda: copied(car, "eat.t", 1) and copied(car, "eat.q", 1))
    server.sql("alter table eat.t convert table eat.q to partition p1 values less than (20)")
    wait.until("the table that got the rows to be copied", lambda: copied(car, "eat.t", 2), 60)
    assert car.terminate() == 0
    car.catch_up()
    assert equal(server, car, "eat.t") == 3 and not live(car, "eat.q"), live(car, "eat.q")
    assert [t for t, why in ranges(car) if why == "truncate"] == ["eat.q"], ranges(car)
    l.step(f"{server.kind}: a table became a partition")


def two_phases(l, server):
    """An ALTER may be in the log twice, at its beginning and its end, and so is one that fails: only what was done counts."""
    server.sql("create database twice; create table twice.t (id int primary key, v int); insert into twice.t values (1, 1)")
    car = l.sidecar(server, folder=f"{server.kind}-twice", name="twice", capture=[{"tables": "twice.*"}], sink={"commit_interval": "50ms"})
    car.start().wait_streaming(server)
    server.sql("insert into twice.t values (2, 1)")
    wait.until("the rows", lambda: copied(car, "twice.t", 1) and lake.Lake(car.lake).count() == 2)
    con = server.connect("twice")
    con.cursor().execute("set session binlog_alter_two_phase = 1")
    try:
        con.cursor().execute("alter table t add unique (v), rename to u")
        raise AssertionError("the keys are not unique")
    except pymysql.err.IntegrityError:
        pass
    con.cursor().execute("alter table t add w int, force")
    server.sql("insert into twice.t values (3, 3, 3)")
    assert car.terminate() == 0
    car.catch_up()
    assert ranges(car) == [] and equal(server, car, "twice.t") == 3, ranges(car)
    con.cursor().execute("alter table t modify v bigint, rename to u")
    con.close()
    car.catch_up()
    assert [t for t, why in ranges(car) if why == "truncate"] == ["twice.t"] and equal(server, car, "twice.u") == 3, ranges(car)
    l.step(f"{server.kind}: ALTERs in two phases, one of which failed")


def linked(l, server):
    """A foreign key whose effects are not logged comes while it runs: refused there as at a start; mended, what it did is copied."""
    server.sql("create database fk; create table fk.par (id int primary key); create table fk.child (id int primary key, par int, key (par)); "
               "insert into fk.par values (1), (2), (3), (4); insert into fk.child values (1, 1), (2, 2), (3, 3), (4, 4)")
    car = l.sidecar(server, folder=f"{server.kind}-fk", name="fk", capture=[{"tables": "fk.*"}], sink={"commit_interval": "50ms"})
    car.start().wait_streaming(server)
    wait.until("the first copies", lambda: copied(car, "fk.par", 1) and copied(car, "fk.child", 1))
    server.sql("insert into fk.child values (5, 3)")
    server.sql("alter table fk.child add constraint c foreign key (par) references fk.par (id) on delete\ncascade")
    if server.sql("show variables like 'innodb_native_foreign_keys'")[:1] == [("innodb_native_foreign_keys", "OFF")]:
        server.sql("delete from fk.par where id = 1")
        assert car.terminate() == 0
        car.catch_up()
        assert equal(server, car, "fk.par", "fk.child") == 3 + 4 and not copied(car, "fk.child", 2)
        l.step(f"{server.kind}: what a foreign key deletes is in this server's log")
        return
    assert car.wait(30) == 3, car.log()[-2000:]
    server.sql("delete from fk.par where id = 1")  # and child 1, of which the log says nothing
    for _ in range(2):
        got = car.call("run", "CONFIG", timeout=60)
        assert got.code == 3 and "fk.child has a foreign key" in got.err, repr(got)
    server.sql("alter table fk.child drop foreign key c")
    car.start().wait_streaming(server)
    wait.until("the child to be copied anew", lambda: copied(car, "fk.child", 2), 60)
    assert car.terminate() == 0
    assert equal(server, car, "fk.par", "fk.child") == 3 + 4 and 1 not in live(car, "fk.child")
    server.sql("create table other.c2 (id int primary key, par int, foreign key (par) references fk.par (id) on update set null)")
    car.start().wait_streaming(server)
    server.sql("rename table other.c2 to fk.c2")
    assert car.wait(30) == 3 and "fk.c2 has a foreign key" in car.log(), car.log()[-2000:]
    car.settings["source"]["accept"] = ["cascades"]
    car.write_config()
    car.catch_up()
    l.step(f"{server.kind}: a foreign key that cascades is refused when it comes, not only at a start")


def noise(l, server):
    """DDL of all kinds that does not concern what is captured: nothing stops, nothing is emitted."""
    server.sql("create table shop.n (id int primary key)")
    car = l.sidecar(server, folder=f"{server.kind}-noise", name="noise", capture=[{"tables": "shop.n", "snapshot": "never"}])
    car.start().wait_streaming(server)
    server.each("use other; create table x (id int primary key, j int) comment 'insert into shop.n values (1)'", "insert into other.x values (1, 1)",
                "create view other.v as select * from other.x", "create index i on other.x (j)", "alter view other.v as select 1 one",
                "create procedure other.p() begin insert into other.x values (2, 2); end", "call other.p()",
                "create trigger other.tr after insert on other.x for each row insert into shop.n values (new.id)", "insert into other.x values (3, 3)",
                "create user who@localhost identified by 'Who-1'", "grant select on shop.n to who@localhost", "drop user who@localhost",
                "analyze table shop.n", "optimize table shop.n", "flush tables", "/* truncate shop.n */ insert into shop.n values (4)",
                "create function other.f() returns int deterministic return 1", "drop trigger other.tr", "drop procedure other.p",
                "truncate other.x", "drop view other.v", "drop table other.x", "create table `Mixed`.N (id int primary key)",
                "drop table `Mixed`.N", "insert into shop.n values (5)", "lock tables shop.n write", "unlock tables", "reset query cache"
                if server.mariadb else "flush status")
    car.terminate()
    car.catch_up()
    ids = [(r.op, r.cells["id"]) for r in lake.Lake(car.lake).rows()]
    assert ids == [("c", 3), ("c", 4), ("c", 5)], ids
    l.step(f"{server.kind}: other DDL is no matter")


lab.run(main)
