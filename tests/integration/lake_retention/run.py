#!/usr/bin/env python3
"""Without this a lake would grow for ever, or shrink under somebody who still reads it: beside writers, readers and kills at
each point of its removals it stays small, sound and whole for those who are registered; who is too late is told.
"""
import pathlib
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import compare, http, lab, lake  # noqa: E402
from sidestream_test.sidecar import BINARY  # noqa: E402
from sidestream_test.wait import until  # noqa: E402

POINTS = ["lake.trim_point", "lake.trim_floor", "lake.trim_file", "lake.trim_record"]


class Writer(threading.Thread):
    """A row every 10 ms, each a transaction, until told to stop."""

    def __init__(self, pg, n=0):
        super().__init__(daemon=True)
        self.pg, self.n, self.done = pg, n, threading.Event()
        self.start()

    def run(self):
        con = self.pg.connect()
        while not self.done.wait(0.01):
            self.n += 1
            con.cursor().execute("insert into shop.t values (%s, 'x')", [self.n])
        con.close()

    def end(self):
        self.done.set()
        self.join()


class Replica:
    """`replica` in the background."""

    def __init__(self, l, car, path):
        self.log = open(car.folder / "replica.log", "ab")
        self.process = subprocess.Popen([BINARY, "replica", car.config, "--to", path], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        l.undo.append(self.process.kill)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0


def files(car, pattern):
    return sorted(p.name for p in car.lake.glob(pattern))


def floor(car):
    return max((int(n[:20]) for n in files(car, "_cdc/floor/*.json")), default=0)


def rises(car, by=1):
    before = floor(car)
    until("the floor rises", lambda: floor(car) >= before + by, 60)


def sound(car):
    got = car.call("fsck", "CONFIG")
    assert got.code == 0, got
    return got


def small(car):
    """Seconds' worth of commits, not minutes'."""
    n = len(files(car, "_cdc/commits/*"))
    assert n < 800, f"{n} commit records at floor {floor(car)}"
    assert len(files(car, "_cdc/checkpoints/*")) <= 5 and len(files(car, "_cdc/floor/*")) <= 2  # an old floor and its own on their way out


def kills(l, car):
    for name in POINTS:
        for n in (1, 3):
            code = car.start(env={"SIDESTREAM_CRASH": f"{name}:{n}"}).wait(60)
            assert code == -signal.SIGKILL, (name, n, code, car.log()[-2000:])
            sound(car)
        l.step(f"killed at {name}")


def too_late(car, path):
    """What those are told who come after the beginning was removed."""
    at = floor(car)
    for call in (("replica", "CONFIG", "--to", path, "--until-caught-up"), ("cat", "CONFIG", "--from", "1")):
        got = car.call(*call)
        assert got.code == 3 and "was removed by sink.retention before it was read" in got.err, got
    for call in (("replica", "CONFIG", "--to", car.folder / "new.db", "--until-caught-up"), ("verify", "CONFIG")):
        got = car.call(*call)
        assert got.code == 3 and "the beginning of this lake was removed by sink.retention" in got.err, got
    got = car.call("cat", "CONFIG")
    assert got.code == 0 and f"commits up to {at} were removed by sink.retention" in got.err, got
    seen = [int(line.split('"id":')[1].split("}")[0].split(",")[0]) for line in got.out.splitlines()]
    last = [r.cells["id"] for r in lake.Lake(car.lake).rows("shop.t", since=at)]
    assert seen == last, (seen[:3], last[:3])


def main(l):
    pg = l.postgres()
    pg.sql("create schema shop; create table shop.t (id int primary key, v text)")
    car = l.sidecar(pg, sink={"commit_interval": "0", "retention": "2s", "fsync": False})
    car.catch_up()
    path = car.folder / "replica.db"
    replica = Replica(l, car, path)
    until("the replica is registered", lambda: files(car, "_cdc/readers/replica-replica.db-*.json"), 20)
    writer = Writer(pg)
    car.start().wait_streaming(pg)
    for _ in range(4):
        rises(car, 100)
        small(car)
        sound(car)  # beside the writer
    assert car.terminate() == 0
    l.step(f"small beside a writer and a reader: floor {floor(car)} of {writer.n} rows")
    kills(l, car)
    car.start().wait_streaming(pg)
    rises(car, 100)
    small(car)
    writer.end()
    assert car.terminate() == 0
    car.catch_up()
    replica.end()
    car.replica(path)
    compare.replica(pg, path, ["shop.t"])
    sound(car)
    assert not lake.Lake(car.lake).orphans()
    rows = [r.cells["id"] for r in lake.Lake(car.lake).rows("shop.t", since=floor(car))]
    assert not rows or (rows == list(range(rows[0], writer.n + 1)) and rows[0] > 100)
    l.step(f"the replica has all {writer.n} rows, the lake the last {len(rows)}")
    held(l, pg, car, writer.n)
    too_late(car, path)
    l.step("who is too late is told")
    copied_anew(l, pg, car)
    l.step("copied anew behind the floor: a new replica is whole")


def copied_anew(l, pg, car):
    """The table is copied whole behind the floor: then a new replica, and verify, may begin there."""
    face = http.Face()
    car.settings["sink"].update(retention="1h", idle_interval="1s")
    car.settings["http"] = face.settings
    car.write_config()
    car.start().wait_streaming(pg)
    until("the face", lambda: face.ask("/healthz"), 10)
    got = car.call("snapshot", "CONFIG", "shop.t")
    assert got.code == 0, got
    until("the copy", lambda: any('"state":"done"' in p.read_text() for p in sorted(car.lake.glob("_cdc/commits/*"))[-50:]
                                  if '"copy/shop.t"' in p.read_text()), 60)
    assert car.terminate() == 0
    car.catch_up()
    compare.replica(pg, car.replica(car.folder / "new.db"), ["shop.t"])
    car.start().wait_streaming(pg)  # verify waits for the running one to come to the source's place
    got = car.call("verify", "CONFIG")
    assert got.code == 0 and car.terminate() == 0, got
    sound(car)


def held(l, pg, car, n):
    """A reader that is registered and stands still holds what it has not read; silent for too long, it does not."""
    writer = Writer(pg, n)
    car.start().wait_streaming(pg)
    time.sleep(6)
    reader = files(car, "_cdc/readers/*.json")
    stands = int((car.lake / "_cdc/readers" / reader[0]).read_text().split('"commit":')[1].split(",")[0])
    assert len(reader) == 1 and floor(car) <= stands, (reader, floor(car), stands)
    assert car.terminate() == 0
    car.settings["sink"]["reader_timeout"] = "1s"
    car.write_config()
    car.start().wait_streaming(pg)
    until("the floor passes it", lambda: floor(car) > stands, 60)
    assert "silent for longer than sink.reader_timeout" in car.log()
    writer.end()
    assert car.terminate() == 0
    sound(car)
    l.step("a silent reader held it, for as long as it counted")


lab.run(main)
