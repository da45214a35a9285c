#!/usr/bin/env python3
"""Without this `check` could pass what a start refuses or what loses changes, or print SQL that does not mend it: everything that
can be wrong with a server, a user and tables is made wrong, found, and mended by what `check` prints.
"""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import lab  # noqa: E402
from sidestream_test.mysql import KINDS  # noqa: E402

PASSWORD = "Pa55-of-check"
TABLES = [
    "create database shop character set utf8mb4", "use shop",
    "create table parents (id int primary key, v text)",
    "create table children (id int primary key, parent int, constraint `odd``key` foreign key (parent) references parents (id) on delete cascade)",
    "create table plain (id int primary key, email varchar(90) not null, v json)",
    "create table bare (a int, b text)",
    "create table uniq (a int not null unique, b text)",
    "create table heap (id int primary key, v int) engine = myisam",
    "create view seen as select * from plain",
    "create database other", "create table other.skipped (id int primary key)",
]
RULES = [{"tables": "shop.plain", "key": ["email"]}, {"tables": "shop.*"}, {"tables": "other.*", "skip": True}]


def findings(car):
    """(exit code, [(kind, text, [mend])])"""
    got = car.call("check", "CONFIG")
    assert not re.search(r"\*[0-9A-F]{40}|\$A\$005|" + PASSWORD, got.out + got.err), got
    found = []
    for line in got.out.splitlines():
        if line.startswith(" " * 10):
            found[-1][2].append(line[10:])
        else:
            found.append((line[:5].strip(), line[6:], []))
    return got.code, found


def expect(found, *wanted):
    """wanted: (kind, regex of the text, regex of what mends it or None)"""
    for kind, text, mend in wanted:
        hits = [f for f in found if re.search(text, f[1])]
        assert hits, f"no finding says {text!r}:\n" + "\n".join(map(str, found))
        assert all(f[0] == kind for f in hits), (kind, hits)
        assert mend is None or any(re.search(mend, "\n".join(f[2])) for f in hits), (mend, hits)


def mend(server, found):
    """What `check` prints for what it refuses, as it is; a person fills in what has dots."""
    for kind, text, lines in found:
        sql = [line for line in lines if re.match(r"(SET|GRANT|ALTER) ", line) and "..." not in line]
        if kind != "ok" and sql:
            server.each(*sql)


def in_days(server):
    """The log is kept for whole days."""
    return server.mariadb and server.version() < (10, 6)


def settings(l, server, car):
    l.step(f"{server.kind}: settings")
    bad = {"binlog_format": "'MIXED'", "binlog_row_image": "'MINIMAL'", "binlog_row_metadata": "'MINIMAL'", "binlog_expire_logs_seconds": "3600",
           "sync_binlog": "0"}
    if in_days(server):
        del bad["binlog_expire_logs_seconds"]
        server.sql("set global expire_logs_days = 3")
    if server.mariadb:
        bad["gtid_strict_mode"] = "OFF"
    else:
        bad["binlog_row_value_options"] = "'PARTIAL_JSON'"
    server.each(*(f"set global {name} = {value}" for name, value in bad.items()))
    code, found = findings(car)
    assert code == 1, found
    expect(found, ("FAIL", "^binlog_format is MIXED", "binlog_format = ROW"), ("warn", "^binlog_row_image is MINIMAL", "binlog_row_image = FULL"),
           ("FAIL", "^binlog_row_metadata is MINIMAL", "binlog_row_metadata = FULL"),
           ("warn", "^sync_binlog is not 1", "sync_binlog = 1"),
           ("FAIL", r"shop.plain: `key:` of rule .* names the column email", "binlog_row_image = FULL"))
    if not in_days(server):
        expect(found, ("warn", "log is kept for 0.0 days", "= 259200"))
    if server.mariadb:
        expect(found, ("warn", "^gtid_strict_mode is OFF", "gtid_strict_mode = ON"))
    else:
        expect(found, ("FAIL", "PARTIAL_JSON", "binlog_row_value_options = ''"))
    car.settings["source"]["accept"] = ["minimal_metadata", "statements"]
    car.write_config()
    expect(findings(car)[1], ("warn", "^binlog_format is MIXED", None), ("warn", "^binlog_row_metadata is MINIMAL", None))
    del car.settings["source"]["accept"]
    car.write_config()
    mend(server, found)
    code, found = findings(car)
    expect(found, ("ok", "^binlog_format is ROW", None), ("ok", "^binlog_row_image is FULL", None), ("ok", "^binlog_row_metadata is FULL", None),
           ("ok", "log is kept for 3.0 days", None))
    assert not [f for f in found if re.search("sync_binlog|PARTIAL_JSON|gtid_strict_mode is OFF|`key:`", f[1])], found


