#!/usr/bin/env python3
"""Without this a value that a capture rule hides would get out somewhere (files, log, checkpoint, what check prints), a
misspelt rule would hide nothing, or a rule changed between two runs would go unnoticed.
"""
import hashlib
import hmac
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import lab, lake  # noqa: E402

KEY = "0123456789abcdef-the-key-of-the-test"
HIDDEN = "zebra"  # every value that must not get out holds it
RULE = {
    "tables": "shop.users", "snapshot": "never", "updated_at": "changed",
    "logical_delete": {"column": "gone"},
    "columns": {"exclude": ["pass*"], "hash": ["email"], "mask": ["phone", "born"], "truncate": {"bio": 3}},
}


def hashed(text):
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def leaks(folder):
    """Files in which a hidden value stands; the configuration and the server's own are none of ours."""
    return [p for p in folder.rglob("*") if p.is_file() and p.name != "config.yaml" and HIDDEN.encode() in p.read_bytes()]


def rules(car, *capture):
    car.settings["capture"] = list(capture)
    car.write_config()


def main(l):
    pg = l.postgres()
    pg.each("create schema shop",
            "create table shop.users (id int primary key, email text, phone text, born date, bio text, gone bool,"
            f" changed timestamptz, password text default '{HIDDEN}-default', passport int)",
            "alter table shop.users replica identity full",
            "create table shop.log (at timestamptz, what text)", "create table shop.notes (id int primary key, t text)")
    skip = {"tables": "shop.log", "skip": True}
    rest = {"tables": "shop.*", "snapshot": "never"}
    car = l.sidecar(pg, sink={"codec": "null"}, capture=[skip, RULE, rest], secrets={"hash": KEY}, log={"level": "debug"})

    l.step("check tells which rule takes each table, and what it does")
    told = [car.call("check", "CONFIG")]
    assert told[0].code == 0, told[0]
    config = car.config
    lines = [x for x in told[0].out.splitlines() if "table shop." in x]
    for line, table, what in zip(lines, ("log", "notes", "users"), (
            "not captured (skip", "key id; deletes soft",
            "key id; deletes soft; deleted also by gone; updated at changed; excluded password, passport; "
            "hashed email; masked phone, born; truncated bio to 3")):
        assert line.startswith(f"ok    table shop.{table}: ") and what in line, line
        assert f"{config}:" in line, line
    assert len(lines) == 3, told[0]

    l.step("hidden values, in every kind of change")
    car.start().wait_streaming(pg)
    z = HIDDEN
    pg.each(f"insert into shop.users values (1, '{z}@x', '{z}-1', '1999-12-31', 'abc{z}', false, now(), '{z}', 4711)",
            f"insert into shop.users (id, email, bio) values (2, '{z}@y', 'äöü{z}')",
            f"update shop.users set email = '{z}@z', password = '{z}2' where id = 1",
            "update shop.users set gone = true where id = 1", "update shop.users set id = 3 where id = 1",
            "delete from shop.users where id = 2", "insert into shop.notes values (1, 'seen')")
    assert car.terminate() == 0
    rows = list(lake.Lake(car.lake).rows("shop.users"))
    first = rows[0].cells
    assert set(first) & {"password", "passport"} == set(), first
    assert first["email"] == hashed(f"{z}@x") and first["phone"] == "*****" and first["born"] is None, first
    assert first["bio"] == "abc" and rows[1].cells["bio"] == "äöü" and first["__source_updated_at"], first
    assert rows[1].cells["phone"] is None, "NULL stays null"
    assert [r.cells["__deleted"] for r in rows] == [False, False, False, True, True, True, True], rows
    assert leaks(car.folder) == [], leaks(car.folder)

    l.step("a changed rule is told once, and holds from there on")
    rules(car, skip, {**RULE, "deletes": "append"}, rest)
    for table in ("users", "notes"):
        pg.sql(f"insert into shop.{table} (id) values (10)")
    for _ in range(2):
        run = car.call("run", "CONFIG", "--until-caught-up")
        assert run.code == 0, run
        told.append(run)
    changed = [x for x in (told[-2].err + told[-1].err).splitlines() if "its capture rule is another one" in x]
    assert len(changed) == 1 and "shop.users" in changed[0] and f"{config}:" in changed[0], changed

    l.step("another key of hashes is a changed rule too, and is never told")
    car.settings["secrets"]["hash"] = other = "fedcba9876543210-another-key"
    car.write_config()
    pg.sql(f"insert into shop.users (id, email) values (11, '{z}@x')")
    told.append(car.call("run", "CONFIG", "--until-caught-up"))
    assert told[-1].code == 0 and "its capture rule is another one" in told[-1].err, told[-1]
    last = list(lake.Lake(car.lake).rows("shop.users"))[-1].cells
    assert last["id"] == 11 and last["email"] not in (None, first["email"]), last
    for path in car.folder.rglob("*"):
        got = path.read_bytes() if path.is_file() and path != config else b""
        assert KEY.encode() not in got and other.encode() not in got, path

    l.step("a column that is renamed is another one, and that is told")
    pg.each("alter table shop.users rename column phone to mobile", "insert into shop.users (id, mobile) values (20, 'seen')")
    told.append(car.call("run", "CONFIG", "--until-caught-up"))
    assert told[-1].code == 0 and 'names the column "phone", which the table does not have' in told[-1].err, told[-1]
    assert list(lake.Lake(car.lake).rows("shop.users"))[-1].cells["mobile"] == "seen"
    pg.sql("alter table shop.users rename column mobile to phone")

    l.step("what check refuses")
    for rule, wanted in (
            ({**RULE, "columns": {"exclude": ["pasword"]}}, 'names the column "pasword", which the table does not have; '
             'did you mean "password"?'),
            ({**RULE, "columns": {"mask": ["i?"]}}, "masks the key column id"),
            ({**rest, "columns": {"exclude": ["passwrod"]}}, 'names the column "passwrod", which none of its tables has')):
        rules(car, skip, rule, rest)
        told.append(car.call("check", "CONFIG"))
        assert told[-1].code == 1 and wanted in told[-1].out, (wanted, told[-1])
    rules(car, skip, {**RULE, "columns": {"exclude": ["id"]}}, rest)
    told.append(car.call("run", "CONFIG", "--until-caught-up"))
    assert told[-1].code in (0, 2), told[-1]
    pg.sql("insert into shop.users (id) values (12)")
    told.append(car.call("run", "CONFIG", "--until-caught-up"))
    assert told[-1].code == 2 and "`exclude` takes a column of the key" in told[-1].err, told[-1]

    assert leaks(car.folder) == [], leaks(car.folder)
    printed = "".join(t.out + t.err for t in told)
    assert HIDDEN not in printed and KEY not in printed and other not in printed
    l.step(f"{sum(1 for _ in car.folder.rglob('*'))} files and {len(printed)} characters, no hidden value in them")


lab.run(main)
