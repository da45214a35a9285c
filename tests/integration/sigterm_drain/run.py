#!/usr/bin/env python3
"""Without this a stop would throw away what was read (and read it again), or a second signal would not end a sidecar
whose sink hangs.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import time  # noqa: E402

from sidestream_test import compare, http, lab, lake, oracle, wait, workload  # noqa: E402


def read(events, face):
    """Until it has everything that is committed now."""
    last = events.events()[-1].place

    def received():
        position = face.status()["ladder"][1]["position"]  # tx:END,COMMIT,...
        return position.startswith("tx:") and oracle.lsn(position.split(",")[1]) >= last
    wait.until("everything to be read", received)


def main(l):
    pg = l.postgres()
    pg.sql(workload.SCHEMA)
    env, flag = l.stall()
    face = http.Face()
    car = l.sidecar(pg, sink={"commit_interval": "1h"}, http=face.settings).start(env=env).wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    writers = workload.Writers(pg, l.seed, 2, transactions=100).start().join()
    read(events, face)
    folder = lake.Lake(car.lake)
    assert folder.count() == 0, "nothing is committed within the hour"
    assert car.terminate(10) == 0, "the first SIGTERM ends with 0"
    l.step(f"drained {folder.count()} rows")
    keys = {t: compare.key_columns(pg, t) for t in {e.table for e in events.events()}}
    compare.history(folder.rows(), events.events(), keys)

    car.start(env=env).wait_streaming(pg)
    flag.touch()
    pg.sql("insert into shop.scratch select g, 'hangs' from generate_series(1001, 1100) g")
    read(events, face)
    import signal
    car.process.send_signal(signal.SIGTERM)
    time.sleep(1.5)
    assert car.alive(), "the first SIGTERM waits for the commit"
    began = time.monotonic()
    car.process.send_signal(signal.SIGTERM)
    code = car.wait(10)
    assert code != 0 and time.monotonic() - began < 3, f"second SIGTERM: exit {code}"
    flag.unlink()
    l.step("the second one ends at once")
    car.catch_up()
    l.step(compare.everything(l, pg, car, events, writers=None))
    compare.transactions(pg, folder.rows(), writers)


lab.run(main)
