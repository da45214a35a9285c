#!/usr/bin/env python3
"""Without this a JSON document could become another one: with binlog_row_value_options=PARTIAL_JSON the log has only what an
update changes in it, and the new document is made of that and the old one.

Random updates of every kind that MySQL logs so (JSON_SET, JSON_REPLACE, JSON_REMOVE, nested, of two columns, with values of every
type, in compressed, XA and ordinary transactions, kills in between), each followed in its transaction by the server's own text
of the document: the lake's must be the same in every single change. Where the log lacks the old document (binlog_row_image
MINIMAL) the sidecar refuses to start; what a session logs so nevertheless is a gap, and the table is copied anew.
"""
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import compare, lab, lake, mysql, wait  # noqa: E402

SCHEMA = """create database shop character set utf8mb4;
create table shop.docs (id int primary key, a json, n int, b json, v varchar(20));
create table shop.said (seq bigint primary key auto_increment, id int, a longtext, b longtext);
create table shop.skipped (id int primary key, d json);
create table shop.plain (d json, n int)"""
RULES = [{"tables": "shop.skipped", "skip": True}, {"tables": "shop.*"}]
TELL = "insert into shop.said (id, a, b) select id, cast(a as char), cast(b as char) from shop.docs where "
LEGS = [".k", ".list", ".o", ".aa", ".bb", ".b", "[0]", "[1]", "[3]", "[last]", "[last-1]", "[40]", '."a.b"', '.""', '."q\\"q"', '."b\\\\b"', '."t\\t\\u0001"',
        '."日 本"', '."schl\u00fcssel"', '."\U0001f600"', ".last", ".$"]
VALUES = ["1", "-32769", "70000", "2147483648", "18446744073709551615", "-9223372036854775808", "1.5e0", "1e-7", "1e100", "true", "false", "null",
          "cast('null' as json)", "''", "'näh \U0001f600 \"quoted\" \\\\ \\n'", "repeat('x', 130)", "repeat('ä', 9000)", "json_array()", "json_object()",
          "json_array(1, json_array(2, 3), json_object('k', 4, 'aa', null))", "json_object('list', json_array(1, 2, 3), 'o', json_object('k', 'v'))",
          "cast(1.50 as decimal(5,2))", "cast(-12345678901234567890.123456789 as decimal(40,9))", "cast('2024-02-29' as date)",
          "cast('-12:34:56.789' as time(3))", "cast('2024-02-29 12:00:00.5' as datetime(6))", "timestamp('2024-02-29 01:02:03')", "x'00ff10'", "b'101'",
          "cast(repeat('z', 100) as binary)", "st_geomfromtext('POINT(1 2)')"]


def path(r):
    """At the root mostly a member: an index makes an array of the whole document, and then nothing else fits any more."""
    first = r.choice(LEGS if r.random() < 0.03 else [leg for leg in LEGS if leg[0] != "["])
    return "$" + first + "".join(r.choice(LEGS) for _ in range(r.choice((0, 0, 0, 1, 1, 2))))


def expression(r, column):
    """(SQL, arguments) of one column's new document; now and then of a kind that is logged whole."""
    sql, args = column, []
    for _ in range(r.choice((1, 1, 1, 2, 3))):
        call = r.choice(("json_set", "json_set", "json_set", "json_replace", "json_remove", "json_remove"))
        paths = [path(r) for _ in range(r.choice((1, 1, 2, 3)))]
        if call == "json_remove":
            sql, args = f"json_remove({sql}{', %s' * len(paths)})", args + paths
        else:
            sql, args = f"{call}({sql}{''.join(', %s, ' + r.choice(VALUES).replace('%', '%%') for _ in paths)})", args + paths
    if r.random() < 0.05:
        sql, args = r.choice((("json_insert({}, '$.k', 1)", []), ("json_array_append({}, '$.list', 2)", []), ("json_object('k', 1)", []), ("null", []))), []
        return sql[0].format(column), args
    return sql, args


