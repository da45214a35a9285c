#!/usr/bin/env python3
"""Without this one large transaction would end the process for want of memory, or be cut in two for the reader: a million
rows committed at once come as one commit, within the memory limit.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import os  # noqa: E402
import subprocess  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402

from sidestream_test import lab, lake, sidecar, wait  # noqa: E402

ROWS = 1_000_000
LIMIT = 96 << 20


def main(l):
    pg = l.postgres(conf=["max_wal_size = 2GB"])
    pg.sql("create schema shop; create table shop.big (id int primary key, a int, b text, c text, at timestamptz)")
    car = l.sidecar(pg, sink={"commit_interval": "1s"}).start().wait_streaming(pg)
    began = time.monotonic()
    pg.each("insert into shop.big values (0, 0, 'before', null, now())",
            f"insert into shop.big select g, g * 7, 'row number ' || g, repeat(md5(g::text), 5), now() "
            f"from generate_series(1, {ROWS}) g",
            "update shop.big set a = -1 where id = 0")
    l.step("a million rows committed")
    folder = lake.Lake(car.lake)
    wait.until("the transaction in the lake", lambda: folder.count() >= ROWS + 2, 240, 0.3)
    seconds, used = time.monotonic() - began, car.memory()
    l.step(f"captured after {seconds:.0f} s; {used >> 20} MiB resident at most, {car.cpu():.1f} CPU-seconds")
    assert used < LIMIT, f"{used >> 20} MiB resident, the limit is {LIMIT >> 20}"
    assert car.terminate() == 0
    places, ordinals, total = set(), set(), 0
    for row in folder.rows():
        if row.cells["id"] == 0:
            continue
        places.add((row.commit, row.place()[1]))
        ordinals.add(row.place()[2])
        total += row.cells["a"]
    assert len(places) == 1, f"{len(places)} commits or places for one transaction"
    assert ordinals == set(range(1, ROWS + 1)), "ordinals are not 1 to a million, each once"
    assert total == 7 * ROWS * (ROWS + 1) // 2, "the sum of a column"
    l.step("one commit, each row once")
    replica(l, car)


def replica(l, car):
    process = subprocess.Popen([sidecar.BINARY, "replica", car.config, "--to", car.folder / "r.db",
                                "--until-caught-up"], stdin=subprocess.DEVNULL)
    peak = [0]
    done = threading.Event()

    def watch():
        while not done.wait(0.05):
            try:
                for line in open(f"/proc/{process.pid}/status"):
                    if line.startswith("VmHWM:"):
                        peak[0] = int(line.split()[1]) << 10
            except FileNotFoundError:
                return
    threading.Thread(target=watch, daemon=True).start()
    try:
        assert process.wait(300) == 0
    finally:
        process.kill()
        done.set()
    import sqlite3
    con = sqlite3.connect(car.folder / "r.db")
    got = con.execute('select count(*), sum(a) from "shop.big" where id > 0').fetchone()
    assert got == (ROWS, 7 * ROWS * (ROWS + 1) // 2), got
    l.step(f"replica equal; {peak[0] >> 20} MiB resident at most")
    assert peak[0] < 2 * LIMIT, "the replica's memory grows with the transaction"
    os.unlink(car.folder / "r.db")


lab.run(main)
