#!/usr/bin/env python3
"""Without this a server that is more than a plain one would be hurt by us or misread: commits would wait for us (semi-sync), encrypted
logs, a group's GTIDs and its view changes, roles, a server without grant tables, names without case, rows that the server keeps as
history, tables without transactions; and each TLS connection would load the system's authorities though nothing is verified.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import time  # noqa: E402

from sidestream_test import compare, lab, lake, mysql, wait  # noqa: E402

GROUP = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"


def main(l):
    for kind in mysql.KINDS:
        server = l.mysql(kind, conf=["lower_case_table_names=1"], name=f"{kind}-main")
        for part in (authorities, roles, caseless, engines, semi_sync):
            part(l, server)
        if server.mariadb:
            versioned(l, server)
        without_grants(l, server)
        server.stop("immediate")
        encrypted(l, kind)
        if not kind.startswith("mariadb"):
            group(l)


def pipeline(l, server, name, **more):
    """Of one database of that name."""
    more = {"capture": [{"tables": f"{name}.*"}], "sink": {"commit_interval": "50ms"}, **more}
    return l.sidecar(server, folder=f"{server.base.name}-{name}", name=name, **more)


def ids(car):
    """The ids of the records, copied ones too, in their order."""
    return [r.cells["id"] for r in lake.Lake(car.lake).rows()]


def authorities(l, server):
    """A bundle that blocks whoever opens it: a FIFO that nobody writes. Only who verifies by it may open it."""
    bundle = l.folder / f"{server.kind}-bundle"
    os.mkfifo(bundle)
    tls = server.sql("show variables like 'have_ssl'")[:1] != [("have_ssl", "DISABLED")]
    server.sql("create database auth; create table auth.t (id int primary key); insert into auth.t values (1)")
    car = pipeline(l, server, "auth", url=server.url(query="tls=required") if tls else None)
    began = time.monotonic()
    car.catch_up(timeout=20, env={"SSL_CERT_FILE": str(bundle)})
    assert ids(car) == [1]
    l.step(f"{server.kind}: no authorities are loaded where none is asked ({'TLS' if tls else 'no TLS'}), {time.monotonic() - began:.2f} s")


def roles(l, server):
    """What an active role may do is enough; a role that is not active is nothing at the server, nor here."""
    more = "binlog monitor" if server.mariadb else "replication client"
    server.each("create database roles; create table roles.t (id int primary key); insert into roles.t values (1)",
                "create role reader", f"grant select, replication slave, {more} on *.* to reader",
                f"create user rolly@'%' identified by '{mysql.PASSWORD}'", "grant reader to rolly@'%'")
    car = pipeline(l, server, "roles", url=server.url(user="rolly"))
    got = car.call("run", "CONFIG", "--until-caught-up", timeout=30)
    assert got.code == 3 and "SET DEFAULT ROLE" in got.err, repr(got)
    assert car.call("check", "CONFIG").code == 1
    server.sql("set default role reader for rolly@'%'" if server.mariadb else "set default role reader to rolly@'%'")
    assert car.call("check", "CONFIG").code == 0
    car.catch_up()
    assert ids(car) == [1]
    l.step(f"{server.kind}: rights by a role that is active")


def caseless(l, server):
    """lower_case_table_names=1: the log has small letters, statements have what was written, in any script."""
    server.each("create database Öst", "create table ÖST.TÄG (id int primary key)", "create table öst.ΑΒΓ (id int primary key)",
                "create table öst.ДОМ (id int primary key)", "create table öst.stay (id int primary key)",
                *(f"insert into öst.{t} values (1), (2)" for t in ("täg", "αβγ", "дом", "stay")))
    car = pipeline(l, server, "case", capture=[{"tables": "öst.*"}])
    car.catch_up()
    server.each("truncate table Öst.TÄG", "drop table ÖST.Αβγ", "use ÖST; rename table Öst.Дом to Öst.НОВЫЙ", "insert into Öst.stay values (3)")
    car.catch_up()
    rows = compare.replica_rows
    alive = {t: {r["id"] for r in rows(car.replica(), f"öst.{t}") if not r["__deleted"]} for t in ("täg", "αβγ", "дом", "stay")}
    assert alive == {"täg": set(), "αβγ": set(), "дом": set(), "stay": {1, 2, 3}}, alive
    wait.until("the renamed table to be copied", lambda: car.catch_up() and "öst.новый" in {r.table for r in lake.Lake(car.lake).rows()}, 30)
    l.step(f"{server.kind}: names without case, beyond ASCII")


def engines(l, server):
    """Tables without transactions: each statement is a transaction of its own; a copy overlaps; a statement that fails half-way stays."""
    names = ["myisam", "memory"] + (["aria"] if server.mariadb else [])
    server.sql("create database engines")
    for n in names:
        server.sql(f"create table engines.{n} (id int primary key, v int) engine={n}; insert into engines.{n} values (1, 1), (2, 2)")
    car = pipeline(l, server, "engines")
    car.start().wait_streaming(server)
    wait.until("the copies", lambda: {r.table for r in lake.Lake(car.lake).rows()} == {f"engines.{n}" for n in names})
    for n in names:
        server.each(f"begin; insert into engines.{n} values (3, 3); insert into engines.{n} values (4, 4); rollback",
                    f"insert ignore into engines.{n} values (5, 5), (1, 0)", f"update engines.{n} set v = 20 where id = 2",
                    f"delete from engines.{n} where id = 1")
        try:
            server.sql(f"insert into engines.{n} values (6, 6), (2, 0), (7, 7)")
            raise AssertionError("a doubled key was taken")
        except mysql.pymysql.err.IntegrityError:
            pass
    assert car.terminate() == 0
    car.catch_up()
    n = compare.replica(server, car.replica(), [f"engines.{n}" for n in names])
    assert n == 5 * len(names), n  # 2 3 4 5 6: what was rolled back or failed half-way is there
    l.step(f"{server.kind}: {', '.join(names)}: {n} rows equal")


def semi_sync(l, server):
    """The source waits for a replica that acknowledges; we are none, and nobody waits for us."""
    old = server.mariadb
    word = "master" if old else "source"
    if not old and not (pathlib.Path(server.value("select @@plugin_dir")) / "semisync_source.so").exists():
        l.step(f"{server.kind}: this build has no semi-synchronous replication")
        return
    if not old:
        server.sql("install plugin rpl_semi_sync_source soname 'semisync_source.so'")
    server.sql("create database semi; create table semi.t (id int primary key)")
    car = pipeline(l, server, "semi")
    car.start().wait_streaming(server)
    server.each(f"set global rpl_semi_sync_{word}_timeout = 20000", f"set global rpl_semi_sync_{word}_enabled = on",
                *(["set global rpl_semi_sync_source_wait_no_replica = off"] if not old else ["set global rpl_semi_sync_master_wait_no_slave = off"]))
    server.kill_dumps()  # it is asked anew whether we acknowledge
    wait.until("the stream to be back", lambda: server.dumps() and car.alive())
    began = time.monotonic()
    for i in range(20):
        server.sql("insert into semi.t values (%s)", [i])
    took = time.monotonic() - began
    clients = server.sql(f"show status like 'rpl_semi_sync_{word}_clients'")[0][1]
    assert str(clients) == "0" and took < 10, (clients, took)
    assert car.terminate() == 0
    car.catch_up()
    assert sorted(ids(car)) == list(range(20)), ids(car)
    waits_for_another(l, server, word)
    server.sql(f"set global rpl_semi_sync_{word}_enabled = off")
    l.step(f"{server.kind}: 20 commits of a semi-synchronous source took {took:.2f} s, none waited for us")


def waits_for_another(l, server, word):
    """Its commit waits for a replica that is not there; what we have of it already is not executed yet when we come anew."""
    car = pipeline(l, server, "semi")
    wait_for = "master_wait_no_slave" if server.mariadb else "source_wait_no_replica"
    car.start().wait_streaming(server)
    server.each(f"set global rpl_semi_sync_{word}_timeout = 300000", f"set global rpl_semi_sync_{wait_for} = on",
                f"set global rpl_semi_sync_{word}_wait_point = after_sync")
    client = threading.Thread(target=server.sql, args=("insert into semi.t values (100)",))
    client.start()
    wait.until("the row", lambda: 100 in ids(car))
    assert 100 not in [r[0] for r in server.sql("select id from semi.t")], "nothing waits"
    server.kill_dumps()
    wait.until("the stream to be back", lambda: server.dumps() or not car.alive())
    assert car.alive(), car.log()[-1000:]
    server.sql(f"set global rpl_semi_sync_{word}_enabled = off")
    client.join()
    server.sql("insert into semi.t values (101)")
    wait.until("the row behind", lambda: 101 in ids(car))
    assert car.terminate() == 0
    assert sorted(ids(car)) == [*range(20), 100, 101], ids(car)


def versioned(l, server):
    """Of a table with history the copy has what there is now, and the stream each version that comes: those that were replaced or
    deleted are rows too, told apart by row_end, which the server has put into the key."""
    server.sql("create database ver; create table ver.t (id int primary key, v int) with system versioning; "
               "insert into ver.t values (1, 1), (2, 2), (3, 3); update ver.t set v = 20 where id = 2; delete from ver.t where id = 3")
    car = pipeline(l, server, "ver")
    car.start().wait_streaming(server)
    wait.until("the copy", lambda: len(ids(car)) >= 2)
    assert ids(car) == [1, 2], ids(car)
    server.each("insert into ver.t values (4, 4)", "update ver.t set v = 10 where id = 1", "update ver.t set v = 11 where id = 1",
                "delete from ver.t where id = 2")
    assert car.terminate() == 0
    car.catch_up()

    def alive(present):
        rows = [r for r in compare.replica_rows(car.replica(), "ver.t") if not r["__deleted"]]
        return sorted((r["id"], r["v"]) for r in rows if str(r["row_end"]).startswith("2038-01-19") == present)
    now, then = [(1, 11), (4, 4)], [(1, 1), (1, 10), (2, 20)]
    assert (alive(True), alive(False)) == (now, then), (alive(True), alive(False))
    got = car.call("verify", "CONFIG")
    assert got.code == 1, f"history is no row that a SELECT shows: {got!r}"
    server.sql("delete history from ver.t")
    car.catch_up()
    got = car.call("verify", "CONFIG")
    assert got.code == 0, repr(got)
    assert (alive(True), alive(False)) == (now, []), (alive(True), alive(False))
    car.settings["capture"] = [{"tables": "ver.*", "key": ["id"]}]
    car.write_config()
    got = car.call("check", "CONFIG")
    assert got.code == 1 and "row_end" in got.out, repr(got)
    l.step(f"{server.kind}: a system-versioned table, its present rows and its history")


def without_grants(l, server):
    """--skip-grant-tables: SHOW GRANTS fails, and all is allowed."""
    server.sql("create database free; create table free.t (id int primary key); insert into free.t values (1)")
    server.stop()
    server.conf.append("skip_grant_tables")
    server.start()
    car = pipeline(l, server, "free", url=server.url(socket=True))
    assert car.call("check", "CONFIG").code == 0
    car.catch_up()
    server.sql("insert into free.t values (2)")
    car.catch_up()
    assert ids(car) == [1, 2]
    l.step(f"{server.kind}: without grant tables")


def encrypted(l, kind):
    """Logs that are encrypted in the server's files come in clear over the connection, also after the key was changed."""
    server = l.mysql(kind, name=f"{kind}-vault")
    plugin = "file_key_management.so" if server.mariadb else "component_keyring_file.so"
    folder = server.shell("my_plugins", kind) if server.mariadb else server.value("select @@plugin_dir")
    if not (pathlib.Path(folder) / plugin).exists():
        l.step(f"{kind}: this build has no {plugin}: no encrypted log")
        return server.stop()
    vault = l.folder / f"{kind}-keys"
    vault.mkdir()
    vault.chmod(0o777)  # the server is nobody
    server.stop()
    if server.mariadb:
        (vault / "keys").write_text("1;" + "ab" * 32 + "\n")
        server.conf += [f"plugin_dir={server.shell('my_plugins', kind)}", "plugin_load_add=file_key_management",
                        f"file_key_management_filename={vault}/keys", "encrypt_binlog=ON"]
        server.start()
    else:
        start_with_keyring(server, vault)
    server.sql("create database enc; create table enc.t (id int primary key, v varchar(40))")
    car = pipeline(l, server, "enc", capture=[{"tables": "enc.*", "snapshot": "never"}])
    car.start().wait_streaming(server)
    for i in range(6):
        server.sql("insert into enc.t values (%s, 'words that can be seen')", [i])
        server.sql("flush binary logs")
        if i == 3 and not server.mariadb:
            server.sql("alter instance rotate binlog master key")
        if i % 2:
            car.kill9()
            car.start().wait_streaming(server)
    wait.until("all rows", lambda: ids(car) == list(range(6)))
    assert car.terminate() == 0
    car.catch_up()
    assert ids(car) == list(range(6)), ids(car)
    logs = sorted((server.base / "data").glob("bin.0*"))
    assert len(logs) > 6
    for log in logs:
        assert b"words that can be seen" not in log.read_bytes(), f"{log} is not encrypted"
    server.crash()
    l.step(f"{kind}: encrypted logs")