def document(r):
    """A fresh one; long enough that differences are shorter than it."""
    size = 70000 if r.random() < 0.1 else 2000
    return ("json_object('k', 1, 'list', json_array(1, 2, 3, json_object('aa', 1)), 'o', json_object('k', null, 'bb', 'x'), "
            f"'a.b', json_array(1, json_array(2)), 'pad', repeat('p', {size}))")


def update(r, cur, ids):
    some = r.sample(ids, r.choice((1, 1, 1, 3)))
    columns = r.choice((["a"], ["a"], ["b"], ["a", "b"], ["a", "n"], ["n"], ["b", "v"]))
    sets, args = [], []
    for c in columns:
        sql, more = expression(r, c) if c in "ab" else (f"{r.randrange(1000)}", [])
        sets.append(f"{c} = {sql}")
        args += more
    where = f"id in ({','.join(map(str, some))})"
    try:
        cur.execute(f"update shop.docs set {', '.join(sets)} where {where}", args)
    except Exception as e:
        if e.args[0] in (3150, 3157, 1235):  # of these paths and values, what the server will not do
            return
        raise
    cur.execute(TELL + where)


def session(r, server, ids, n, settings=()):
    con = server.connect(autocommit=False)
    cur = con.cursor()
    for text in ("set session binlog_row_value_options = 'PARTIAL_JSON'", *settings):
        cur.execute(text)
    for i in range(n):
        if r.random() < 0.1:
            some = r.choice(ids)
            cur.execute(f"replace into shop.docs values ({some}, {document(r)}, 1, {document(r)}, 'new')")
            cur.execute(TELL + f"id = {some}")
        for _ in range(r.choice((1, 1, 2, 5))):
            update(r, cur, ids)
        cur.execute("update shop.skipped set d = json_set(d, '$.v', %s)", [i])
        con.commit()
    con.close()


def special(server):
    """A key that moves with its document, XA, a table without a key."""
    server.sql("set session binlog_row_value_options = 'PARTIAL_JSON'; begin; update shop.docs set id = 100, a = json_set(a, '$.moved', 1) where id = 1;"
               + TELL + "id = 100; commit; update shop.docs set id = 1, b = json_remove(b, '$.pad') where id = 100;" + TELL + "id = 1;"
               "xa start 'j'; update shop.docs set a = json_set(a, '$.xa', 2) where id = 2;" + TELL + "id = 2; xa end 'j'; xa prepare 'j'; xa commit 'j';"
               "insert into shop.plain values (json_object('k', 1, 'pad', repeat('p', 200)), 1), (json_object('k', 2, 'pad', repeat('p', 200)), 2);"
               "update shop.plain set d = json_set(d, '$.k', json_array(n));")


def judge(rows):
    """Each row of said has the text of the document as the changes before it left it. (documents, of updates)"""
    docs, n, updates = {}, 0, 0
    for row in rows:
        cells = row.cells
        assert not cells["__unchanged"] and not cells["__invalid"], (row, cells["__unchanged"])
        if row.table == "shop.docs" and row.op in "cru":
            docs[cells["id"]] = (cells["a"], cells["b"])
            updates += row.op == "u"
        elif row.table == "shop.said" and row.op == "c":
            assert docs[cells["id"]] == (cells["a"], cells["b"]), f"{row}: {docs[cells['id']]!r:.600}\n{(cells['a'], cells['b'])!r:.600}"
            n += 1
    return n, updates


def partial_events(server):
    """How many of the log's events hold differences (those in compressed transactions are not shown)."""
    return sum(row[2] == "Update_rows_partial" for name in server.binlogs() for row in server.sql(f"show binlog events in '{name}'"))