def rights(l, server, car):
    l.step(f"{server.kind}: rights")
    server.each(f"create user poor@'%' identified by '{PASSWORD}'", "grant select (id) on shop.plain to poor@'%'", "grant insert on shop.uniq to poor@'%'")
    car.settings["source"]["url"] = server.url("poor", PASSWORD)
    car.write_config()
    code, found = findings(car)
    assert code == 1, found
    status = ("warn", r"BINLOG MONITOR") if server.mariadb else ("FAIL", r"REPLICATION CLIENT")
    expect(found, ("FAIL", r"may not read the log", r"GRANT REPLICATION SLAVE ON \*\.\* TO 'poor'@'%';"), (*status, "GRANT " + status[1]),
           ("FAIL", "table shop.plain may not be read whole", "GRANT SELECT ON `shop`.`plain` TO 'poor'@'%';"),
           ("FAIL", "table shop.uniq may not be read whole", "GRANT SELECT ON `shop`.`uniq` TO 'poor'@'%';"),
           ("ok", "may not lock all tables", "GRANT RELOAD"), ("warn", "PROCESS", "GRANT PROCESS"))
    assert not any("shop.bare" in f[1] for f in found), found  # not shown to who has no right
    mend(server, found)
    code, found = findings(car)
    expect(found, ("ok", "may read the log", None), ("ok", status[1], None), ("ok", "table shop.plain: rule .* key email", None))
    assert code == 0, found
    server.each("grant select on shop.* to poor@'%'", "grant select on other.* to poor@'%'")


def tables(l, server, car):
    l.step(f"{server.kind}: tables")
    server.sql("alter table shop.heap engine = myisam")  # mended with the rest before
    if server.mariadb:
        server.each("set global mysql56_temporal_format = OFF", "create table shop.old (id int primary key, at datetime(3), plain datetime)",
                    "create sequence shop.numbers")
    code, found = findings(car)
    expect(found, ("warn", "table shop.bare has no primary key", "ALTER TABLE `shop`.`bare` ADD PRIMARY KEY"),
           ("warn", "table shop.heap has engine MyISAM", "ALTER TABLE `shop`.`heap` ENGINE = InnoDB;"),
           ("ok", "table shop.uniq: rule .*: key a;", None), ("ok", "views? or sequences?", None))
    assert not any("uniq has no" in f[1] or "takes no table" in f[1] for f in found), found
    if server.logs_cascades():
        assert code == 0 and not any("children has" in f[1] for f in found), found
    else:
        expect(found, ("FAIL", "table shop.children has a foreign key", r"ALTER TABLE `shop`.`children` DROP FOREIGN KEY"))
        assert code == 1, found
        car.settings["source"]["accept"] = ["cascades"]
        car.write_config()
    if server.mariadb:
        expect(found, ("FAIL", r"table shop.old has a time with fractions .*\(column at\)", "ALTER TABLE `shop`.`old` FORCE"))
        server.each("set global mysql56_temporal_format = ON")
    mend(server, found)
    code, found = findings(car)
    assert code == 0 and not any("shop.heap has" in f[1] or "shop.old has" in f[1] for f in found), found
    if not server.logs_cascades():
        expect(found, ("warn", "table shop.children has a foreign key", None))
    got = car.call("run", "CONFIG", "--until-caught-up")
    assert got.code == 0, got
    car.settings["capture"].insert(0, {"tables": "shop.parents", "columns": {"exclude": ["nothing"]}})
    car.write_config()
    expect(findings(car)[1], ("FAIL", 'table shop.parents: .*the column "nothing"', None))
    del car.settings["capture"][0]


