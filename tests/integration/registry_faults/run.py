#!/usr/bin/env python3
"""Without this a schema registry that is down, slow, or answers 401, 409, 5xx or garbage, at the start or in the middle,
would lose rows, get wrong schemas, or leave an operator without a clue.
"""
import pathlib
import ssl
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import kafka_login, lab, lake, registry  # noqa: E402
from sidestream_test.wait import until  # noqa: E402

# What the registry does, what the log then says; nothing may be registered, nothing written, and it goes on by itself.
RETRIED = [("down", "does not answer as it should"), ("slow", "does not answer as it should"), (500, "500"), (503, "503"),
           (429, "429"), (408, "408"), ("cut", "does not answer as it should"), ("half", "does not answer as it should"),
           ("html", "no answer of a schema registry"), ("text", "no answer of a schema registry"),
           ("no_id", "no answer of a schema registry"), ("echo", "no store")]
# The same, but a person must act: exit 3.
REFUSED = [(401, "does not let us in (401"), (403, "does not let us in (403"), (422, "does not take the schema"),
           (302, "refuses the request (302"), (405, "refuses the request (405"),
           ("bad_id", "gives an id"), ("huge_id", "gives an id"), ("other_schema", "holds another schema")]
SECRET = "pass-word"


def ids(car):
    return sorted(r.cells["id"] for r in lake.Lake(car.lake).rows("shop.t")) if car.lake.exists() else []


def fresh(l, stub, n, **more):
    """A pipeline of its own, not started; its slot is made by a first run without a change."""
    settings = registry.config(stub.url, timeout="1s", connect_timeout="500ms", username="u", password=SECRET, **more)
    car = l.sidecar(l.pg, name=f"p{n}", registry=settings)
    car.catch_up(60)
    return car


def is_told(car, words):
    until(f"the log says {words}", lambda: words in car.log(), 30)
    assert SECRET not in car.log(), "a secret is in the log"
    assert stub_address(car) in car.log(), "the log does not say which registry"


def stub_address(car):
    return car.settings["registry"]["url"][0]


def break_it(stub, fault):
    if fault == "down":
        stub.stop()
    else:
        stub.fault = fault


def mend(stub, fault):
    stub.fault, stub.only = None, ""
    if fault == "down":
        stub.start()


def at_start(l, n, fault, words):
    """Broken before the first row; mended; nothing lost."""
    stub = registry.Stub(l)
    car = fresh(l, stub, n)
    break_it(stub, fault)
    l.pg.sql("insert into shop.t values (%s)", [n])
    car.start()
    is_told(car, words)
    assert car.alive() and ids(car) == [] and not stub.by_subject or fault == "no_id", stub.by_subject
    assert ids(car) == []
    mend(stub, fault)
    until("the row", lambda: ids(car) == [n], 60)
    assert stub.registered() == {f"p{n}.shop.t-value": 1}, stub.registered()
    assert car.terminate() == 0
    stub.stop()


def refused_at_start(l, n, fault, words):
    stub = registry.Stub(l)
    car = fresh(l, stub, n)
    break_it(stub, fault)
    l.pg.sql("insert into shop.t values (%s)", [n])
    got = car.call("run", "CONFIG", "--until-caught-up", timeout=30)
    assert got.code == 3 and words in got.err and SECRET not in got.err and stub.url in got.err, got
    assert ids(car) == []
    mend(stub, fault)
    car.catch_up(60)
    assert ids(car) == [n] and car.call("fsck", "CONFIG").code == 0
    stub.stop()


def mid_stream(l, n, fault, words):
    """Known tables go on, a changed one waits, what was complete before it is committed, nothing is lost."""
    stub = registry.Stub(l)
    car = fresh(l, stub, n)
    l.pg.each("insert into shop.t values (1000), (1001)", "insert into shop.k values (1)")
    car.settings["sink"]["commit_interval"] = "60s"  # only the commit before asking makes the rows seen
    car.write_config()
    car.catch_up(60)
    known = stub.registered()
    break_it(stub, fault)
    car.start().wait_streaming(l.pg)
    l.pg.each("insert into shop.t values (1002)", "insert into shop.k values (2)", f"alter table shop.k add x{n} int",
              "insert into shop.k values (3)", "insert into shop.t values (1003)")
    is_told(car, words)
    until("what was complete before", lambda: 1002 in ids(car), 20)
    assert stub.registered() == known, "nothing new is registered meanwhile"
    began = time.monotonic()
    assert car.terminate() == 0
    took = time.monotonic() - began
    assert took < 5, f"a stop took {took:.1f} s beside a broken registry"
    mend(stub, fault)
    car.settings["sink"]["commit_interval"] = "200ms"
    car.write_config()
    car.catch_up(60)
    rows = [r.cells["id"] for r in lake.Lake(car.lake).rows("shop.k")]
    assert rows == [1, 2, 3] and ids(car)[-4:] == [1000, 1001, 1002, 1003], (rows, ids(car))
    assert car.call("fsck", "CONFIG").code == 0
    l.pg.each("delete from shop.k", "delete from shop.t where id >= 1000")
    stub.stop()


def without_it(l, n):
    """A start with known schemas needs no registry; a second address serves where the first is away."""
    stub, other = registry.Stub(l), registry.Stub(l)
    car = fresh(l, stub, n)
    l.pg.sql("insert into shop.t values (%s)", [n])
    car.catch_up(60)
    asked = len(stub.requests)
    stub.stop()
    l.pg.sql("insert into shop.t values (%s)", [n + 1])
    car.catch_up(60)
    assert ids(car)[-2:] == [n, n + 1] and asked > 0
    car.settings["registry"]["url"] = [stub.url, other.url]
    car.write_config()
    l.pg.sql("insert into shop.second values (1)")
    other.base = 100  # ids of its own: 1 is taken
    car.catch_up(60)
    assert other.registered() == {f"p{n}.shop.second-value": 1} and other.requests


