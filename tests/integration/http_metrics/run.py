#!/usr/bin/env python3
"""Without this a pipeline that has stopped getting on would look healthy to whoever watches it, until the source's disk is
full: the ladder and /readyz must tell a stalled sink, an old transaction that holds the log, and a lost server, and must
come back by themselves.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import json  # noqa: E402
import re  # noqa: E402
import time  # noqa: E402

from sidestream_test import ROOT, http, lab, wait  # noqa: E402

ODD = 'we"ird\\na\nme'  # a quote, a backslash and a line break in a table's name


def changes(face, table, op):
    return face.metrics().get(("sidestream_table_changes_total", ("op", op), ("table", table)), 0)


def counts(l, pg, face):
    """Every committed change is counted once, by table and operation, whatever the table is called."""
    pg.each("insert into shop.t select g, repeat('x', 100) from generate_series(1, 500) g",
            "update shop.t set v = 'y' where id <= 300", "delete from shop.t where id <= 20",
            f'insert into shop."{ODD.replace(chr(34), chr(34) * 2)}" values (1)', "truncate shop.u")
    wait.until("all changes to be counted", lambda: changes(face, "shop.t", "d") == 20)
    got = {op: changes(face, "shop.t", op) for op in "cud"}
    assert got == {"c": 500, "u": 300, "d": 20}, got
    wait.until("the odd table", lambda: changes(face, f"shop.{ODD}", "c") == 1)
    wait.until("the truncate", lambda: changes(face, "shop.u", "t") == 1)
    now = face.metrics()
    assert now[("sidestream_table_state", ("state", "streaming"), ("table", "shop.t"))] == 1
    assert now[("sidestream_ready",)] == 1 and now[("sidestream_retries_total",)] == 0
    assert now[("sidestream_commit_seconds_count",)] >= 1
    assert now[("sidestream_delivery_seconds_bucket", ("le", "+Inf"))] == now[("sidestream_delivery_seconds_count",)]
    assert abs(now[("sidestream_table_last_change_timestamp_seconds", ("table", "shop.t"))] - time.time()) < 60
    assert 1 << 20 < now[("process_resident_memory_bytes",)] < 1 << 28
    status = face.status()
    assert {t["table"] for t in status["tables"]} >= {"shop.t", "shop.u", f"shop.{ODD}"}, status["tables"]
    assert status["ladder"][3]["position"].startswith(("tx:", "idle:")), status["ladder"]
    assert face.ready() == (True, []), face.ready()
    l.step("counts are right")


def told_of(l, face):
    """The dashboard and the alerts ask for nothing that is not there: a wrong name shows as all being well."""
    there = set(re.findall(r"^# TYPE (\S+) ", face.ask("/metrics")[1], re.M)) | {"sidestream"}
    for name in ("alerts.yml", "grafana.json"):
        text = (ROOT / "packaging" / name).read_text()
        asked = {re.sub("_(bucket|sum|count)$", "", m) for m in re.findall(r"\b(?:sidestream|process)_\w+", text)}
        assert asked and asked <= there, asked - there
    panels = [p["gridPos"] for p in json.loads((ROOT / "packaging/grafana.json").read_text())["panels"]]
    for i, a in enumerate(panels):
        for b in panels[:i]:
            apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"] or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
            assert apart and a["x"] + a["w"] <= 24, (a, b)
    l.step("dashboard and alerts know what they ask for")


def stalled(l, pg, face, flag):
    """The sink hangs: what is committed falls behind, what is received does not; /readyz fails; all of it returns."""
    wait.until("the ladder to be down", lambda: face.lag("committed")[1] == 0)
    flag.touch()
    for i in range(40):
        pg.sql("insert into shop.u select g, repeat('x', 100) from generate_series(1, 50) g")
        time.sleep(0.1)
    committed = wait.until("seconds of lag", lambda: (lag := face.lag("committed"))[1] > 3 and lag, 20)
    received = wait.until("what is received to be near", lambda: (lag := face.lag("received"))[1] < 2 and lag, 10)
    assert committed[0] > 100_000 and committed[0] > received[0], (committed, received)
    reasons = wait.until("/readyz to fail", lambda: not (got := face.ready())[0] and got[1], 60, 0.5)
    assert "the sink has not got on" in reasons[0], reasons
    l.step(f"a stalled sink: {committed[0]:.0f} bytes and {committed[1]:.1f} s behind, {reasons}")
    flag.unlink()
    wait.until("the ladder to return", lambda: face.lag("committed")[1] == 0 and face.ready()[0], 30, 0.2)
    assert changes(face, "shop.u", "c") == 2000


def held(l, pg, face, car):
    """An open transaction holds the source's log beyond source.max_lag: said in the log, in /readyz and in `status`."""
    holder = pg.connect(autocommit=False)
    pid = holder.info.backend_pid
    holder.cursor().execute("insert into other.noise values (0, 'open')")
    pg.sql("checkpoint")
    for i in range(3):
        pg.sql("insert into other.noise select g, repeat(md5(g::text), 30) from generate_series(1, 12000) g")
    # The transaction is named once it is 5 s old: by the next look, or the one behind it.
    reasons = wait.until("/readyz to fail", lambda: "session" in "".join((got := face.ready())[1]) and got[1], 60, 0.5)
    assert "more than source.max_lag (8.0 MiB)" in reasons[0] and f"session {pid} of postgres" in reasons[0], reasons
    assert "may fill up" in car.log(), car.log()[-2000:]
    got = car.call("status", "CONFIG")
    assert got.code == 1 and f"held by session {pid} of postgres" in got.out and "NOT READY" in got.out, got
    l.step(f"held log: {reasons}")
    holder.rollback()
    holder.close()

    def released():
        pg.sql("checkpoint")  # a record of running transactions, behind which the slot may move
        return face.ready()[0]
    wait.until("the log to be released", released, 60, 1)
    got = car.call("status", "CONFIG")
    assert got.code == 0 and "held by" not in got.out and "shop.t" in got.out, got


def lost(l, pg, face):
    """The server goes: not ready, with the reason; it comes back: ready, and the retries were counted."""
    pg.stop("immediate")
    reasons = wait.until("/readyz to fail", lambda: not (got := face.ready())[0] and got[1], 20)
    assert "failed" in reasons[0] or "starts again" in reasons[0], reasons
    assert face.ask("/healthz")[0] == 200
    pg.start()
    wait.until("/readyz to be well", lambda: face.ready()[0], 60, 0.2)
    assert face.metrics()[("sidestream_retries_total",)] >= 1
    l.step(f"a lost server: {reasons}")


def main(l):
    pg = l.postgres(conf=["max_prepared_transactions = 2"])
    pg.sql(f"""create schema shop; create schema other; create table shop.t (id int primary key, v text);
        create table shop.u (id int, v text); create table shop."{ODD.replace('"', '""')}" (id int primary key);
        create table other.noise (id int, v text); alter table shop.u replica identity full""")
    face = http.Face()
    env, flag = l.stall()
    car = l.sidecar(pg, http=face.settings, source={"max_lag": "8MiB"}, sink={"idle_interval": "1s"})
    car.start(env=env).wait_streaming(pg)
    wait.until("/readyz to be well", lambda: (face.ready() or [False])[0])
    counts(l, pg, face)
    told_of(l, face)
    stalled(l, pg, face, flag)
    held(l, pg, face, car)
    lost(l, pg, face)
    assert car.terminate() == 0
    got = car.call("status", "CONFIG")
    assert got.code == 1 and "nobody listens" in got.err, got


lab.run(main)
