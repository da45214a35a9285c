#!/usr/bin/env python3
"""Without this a server version that users run would be tried by them first: a history with kills and a server crash
on each of PostgreSQL 14, 16, 17 and 18 (15 has all the other scenarios).
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import time  # noqa: E402

from sidestream_test import compare, lab, oracle, workload  # noqa: E402


def main(l):
    for version in (14, 16, 17, 18):
        pg = l.postgres(version)
        pg.sql(workload.SCHEMA)
        car = l.sidecar(pg)
        check = car.call("check", "CONFIG")
        assert check.code == 0, f"check: {check!r}"
        car.start().wait_streaming(pg)
        events = oracle.Oracle(pg, car.slot)
        writers = workload.Writers(pg, f"{l.seed}-{version}", 2, pause=0.005).start()
        time.sleep(1)
        car.kill9()
        time.sleep(0.3)
        car.start().wait_streaming(pg)
        pg.sql("alter table shop.scratch add more text default 'x'")
        time.sleep(0.7)
        pg.stop("immediate")
        pg.start()
        time.sleep(1)
        writers.stop()
        assert car.terminate() == 0
        car.catch_up()
        tables = ["shop.account", "shop.item", "shop.code", "shop.txlog"]
        l.step(f"{version}: " + compare.everything(l, pg, car, events, writers, tables))
        dropped = car.call("drop", "CONFIG", "--yes")
        assert dropped.code == 0, f"drop: {dropped!r}"
        assert pg.slot(car.slot) is None, "drop left the slot"
        assert not pg.value("select count(*) from pg_publication where pubname = %s", [car.slot]), "drop left the publication"
        pg.stop("fast")


lab.run(main)
