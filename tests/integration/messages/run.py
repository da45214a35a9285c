#!/usr/bin/env python3
"""Without this a logical message could be lost or come twice: transactional ones and others, beside rows and alone,
arrive each once and in order, also when the sidecar is killed again and again between them.

What was emitted is known from the function's own result (the message's LSN) and from the order of the
commits; the lake is read by fastavro.
"""
import pathlib
import random
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import compare, lab, lake  # noqa: E402
from sidestream_test.postgres import lsn  # noqa: E402

TABLE = "_sidestream._messages"
CAPTURE = [{"messages": ["app.secret*"], "skip": True}, {"messages": ["app.*", "note"]}, {"tables": "shop.*", "snapshot": "never"}]


def messages(car):
    return [(r.cells["prefix"], r.cells["content"], r.cells["transactional"], r) for r in lake.Lake(car.lake).rows(TABLE)]


def main(l):
    pg = l.postgres()
    pg.sql("create schema shop; create table shop.t (id int primary key, v text)")
    car = l.sidecar(pg, capture=CAPTURE, sink={"commit_interval": "0"}).start().wait_streaming(pg)
    single(l, pg, car)
    killed(l, pg, car)
    off(l, pg)


def emit(cur, transactional, prefix, content):
    cur.execute("select pg_logical_emit_message(%s, %s, %s::bytea)", (transactional, prefix, content))
    return lsn(cur.fetchone()[0])


def single(l, pg, car):
    con = pg.connect(autocommit=False)
    cur = con.cursor()
    emit(cur, True, "app.first", b"before any row")
    cur.execute("insert into shop.t values (1, 'a'), (2, 'b')")
    emit(cur, True, "note", b"\x00\xff binary")
    alone = emit(cur, False, "app.alone", b"")
    cur.execute("savepoint s")
    emit(cur, True, "app.undone", b"rolled back to a savepoint")
    cur.execute("rollback to s")
    emit(cur, True, "app.secret.1", b"skipped")
    emit(cur, True, "other", b"of no interest")
    cur.execute("insert into shop.t values (3, 'c')")
    emit(cur, True, "app.last", b"x" * 100000)
    con.commit()
    emit(cur, True, "app.gone", b"rolled back")
    emit(cur, False, "app.stays", b"a rollback does not undo it")
    con.rollback()
    pg.sql("select pg_logical_emit_message(true, 'app.only', 'no row in its transaction')")
    pg.sql("insert into shop.t values (4, 'd')")
    con.close()
    assert car.terminate() == 0
    car.catch_up()
    got = messages(car)
    want = [("app.alone", b"", False), ("app.first", b"before any row", True), ("note", b"\x00\xff binary", True),
            ("app.last", b"x" * 100000, True), ("app.stays", b"a rollback does not undo it", False),
            ("app.only", b"no row in its transaction", True)]
    assert [g[:3] for g in got] == want, got
    rows = {r.cells["id"]: r for r in lake.Lake(car.lake).rows("shop.t")}
    place = rows[1].place()[1]
    assert got[0][3].place()[1:] == (alone, 0) and got[0][3].cells["__tx"] is None, got[0][3]
    assert [g[3].place()[1:] for g in got[1:4]] == [(place, 0), (place, 2), (place, 3)], got
    assert rows[3].place()[1:] == (place, 3) and all(g[3].cells["__tx"] == rows[1].cells["__tx"] for g in got[1:4])
    assert all(g[3].op == "m" and g[3].cells["__deleted"] is False for g in got)
    assert abs((got[0][3].cells["__updated_at"] - rows[1].cells["__updated_at"]).total_seconds()) < 60
    have = [(r["prefix"], r["content"], bool(r["transactional"])) for r in compare.replica_rows(car.replica(), TABLE)]
    assert sorted(have) == sorted(want), have
    l.step("each once, where it stands between the rows; the replica has them")


def killed(l, pg, car):
    """Writers go on while the sidecar is killed at random; every message carries a number."""
    rounds, sent, stop = l.rounds or 12, [], threading.Event()

    def write(who):
        r, con = random.Random(f"{l.seed}/{who}"), pg.connect(autocommit=False)
        cur, n = con.cursor(), 0
        while not stop.is_set():
            own, alone = [], []
            for _ in range(r.randint(1, 4)):
                n += 1
                what = r.random()
                if what < 0.3:
                    cur.execute("insert into shop.t values (%s, 'x')", (1000 + who * 10**7 + n,))
                else:
                    transactional = what < 0.6
                    emit(cur, transactional, "app.k", f"{who}/{n}".encode())
                    (own if transactional else alone).append(f"{who}/{n}")
            if r.random() < 0.8:
                con.commit()
                sent.extend(own + alone)
            else:
                con.rollback()
                sent.extend(alone)
            time.sleep(r.random() * 0.01)
        con.close()

    writers = [threading.Thread(target=write, args=(i,), daemon=True) for i in range(3)]
    for w in writers:
        w.start()
    r = random.Random(l.seed)
    for _ in range(rounds):
        car.start()
        time.sleep(0.2 + r.random() * 0.6)
        car.kill9()
    stop.set()
    for w in writers:
        w.join(30)
    pg.sql("insert into shop.t values (5, 'end')")  # what was not flushed before is now
    car.catch_up()
    got = [content.decode() for prefix, content, _, _ in messages(car) if prefix == "app.k"]
    doubled, missing, more = len(got) - len(set(got)), set(sent) - set(got), set(got) - set(sent)
    assert not doubled and not missing and not more, f"seed {l.seed}: {doubled} twice, {sorted(missing)[:5]} missing, {sorted(more)[:5]} never sent"
    in_order(messages(car))
    have = sorted(r["id"] for r in compare.replica_rows(car.replica(), "shop.t"))
    assert have == sorted(r[0] for r in pg.sql("select id from shop.t")), "rows differ"
    l.step(f"{len(got)} messages over {rounds} kills, each once")


def in_order(got):
    """Of one writer the messages that stand alone come in its order."""
    last = {}
    for _, content, transactional, _ in got:
        if transactional or b"/" not in content:
            continue
        who, n = content.decode().split("/")
        assert int(n) > last.get(who, 0), f"{content} comes after {last[who]}"
        last[who] = int(n)


def off(l, pg):
    """Without an entry none is asked for."""
    pg.sql("create table shop.u (id int primary key)")
    car = l.sidecar(pg, name="quiet").start().wait_streaming(pg)
    pg.sql("select pg_logical_emit_message(false, 'app.x', 'x'); select pg_logical_emit_message(true, 'app.x', 'x'); insert into shop.u values (1)")
    assert car.terminate() == 0
    car.catch_up()
    assert {r.table for r in lake.Lake(car.lake).rows()} == {"shop.u"}


lab.run(main)
