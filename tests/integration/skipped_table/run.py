#!/usr/bin/env python3
"""Without this a table that was left out for a while and then taken again would have lost changes with nobody told: its
state keeps the gap, in the same commit that first could move past a change of it.
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import lab, lake  # noqa: E402

BOTH = [{"tables": "shop.*", "snapshot": "never"}]
ONE = [{"tables": "shop.left_out", "skip": True}, {"tables": "shop.*", "snapshot": "never"}]


def states(car):
    """State of each table, and how many commits there are: the deltas of the commit log added up."""
    got, paths = {}, sorted(pathlib.Path(car.lake).glob("_cdc/commits/*.json"))
    for path in paths:
        delta = json.loads(path.read_text())["delta"]
        got.update({k: v for k, v in delta.items() if k.startswith("table/")})
    return got, len(paths)


def main(l):
    pg = l.postgres()
    pg.sql("create schema shop; create table shop.kept (id int primary key); create table shop.left_out (id int primary key)")
    car = l.sidecar(pg, capture=BOTH)
    insert = "insert into shop.kept values (%s)", "insert into shop.left_out values (%s)"
    car.catch_up(60)

    def run(rules, n):
        for statement in insert:
            pg.sql(statement, [n])
        car.settings["capture"] = rules
        car.write_config()
        return car.catch_up(60).err

    run(BOTH, 1)
    position = json.loads(sorted(pathlib.Path(car.lake).glob("_cdc/commits/*.json"))[-1].read_text())["to"]
    assert "gap" not in states(car)[0]["table/shop.left_out"]
    log = run(ONE, 2)
    state = states(car)[0]["table/shop.left_out"]
    assert state["state"] == "skipped" and state["gap"]["from"], state
    assert "shop.left_out is not captured any more" in log, log
    log = run(ONE, 3)
    assert states(car)[0]["table/shop.left_out"] == state, "the gap begins where it began"
    log = run(BOTH, 4)  # the table joins the publication at this start: row 4 was before it
    assert "shop.left_out has a gap" in log, log
    run(BOTH, 5)
    again = states(car)[0]["table/shop.left_out"]
    assert again["state"] == "streaming" and again["gap"] == state["gap"], again
    log = run(BOTH, 6)
    assert "shop.left_out has a gap" in log and states(car)[0]["table/shop.left_out"] == again
    assert "gap" not in states(car)[0]["table/shop.kept"]
    rows = {t: [r.cells["id"] for r in lake.Lake(car.lake).rows(f"shop.{t}")] for t in ("kept", "left_out")}
    assert rows == {"kept": [1, 2, 3, 4, 5, 6], "left_out": [1, 5, 6]}, rows
    l.step(f"gap from {state['gap']['from']} kept and told (the position before was {position})")


lab.run(main)
