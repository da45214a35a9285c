#!/usr/bin/env python3
"""Without this `init` would write a configuration that does not load, forget tables, show the password, or overwrite a
file that somebody has edited.
"""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import lab, lake  # noqa: E402
from sidestream_test.sidecar import BINARY  # noqa: E402

PASSWORD = "Pa55-of-init"


def init(folder, *args, **env):
    return subprocess.run([BINARY, "init", *args], cwd=folder, env={**os.environ, **env}, text=True, capture_output=True,
                          timeout=60)


def main(l):
    pg = l.postgres()
    pg.each("create schema shop",
            "create table shop.users (id int primary key, email text, phone text, updated_at timestamptz, deleted_at timestamptz)",
            'create table shop."odd: name" (a int, "b #c" text, primary key (a, "b #c"))',
            "create table shop.bare (at timestamptz, what text)",
            "create table public.orders (id bigint primary key, price numeric(8,2))",
            "insert into shop.users select g, 'u' || g from generate_series(1, 1000) g", "analyze",
            f"create role cdc login superuser password '{PASSWORD}'")
    hba = pg.base / "data/pg_hba.conf"
    hba.write_text("local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    pg.reload()
    url = f"postgresql://cdc:{PASSWORD}@127.0.0.1:{pg.port}/postgres"
    folder = l.folder / "init"
    folder.mkdir()

    l.step("the text on standard output")
    got = init(folder, url)
    assert got.returncode == 0, got
    text = got.stdout
    assert PASSWORD not in text + got.stderr and "${env:" in text, text
    for part in ("shop.users", "odd: name", "shop.bare", "orders", "updated_at", "deleted_at", "email"):
        assert part in text, f"nothing about {part} in:\n{text}"

    l.step("the same from PGPASSWORD, into a file, once")
    bare = url.replace(f":{PASSWORD}", "")
    got = init(folder, bare, "--output", "shop.yaml", PGPASSWORD=PASSWORD)
    assert got.returncode == 0 and got.stdout == "", got
    config = folder / "shop.yaml"
    assert PASSWORD not in config.read_text(), config.read_text()
    before = config.read_bytes()
    got = init(folder, bare, "--output", "shop.yaml", PGPASSWORD=PASSWORD)
    assert got.returncode == 2 and config.read_bytes() == before, got

    l.step("it loads, passes check, and captures")
    for word in ("check", "run"):
        done = subprocess.run([BINARY, word, config, *(["--until-caught-up"] if word == "run" else [])], cwd=folder, text=True,
                              env={**os.environ, "PGPASSWORD": PASSWORD}, capture_output=True, timeout=60)
        assert done.returncode == 0, (word, done.stdout, done.stderr, config.read_text())
        if word == "check":
            assert "table shop.users: rule " in done.stdout, done.stdout
    pg.sql("insert into shop.users values (2000, 'after')")
    done = subprocess.run([BINARY, "run", config, "--until-caught-up"], cwd=folder, text=True, capture_output=True, timeout=60,
                          env={**os.environ, "PGPASSWORD": PASSWORD})
    assert done.returncode == 0, done
    lakes = [p.parent for p in folder.rglob("_cdc")]
    assert len(lakes) == 1, lakes
    rows = list(lake.Lake(lakes[0]).rows("shop.users"))
    assert sorted((r.op, r.cells["id"]) for r in rows) == [("c", 2000), *(("r", n) for n in range(1, 1001))], rows[:9]

    l.step("what cannot be looked at")
    for wrong, code in ((f"oracle://u:{PASSWORD}@h/db", (2,)), (PASSWORD, (2,)),
                        (url.replace(PASSWORD, PASSWORD + "x"), (1, 2, 3)), (url.replace(str(pg.port), "9"), (1, 2, 3))):
        got = init(folder, wrong, "--output", "new.yaml")
        assert got.returncode in code and PASSWORD not in got.stderr and got.stderr, (wrong, got)
        assert not (folder / "new.yaml").exists(), wrong


lab.run(main)
