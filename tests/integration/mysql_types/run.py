#!/usr/bin/env python3
"""Without this a type could lose values: every type's extremes and NULL, from MariaDB and from MySQL, streamed and copied, are
read from the lake by fastavro, and must be what stands beside the SQL.

cases.py is the table. Each type has a table in database `t_nul` (on_invalid: null) and, where it has values beyond its
target, in `t_str` (on_invalid: string: all of the column as the server prints it). Two pipelines: one sees the rows
come, one copies them; both must say the same, in values, types and schemas.
"""
import math
import pathlib
import re
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import compare, lab, lake, mysql  # noqa: E402  (first: it goes into the venv)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from cases import SERVER, Beyond, cases  # noqa: E402

ACCEPT = "sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'"
ODD = """
create table t_nul.odd (id int primary key, `sp ace` int, `quo``te` varchar(10), `Näme €` text, `select` int,
    gen_v int generated always as (`sp ace` * 2) virtual, gen_s varchar(20) generated always as (concat('g', `sp ace`)) stored,
    hidden int invisible default 7);
create table t_nul.pk (b varchar(30), a bigint unsigned, v int, primary key (b(5), a)) collate utf8mb4_bin;
create table t_nul.nokey (a int, b varchar(10));
create view t_nul.a_view as select * from t_nul.odd;
"""
ODD_MARIADB = "create sequence t_nul.seq; create table t_nul.versioned (id int primary key, v int) with system versioning;"


def capture(snapshot):
    rules = [{"tables": "t_str.*", "on_invalid": "string"}, {"tables": "t_beyond.*"}, {"tables": "t_nul.*", "on_invalid": "null"}]
    return [{**rule, "snapshot": snapshot} for rule in rules]


def make(server, found):
    """{table: (type, rows)}"""
    server.sql("create database t_nul character set utf8mb4; create database t_str character set utf8mb4;"
               "create database t_beyond; create table t_beyond.t (id int primary key, v date);" + ODD)
    if server.mariadb:
        server.sql(ODD_MARIADB)
    tables = {}
    for i, (kind, rows) in enumerate(found.items()):
        tables[f"t_nul.t{i:03}"] = (kind, rows)
        if any(isinstance(want, Beyond) for _, want in rows):
            tables[f"t_str.t{i:03}"] = (kind, rows)
    server.each(*(f"create table {table} (id int primary key, v {kind})" for table, (kind, _) in tables.items()))
    return tables


def fill(server, tables):
    con = server.connect()
    cur = con.cursor()
    cur.execute("set " + ACCEPT)
    for table, (kind, rows) in tables.items():
        for n, (literal, _) in enumerate(rows):
            try:
                cur.execute(f"insert into {table} values ({n}, {literal})")
            except Exception as e:
                raise AssertionError(f"{kind}: {literal:.80}: {e}") from None
        cur.execute(f"insert into {table} values ({len(rows)}, null)")
    con.close()
    server.each("insert into t_nul.odd (id, `sp ace`, `quo``te`, `Näme €`, `select`) values (1, 21, 'q', 'n', 5)",
                "insert into t_nul.pk values ('abcdefg', 18446744073709551615, 1), ('abcdeXY', 18446744073709551615 - 1, 2)",
                "insert into t_nul.nokey values (1, 'x'), (1, 'x'), (null, null)")
    if server.mariadb:
        server.each("insert into t_nul.versioned values (1, 1)", "select nextval(t_nul.seq)")


def same(got, want, kind=""):
    """Equal, and of one type; -0 is not 0."""
    if isinstance(want, list):
        return isinstance(got, list) and len(got) == len(want) and all(same(g, w, "float" if kind.startswith("vector") else kind)
                                                                      for g, w in zip(got, want))
    if isinstance(want, float) and isinstance(got, float):
        if kind.startswith("float"):
            got = struct.unpack("f", struct.pack("f", got))[0]
        return got == want and math.copysign(1, got) == math.copysign(1, want)
    return compare.plain(got) == compare.plain(want) and isinstance(got, bool) == isinstance(want, bool)


def wanted(server, table, kind, rows, i):
    """(value, __invalid)"""
    want = rows[i][1] if i < len(rows) else None
    if isinstance(want, Beyond):
        return (None, ["v"]) if table.startswith("t_nul.") else (str(want), None)
    if want is SERVER or (table.startswith("t_str.") and want is not None):
        got = server.value(f"select cast(v as char) from {table} where id = {i}")
        return got.decode() if isinstance(got, bytes) else got, None
    return want, None


