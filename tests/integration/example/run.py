#!/usr/bin/env python3
"""Without this the tutorial could rot: the example source, through the whole program into a lake and a replica, in two runs
of which the second continues where the first was told to end.
"""
import pathlib
import sqlite3
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import lab, lake  # noqa: E402
from sidestream_test.sidecar import Sidecar  # noqa: E402


def main(l):
    capture = [{"tables": "example.*", "snapshot": "never"}]
    for rows in (1000, 2500):  # the second run finds 1500 rows more than the first
        car = Sidecar(l.folder / "car", None, name="try", capture=capture)
        car.settings["source"] = {"type": "example", "rows": rows, "size": 7}
        car.write_config()
        assert car.catch_up(30).code == 0
        got = lake.Lake(car.lake).rows("example.numbers")
        assert [r.cells["id"] for r in got] == list(range(1, rows + 1)), f"{len(got)} rows of {rows}"
    with sqlite3.connect(car.replica()) as db:
        assert db.execute('select count(*), max(word) from "example.numbers"').fetchone() == (2500, "number 999")
    assert car.call("fsck", "CONFIG").code == 0
    l.step("2500 rows, each once, in order")


lab.run(main)