def emptied(l, n):
    """A registry that lost everything gives ids that others have: refused, or rows would be read by wrong schemas."""
    stub = registry.Stub(l)
    car = fresh(l, stub, n)
    l.pg.sql("insert into shop.t values (5000)")
    car.catch_up(60)
    stub.by_subject, stub.schemas = {}, {}
    l.pg.sql("insert into shop.e values (1)")
    got = car.call("run", "CONFIG", "--until-caught-up", timeout=30)
    assert got.code == 3 and "gives an id that another schema has already" in got.err, got
    assert not list(lake.Lake(car.lake).rows("shop.e"))
    l.pg.sql("delete from shop.t where id >= 1000")


def lost_reply(l, n):
    """Registered, and the answer is lost: the same schema is found again, not registered twice."""
    stub = registry.Stub(l)
    car = fresh(l, stub, n)
    stub.fault, stub.only = "no_id", "POST /subjects/p%d.shop.t-value/versions" % n
    l.pg.sql("insert into shop.t values (%s)", [n])
    car.start()
    is_told(car, "no answer of a schema registry")
    mend(stub, "no_id")
    until("the row", lambda: ids(car) == [n], 60)
    assert stub.registered() == {f"p{n}.shop.t-value": 1}
    assert car.terminate() == 0


def conflict(l, n):
    """The server's 409, in an order that only it knows of."""
    stub = registry.Stub(l)
    car = fresh(l, stub, n)
    stub.fault, stub.only = 409, f"POST /subjects/p{n}.shop.t-value/versions"
    l.pg.sql("insert into shop.t values (%s)", [n])
    got = car.call("run", "CONFIG", "--until-caught-up", timeout=30)
    assert got.code == 3 and "may not follow" in got.err and "as told" in got.err, got
    assert ids(car) == [] and not stub.by_subject
    mend(stub, 409)
    car.catch_up(60)
    assert ids(car) == [n]


def logins(l, n):
    """Basic and bearer reach it; a wrong one is a refusal that does not show it."""
    for i, (need, given) in enumerate([("Basic dTpwYXNzLXdvcmQ=", {"username": "u", "password": SECRET}),
                                       (f"Bearer {SECRET}", {"token": SECRET})]):
        stub = registry.Stub(l, need=need)
        car = l.sidecar(l.pg, name=f"l{n}x{i}", registry=registry.config(stub.url, **given))
        car.catch_up(60)
        l.pg.sql("insert into shop.t values (%s)", [n + i])
        car.catch_up(60)
        assert n + i in ids(car) and SECRET not in car.log()
        car.call("drop", "CONFIG", "--yes")


def tls(l, n):
    """TLS with basic auth: the right authority reaches it, a wrong one or a plain client does not, and no login goes there."""
    made = kafka_login.certificates(l.folder / "tls")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made / "broker.pem", made / "broker.key")
    server.load_verify_locations(made / "ca.pem")
    stub = registry.Stub(l, need="Basic dTpwYXNzLXdvcmQ=", tls=server)
    own = {"cert": str(made / "broker.pem"), "key": str(made / "broker.key")}
    ca = {"ca": str(made / "ca.pem")}
    for i, (url, settings, mutual, works) in enumerate([
            (stub.url, ca, False, True), (stub.url, {"ca": str(made / "other.pem")}, False, False), (stub.url, {}, False, False),
            (stub.url, {"verify": False}, False, True), (stub.url.replace("https", "http"), None, False, False),
            (stub.url, {**ca, **own}, True, True), (stub.url, ca, True, False)]):
        server.verify_mode = ssl.CERT_REQUIRED if mutual else ssl.CERT_NONE
        more = {"tls": settings} if settings is not None else {}
        car = l.sidecar(l.pg, name=f"s{n}x{i}", registry=registry.config(url, username="u", password=SECRET, timeout="2s", **more))
        car.catch_up(60)
        stub.requests.clear()
        l.pg.sql("insert into shop.t values (%s)", [n + i])
        car.start()
        if works:
            until("the row", lambda: n + i in ids(car), 60)
        else:
            is_told(car, "does not answer as it should")
            assert car.alive() and n + i not in ids(car) and not stub.requests, stub.requests
        assert SECRET not in car.log() and car.terminate() == 0
        car.call("drop", "CONFIG", "--yes")


def main(l):
    l.pg = l.postgres(conf=["max_replication_slots = 60", "max_wal_senders = 60"])
    l.pg.sql("create schema shop; " + "".join(f"create table shop.{t} (id int primary key);" for t in ("t", "k", "second", "e")))
    n = 0
    for scenario, rows in ((at_start, RETRIED), (refused_at_start, REFUSED), (mid_stream, [RETRIED[0], RETRIED[2], RETRIED[8]])):
        for fault, words in rows:
            n += 1
            scenario(l, n, fault, words)
            l.sidecars[-1].call("drop", "CONFIG", "--yes")
            l.step(f"{scenario.__name__}: {fault}")
    for scenario in (without_it, emptied, lost_reply, conflict, logins, tls):
        n += 10
        scenario(l, n)
        l.sidecars[-1].call("drop", "CONFIG", "--yes")
        l.step(scenario.__name__)


lab.run(main)
