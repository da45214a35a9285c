#!/usr/bin/env python3
"""Without this a server that users run would be tried by them first: every type, and a history with XA, DDL, kills and a server crash
on MariaDB 10.5, 11.4 and 11.8 and on MySQL 8.0 (10.11 and 9.7 have all the other scenarios).
"""
import concurrent.futures
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import os  # noqa: E402
import re  # noqa: E402
import time  # noqa: E402

from sidestream_test import compare, lab, mysql_oracle, mysql_workload, wait  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "mysql_types"))
from typed import both_ways  # noqa: E402

# Of tests/servers/mysql.sh, those that mysql.KINDS has not.
OTHERS = os.environ.get("SIDESTREAM_MYSQL", "mysql8015,mysql80,mariadb105,mariadb114,mariadb118").split(",")


def main(l):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(one, l, kind) for kind in OTHERS]:
            done.result()


def one(l, kind):
    server = l.mysql(kind)
    both_ways(l, server, together=12)
    history(l, server)
    server.stop("immediate")


def prepare(server, name):
    con = server.connect("shop")
    for text in (f"xa start {name}", "insert into shop.shape (id, w) values (9, 9)", f"xa end {name}", f"xa prepare {name}"):
        con.cursor().execute(text)
    con.close()


def history(l, server):
    server.sql(mysql_workload.SCHEMA + "create table shop.shape (id int primary key, v int);")
    car = l.sidecar(server, folder=f"{server.kind}-history", name=server.kind, capture=[{"tables": "shop.*"}],
                    sink={"commit_interval": "20ms", "idle_interval": "1s"})
    got = car.call("check", "CONFIG")
    assert got.code == 0, f"check: {got!r}"
    car.start().wait_streaming(server)
    events = mysql_oracle.Oracle(server, copied=True)
    writers = mysql_workload.Writers(server, f"{l.seed}-{server.kind}", 2, pause=0.005, xa=0.1).start()
    time.sleep(0.5)
    server.sql("flush binary logs")
    car.kill9()
    time.sleep(0.3)
    car.start().wait_streaming(server)
    server.each("insert into shop.shape values (1, 1)", "alter table shop.shape add w int default 7 first, add more text",
                "insert into shop.shape (id, v, more) values (2, 2, 'ä')", "update shop.shape set v = 3",
                "alter table shop.shape drop v, rename column more to less", "update shop.shape set w = w + 1")
    time.sleep(0.5)
    wait.until("an XA transaction to be committed", lambda: writers.done["xa commit"], 60)
    outlives = "'outlives'"
    if server.loses_xa():  # one that commits in this moment would be logged, and prepared for ever
        writers.without_xa()
    prepare(server, outlives)
    server.crash()
    server.start()
    server.sql(f"xa commit {outlives}")
    time.sleep(0.5)
    writers.stop()
    assert car.terminate() == 0
    car.catch_up()
    assert re.search(r"streaming from bin\.\d+:\d+, by GTIDs", car.log()), car.log()[-2000:]
    l.step(f"{server.kind}, {'.'.join(map(str, server.version()))}: " + compare.everything(l, server, car, events, writers, [*mysql_workload.TABLES, "shop.shape"]))
    for command in ("verify", "drop"):
        got = car.call(command, "CONFIG", *(["--yes"] if command == "drop" else []))
        assert got.code == 0, f"{command}: {got!r}"


lab.run(main)
