#!/usr/bin/env python3
"""Without this a bad network, a server that dies, or a log that is gone would lose or double changes of MySQL or MariaDB, or stop
them for good: the sidecar connects again where it can, and where changes are lost to it it refuses, with the cause.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import os  # noqa: E402
import random  # noqa: E402
import shutil  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402

from sidestream_test import compare, lab, lake, mysql, mysql_oracle, mysql_workload, proxy, soak, wait  # noqa: E402

SHORT = ["cut", "torn down", "refused", "swallow down"]
DURABLE = ["sync_binlog=1", "innodb_flush_log_at_trx_commit=1"]


def main(l):
    r = random.Random(l.seed)
    for kind in mysql.KINDS:
        server = l.mysql(kind, conf=DURABLE)
        server.sql(mysql_workload.SCHEMA)
        disturbed(l, server, r)
        waits(l, server)
        purged(l, server)
        restored(l, server)
        refused(l, server)
        server.stop("immediate")


def disturbed(l, server, r):
    """The network, KILL of the reader, restarts and crashes of the server, beside writers."""
    net = proxy.Proxy(server.port)
    l.undo.append(net.close)
    car = l.sidecar(server, folder=f"{server.kind}-net", name="net", url=server.url(port=net.port),
                    source={"heartbeat": "1s"}, sink={"commit_interval": "50ms"}).start().wait_streaming(server)
    events = mysql_oracle.Oracle(server)
    writers = mysql_workload.Writers(server, l.seed, 2, pause=0.01, xa=0 if server.loses_xa() else 0.05).start()
    hows = (list(soak.NETWORK) if l.rounds else SHORT) * max(1, l.rounds // len(soak.NETWORK))
    for how in hows:
        soak.NETWORK[how](net, r)
        net.calm()
        if how.startswith("swallow"):
            net.cut()
        goes_on(l, car, how)
    for how in ("killed", "stopped", "crashed"):
        if how == "killed":
            server.kill_dumps()
        elif how == "stopped":
            server.restart()
        else:
            server.crash()
            time.sleep(0.3)
            server.start()
        goes_on(l, car, how)
    writers.stop()
    assert car.terminate() == 0
    car.catch_up()
    net.close()
    l.step(f"{server.kind}: {', '.join(hows)}, killed, stopped, crashed: " + compare.everything(l, server, car, events, writers))


def goes_on(l, car, how):
    folder = lake.Lake(car.lake)
    rows = folder.count()
    wait.until(f"rows after {how}", lambda: folder.count() > rows + 5, 60, 0.05)
    assert car.alive(), f"{how}: must go on, not end with {car.process.returncode}\n{car.log()[-1500:]}"


def waits(l, server):
    """A server that is not there at the start, then one that stands still; and two instances of one name."""
    car = l.sidecar(server, folder=f"{server.kind}-waits", name="waits", source={"heartbeat": "1s"}, sink={"commit_interval": "50ms"})
    car.catch_up()
    server.stop()
    car.start()
    time.sleep(1)
    assert car.alive(), car.log()[-1500:]
    server.start()
    server.sql("insert into shop.txlog values ('waits 1', 0)")
    ids = lambda: [r.cells["id"] for r in lake.Lake(car.lake).rows("shop.txlog")]  # noqa: E731
    wait.until("the row", lambda: ids() == ["waits 1"], 40)
    server.freeze()
    time.sleep(4.5)
    assert car.alive()
    server.thaw()
    server.sql("insert into shop.txlog values ('waits 2', 0)")
    wait.until("the row after it stood still", lambda: ids() == ["waits 1", "waits 2"], 40)
    assert car.terminate() == 0
    l.step(f"{server.kind}: waits for a server")


def purged(l, server):
    """The log behind our position is deleted while we are away: changes are lost to us, so it says so and stops."""
    car = l.sidecar(server, folder=f"{server.kind}-purged", name="purged")
    car.catch_up()
    server.sql("insert into shop.txlog values ('before', 0)")
    car.catch_up()
    server.each("flush binary logs", "flush binary logs")
    server.purge()
    server.sql("insert into shop.txlog values ('after', 0)")
    car.catch_up()  # nothing was in the deleted files
    server.sql("insert into shop.txlog values ('lost', 0)")
    server.purge()
    before = lake.Lake(car.lake).count()
    for _ in range(2):
        got = car.call("run", "CONFIG", "--until-caught-up", timeout=60)
        assert got.code == 3 and ("deleted" in got.err or "purged" in got.err), got
        assert lake.Lake(car.lake).count() == before == 2
    l.step(f"{server.kind}: deleted log: refused")
    reset(l, server)


def reset(l, server):
    """RESET MASTER: the log begins anew, with the same numbers."""
    car = l.sidecar(server, folder=f"{server.kind}-reset", name="reset")
    car.catch_up()
    server.sql("insert into shop.txlog values ('reset 1', 0)")
    car.catch_up()
    server.sql("reset binary logs and gtids" if not server.mariadb and server.version() >= (8, 2) else "reset master")
    server.sql("insert into shop.txlog values ('reset 2', 0)")
    got = car.call("run", "CONFIG", "--until-caught-up", timeout=60)
    assert got.code == 3 and lake.Lake(car.lake).count() == 1, got
    l.step(f"{server.kind}: a log that was reset: refused")


def restored(l, server):
    """A backup comes back: shorter than our position, and then written beyond it."""
    car = l.sidecar(server, folder=f"{server.kind}-restored", name="restored")
    car.catch_up()
    server.sql("insert into shop.scratch values (1, 'before the backup') on duplicate key update mark = 'before the backup'")
    car.catch_up()
    server.stop()
    copy(server, "data", "backup")
    server.start()
    for i in range(10, 20):
        server.sql(f"insert into shop.scratch values ({i}000, 'after it')")
    car.catch_up()
    before = lake.Lake(car.lake).count()
    server.stop()
    shutil.rmtree(server.base / "data")
    copy(server, "backup", "data")
    server.start()
    refuses(car, before)
    l.step(f"{server.kind}: restored, and shorter than our position: refused")
    for i in range(20, 40):
        server.sql(f"insert into shop.scratch values ({i}000, 'another history')")
    refuses(car, before)
    car.start()
    assert car.wait(30) == 3, car.log()[-1500:]
    l.step(f"{server.kind}: restored, and written beyond our position: refused")


def refuses(car, before):
    got = car.call("run", "CONFIG", "--until-caught-up", timeout=60)
    assert got.code == 3, got
    assert lake.Lake(car.lake).count() == before, "nothing of the other history may be written"


def copy(server, source, to):
    shutil.copytree(server.base / source, server.base / to, symlinks=True)
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", "nobody", server.base / to], check=True)


def refused(l, server):
    """Settings under which changes would be lost unseen, and rights that are missing: named, with what mends them."""
    cases = [("set global binlog_format = 'STATEMENT'", "set global binlog_format = 'ROW'", "binlog_format"),
             ("set global binlog_row_metadata = 'MINIMAL'", "set global binlog_row_metadata = 'FULL'", "binlog_row_metadata"),
             ("revoke replication slave on *.* from cdc@'%'", "grant replication slave on *.* to cdc@'%'", "REPLICATION SLAVE"),
             ("alter user cdc@'%' identified by 'Other-1'", f"alter user cdc@'%' identified by '{mysql.PASSWORD}'", "")]
    if not server.mariadb:
        cases.append(("set global binlog_row_value_options = 'PARTIAL_JSON', global binlog_row_image = 'MINIMAL'",
                      "set global binlog_row_value_options = '', global binlog_row_image = 'FULL'", "binlog_row_value_options"))
    for i, (break_it, mend, word) in enumerate(cases):
        car = l.sidecar(server, folder=f"{server.kind}-refused{i}", name=f"refused{i}")
        server.sql(break_it)
        got, told = car.call("run", "CONFIG", "--until-caught-up", timeout=60), car.call("check", "CONFIG")
        server.sql(mend)
        assert got.code == 3 and word in got.err, f"{break_it}: {got!r}"
        assert told.code == 1 and word in told.out + told.err, f"{break_it}: {told!r}"
        assert mysql.PASSWORD not in car.log()
        car.catch_up()
    l.step(f"{server.kind}: {len(cases)} settings and rights: refused, and mended")


lab.run(main)