def check(server, folder, tables, op):
    wrong, seen, schemas = [], {}, {}
    for row in folder.rows():
        schemas[row.table] = row.schema
        if row.table not in tables:
            continue
        kind, rows = tables[row.table]
        i = row.cells["id"]
        value, invalid = wanted(server, row.table, kind, rows, i)
        if not same(row.cells["v"], value, kind) or row.cells["__invalid"] != invalid or row.cells["__unchanged"]:
            wrong.append(f"{kind} {rows[i][0] if i < len(rows) else None!r:.60}: lake {row.cells['v']!r:.120}, "
                         f"invalid {row.cells['__invalid']}, wanted {value!r:.120}, invalid {invalid}")
        assert row.op == op, row
        assert (row.table, i) not in seen, f"{row!r}: twice"
        seen[row.table, i] = row.cells["v"]
    for table, (kind, rows) in tables.items():
        wrong += [f"{kind}: no row {i} of {table}" for i in range(len(rows) + 1) if (table, i) not in seen]
    assert not wrong, f"{server.kind}, {op}: {len(wrong)} wrong\n" + "\n".join(wrong)
    return schemas, len(seen)


def odd(server, folder, op):
    """Generated, hidden and strangely named columns; prefix keys; no key; what is no table."""
    rows = {}
    for row in folder.rows():
        assert row.table not in ("t_nul.a_view", "t_nul.seq"), row
        rows.setdefault(row.table, []).append(row.cells)
    (one,) = rows["t_nul.odd"]
    names = {f["name"]: f.get("cdc.column", f["name"]) for f in fields(folder, "t_nul.odd")}
    got = {names[n]: v for n, v in one.items() if not n.startswith("__")}
    assert got == {"id": 1, "sp ace": 21, "quo`te": "q", "Näme €": "n", "select": 5, "gen_v": 42, "gen_s": "g21", "hidden": 7}, got
    pk = sorted((r["b"], int(r["a"]), r["v"]) for r in rows["t_nul.pk"])
    assert pk == [("abcdeXY", 2**64 - 2, 2), ("abcdefg", 2**64 - 1, 1)], pk
    assert sorted(map(str, ((r["a"], r["b"]) for r in rows["t_nul.nokey"]))) == ["(1, 'x')", "(1, 'x')", "(None, None)"]
    if server.mariadb and op == "c":
        (one,) = rows["t_nul.versioned"]
        assert (one["id"], one["v"]) == (1, 1), one


def fields(folder, table):
    return next(r.schema for r in folder.rows(table))["fields"]


def bare(kind):
    """A COLUMN_TYPE without what the log does not have: display widths, zerofill."""
    kind = re.sub(r"^(tinyint|smallint|mediumint|int|bigint|float|double)\([0-9,]*\)", r"\1", kind)
    return kind.replace(" zerofill", "").replace("geometrycollection", "geomcollection").replace("year(4)", "year")


def check_types(server, schemas, tables):
    """cdc.type of every column is what information_schema says."""
    want = dict(server.sql("select concat(table_schema, '.', table_name), column_type from information_schema.columns "
                           "where table_schema in ('t_nul', 't_str') and column_name = 'v'"))
    for table in tables:
        column = next(f for f in schemas[table]["fields"] if f["name"] == "v")
        said = re.sub(r" /\*.*", "", want[table]) if server.mariadb else want[table]
        if server.mariadb and said == "longtext" and column["cdc.type"] == "json":
            continue
        assert column["cdc.type"] == bare(said), f"{table}: cdc.type {column['cdc.type']!r}, COLUMN_TYPE {said!r}"


def check_fail(server, car):
    """The default: stop, name the column, and never the value."""
    con = server.connect()
    con.cursor().execute("insert into t_beyond.t values (1, '2024-01-01'), (2, '2024-00-17')")
    con.close()
    got = car.call("run", "CONFIG", "--until-caught-up")
    assert got.code == 3, f"{got!r}"
    assert "t_beyond.t.v" in got.err and "on_invalid" in got.err, got.err
    assert "2024-00" not in got.err, got.err


def one_server(l, kind):
    server = l.mysql(kind)
    found = cases(server.mariadb)
    tables = make(server, found)
    stream = l.sidecar(server, folder=f"{kind}-stream", name="types", capture=capture("never"))
    stream.catch_up()
    fill(server, tables)
    stream.catch_up()
    schemas, n = check(server, lake.Lake(stream.lake), tables, "c")
    odd(server, lake.Lake(stream.lake), "c")
    check_types(server, schemas, tables)
    l.step(f"{kind}: {len(found)} types, {n} streamed values equal")
    copy = l.sidecar(server, folder=f"{kind}-copy", name="types", capture=capture("initial"))
    copy.catch_up()
    copied, n = check(server, lake.Lake(copy.lake), tables, "r")
    odd(server, lake.Lake(copy.lake), "r")
    check_types(server, copied, tables)
    for table in tables:
        a, b = ([{k: v for k, v in f.items() if k != "cdc.version"} for f in s[table]["fields"]] for s in (schemas, copied))
        assert a == b, f"{table} {tables[table][0]}: the schema of the copy is another\n{a}\n{b}"
    l.step(f"{kind}: {n} copied values equal, of the same schemas")
    check_fail(server, stream)
    l.step(f"{kind}: a value beyond its type stops the pipeline where no rule says otherwise")
    server.stop("immediate")


def main(l):
    for kind in mysql.KINDS:
        one_server(l, kind)


lab.run(main)