def start_with_keyring(server, vault):
    """MySQL looks for the list of components beside its program, and for their settings beside the plugins: both are copied. Root's
    keyring would not be its user's, so it is started as that."""
    tree = pathlib.Path(server.shell("my_root", server.kind))
    shutil.copy(tree / "usr/sbin/mysqld", vault / "mysqld")
    (vault / "mysqld.my").write_text('{"components": "file://component_keyring_file"}')
    (vault / "plugin").mkdir()
    for plugin in (tree / "usr/lib/mysql/plugin").glob("*.so"):
        (vault / "plugin" / plugin.name).symlink_to(plugin)
    (vault / "plugin/component_keyring_file.cnf").write_text(json.dumps({"path": f"{vault}/keyring", "read_only": False}))
    conf = (server.base / "my.cnf").read_text() + f"plugin_dir={vault}/plugin\nbinlog_encryption=ON\n"
    (server.base / "my.cnf").write_text(conf)
    words = ["runuser", "-u", "nobody", "--"] if os.getuid() == 0 else []
    subprocess.Popen([*words, vault / "mysqld", f"--defaults-file={server.base}/my.cnf"], stdin=subprocess.DEVNULL,
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def up():
        server.connect().close()
        return True
    wait.until("the server with a keyring", lambda: tried(up), 120)


def tried(call):
    try:
        return call()
    except mysql.pymysql.err.MySQLError:
        return False


def group(l):
    """Group Replication: transactions bear the group's name, so they go on at any member."""
    ports = [mysql.Mysql(l.folder / "ports", "mysql").port for _ in range(2)]
    members = []
    for i in range(2):
        conf = ["plugin_load_add=group_replication.so", "performance_schema=ON", "report_host=127.0.0.1",
                *(f"loose_group_replication_{name}={value}" for name, value in
                  (("group_name", GROUP), ("start_on_boot", "OFF"), ("local_address", f"127.0.0.1:{ports[i]}"),
                   ("group_seeds", f"127.0.0.1:{ports[0]}"), ("recovery_get_public_key", "ON")))]
        server = l.mysql("mysql", name=f"member{i}", conf=conf, server_id=i + 1)
        server.each("set sql_log_bin = 0", "grant group_replication_stream, connection_admin, backup_admin on *.* to repl@'%'",
                    f"change replication source to source_user='repl', source_password='{mysql.PASSWORD}' for channel 'group_replication_recovery'")
        members.append(server)
    first, second = members
    first.each("set global group_replication_bootstrap_group = ON", "start group_replication", "set global group_replication_bootstrap_group = OFF",
               "create database grp", "create table grp.t (id int primary key)", "insert into grp.t values (1)")
    car = pipeline(l, first, "grp")
    car.catch_up()
    second.sql("start group_replication")
    wait.until("the second member", lambda: second.sql("select count(*) from performance_schema.replication_group_members "
                                                       "where member_state = 'ONLINE'") == [(2,)] or None, 120)
    for i in range(2, 6):
        first.sql("insert into grp.t values (%s)", [i])
    car.catch_up()
    first.sql("insert into grp.t values (6)")
    first.sql("stop group_replication")
    wait.until("the second to be the primary", lambda: str(second.value("select @@global.super_read_only")) == "0", 120)
    second.sql("insert into grp.t values (7)")
    car.settings["source"]["url"] = second.url()
    car.write_config()
    car.catch_up()
    rows = list(lake.Lake(car.lake).rows())
    assert [r.cells["id"] for r in rows] == list(range(1, 8)), rows
    assert {r.cells["__tx"].split(":")[0] for r in rows if r.op == "c"} == {GROUP}, rows
    assert [r.seq[:8] for r in rows] == ["00000001"] * 5 + ["00000002"] * 2, [r.seq for r in rows]
    for server in members:
        server.crash()
    l.step("mysql: a group of two, gone on at the other member")


lab.run(main)