def a_replica(server, car):
    """That does not log what it gets; who may not ask whether it is one is told so."""
    old = server.mariadb or server.version() < (8, 0, 26)
    to = "change master to master_host" if old else "change replication source to source_host"
    server.sql(f"{to} = '127.0.0.1'")
    server.conf += ["log_slave_updates=OFF", "skip_slave_start=ON"] if old else ["log_replica_updates=OFF"]
    server.restart()
    own = car.settings["source"]["url"]
    if server.mariadb:
        expect(findings(car)[1], ("warn", "if the server is a replica, what it gets is missing", "log_slave_updates = ON"))
    car.settings["source"]["url"] = server.url("root", None, socket=True)
    car.write_config()
    expect(findings(car)[1], ("FAIL", "is a replica and does not log what it gets", "log_(slave|replica)_updates = ON"))
    car.settings["source"]["url"] = own
    server.promote()


def without_gtids(server, car):
    server.conf += ["gtid_mode=OFF", "enforce_gtid_consistency=OFF"]
    server.restart()
    car.write_config()
    expect(findings(car)[1], ("warn", "^gtid_mode is OFF", "SET PERSIST gtid_mode = ON;"), ("FAIL", "may not lock all tables", "GRANT RELOAD"))
    car.settings["source"]["lock"] = "never"
    car.write_config()
    expect(findings(car)[1], ("FAIL", "without GTIDs and without the brief read lock", "lock: never"))
    car.settings["capture"] = [{**rule, "snapshot": "never"} for rule in RULES]
    car.write_config()
    assert not any("lock" in f[1] for f in findings(car)[1] if f[0] != "ok"), findings(car)[1]


def room(l, server, car):
    l.step(f"{server.kind}: connections")
    expect(findings(car)[1], ("ok", "more connections to the server are to be had; a copy of tables takes up to 12$", None))
    limit = int(server.sql("select @@global.max_connections")[0][0])
    server.each("set global max_connections = 12", "alter user poor@'%' with max_user_connections 11")
    expect(findings(car)[1], ("warn", r"^\d+ more connections to the server .* takes up to 12 \(snapshot.threads\)", "max_connections"),
           ("warn", "^11 more connections of the account", "MAX_USER_CONNECTIONS"))
    server.each(f"set global max_connections = {limit}", "alter user poor@'%' with max_user_connections 12")
    expect(findings(car)[1], ("ok", "^12 more connections of the account", None))
    server.each("alter user poor@'%' with max_user_connections 0")


def whole_server(l, server, car):
    l.step(f"{server.kind}: what takes a restart")
    car.settings["source"]["server_id"] = server.server_id
    car.write_config()
    server.conf.append("binlog_ignore_db=shop")
    server.restart()
    expect(findings(car)[1], ("FAIL", "^server_id is 1, ours as a replica 1", "source.server_id"),
           ("FAIL", "leaves database shop out of its log", "binlog_ignore_db"))
    a_replica(server, car)
    if not server.mariadb:
        without_gtids(server, car)
    if server.mariadb:
        server.conf.append("skip_log_bin")
        server.restart()
        expect(findings(car)[1], ("FAIL", "writes no log", "log_bin = bin"))
    server.stop()
    code, found = findings(car)
    assert code == 1 and any(f[0] == "FAIL" for f in found), found


def main(l):
    for kind in KINDS:
        server = l.mysql(kind)
        server.each("; ".join(TABLES))
        car = l.sidecar(server, name=f"check_{kind}", capture=RULES, url=server.url("root", None, socket=True))
        settings(l, server, car)
        rights(l, server, car)
        tables(l, server, car)
        room(l, server, car)
        whole_server(l, server, car)


lab.run(main)
