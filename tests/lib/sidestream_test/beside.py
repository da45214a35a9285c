"""`verify --replica` beside a pipeline that is being written to: of a file that stands still and of one that is kept."""
import json
import sqlite3
import subprocess
import time

from . import lab
from .wait import until


def replicas(l, car, face, again="shop.item", table="shop.account", rounds=5):
    """Equal each time, although more was committed since; then spoilt, and found by its keys. `face`: the sidecar's listener."""
    still, kept = car.replica(car.folder / "still.db"), car.folder / "kept.db"
    keeper = subprocess.Popen([lab.BINARY, "replica", car.config, "--to", kept], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=open(car.log_path, "ab"))
    try:
        until("the replica that is kept", lambda: kept.exists() and number(kept) >= number(still), 60)
        for i in range(rounds):
            if i % 2 == 0:  # copied again: a `t` with an old __seq comes behind the file's commit
                assert face.ask("/commands", {"command": "snapshot", "table": again})[0] == 202
            was = number(kept)
            for path in (still, kept):
                got = car.call("verify", "CONFIG", "--replica", path, timeout=180)
                assert got.code == 0 and got.out == "", f"equal by construction: {got!r}"
            until("more to be committed", lambda: number(kept) > was, 60)
            assert keeper.poll() is None
            if i == rounds // 2:
                still = car.replica(still)
        assert number(kept) > number(still)
        l.step(f"replicas beside writers: commits {number(still)} and {was}, while there were {number(kept)}")
        spoilt(car, still, table)
    finally:
        keeper.terminate()
        keeper.wait(30)


def number(path):
    try:
        with sqlite3.connect(path) as db:
            return db.execute('select "commit" from _sidestream_position').fetchone()[0] or 0
    except (sqlite3.OperationalError, TypeError):
        return 0  # being made


def spoilt(car, path, table):
    with sqlite3.connect(path) as db:
        ids = [r[0] for r in db.execute(f'select id from "{table}" where not __deleted order by id limit 2')]
        db.execute(f'delete from "{table}" where id = ?', ids[:1])
        db.execute(f"update \"{table}\" set __op = 'q' where id = ?", ids[1:])
    time.sleep(0.5)
    got = car.call("verify", "CONFIG", "--replica", path, timeout=180)
    found = {(d["key"]["id"], d["difference"]) for d in map(json.loads, got.out.splitlines())}
    assert got.code == 1 and found == {(ids[0], "missing in replica"), (ids[1], "differs")}, got

