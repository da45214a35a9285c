#!/usr/bin/env python3
"""Without this a command could be lost, done twice, or given by somebody who may not: a table that is paused has no rows
written and a gap that is shown, through a crash and a restart, and only who has the token and is no web page may say so.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import json  # noqa: E402
import ssl  # noqa: E402
import subprocess  # noqa: E402
import urllib.request  # noqa: E402

from sidestream_test import http, lab, lake, wait  # noqa: E402


def refusals(l, face):
    """What is no command, or not from somebody who may give one."""
    page = {"Origin": "http://evil.example"}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for want, body, headers in [
            (400, {"command": "stop", "table": "shop.t"}, {}), (400, {"command": "pause"}, {}),
            (400, {"command": "pause", "table": "t"}, {}), (400, {"command": "pause", "table": "x." + "t" * 300}, {}),
            (400, {"table": "shop.t"}, {}), (400, [], {}), (400, b"{", {}), (400, b"", {}),
            (400, b'{"command":"pause","command":"resume","table":"shop.t"}', {}),
            (400, {"command": "pause", "table": {"a": 1}}, {}), (413, b" " * 20000, {}),
            (400, {"command": "snapshot", "table": "t"}, {}),
            (403, {"command": "pause", "table": "shop.t"}, page), (415, {"command": "pause", "table": "shop.t"}, form),
            (401, {"command": "pause", "table": "shop.t"}, {"Authorization": "Bearer other"}),
            (401, {"command": "pause", "table": "shop.t"}, {"Authorization": ""})]:
        got = face.ask("/commands", body, headers)
        assert got[0] == want and "error" in json.loads(got[1]), (want, body, headers, got)
    for want, method, path in [(405, "DELETE", "/commands"), (405, "POST", "/status"), (405, "PUT", "/metrics"),
                               (404, "GET", "/nothing"), (200, "GET", "/healthz"), (200, "GET", "/")]:
        got = face.ask(path, method=method)
        assert got[0] == want, (want, method, path, got)
    bare = http.Face()
    bare.port = face.port
    for path in ("/", "/metrics", "/status", "/readyz", "/commands", "/nothing"):
        assert bare.ask(path)[0] == 401, path
    assert bare.ask("/healthz")[0] == 200
    assert json.loads(face.ask("/commands")[1]) == []
    l.step("what may not be said is refused")


def give(face, command, table):
    got = face.ask("/commands", {"command": command, "table": table})
    assert got[0] == 202, got
    number = json.loads(got[1])["id"]

    def settled():
        mine = [c for c in json.loads(face.ask("/commands")[1]) if c["id"] == number]
        return mine and mine[0]["state"] in ("done", "failed") and mine[0]
    return wait.until(f"{command} {table} to be settled", settled)


def state(face, table):
    return next(t for t in face.status()["tables"] if t["table"] == table)


def ids(car, table):
    return sorted(r.cells["id"] for r in lake.Lake(car.lake).rows(table))


def pausing(l, pg, face, car):
    pg.each("insert into shop.t values (1)", "insert into shop.u values (1)")
    wait.until("the first rows", lambda: ids(car, "shop.t") == [1] and ids(car, "shop.u") == [1])
    assert give(face, "resume", "shop.t")["outcome"] == "it is not paused"
    assert give(face, "pause", "shop.nothing")["state"] == "failed"
    done = give(face, "pause", "shop.t")
    assert done["state"] == "done" and done["outcome"] == "committed", done
    assert state(face, "shop.t")["state"] == "paused" and state(face, "shop.t")["gap_from"], state(face, "shop.t")
    assert give(face, "pause", "shop.t")["outcome"] == "it is paused already"
    assert face.ready() == (True, []), face.ready()
    pg.each("insert into shop.t values (2)", "insert into shop.u values (2)")
    wait.until("the other table to go on", lambda: ids(car, "shop.u") == [1, 2])
    assert ids(car, "shop.t") == [1]
    car.kill9()
    car.start().wait_streaming(pg)
    wait.until("/readyz to be well", lambda: (face.ready() or [False])[0])
    pg.each("insert into shop.t values (3)", "insert into shop.u values (3)")
    wait.until("the other table to go on", lambda: ids(car, "shop.u") == [1, 2, 3])
    assert ids(car, "shop.t") == [1] and state(face, "shop.t")["state"] == "paused"
    got = car.call("status", "CONFIG")
    assert got.code == 0 and "paused" in got.out and "has a gap" in got.out, got
    for words, code, said in [(("resume", "CONFIG", "shop.t"), 0, "committed"), (("resume", "CONFIG", "shop.t"), 1, "not paused"),
                              (("pause", "CONFIG", "shop.nothing"), 1, "no table of this name"),
                              (("pause", "CONFIG", "nothing"), 1, "must name a table"), (("pause", "CONFIG"), 2, "SCHEMA.TABLE"),
                              (("pause", "CONFIG", "shop.t", "shop.u"), 2, "too many")]:
        got = car.call(*words)
        assert got.code == code and said in got.out + got.err, (words, got)
    pg.each("insert into shop.t values (4)")
    wait.until("the table to go on", lambda: ids(car, "shop.t") == [1, 4])
    assert state(face, "shop.t")["state"] == "streaming" and state(face, "shop.t")["gap_from"]
    assert face.metrics()[("sidestream_table_gap", ("table", "shop.t"))] == 1
    l.step("paused, through a kill, and resumed")


def https(l, pg, car, face):
    """The same over TLS, and `status` trusts just that certificate."""
    cert, key = car.folder / "cert.pem", car.folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=somewhere.else",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    car.settings["http"]["tls"] = {"cert": str(cert), "key": str(key)}
    car.write_config()
    car.start().wait_streaming(pg)
    context = ssl.create_default_context(cafile=str(cert))
    context.check_hostname = False
    req = urllib.request.Request(f"https://127.0.0.1:{face.port}/readyz", headers={"Authorization": f"Bearer {face.token}"})
    wait.until("/readyz over TLS", lambda: json.load(urllib.request.urlopen(req, context=context))["ready"]
               if car.call("status", "CONFIG").code == 0 else None, 20, 0.5)
    l.step("over TLS")


def cannot_start(l, pg, car, face):
    """A port that is taken, and a configuration that nobody can ask."""
    other = l.sidecar(pg, name="other", http={"listen": f"127.0.0.1:{face.port}"})
    got = other.call("run", "CONFIG", timeout=30)
    assert got.code == 1 and "is in use by another process" in got.err, got
    assert pg.slot(other.slot) is None
    silent = l.sidecar(pg, name="silent")
    got = silent.call("status", "CONFIG")
    assert got.code == 1 and "there is no `http:`" in got.err, got


def main(l):
    pg = l.postgres()
    pg.sql("create schema shop; create table shop.t (id int primary key); create table shop.u (id int primary key)")
    face = http.Face("t0p-secret")
    car = l.sidecar(pg, http=face.settings).start().wait_streaming(pg)
    wait.until("/readyz to be well", lambda: (face.ready() or [False])[0])
    refusals(l, face)
    pausing(l, pg, face, car)
    cannot_start(l, pg, car, face)
    assert "t0p-secret" not in car.log()
    assert car.terminate() == 0
    https(l, pg, car, face)
    assert car.terminate() == 0


lab.run(main)
