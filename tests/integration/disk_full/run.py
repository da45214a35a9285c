#!/usr/bin/env python3
"""Without this a full disk would lose what was in flight, leave half a commit, or end the capture for good: it waits, keeps
serving the database, and goes on when there is room.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import random  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402

from sidestream_test import compare, lab, lake, oracle, wait, workload  # noqa: E402


def main(l):
    r = random.Random(l.seed)
    disk = l.tmpfs("600k")
    pg = l.postgres()
    pg.sql(workload.SCHEMA)
    car = l.sidecar(pg, sink={"path": str(disk / "lake"), "commit_interval": "50ms"}).start().wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    writers = workload.Writers(pg, l.seed, 3, pause=0.02).start()
    size = 600
    for round in range(l.rounds or 5):
        stuck(l, car)
        if round % 2:
            car.kill9()
            l.step("killed while the disk is full")
            car.start()
            time.sleep(1)
            assert car.alive(), f"must wait for room, not end with {car.process.returncode}\n{car.log()[-1500:]}"
        commits = len(lake.Lake(car.lake).commits())
        for _ in range(3):  # room for what gathered meanwhile: it comes in one commit, and on a slow machine is more
            size += r.randint(3000, 6000)
            subprocess.run(["mount", "-o", f"remount,size={size}k", disk], check=True)
            try:
                wait.until("a commit after room was made", lambda: len(lake.Lake(car.lake).commits()) > commits, 25)
                break
            except wait.Timeout:
                l.step(f"{size} KiB are not enough")
        assert len(lake.Lake(car.lake).commits()) > commits, f"no commit with {size} KiB\n{car.log()[-1500:]}"
        l.step(f"went on with {size} KiB")
    writers.stop()
    subprocess.run(["mount", "-o", "remount,size=500m", disk], check=True)
    assert car.alive()
    car.kill9()
    car.catch_up()
    l.step(compare.everything(l, pg, car, events, writers))
    assert not lake.Lake(car.lake).orphans(), "files of failed commits are left behind"


def stuck(l, car):
    """Until no commit comes any more, and the log says why."""
    folder = car.lake / "_cdc/commits"
    last = [len(list(folder.iterdir())), time.monotonic()]

    def still():
        n = len(list(folder.iterdir()))
        if n != last[0]:
            last[:] = [n, time.monotonic()]
        return time.monotonic() - last[1] > 1.5 and "No space left" in car.log()[-5000:]  # a busy machine may stand still, too
    wait.until("the disk to fill, and a word about it", still, 60)


lab.run(main)
