#!/usr/bin/env python3
"""Without this the loss of a primary would end the capture, or let it go on over a gap: the replica is promoted under load behind
the same address, and by GTIDs everything the new primary has is there once; a server that lacks what was already emitted, and
one that knows no GTIDs, are refused. Both families.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import concurrent.futures  # noqa: E402
import random  # noqa: E402
import time  # noqa: E402

from sidestream_test import compare, lab, lake, mysql, mysql_oracle, mysql_workload, proxy, wait  # noqa: E402


def main(l):
    r = random.Random(l.seed)
    for kind in mysql.KINDS:
        for _ in range(max(1, l.rounds // 25)):
            taken_over(l, kind, r)
        behind(l, kind)
        if kind.startswith("mysql"):  # MariaDB's snapshots know their place
            applier(l, kind)
    strange(l)


def pair(l, kind, conf=()):
    first = l.mysql(kind, conf=conf, start=False)
    second = l.mysql(kind, conf=["relay_log=relay", "skip_slave_start=ON", *conf], server_id=2, start=False)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda s: s.start(), (first, second)))
    return first, second.replica_of(first)


def incarnations(car):
    return sorted({r.place()[0] for r in lake.Lake(car.lake).rows()})


def taken_over(l, kind, r):
    first, second = pair(l, kind)
    first.sql(mysql_workload.SCHEMA)
    net = proxy.Proxy(first.port)
    l.undo.append(net.close)
    car = l.sidecar(first, folder=f"{kind}-over{len(l.sidecars)}", url=first.url(port=net.port), sink={"commit_interval": "50ms", "idle_interval": "1s"})
    car.start().wait_streaming(first)
    begin = mysql_oracle.Oracle(first)
    writers = mysql_workload.Writers(first, l.seed, 3, pause=0.01, xa=0.05).start()
    time.sleep(1 + r.random())
    wait.until("rows from the old primary", lambda: len({r.cells["__tx"] for r in lake.Lake(car.lake).rows()}) > 10)
    net.frozen = ("down",)  # the replica gets ahead of the sidecar, which may lack what it has, and never the reverse
    time.sleep(0.5)
    prepared = prepare(first)
    time.sleep(0.3)
    second.follows(first)
    first.crash()
    net.frozen = ()
    writers.stopping.set()
    if r.random() < 0.5:
        car.kill9()
        car.start()
        l.step("the sidecar was killed, too")
    second.promote()
    net.retarget(second.port)
    net.cut()
    prepared(second)
    for t in writers.threads:
        t.join(60)
    writers.prepared.clear()  # by what was replicated of it
    writers.join()
    more = mysql_workload.Writers(second, f"{l.seed}-after", 3, pause=0.01).start()
    wait.until("rows from the new primary", lambda: incarnations(car)[-1:] == [2], 60, 0.2)
    assert car.alive(), f"must go on by itself, not end with {car.process.returncode}\n{car.log()[-2000:]}"
    time.sleep(1)
    wait.until("transactions on the new primary", lambda: len(more.acked) > 20, 60)
    car.kill9()
    more.stop()
    end_all_prepared(second)
    car.catch_up()
    first.start()
    l.step(f"{kind}: " + both(l, car, first, second, begin))
    net.close()
    for server in (first, second):
        server.stop("immediate")


def prepare(server):
    """A transaction that is prepared on the old server and committed on the new one."""
    con = server.connect("shop")
    for text in ("xa start 'over'", "insert into shop.scratch values (9001, 'over')", "xa end 'over'", "xa prepare 'over'"):
        con.cursor().execute(text)
    con.close()

    def commit(other):
        other.sql("xa commit 'over'")
    return commit


def end_all_prepared(server):
    for form, glen, _, data in server.sql("xa recover"):
        data = data if isinstance(data, bytes) else data.encode("latin1")
        server.sql(f"xa rollback X'{data[:glen].hex()}',X'{data[glen:].hex()}',{form}")


def both(l, car, first, second, begin):
    """Expected: what the new primary has, in its order; the part that was read from the old one has the old one's places."""
    rows = list(lake.Lake(car.lake).rows())
    assert incarnations(car) == [1, 2], incarnations(car)
    early = {str(r.cells["__tx"]) for r in rows if r.place()[0] == 1}
    old = [e for e in begin.events() if e.xid in early]
    reader = [e for e in mysql_oracle.Reader(second).read(second.binlogs()[0], 4) if e.table.startswith("shop.")]
    # A table may be known by rows of a transaction that was on its way from the old server, and is lost with that.
    new = [e for e in mysql_oracle.that_matter(reader, rows) if e.xid not in early]
    assert {e.xid for e in old} == early, "emitted, and not in the old log"
    assert early <= {e.xid for e in reader}, "the new primary lacks what was emitted"
    assert len({e.xid for e in new}) > 10 and len(early) > 10, (len(new), len(early))
    keys = {t: second.key_columns(t) for t in mysql_workload.TABLES}
    n = compare.history(rows, old + new, keys)
    compare.transactions(second, rows, None)
    live = compare.replica(second, car.replica(), mysql_workload.TABLES)
    return f"{n} rows in order over two servers, {live} live rows equal"


