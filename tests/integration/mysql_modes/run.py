#!/usr/bin/env python3
"""Without this a server that is set up otherwise would be read wrongly: without GTIDs by file and offset, with images of changed
columns alone, with compressed logs of both families, without checksums, with names of several databases; by TLS that is checked.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import random  # noqa: E402
import time  # noqa: E402

from sidestream_test import compare, kafka_login, lab, lake, mysql, mysql_oracle, mysql_workload, proxy, wait  # noqa: E402

MODES = {
    "mysql": [("gtid_mode=OFF", []), ("minimal images", ["binlog_row_image=MINIMAL"]),
              ("noblob images, no checksums", ["binlog_row_image=NOBLOB", "binlog_checksum=NONE"]),
              ("compressed", ["binlog_transaction_compression=ON"]),
              ("gtid_mode=OFF, compressed, minimal images", ["binlog_transaction_compression=ON", "binlog_row_image=MINIMAL"])],
    "mariadb": [("minimal images", ["binlog_row_image=MINIMAL"]),
                ("noblob images, no checksums", ["binlog_row_image=NOBLOB", "binlog_checksum=NONE"]),
                ("compressed", ["log_bin_compress=ON", "log_bin_compress_min_len=10"])],
}
# Each step is allowed from the one before it.
GTIDS_OFF = ["ON_PERMISSIVE", "OFF_PERMISSIVE", "OFF"]
GTIDS_ON = ["OFF_PERMISSIVE", "ON_PERMISSIVE", "ON"]


def main(l):
    r = random.Random(l.seed)
    tls = kafka_login.certificates(l.folder / "tls")
    (tls / "broker.key").chmod(0o644)  # the server is nobody
    for kind in mysql.KINDS:
        secure = [f"ssl_ca={tls}/ca.pem", f"ssl_cert={tls}/broker.crt", f"ssl_key={tls}/broker.key"]
        server = l.mysql(kind, start=False)
        server.conf += secure + ([f"plugin_dir={server.shell('my_plugins', kind)}"] if server.mariadb else [])
        server.start()
        encrypted(l, server, tls)
        logins(l, server)
        for name, settings in MODES[server.family]:
            if "compressed" in name and not can_pack(server):
                l.step(f"{kind}, {name}: not known to this server")
            else:
                one_mode(l, server, name, settings, r)
        if server.mariadb:
            domains(l, server)
        elif server.version() >= (8, 3):
            tagged(l, server)
        server.stop("immediate")


def set_global(server, settings):
    for s in settings:
        name, value = s.split("=")
        server.sql(f"set global {name} = {value if value.isdigit() else repr(value)}")


def can_pack(server):
    return server.mariadb or server.version() >= (8, 0, 20)


def before(server):
    """What the settings were; and what to say to have them again."""
    packed = ["log_bin_compress", "log_bin_compress_min_len"] if server.mariadb else ["binlog_transaction_compression"]
    names = ["binlog_row_image", "binlog_checksum", *(packed if can_pack(server) else [])]
    return [f"{n}={server.value(f'select @@global.{n}')}" for n in names]


def one_mode(l, server, name, settings, r):
    server.sql("drop database if exists shop;" + mysql_workload.SCHEMA)
    normal = before(server)
    off = name.startswith("gtid_mode=OFF")
    if off:
        set_global(server, [f"gtid_mode={step}" for step in GTIDS_OFF])
    set_global(server, settings)
    label = "".join(c if c.isalnum() else "_" for c in name.lower())
    car = l.sidecar(server, folder=f"{server.kind}-{label}", name="m_" + label[:30], sink={"commit_interval": "20ms"})
    car.start().wait_streaming(server)
    events = mysql_oracle.Oracle(server)
    writers = mysql_workload.Writers(server, f"{l.seed}-{label}", 2, pause=0.002).start()
    for _ in range(l.rounds or 3):
        time.sleep(0.4 * r.random())
        server.sql("flush binary logs")
        car.kill9()
        car.start()
    server.sql("insert into shop.account values (1001, 0, 'large', repeat('x', 300000), 'large')")
    server.each(*(f"update shop.account set mark = 'large{i}' where id = 1001" for i in range(6)))  # however few the writers did
    writers.stop()
    car.terminate()
    car.catch_up()
    told = images(car) if "images" in name else ""
    l.step(f"{server.kind}, {name}: {told}" + compare.everything(l, server, car, events, writers))
    set_global(server, normal + [f"gtid_mode={step}" for step in GTIDS_ON if off])


def images(car):
    """What was not sent stands in __unchanged."""
    rows = list(lake.Lake(car.lake).rows("shop.account"))
    sent = [r for r in rows if r.op == "u" and r.cells["__unchanged"]]
    assert len(sent) > 5, f"{len(sent)} of {len(rows)} rows lack something"
    for r in sent:
        assert all(r.cells[c] is None for c in r.cells["__unchanged"]), r
        assert "id" not in r.cells["__unchanged"] and "mark" not in r.cells["__unchanged"], r
    return f"{len(sent)} partial rows, "


def encrypted(l, server, tls):
    """What was asked for is had, or nothing: a server without what is needed, a foreign authority and a wrong name are refused."""
    server.sql("create database tls; create table tls.t (id int primary key); alter user cdc@'%' require ssl")
    n = 0
    for query, works in ((f"tls=verify&ca={tls}/ca.pem", True), ("tls=required", True), ("tls=preferred", True), ("", True),
                         (f"tls=required&fingerprint={fingerprint(tls)}", True), ("tls=off", False),
                         (f"tls=verify&ca={tls}/other.pem", False), (f"tls=required&fingerprint={'ab:' * 19}ab", False)):
        car = l.sidecar(server, folder=f"{server.kind}-tls{n}", name=f"tls{n}", url=server.url(query=query),
                        capture=[{"tables": "tls.*", "snapshot": "never"}])
        n += 1
        got = car.call("check", "CONFIG", timeout=30)
        assert (got.code == 0) == works, f"{query}: {got!r}"
        if works:
            car.catch_up()
            server.sql("insert into tls.t values (%s)", [n])
            car.catch_up()
            assert [r.cells["id"] for r in lake.Lake(car.lake).rows()] == [n], query
    server.sql("alter user cdc@'%' require none")
    plain = l.mysql(server.kind, conf=["tls_version="] if not server.mariadb and server.version() >= (8, 0, 26) else ["skip_ssl"])
    plain.sql("create database tls; create table tls.t (id int primary key)")
    net = proxy.Proxy(plain.port)
    l.undo.append(net.close)
    net.sent = []
    for query, works in (("tls=required", False), (f"tls=verify&ca={tls}/ca.pem", False), ("", True)):
        car = l.sidecar(plain, folder=f"{server.kind}-plain{n}", name=f"tls{n}", url=plain.url(port=net.port, query=query),
                        capture=[{"tables": "tls.*", "snapshot": "never"}])
        n += 1
        got = car.call("check", "CONFIG", timeout=30)
        assert (got.code == 0) == works, f"a server without TLS, {query}: {got!r}"
        assert mysql.PASSWORD.encode() not in b"".join(net.sent), f"a server without TLS, {query}: the password went in clear text"
    assert net.sent
    lost(l, server, plain, net)
    plain.stop("immediate")
    l.step(f"{server.kind}: TLS as asked for or not at all")


def lost(l, server, plain, net):
    """TLS is gone (here: another server answers) while the dump stays: what is asked or copied then is not logged in for in clear text."""
    server.sql("create table tls.gone (id int primary key, v int); insert into tls.gone values (1, 1)")
    net.retarget(server.port)
    car = l.sidecar(server, folder=f"{server.kind}-lost", name="lost", url=server.url(port=net.port),
                    capture=[{"tables": "tls.gone"}], sink={"commit_interval": "50ms"})
    car.start().wait_streaming(server)
    plain.sql("flush privileges")  # it has forgotten who has logged in, and wants the password anew
    net.retarget(plain.port)
    net.sent.clear()
    for number in server.sessions(lambda user, command: user == "cdc" and not command.startswith("Binlog Dump")):
        server.sql(f"kill {number}")
    server.sql("alter table tls.gone add column w int; insert into tls.gone values (2, 2, 2)")
    wait.until("a new connection", lambda: net.sent)
    time.sleep(0.5)
    assert mysql.PASSWORD.encode() not in b"".join(net.sent), "the password went in clear text"
    car.kill9()


def fingerprint(tls):
    import hashlib
    import ssl
    der = ssl.PEM_cert_to_DER_cert((tls / "broker.crt").read_text())
    return ":".join(f"{b:02x}" for b in hashlib.sha1(der).digest())


def logins(l, server):
    """By socket; with a password that needs encoding; by the other way to log in."""
    server.each("create user odd@'%' identified by 'a@b:c/d%e?'", "grant select, replication slave on *.* to odd@'%'",
                "grant binlog monitor on *.* to odd@'%'" if server.mariadb else "grant replication client on *.* to odd@'%'")
    urls = [server.url(user="odd", password="a%40b%3Ac%2Fd%25e%3F"), server.url(socket=True)]
    if server.mariadb and (pathlib.Path(server.value("select @@plugin_dir")) / "auth_ed25519.so").exists():
        server.each("install soname 'auth_ed25519'", "create user ed@'%' identified via ed25519 using password('Ed-1')",
                    "grant select, replication slave, binlog monitor on *.* to ed@'%'")
        urls.append(server.url(user="ed", password="Ed-1"))
    for i, url in enumerate(urls):
        car = l.sidecar(server, folder=f"{server.kind}-login{i}", name=f"login{i}", url=url, capture=[{"tables": "tls.*", "snapshot": "never"}])
        car.catch_up()
        server.sql("insert into tls.t values (%s)", [100 + i])
        car.catch_up()
        assert [r.cells["id"] for r in lake.Lake(car.lake).rows()] == [100 + i], url
        assert "a@b" not in car.log() and "a%40b" not in car.log()
    l.step(f"{server.kind}: {len(urls)} ways to log in")


def tagged(l, server):
    """GTIDs with tags (8.3 and newer)."""
    server.sql("create database tag; create table tag.t (id int primary key)")
    car = l.sidecar(server, folder="tagged", name="tagged", capture=[{"tables": "tag.*", "snapshot": "never"}])
    car.catch_up()
    for i in range(6):
        server.sql("set gtid_next = 'AUTOMATIC:blue'; " * (i % 2) + f"insert into tag.t values ({i})")
        if i % 3 == 2:
            car.catch_up()
    rows = list(lake.Lake(car.lake).rows())
    assert [r.cells["id"] for r in rows] == list(range(6)), rows
    assert [":blue:" in r.cells["__tx"] for r in rows] == [False, True] * 3, [r.cells["__tx"] for r in rows]
    assert "blue" in car.position()
    l.step("mysql: tagged GTIDs")


def domains(l, server):
    """Several domains, each with numbers of its own."""
    server.sql("create database dom; create table dom.t (id int primary key)")
    car = l.sidecar(server, folder="domains", name="domains", capture=[{"tables": "dom.*", "snapshot": "never"}])
    car.catch_up()
    for i in range(12):
        server.sql(f"set gtid_domain_id = {i % 4 * 7}; insert into dom.t values ({i})")
        if i % 5 == 4:
            car.catch_up()
    car.catch_up()
    rows = list(lake.Lake(car.lake).rows())
    assert [r.cells["id"] for r in rows] == list(range(12)), rows
    assert {r.cells["__tx"].split("-")[0] for r in rows} == {"0", "7", "14", "21"}
    l.step("mariadb: several domains")


lab.run(main)
