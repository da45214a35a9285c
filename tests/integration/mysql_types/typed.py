"""What mysql_types and mysql_versions do with each server: a table for each type of cases.py, seen by a stream and by a copy."""
import math
import re
import struct

from cases import SERVER, Beyond, cases
from sidestream_test import compare, lake

ACCEPT = "sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'"
ODD = """
create table t_nul.odd (id int primary key, `sp ace` int, `quo``te` varchar(10), `Näme €` text, `select` int,
    gen_v int generated always as (`sp ace` * 2) virtual, gen_s varchar(20) generated always as (concat('g', `sp ace`)) stored,
    hidden int invisible default 7);
create table t_nul.pk (b varchar(30), a bigint unsigned, v int, primary key (b(5), a)) collate utf8mb4_bin;
create table t_nul.nokey (a int, b varchar(10));
create table t_nul.years (id int primary key, y year, u int unsigned, s int, y2 year, b bit(3), s2 bigint, u2 bigint unsigned, y3 year, u3 tinyint unsigned);
create view t_nul.a_view as select * from t_nul.odd;
"""
ODD_MARIADB = "create sequence t_nul.seq; create table t_nul.versioned (id int primary key, v int) with system versioning;"


def capture(snapshot):
    rules = [{"tables": "t_str.*", "on_invalid": "string"}, {"tables": "t_beyond.*"}, {"tables": "t_nul.*", "on_invalid": "null"}]
    return [{**rule, "snapshot": snapshot} for rule in rules]


def grouped(kinds, n):
    """Lists of n; a row holds no more than 64 KiB of VARCHAR."""
    wide = [k for k in kinds if k[0] == "varchar(16000)"]
    rest = [k for k in kinds if k not in wide]
    return [rest[i:i + n] for i in range(0, len(rest), n)] + [[k] for k in wide]


def make(server, found, n):
    """{table: [(type, rows)]}: n types a table, in columns v0 and so on."""
    server.sql("create database t_nul character set utf8mb4; create database t_str character set utf8mb4;"
               "create database t_beyond; create table t_beyond.t (id int primary key, v date);" + server.can(ODD))
    if server.mariadb:
        server.sql(ODD_MARIADB)
    kinds = list(found.items())
    some = [k for k in kinds if any(isinstance(want, Beyond) for _, want in k[1])]
    tables = {f"t_{how}.t{i:03}": group for how, which in (("nul", kinds), ("str", some)) for i, group in enumerate(grouped(which, n))}
    server.each(*(f"create table {table} (id int primary key, {', '.join(f'v{j} {kind}' for j, (kind, _) in enumerate(columns))})"
                  for table, columns in tables.items()))
    return tables


def height(columns):
    """The last row is of NULLs alone."""
    return max(len(rows) for _, rows in columns) + 1


def case(rows, i):
    return rows[i] if i < len(rows) else ("null", None)


def fill(server, tables):
    con = server.connect()
    cur = con.cursor()
    cur.execute("set " + ACCEPT)
    for table, columns in tables.items():
        for i in range(height(columns)):
            values = [case(rows, i)[0] for _, rows in columns]
            try:
                cur.execute(f"insert into {table} values ({i}, {', '.join(values)})")
            except Exception as e:
                raise AssertionError(f"{columns[0][0]} and after: {values!r:.200}: {e}") from None
    con.close()
    server.each("insert into t_nul.odd (id, `sp ace`, `quo``te`, `Näme €`, `select`) values (1, 21, 'q', 'n', 5)",
                "insert into t_nul.pk values ('abcdefg', 18446744073709551615, 1), ('abcdeXY', 18446744073709551615 - 1, 2)",
                "insert into t_nul.nokey values (1, 'x'), (1, 'x'), (null, null)",
                "insert into t_nul.years values (1, 2001, 4294967295, -1, 2002, 5, -2, 18446744073709551615, 2003, 255)")
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


def wanted(server, table, column, rows, i):
    """(value, whether it is named in __invalid)"""
    want = case(rows, i)[1]
    if isinstance(want, Beyond):
        return (None, True) if table.startswith("t_nul.") else (str(want), False)
    if want is SERVER or (table.startswith("t_str.") and want is not None):
        got = server.value(f"select cast({column} as char) from {table} where id = {i}")
        return got.decode() if isinstance(got, bytes) else got, False
    return want, False


def check(server, folder, tables, op):
    """(schemas, how many values)"""
    wrong, seen, schemas, n = [], set(), {}, 0
    for row in folder.rows():
        schemas[row.table] = row.schema
        if row.table not in tables:
            continue
        i = row.cells["id"]
        assert row.op == op and not row.cells["__unchanged"], row
        assert (row.table, i) not in seen, f"{row!r}: twice"
        seen.add((row.table, i))
        invalid = row.cells["__invalid"] or []
        for j, (kind, rows) in enumerate(tables[row.table]):
            got = row.cells[f"v{j}"]
            value, named = wanted(server, row.table, f"v{j}", rows, i)
            n += i <= len(rows)
            if not same(got, value, kind) or (f"v{j}" in invalid) != named:
                wrong.append(f"{kind} {case(rows, i)[0]:.60}: lake {got!r:.120}, invalid {invalid}, wanted {value!r:.120}, {named}")
    missing = {(table, i) for table, columns in tables.items() for i in range(height(columns))} - seen
    assert not missing, f"{server.kind}, {op}: no rows {sorted(missing)[:20]}"
    assert not wrong, f"{server.kind}, {op}: {len(wrong)} wrong\n" + "\n".join(wrong)
    return schemas, n


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
    (one,) = rows["t_nul.years"]
    years = [int(one[c]) for c in ("y", "u", "s", "y2", "s2", "u2", "y3", "u3")]
    assert years == [2001, 2**32 - 1, -1, 2002, -2, 2**64 - 1, 2003, 255], years
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
    want = {(r[0], r[1]): r[2] for r in server.sql("select concat(table_schema, '.', table_name), column_name, column_type from "
                                                   "information_schema.columns where table_schema in ('t_nul', 't_str')")}
    for table, columns in tables.items():
        for j in range(len(columns)):
            column = next(f for f in schemas[table]["fields"] if f["name"] == f"v{j}")
            said = re.sub(r" /\*.*", "", want[table, f"v{j}"]) if server.mariadb else want[table, f"v{j}"]
            if server.mariadb and said == "longtext" and column["cdc.type"] == "json":
                continue
            assert column["cdc.type"] == bare(said), f"{table}: cdc.type {column['cdc.type']!r}, COLUMN_TYPE {said!r}"


def both_ways(l, server, together=1):
    """Every value as the log and as a copy have it; the pipeline that streamed. together: types a table."""
    kind = server.kind
    found = cases(server.mariadb, server.version())
    tables = make(server, found, together)
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
        assert a == b, f"{table} {tables[table][0][0]}: the schema of the copy is another\n{a}\n{b}"
    l.step(f"{kind}: {n} copied values equal, of the same schemas")
    return stream