def behind(l, kind):
    """The replica stands still while more is emitted: promoted, it has another history."""
    first, second = pair(l, kind)
    first.sql("create database shop; create table shop.t (id int primary key, v varchar(40))")
    net = proxy.Proxy(first.port)
    l.undo.append(net.close)
    car = l.sidecar(first, folder=f"{kind}-behind", url=first.url(port=net.port), sink={"idle_interval": "1s"})
    car.start().wait_streaming(first)
    first.sql("insert into shop.t values (1, 'on both')")
    second.follows(first).promote()
    first.sql("insert into shop.t values (2, 'only on the old one')")
    wait.until("the row", lambda: lake.Lake(car.lake).count() == 2)
    second.each("insert into shop.t values (3, 'another history')", "insert into shop.t values (4, 'another history')")
    net.retarget(second.port)
    first.crash()
    net.cut()
    assert car.wait(60) == 3, car.log()[-2000:]
    got = car.call("run", "CONFIG", "--until-caught-up", timeout=60)
    assert got.code == 3, got
    assert [r.cells["id"] for r in lake.Lake(car.lake).rows()] == [1, 2]
    net.close()
    second.stop("immediate")
    l.step(f"{kind}: a server without what was emitted: refused")


def applier(l, kind):
    """What a replica's applier works on for long has its GTID from the beginning on. A start does not wait for its end, and has it then."""
    server = l.mysql(kind)
    server.sql(mysql_workload.SCHEMA + "insert into shop.scratch values (1, 'before')")
    con = server.connect("shop", autocommit=False)
    cur = con.cursor()
    for i, (copies, lock) in enumerate(((False, "auto"), (True, "never"), (True, "auto"))):
        for text in (f"set gtid_next = 'aaaaaaaa-0000-0000-0000-00000000000{i}:7'", "begin", f"insert into scratch values ({10 + i}, 'long')"):
            cur.execute(text)
        car = l.sidecar(server, folder=f"{kind}-applier{i}", name=f"applier{i}", source={"lock": lock},
                        capture=[{"tables": "shop.*", **({} if copies else {"snapshot": "never"})}], sink={"commit_interval": "50ms"})
        began = time.monotonic()
        car.start().wait_streaming(server, 25)
        waited = time.monotonic() - began
        server.sql(f"insert into shop.scratch values ({20 + i}, 'beside')")
        con.commit()
        cur.execute("set gtid_next = 'automatic'")
        server.sql(f"insert into shop.scratch values ({30 + i}, 'behind')")
        assert car.terminate() == 0
        car.catch_up()
        got = [r.cells["id"] for r in lake.Lake(car.lake).rows("shop.scratch") if r.op == "c"]
        assert got == [20 + i, 10 + i, 30 + i], got
        if copies:
            compare.replica(server, car.replica(), mysql_workload.TABLES)
        l.step(f"{kind}: began after {waited:.1f} s beside a transaction that an applier works on")
    con.close()
    server.stop("immediate")


def strange(l):
    """Without GTIDs file and offset are another server's: refused. The other family: likewise."""
    off = ["gtid_mode=OFF", "enforce_gtid_consistency=OFF"]
    first, second, third = (l.mysql(kind, conf=conf, server_id=i, start=False)
                            for i, (kind, conf) in enumerate((("mysql", off), ("mysql", off), ("mariadb", [])), 1))
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda s: s.start(), (first, second, third)))
    for server in (first, second, third):
        server.sql("create database shop; create table shop.t (id int primary key)")
    car = l.sidecar(first, folder="strange")
    car.catch_up()
    first.sql("insert into shop.t values (1)")
    car.catch_up()
    for other in (second, third):
        other.sql("insert into shop.t values (2)")
        car.settings["source"]["url"] = other.url()
        car.write_config()
        got = car.call("run", "CONFIG", "--until-caught-up", timeout=60)
        assert got.code == 3, got
    car.settings["source"]["url"] = first.url()
    car.write_config()
    first.sql("insert into shop.t values (3)")
    car.catch_up()
    assert [r.cells["id"] for r in lake.Lake(car.lake).rows()] == [1, 3]
    l.step("another server without GTIDs, another family: refused")


lab.run(main)
