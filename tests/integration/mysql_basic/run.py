#!/usr/bin/env python3
"""Without this changes of MariaDB or MySQL could be lost, doubled or reordered in quiet times: concurrent writers, log files
that change in between, one large transaction; a lake and topics then hold everything once, in order, and replicas are equal.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import time  # noqa: E402

from sidestream_test import compare, lab, lake, mysql, mysql_oracle, mysql_workload, wait  # noqa: E402

ROWS = 30000
WIDE = "create table shop.big (id int primary key, a int, b varchar(40), c text)"
DIGITS = "(select 0 n union all select 1 union all select 2 union all select 3 union all select 4 union all select 5 union all " \
         "select 6 union all select 7 union all select 8 union all select 9)"


def main(l):
    broker = l.kafka()
    for kind in mysql.KINDS:
        server = l.mysql(kind)
        server.sql(mysql_workload.SCHEMA + WIDE)
        cars = [l.sidecar(server, folder=f"{kind}-lake", name=f"{kind}_lake"),
                l.sidecar(server, folder=f"{kind}-kafka", name=f"{kind}_kafka", kafka=broker,
                          sink={"partitions": 3, "transaction_bytes": "1MiB"})]
        for car in cars:
            first(l, server, car)
        events = mysql_oracle.Oracle(server)
        work(l, server)
        for car in cars:
            assert car.terminate() == 0
        caught_up(l, server, cars[0])
        for car in cars[1:]:
            car.catch_up()
        for car in cars:
            l.step(f"{kind}, {car.folder.name}: " + compare.everything(l, server, car, events, work.writers, tables=mysql_workload.TABLES))
        faces(l, server, cars[0])
        server.stop("immediate")


def first(l, server, car):
    """Nothing to read: it ends, and has a position."""
    got = car.catch_up(60)
    assert car.position() and got.seconds < 15, got
    car.start().wait_streaming(server)


def work(l, server):
    work.writers = mysql_workload.Writers(server, f"{l.seed}-{server.kind}", 3, pause=0.001, truncate=0.01).start()
    for _ in range(3):
        time.sleep(0.7)
        server.sql("flush binary logs")
    big(server)
    done = work.writers.done
    wait.until("an XA transaction to be committed", lambda: done["xa commit"] and done["prepared"], 60)
    work.writers.stop()
    l.step(f"{server.kind}: {len(work.writers.acked)} transactions, {dict(done)}, {len(server.binlogs())} log files")


def big(server):
    """More than one Kafka transaction holds, and an event of one row larger than any buffer."""
    d = [f"{DIGITS} d{i}" for i in range(5)]
    server.sql("insert into shop.big select n, n * 7, concat('row number ', n), repeat(hex(n * 2654435761), 20) from (select d0.n + 10 * d1.n + 100 * d2.n "
               f"+ 1000 * d3.n + 10000 * d4.n n from {', '.join(d)}) g where n between 1 and {ROWS}", db="shop")
    server.sql("insert into shop.account values (1001, 0, 'large', repeat('x', 900000), 'large')")


def caught_up(l, server, car):
    """Beside writers it ends, with what was committed before it began."""
    writers = mysql_workload.Writers(server, f"{l.seed}-after", 2, pause=0.002).start()
    for i in range(2):
        server.sql("insert into shop.scratch values (%s, 'flag') on duplicate key update mark = 'flag'", [7000 + i])
        got = car.catch_up(60)
        ids = {r.cells["id"] for r in lake.Lake(car.lake).rows("shop.scratch")}
        assert 7000 + i in ids, f"ended without a row committed before it began: {got!r}"
    writers.stop()
    work.writers.acked += writers.acked
    work.writers.unknown += writers.unknown
    car.catch_up()


def faces(l, server, car):
    """check finds nothing wrong with this server; drop has nothing to remove there."""
    got = car.call("check", "CONFIG")
    assert got.code == 0, got
    got = car.call("cat", "CONFIG", "--table", "shop.big")
    assert got.code == 0 and got.out.count("\n") == ROWS, got.err
    assert mysql.PASSWORD not in car.log(), "the password was printed"
    got = car.call("init", server.url())
    assert got.code == 0 and "type: mysql" in got.out and "shop.*" in got.out and mysql.PASSWORD not in got.out, got
    got = car.call("drop", "CONFIG", "--yes")
    assert got.code == 0, got
    l.step(f"{server.kind}: check, cat, init, drop")


lab.run(main)
