#!/usr/bin/env python3
"""Without this rows of MySQL or MariaDB that were there before would be missing, come twice, or be older than the changes behind
them: tables are copied while writers work on them, with the lock and without it, whole and in ranges, by keys of every type,
into a lake and into topics, and again; then random histories of copies, kills, pauses and added tables.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import collections  # noqa: E402
import json  # noqa: E402
import re  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402

import pymysql  # noqa: E402

from sidestream_test import compare, copy_judge, http, lab, mysql, mysql_histories, mysql_oracle, mysql_workload, wait  # noqa: E402

STILL = "create table shop.still (id bigint unsigned primary key, v varchar(200));"
ROWS = 10000
WAYS = {"start": ({}, {"rate": "3MiB"}), "ranged": ({}, {"mode": "ranged", "threads": 3, "range_bytes": "128KiB"}),
        "no lock": ({"lock": "never"}, {"threads": 2, "range_bytes": "256KiB"})}
# A key's type, and the SQL for the key of row n (0 to 1199).
KEYS = {
    "varchar(20) collate utf8mb4_general_ci": "concat(char(97 + n % 26), if(n % 2, 'é', ' '), n)",
    "varchar(20) collate utf8mb4_bin": "concat(if(n % 3, 'ä', '\\\\%_'''), n, repeat('\U0001F600', n % 4))",
    "char(12) character set latin1": "concat(n % 7, 'ÿ', n)",
    "varbinary(6)": "concat(char(n % 256), char(n div 256))",
    "bigint": "(n - 600) * 15000000000000000",
    "bigint unsigned": "18446744073709551615 - n",
    "decimal(20,4)": "(n - 600) * 1.0001",
    "double": "(n - 600) / 7e0",
    "date": "date '1000-01-01' + interval n * 2000 day",
    "datetime(6)": "timestamp '2024-01-01 00:00:00' + interval n * 1000001 microsecond",
    "timestamp(3)": "from_unixtime(1000000 + n) + interval n * 1001000 microsecond",
    "time(2)": "sec_to_time((n - 600) * 100)",
    "bit(16)": "n * 50",
    "set('a','b','c','d','e','f','g','h','i','j','k','l')": "n",
}
MARIADB_KEYS = {"uuid": "concat(lpad(hex(n * 3579139 % 65536), 8, '0'), '-0000-4000-8000-000000000000')", "inet6": "concat('2001:db8::', hex(n))"}


def main(l):
    broker = l.kafka()
    for kind in mysql.KINDS:
        server = l.mysql(kind)
        keys(l, server)
        ranges(l, server)
        altered(l, server)
        emoji(l, server)
        hidden(l, server)
        server.sql(mysql_workload.SCHEMA + STILL)
        fill_still(server)
        mysql_workload.Writers(server, f"{l.seed}-before", 3, transactions=60).start().join()
        for name, (source, how) in WAYS.items():
            if name != "no lock" or not server.mariadb:  # MariaDB needs none
                one_way(l, server, name, source, how)
        if not server.mariadb:  # MariaDB's histories below go there
            one_way(l, server, "start", {}, WAYS["start"][1], broker)
        commands(l, server)
        for sink, with_broker in (("lake", None), ("kafka", broker)):
            count = l.rounds if sink == "lake" else l.rounds // 3
            if count or sink == ("kafka" if server.mariadb else "lake"):
                mysql_histories.Histories(l, server, sink, with_broker, brief=not l.rounds).run(count or 1)
        server.stop("immediate")


def keys(l, server):
    """Small ranges of tables with keys of every type: each row once, whatever the bounds look like as text."""
    server.sql("create database k character set utf8mb4; create table k.n (n int primary key)")
    server.sql("insert into k.n values " + ",".join(f"({n})" for n in range(1200)))
    all_of_them = [(kind, sql) for kind, sql in (KEYS | MARIADB_KEYS if server.mariadb else KEYS).items() if kind != "uuid" or server.version() >= (10, 7)]
    for i, (kind, sql) in enumerate(all_of_them):
        server.each(f"create table k.t{i} (k {kind} primary key, n int, pad text)", f"insert into k.t{i} select {sql}, n, repeat('x', 200) from k.n")
    server.sql("create table k.two (a varchar(10), b enum('z','a','m'), c smallint, n int, pad text, primary key (b, a, c));"
               "insert into k.two select char(97 + n % 5), 1 + n % 3, n - 600, n, repeat('x', 200) from k.n;"
               "create table k.prefix (a text, n int, primary key (a(4))); insert into k.prefix select concat(lpad(n, 4, '0'), 'tail'), n from k.n;"
               "create table k.none (n int, pad text); insert into k.none select n, repeat('x', 200) from k.n;"
               "create table k.empty (id int primary key)")
    car = l.sidecar(server, folder=f"{server.kind}-keys", name="keys", capture=[{"tables": "k.*", "on_invalid": "string"}],
                    snapshot={"mode": "ranged", "range_bytes": "16KiB", "threads": 2})
    car.catch_up()
    found = collections.defaultdict(list)
    for r in car.output().rows():
        assert r.op == "r", r
        found[r.table].append(r.cells["n"])
    names = {f"k.t{i}": kind for i, (kind, _) in enumerate(all_of_them)}
    for table in [*names, "k.two", "k.prefix", "k.none", "k.n"]:
        seen = collections.Counter(found[table])
        missing, twice = [n for n in range(1200) if n not in seen], [n for n in seen if seen[n] > 1]
        assert not missing and not twice, f"{table} ({names.get(table)}): missing {missing[:5]}, twice {twice[:5]}"
    states = copy_judge.checkpoint(car)
    assert states["copy/k.empty"]["state"] == "done", states["copy/k.empty"]
    l.step(f"{server.kind}: keys of {len(all_of_them)} types cut into ranges")


class Statements:
    """What the server is asked, from here on."""

    def __init__(self, server):
        self.server, self.path = server, server.base / "general.log"
        self.path.unlink(missing_ok=True)
        server.each("set global log_output = 'FILE'", f"set global general_log_file = '{self.path}'", "set global general_log = 1")

    def found(self, pattern):
        return re.findall(pattern, self.path.read_text(errors="replace"))

    def off(self):
        self.server.sql("set global general_log = 0")


READS = r"SELECT `[kid]+`, .* FROM `r`\.`%s` .*WHERE TRUE"


def ranges(l, server):
    """What a range asks beside its rows, where bounds come from, and how long ranges of a partial copy are."""
    server.each("create database r", "create table r.whole (id int primary key, n int, g int, pad varchar(200), key (g))",
                *(f"insert into r.whole with recursive s(n) as (select {at} union all select n + 1 from s where n < {at + 999}) "
                  "select n + 1, n % 500, n % 100, repeat('x', 200) from s" for at in range(0, 40000, 1000)),
                "create table r.kind (k enum('a','b','c'), id int, pad varchar(200), primary key (k, id))",
                "insert into r.kind select 1 + n % 3, id, pad from r.whole where id <= 10000", "create table r.part like r.whole", "insert into r.part select * from r.whole", "create table r.tail like r.whole",
                "insert into r.tail select * from r.whole", "analyze table r.whole, r.part, r.tail")
    seen = Statements(server)
    car = l.sidecar(server, folder=f"{server.kind}-ranges", name="ranges", snapshot={"range_bytes": "256KiB", "threads": 1},
                    capture=[{"tables": "r.part", "where": "g = 7 -- of a hundred"}, {"tables": "r.tail", "where": "id > 39000"}, {"tables": "r.*"}])
    car.catch_up()
    seen.off()
    rows = collections.Counter(r.table for r in car.output().rows())
    assert rows == {"r.kind": 10000, "r.whole": 40000, "r.part": 400, "r.tail": 1000}, rows
    whole, part, tail, kind = (len(seen.found(READS % t)) for t in ("whole", "part", "tail", "kind"))
    assert kind == 1, f"{kind} ranges of a key for which no server finds a range"
    assert not server.mariadb or seen.found("idle_readonly_transaction_timeout = 0"), "a look would end when it is idle"
    assert 20 <= whole <= 80 and part <= whole // 5 and tail <= 3, f"{whole} ranges of a table, {part} of a hundredth of it, {tail} of its end"
    locked, engine = seen.found(r"SELECT 1 FROM `r`\.`whole` LIMIT 0|SELECT ENGINE FROM .* TABLE_NAME = 'whole'")[:2]
    assert "LIMIT 0" in locked and "ENGINE" in engine, "the engine is asked for before the table is locked: it may be another by then"
    walks, looks = len(seen.found("LIMIT 1 OFFSET")), len(seen.found("FROM information_schema.COLUMNS c LEFT JOIN"))
    assert walks <= whole // 2 and looks <= 12, f"{walks} walks and {looks} looks at columns for {whole} ranges"
    l.step(f"{server.kind}: {whole} ranges, {walks} of all bounds walked to; of partial copies {part} and {tail}")


def altered(l, server):
    """Two columns change their names between two ranges, which needs no new files: what is read behind that is looked at anew."""
    server.each("create table r.swap (id int primary key, a int, b int, pad varchar(200))",
                "insert into r.swap select id, id, -id, pad from r.whole where id <= 20000", "analyze table r.swap")
    seen = Statements(server)
    car = l.sidecar(server, folder=f"{server.kind}-altered", name="altered", capture=[{"tables": "r.swap"}],
                    snapshot={"range_bytes": "64KiB", "threads": 1, "rate": "1MiB"}, sink={"commit_interval": "50ms"})
    car.start()
    wait.until("some ranges to be read", lambda: len(seen.found(READS % "swap")) > 5)
    server.sql("alter table r.swap rename column a to b, rename column b to a")  # MariaDB: behind the look
    seen.off()
    wait.until("the table to be copied", lambda: copied(car, "r.swap", 1), 60)
    assert car.terminate() == 0
    total = compare.replica(server, car.replica(), ["r.swap"])
    l.step(f"{server.kind}: columns that changed their names between two ranges: {total} rows equal")


def emoji(l, server):
    """Who waits for a table that is read is seen and let through, also beside a statement with a character that MySQL's table
    of processes cannot hold: whoever asks that table is refused."""
    server.each("create table r.piece (id int, pad varchar(200))", "insert into r.piece select id, pad from r.whole",
                "grant process on *.* to cdc@'%'")  # else it sees nobody
    con = server.connect()
    asleep = threading.Thread(target=sleep, args=(con, "\U0001F600"))
    asleep.start()
    car = l.sidecar(server, folder=f"{server.kind}-emoji", name="emoji", capture=[{"tables": "r.piece"}], sink={"commit_interval": "50ms"},
                    snapshot={"rate": "512KiB"})  # 16 s, in one piece, since there is no key
    car.start()
    wait.until("the copy to be under way", lambda: car.output().count() > 1000)
    began = time.monotonic()
    server.sql("alter table r.piece add column extra int")
    waited = time.monotonic() - began
    assert asleep.is_alive(), "the statement was over, and shows nothing"
    server.sql(f"kill {con.thread_id()}")
    asleep.join(30)
    car.kill9()
    server.sql("revoke process on *.* from cdc@'%'")
    assert waited < 8, f"ALTER TABLE waited {waited:.1f} s for a copy\n{car.log()}"
    l.step(f"{server.kind}: an ALTER TABLE got through after {waited:.1f} s, beside a statement with an emoji")


def sleep(con, text):
    try:
        con.cursor().execute(f"select sleep(300), '{text}'")
    except pymysql.err.MySQLError:
        pass  # killed


def hidden(l, server):
    """A primary key that the server made and does not show, while the connection that finds bounds of it is lost."""
    if not server.mariadb and server.version() >= (8, 0, 30):
        server.each("set global show_gipk_in_create_table_and_information_schema = off", "set sql_generate_invisible_primary_key = on",
                    "create table r.hidden (id int, pad varchar(200))", "insert into r.hidden select id, pad from r.whole where id <= 20000",
                    "analyze table r.hidden")
        seen = Statements(server)
        car = l.sidecar(server, folder=f"{server.kind}-hidden", name="hidden", capture=[{"tables": "r.hidden"}],
                        snapshot={"range_bytes": "64KiB", "threads": 1, "rate": "1MiB"}, sink={"commit_interval": "50ms"})
        car.start()
        wait.until("some bounds to be found", lambda: len(bounds := seen.found(r"\s(\d+) Query\s+(?:EXPLAIN|SELECT `my_row_id` FROM)")) > 5
                   and server.sql(f"kill {bounds[-1]}") == [])
        wait.until("the table to be copied", lambda: copied(car, "r.hidden", 1), 60)
        assert car.terminate() == 0
        seen.off()
        rows = collections.Counter(r.cells["id"] for r in car.output().rows() if r.op == "r")
        assert len(rows) == 20000 and "was changed while" not in car.log(), f"{len(rows)} rows\n{car.log()}"
        server.sql("set global show_gipk_in_create_table_and_information_schema = on")
        l.step(f"{server.kind}: ranges of a hidden key, found by a second connection")
    server.sql("drop database r")


def fill_still(server):
    con = server.connect(autocommit=False)
    con.cursor().executemany("insert into shop.still values (%s, %s)", [(i, f"{i * 2654435761:x}" * 10) for i in range(1, ROWS + 1)])
    con.commit()
    con.close()


def one_way(l, server, name, source, how, broker=None):
    label = name.replace(" ", "_") + ("_kafka" if broker else "")
    car = l.sidecar(server, folder=f"{server.kind}-{label}", name=f"{server.kind}_{label}", capture=[{"tables": "shop.*"}], snapshot=how,
                    source=source, kafka=broker, sink={"partitions": 3} if broker else {"commit_interval": "50ms"})
    events = mysql_oracle.Oracle(server, copied=True)
    writers = mysql_workload.Writers(server, f"{l.seed}-{label}", 2, xa=0, truncate=0.002, pause=0.002).start()  # from before the beginning
    car.start().wait_streaming(server)
    time.sleep(1.5)
    writers.stop()
    assert car.terminate() == 0
    car.catch_up()
    rows, found = list(car.output().rows()), events.events()
    tables = [*mysql_workload.TABLES, "shop.still"]
    by = {t: server.key_columns(t) for t in {r.table for r in rows} | set(tables)}
    begin = mysql_histories.beginning(car)
    for table in tables:
        copy_judge.once(table, rows, mysql_histories.changes(table, rows, found, begin), by)
    read = copy_judge.not_stale(rows, found, by)
    state = copy_judge.fold(rows, by)
    for table in tables:
        compare.tables_equal(server, [c for c in state[table].values() if not c["__deleted"]], table, "fold of the log")
    total = compare.replica(server, car.replica(), tables)
    order(rows)
    still = sorted(int(r.cells["id"]) for r in rows if r.table == "shop.still")
    assert still == list(range(1, ROWS + 1)), f"{len(still)} rows of shop.still"
    assert car.call("fsck", "CONFIG").code == 0
    l.step(f"{server.kind}, {label}: {read} rows read, {len(rows) - read} changes, {total} rows equal in replica and source")


def order(rows):
    """A row that was read has the place of what was written before it, and the ordinal of its generation."""
    last = 0
    for row in rows:
        _, place, ordinal = row.place()
        assert place >= last, f"{row!r}: behind {last:x}"
        last = place
        if row.op == "r":
            assert ordinal == 0xF00000000001 and row.cells["__tx"] is None and row.cells["__deleted"] is False, row


def give(face, command, table):
    got = face.ask("/commands", {"command": command, "table": table})
    assert got[0] == 202, got
    number = json.loads(got[1])["id"]

    def settled():
        mine = [c for c in json.loads(face.ask("/commands")[1]) if c["id"] == number]
        return mine and mine[0]["state"] in ("done", "failed") and mine[0]
    done = wait.until(f"{command} {table} to be settled", settled)
    assert done["state"] == "done", done


def copied(car, table, generation):
    there = copy_judge.checkpoint(car)
    copy = there.get(f"copy/{table}") or {}
    return copy.get("state") == "done" and copy["generation"] >= generation and "gap" not in (there.get(f"table/{table}") or {})


def commands(l, server):
    """Copied again, paused and resumed, a table that comes late, and a condition."""
    face = http.Face()
    car = l.sidecar(server, folder=f"{server.kind}-commands", name=f"{server.kind}_commands", http=face.settings, snapshot={"range_bytes": "64KiB"},
                    capture=[{"tables": "shop.still", "where": "id <= 100 and v <> ''"}, {"tables": "shop.*"}], sink={"commit_interval": "20ms"})
    car.start().wait_streaming(server)
    writers = mysql_workload.Writers(server, f"{l.seed}-commands", 2, pause=0.003, truncate=0).start()
    for table in mysql_workload.TABLES:
        wait.until(f"{table} to be copied", lambda: copied(car, table, 1), 60)
    give(face, "snapshot", "shop.account")
    wait.until("generation 2", lambda: copied(car, "shop.account", 2), 60)
    give(face, "pause", "shop.item")
    time.sleep(0.5)
    assert "gap" in copy_judge.checkpoint(car)["table/shop.item"]
    car.kill9()
    server.sql("create table shop.late (id int primary key, v int); insert into shop.late values (1, 1), (2, 2)")
    car.start().wait_streaming(server)
    give(face, "resume", "shop.item")
    wait.until("the gap to be closed", lambda: copied(car, "shop.item", 2), 60)
    wait.until("the late table", lambda: copied(car, "shop.late", 1), 60)
    server.sql("update shop.late set v = 3")
    writers.stop()
    assert car.terminate() == 0
    car.catch_up()
    total = compare.replica(server, car.replica(), [*mysql_workload.TABLES, "shop.late"])
    still = sorted(int(r.cells["id"]) for r in car.output().rows("shop.still"))
    assert still == list(range(1, 101)), f"{len(still)} rows of shop.still"
    sweeps = {r.table for r in car.output().rows() if r.op == "t" and r.cells["__delete_reason"] == "inferred"}
    assert {"shop.account", "shop.item"} <= sweeps, sweeps
    server.sql("drop table shop.late")
    l.step(f"{server.kind}: copied again, paused and resumed, added, by a condition: {total} rows equal")


lab.run(main)