def streamed(l, server, r):
    server.sql(SCHEMA)
    ids = list(range(1, 9))
    server.sql("insert into shop.skipped values (1, json_object('v', 0, 'pad', repeat('p', 300)));" +
               "".join(f"insert into shop.docs values ({i}, {document(r)}, 0, {document(r)}, 'v');" for i in ids))
    car = l.sidecar(server, name="json", capture=RULES).start().wait_streaming(server)
    # Killed in its copy, it would read rows that are newer than the changes behind them, which judge() does not allow for.
    wait.until("the copy", lambda: sum(row.op == "r" for row in lake.Lake(car.lake).rows("shop.docs")) == len(ids))
    packed = "set session binlog_transaction_compression = on"  # from 8.0.20 on
    for _ in range(l.rounds or 4):
        session(r, server, ids, 25)
        car.kill9()
        car.start()
        session(r, server, ids, 25, [packed] if server.version() >= (8, 0, 20) else [])
        session(r, server, ids, 10, ["set session binlog_row_image = 'NOBLOB'"])
        server.sql("flush binary logs")
    special(server)
    car.terminate()
    car.catch_up()
    n, updates = judge(lake.Lake(car.lake).rows())
    events = partial_events(server)
    assert events > 50 and n > 100, (events, n)
    live = compare.replica(server, car.replica(), ["shop.docs", "shop.said"])
    l.step(f"{updates} updates, {events} events of differences shown by the server: {n} documents as the server has them, {live} rows of the replica equal")
    plain = [row.cells["d"] for row in lake.Lake(car.lake).rows("shop.plain") if row.op == "u"]
    assert sorted(plain) == sorted(row[0] for row in server.sql("select cast(d as char) from shop.plain")), plain
    return car


def minimal(l, server, car, r):
    """A session that logs neither the old document nor the new one."""
    car.start().wait_streaming(server)
    con = server.connect()
    cur = con.cursor()
    for i in range(1, 9):
        cur.execute(f"replace into shop.docs values ({i}, {document(r)}, 0, {document(r)}, 'v')")
    cur.execute("set session binlog_row_value_options = 'PARTIAL_JSON', session binlog_row_image = 'MINIMAL'")
    cur.execute("update shop.docs set a = json_set(a, '$.lost', 1), n = -1")
    cur.execute("update shop.docs set n = -2 where id = 3")
    con.close()
    car.terminate()
    car.catch_up()
    session(r, server, [1, 2, 3], 5)
    car.catch_up()
    assert car.log().count("of a JSON document only what changes is in the log") == 1, car.log()[-3000:]
    ops = [row.op for row in lake.Lake(car.lake).rows("shop.docs")]
    assert "r" in ops[-60:] and "t" in ops, ops[-60:]
    live = compare.replica(server, car.replica(), ["shop.docs", "shop.said"])
    l.step(f"minimal images of a session: a gap, copied anew; {live} rows of the replica equal")


def refused(l, server):
    server.sql("set global binlog_row_value_options = 'PARTIAL_JSON', global binlog_row_image = 'MINIMAL'")
    car = l.sidecar(server, name="refused", capture=RULES)
    got, told = car.call("run", "CONFIG", "--until-caught-up"), car.call("check", "CONFIG")
    assert got.code == 3 and "binlog_row_value_options is PARTIAL_JSON and binlog_row_image MINIMAL" in got.err, got
    assert told.code == 1 and "binlog_row_value_options" in told.out, told
    server.sql("set global binlog_row_image = 'FULL'")
    told = car.call("check", "CONFIG")
    assert told.code == 0 and "binlog_row_value_options is PARTIAL_JSON: documents are made of their differences" in told.out, told
    car.catch_up()
    l.step("PARTIAL_JSON with minimal images: refused; without them not")


def main(l):
    r = random.Random(l.seed)
    kinds = [kind for kind in mysql.KINDS if kind.startswith("mysql")]
    if not kinds:
        raise lab.Skip("MariaDB logs no differences of documents")
    for kind in kinds:
        server = l.mysql(kind)
        car = streamed(l, server, r)
        minimal(l, server, car, r)
        refused(l, server)
        server.stop("immediate")


lab.run(main)
