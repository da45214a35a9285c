#!/usr/bin/env python3
"""Without this a kill -9 at a bad moment would lose or double changes of MySQL or MariaDB: the sidecar dies at each named point and
at random instants beside concurrent writers, also inside one large transaction, and everything committed is there once, in order.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import json  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import re  # noqa: E402
import signal  # noqa: E402
import time  # noqa: E402

from sidestream_test import ROOT, compare, lab, lake, mysql, mysql_oracle, mysql_workload, wait  # noqa: E402

FIRST = ["engine.after_commit", "lake.before_commit"]
LOAD = [*FIRST, "engine.before_commit", "lake.after_commit", "engine.recovered", "lake.file_open", "lake.before_publish", "lake.after_publish"]
KAFKA = ["kafka.fenced", "kafka.begun", "kafka.produced", "kafka.before_commit", "kafka.after_commit"]
BIG = 60000
NAMES = "names transactions before it that are not in the log"


def in_code():
    found = set()
    for path in (ROOT / "connectors/mysql").glob("*.c"):
        found.update(re.findall(r'CDC_POINT\("([^"]+)"\)', path.read_text()))
    return found


def main(l):
    r = random.Random(l.seed)
    broker = l.kafka()
    for kind in mysql.KINDS:
        server = l.mysql(kind)
        server.sql(mysql_workload.SCHEMA)
        first_start(l, server)
        for turn in range(max(1, l.rounds // 25)):
            under_load(l, server, r, turn)
            into_kafka(l, server, r, broker, turn)
        if server.mariadb:  # MySQL cuts it off when it starts
            torn(l, server, broker)
        lost(l, server)
        server.stop("immediate")


def dies(car, name, n, timeout=30):
    """Starts it, and waits until it has died at the n-th passage of that point."""
    code = car.start(env={"SIDESTREAM_CRASH": f"{name}:{n}"}).wait(timeout)
    assert code == -signal.SIGKILL, f"at {name}:{n} it ended with {code} instead\n{car.log()[-2000:]}"


def first_start(l, server):
    """The first position is committed before the log is read: a death around it loses nothing that comes behind it."""
    points = FIRST + sorted(in_code())
    for name in points:
        car = l.sidecar(server, folder=f"{server.kind}-{name}", name="first_" + name.replace(".", "_"), sink={"commit_interval": "0"})
        got = car.call("run", "CONFIG", "--until-caught-up", env={"SIDESTREAM_CRASH": f"{name}:1"})
        assert got.code == -signal.SIGKILL, f"{name}: {got!r}"
        car.start().wait_streaming(server)
        events = mysql_oracle.Oracle(server)
        mysql_workload.Writers(server, f"{l.seed}-{car.name}", 1, transactions=8).start().join()
        assert car.terminate() == 0
        car.catch_up()
        found = events.events()
        keys = {t: server.key_columns(t) for t in {e.table for e in found}}
        assert compare.history(lake.Lake(car.lake).rows(), found, keys) > 0
    l.step(f"{server.kind}: killed at {len(points)} points of a first start")


def again(l, server):
    server.sql("drop database shop;" + mysql_workload.SCHEMA)


def under_load(l, server, r, turn):
    again(l, server)
    interval = r.choice(["0", "20ms", "100ms"])
    car = l.sidecar(server, folder=f"{server.kind}-load{turn}", name=f"load{turn}", sink={"commit_interval": interval})
    car.start().wait_streaming(server)
    events = mysql_oracle.Oracle(server)
    car.kill9()
    writers = mysql_workload.Writers(server, f"{l.seed}-{turn}", 2, pause=0.005).start()
    kills = 0
    for name in LOAD:
        dies(car, name, 1 if name == "engine.recovered" else r.choice([1, 1, 2, 5]))
        kills += 1
    for _ in range(l.rounds or 6):
        car.start()
        time.sleep(r.choice([0.02, 0.1, 0.4, 1.2]) * r.random())
        assert car.alive(), f"ended by itself with {car.process.returncode}\n{car.log()[-2000:]}"
        if r.random() < 0.3:
            server.sql("flush binary logs")
        car.kill9()
        kills += 1
    writers.stop()
    car.catch_up()
    l.step(f"{server.kind}, lake: {kills} kills, commits every {interval}: " + compare.everything(l, server, car, events, writers))


def into_kafka(l, server, r, broker, turn):
    """Among the kills some inside of a transaction that is cut."""
    again(l, server)
    server.sql("create table shop.big (id int primary key, v text)")
    car = l.sidecar(server, folder=f"{server.kind}-kafka{turn}", name=f"{server.kind}{turn}", kafka=broker,
                    sink={"commit_interval": "20ms", "partitions": 3, "transaction_bytes": "1MiB"})
    car.start().wait_streaming(server)
    events = mysql_oracle.Oracle(server)
    car.kill9()
    writers = mysql_workload.Writers(server, f"{l.seed}-{turn}-kafka", 2, pause=0.01).start()
    for name in KAFKA:
        dies(car, name, 1 if name == "kafka.fenced" else r.choice([1, 2, 5]))
    con = server.connect(autocommit=False)
    cur = con.cursor()
    for low in range(0, BIG, 5000):
        cur.executemany("insert into shop.big values (%s, %s)", [(i, f"{i:05}" * 40) for i in range(low, low + 5000)])
    con.commit()
    con.close()
    cuts = cut_and_killed(car)
    for n in range(l.rounds or 3):
        car.start()
        time.sleep(r.choice([0.05, 0.3, 0.8]) * r.random())
        car.kill9()
    writers.stop()
    car.catch_up()
    l.step(f"{server.kind}, Kafka: killed inside of a transaction after rows {cuts}, and elsewhere: "
           + compare.everything(l, server, car, events, writers))


def cut_and_killed(car):
    """Dies at commits until three were inside of the large transaction; after which of its rows."""
    found, log = [], car.output()
    for _ in range(12):
        dies(car, "kafka.after_commit", 3)
        at = json.loads(log.control().map["position"])
        if at["kind"] == "cut":
            assert not found or at["n"] > found[-1], f"row {at['n']} after {found}"
            found.append(at["n"])
        if len(found) == 3:
            return found
    raise AssertionError(f"positions inside of the transaction: {found}")


def torn(l, server, broker):
    """The server dies while it writes a transaction: a piece of it stays in the log, and did not happen. It ends at an event or inside
    one, some of it is out when the end is seen, and some perhaps committed before a death of ours."""
    again(l, server)
    server.sql("create table shop.big (id int primary key, v text)")
    tables = [*mysql_workload.TABLES, "shop.big"]
    for within, kafka in ((0, None), (100, None), (7, broker), (0, broker)):
        what = f"{'Kafka' if kafka else 'lake'}{within}"
        car = l.sidecar(server, folder=f"torn-{what}", name=f"torn_{what.lower()}", capture=[{"tables": "shop.*"}], kafka=kafka,
                        sink={"partitions": 3, "transaction_bytes": "1MiB", "commit_interval": "20ms"} if kafka else {"commit_interval": "20ms"})
        car.start().wait_streaming(server)
        server.sql("insert into shop.scratch values (1, 'a') on duplicate key update mark = concat(mark, 'a')")
        wait.until("the first row", lambda: '"last"' in (car.position() or ""))
        assert car.terminate() == 0
        server.sql("insert into shop.scratch values (2, 'b') on duplicate key update mark = concat(mark, 'b')")
        left_a_piece(server, within)
        server.sql("insert into shop.scratch values (3, 'c') on duplicate key update mark = concat(mark, 'c')")
        if kafka:
            for n in range(2, 12):
                dies(car, "kafka.after_commit", n)
                if json.loads(car.output().control().map["position"])["kind"] == "cut":
                    break
            else:
                raise AssertionError("no position inside of the piece")
        car.catch_up()
        assert "is incomplete, because the server was killed" in car.log(), "the piece was not met"
        total = compare.replica(server, car.replica(), tables)
        l.step(f"{server.kind}, {what}: a piece of a transaction was left out, {total} rows equal")


def left_a_piece(server, within):
    """As if it had died in the middle of 2 MB: the log ends so many bytes behind the beginning of an event, the rows are not there."""
    server.sql("insert into shop.big values " + ", ".join(f"({i}, repeat('{i % 10}', 400))" for i in range(5000)))
    path = server.base / "data" / server.binlog_end()[0]
    server.crash()
    os.truncate(path, events_of(path)[-3] + within)  # rows, rows, XID
    server.start()
    server.each("set sql_log_bin = 0", "delete from shop.big")


def events_of(path):
    """Where each begins."""
    data, at, begins = path.read_bytes(), 4, []
    while at < len(data):
        begins.append(at)
        at += int.from_bytes(data[at + 9:at + 13], "little")
    return begins


def lost(l, server):
    """A power cut takes the end of a file that is not the last, with whole transactions, at an event or inside one: the heads of later
    files name them, and what they did is copied. Nothing is copied twice for it, and nothing after an ordinary crash."""
    again(l, server)
    car = l.sidecar(server, folder=f"{server.kind}-lost", name="lost", capture=[{"tables": "shop.*"}], sink={"commit_interval": "20ms"})
    car.start().wait_streaming(server)
    for turn, (away, within) in enumerate(((0, 0), (3, 0), (3, 60))):
        scratch(server, 10 * turn + 1)
        wait.until("the first row", lambda: '"last"' in (car.position() or ""))
        assert car.terminate() == 0
        for i in range(2, 6):
            scratch(server, 10 * turn + i)
        path = server.base / "data" / server.binlog_end()[0]
        server.sql("flush binary logs")
        scratch(server, 10 * turn + 6)
        server.crash()
        if away:
            begins = [at for at in events_of(path) if path.read_bytes()[at + 4] in (33, 42, 162)]
            os.truncate(path, begins[-away] + within)
        server.start()
        before = car.log().count(NAMES)
        car.catch_up()
        car.start().wait_streaming(server)
        scratch(server, 10 * turn + 7)
        server.sql("flush binary logs; flush binary logs")
        scratch(server, 10 * turn + 8)
        assert car.terminate() == 0
        car.catch_up()
        found = car.log().count(NAMES) - before
        assert found == (1 if away else 0), f"{found} heads of files named lost transactions\n{car.log()[-2000:]}"
        total = compare.replica(server, car.replica(), mysql_workload.TABLES)
        l.step(f"{server.kind}: {away} transactions and {within} bytes were lost at a file's end, {total} rows equal")


def scratch(server, i):
    server.sql(f"insert into shop.scratch values ({i}, 'x') on duplicate key update mark = concat(mark, 'x')")


lab.run(main)
