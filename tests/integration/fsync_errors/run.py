#!/usr/bin/env python3
"""Without this a disk that fails would be believed: after an error of fsync, write or link the program ends and says so, and a
new start goes on with nothing lost and nothing doubled, also where the call was made and only its answer was lost.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import errno  # noqa: E402
import random  # noqa: E402
import time  # noqa: E402

from sidestream_test import compare, lab, oracle, soak, wait, workload  # noqa: E402


def main(l):
    r = random.Random(l.seed)
    pg = l.postgres()
    pg.sql(workload.SCHEMA)
    car = l.sidecar(pg, sink={"commit_interval": "0"})
    fault = l.fault(car)
    first_start(l, car, fault)
    car.start(env=fault.env).wait_streaming(pg)
    events = oracle.Oracle(pg, car.slot)
    writers = workload.Writers(pg, l.seed, 2, pause=0.01).start()
    for op, where, error, mode, word in soak.DISK:
        for nth in (1, r.randint(2, 9)):
            before = len(car.log())
            fault.arm(op, where, nth, error, mode)
            wait.until(f"{op} {where} {nth}", fault.fired, 30)
            if word is None:
                folder = car.lake / "_cdc/commits"
                last = max(folder.iterdir())
                wait.until(f"a commit after {op} {where}", lambda: max(folder.iterdir()) > last, 30)
                assert car.alive(), f"{op} {where}: must go on, not end with {car.process.returncode}\n{car.log()[-2000:]}"
            else:
                says(car, before, word)
                car.start(env=fault.env)
                time.sleep(0.2 * r.random())
        l.step(f"{op} {where} {errno.errorcode.get(error, '')} {mode}: {'said, and started again' if word else 'went on'}")
    writers.stop()
    car.kill9()
    car.catch_up()
    l.step(compare.everything(l, pg, car, events, writers))


def says(car, before, word):
    assert car.wait(30) == 1, f"exit {car.process.returncode}\n{car.log()[before:]}"
    text = car.log()[before:]
    assert "Input/output error" in text and word in text and str(car.lake) in text, text


def first_start(l, car, fault):
    """The same before there is anything: every folder, the claim, the fence."""
    for op in ("fsync", "link", "write"):
        for nth in range(1, 30):
            fault.arm(op, "any", nth, errno.EIO)
            got = car.call("run", "CONFIG", "--until-caught-up", env=fault.env)
            if not fault.fired():
                break
            assert got.code == 1 and "Input/output error" in got.err, got
        assert nth > 1 and got.code == 0, (op, nth, got)
        fault.clear()
    l.step("errors at the first starts")


lab.run(main)
