#!/usr/bin/env python3
"""Without this a value could change on its way: every type's extremes, inserted, updated and deleted, are
read from the lake by fastavro (and by Apache Avro) and must equal what SQL returns.

Each type has a table of its own with one row per value, under identity FULL, so that a delete carries
the values too. Where the lake has text it is compared with SQL's text under pinned settings.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import collections  # noqa: E402
import math  # noqa: E402

from sidestream_test import compare, lab, lake  # noqa: E402  (first: it goes into the venv)

import avro.datafile  # noqa: E402
import avro.io  # noqa: E402

BIG = "x" * 100000
TYPES = {
    "int2": ["-32768", "0", "32767", None],
    "int4": ["-2147483648", "2147483647", None],
    "int8": ["-9223372036854775808", "9223372036854775807", None],
    "oid": ["0", "4294967295"],
    "float4": ["0", "-0", "1.1", "3.4028235e38", "1e-45", "NaN", "Infinity", "-Infinity", None],
    "float8": ["0.1", "1.7976931348623157e308", "5e-324", "NaN", "Infinity", "-Infinity", "-0"],
    "numeric(12,2)": ["0", "-0.01", "9999999999.99", "-9999999999.99", None],
    "numeric(38,10)": ["1234567890123456789012345678.0123456789", "-0.0000000001"],
    "numeric(5,0)": ["99999", "-1"],
    "numeric(38,38)": ["0.99999999999999999999999999999999999999"],
    "numeric(50,5)": ["123456789012345678901234567890123456789012345.12345"],
    "numeric": ["1e-300", "12345678901234567890.000100", "NaN", "-1.10", None],
    "money": ["-92233720368547758.08", "1234.50"],
    "bool": ["true", "false", None],
    "text": ["", "plain", "näh \U0001F600", "tab\tnew\nline\\back\"quote'", BIG, None],
    "varchar(10)": ["", "abc  "],
    "char(5)": ["ab", ""],
    "name": ["some_name"],
    "bytea": ["\\x", "\\x00ff10", "\\x" + "ab" * 50000, None],
    "date": ["0001-01-01", "1969-12-31", "1970-01-01", "2024-02-29", "9999-12-31", None],
    "time": ["00:00:00", "23:59:59.999999", None],
    "timetz": ["12:34:56.789+05:30", "00:00:00-08"],
    "timestamp": ["0001-01-01 00:00:00", "1969-12-31 23:59:59.999999", "2024-02-29 12:00:00.000001",
                  "9999-12-31 23:59:59.999999", None],
    "timestamptz": ["0001-01-02 00:00:00+00", "2024-03-31 02:30:00+02", "1969-12-31 23:59:59.999999+00", None],
    "interval": ["1 year 2 mons -3 days 04:05:06.789", "-00:00:00.000001"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", None],
    "json": ['{"a": 1,  "b":[null, true]}', "null", None],
    "jsonb": ['{"b": 1e40, "a": "\\u00e4"}', "[]"],
    "typ.mood": ["sad", "very happy", None],
    "typ.positive": ["7"],
    "typ.price": ["1.50"],
    "typ.pair": ['(1,"x y")'],
    "inet": ["192.168.0.1/24", "::1"],
    "cidr": ["10.0.0.0/8"],
    "macaddr": ["08:00:2b:01:02:03"],
    "bit(5)": ["10101"],
    "varbit": ["", "1"],
    "point": ["(1.5,-2)"],
    "int4range": ["[1,10)", "empty"],
    "tsvector": ["'a':1 'b':2"],
    "xml": ["<a>1</a>"],
    "pg_lsn": ["16/B374D848"],
    "int4[]": ["{}", "{1,NULL,-3}", None],
    "text[]": ['{"a b",NULL,"NULL","q\\"x"}'],
    "numeric(8,3)[]": ["{1.500,-2.125}"],
    "bool[]": ["{t,f,NULL}"],
    "date[]": ["{2024-02-29}"],
}
OTHER = "create schema typ; create type typ.mood as enum ('sad', 'very happy'); " \
        "create domain typ.positive as int check (value > 0); create domain typ.price as numeric(8,2); " \
        "create type typ.pair as (a int, b text); "


def fill(pg):
    tables = {}
    pg.sql(OTHER + "create schema shop")
    for i, kind in enumerate(TYPES):
        tables[f"shop.t{i:02}"] = kind
    pg.sql("".join(f"create table {t} (id int primary key, v {k}); alter table {t} replica identity full; "
                   for t, k in tables.items()))
    return tables


def work(pg, tables):
    con = pg.connect()
    cur = con.cursor()
    for table, kind in tables.items():
        for n, value in enumerate(TYPES[kind]):
            cur.execute(f"insert into {table} values (%s, %s::{kind})", (n, value))
    con.close()


def expected(pg, table, schema):
    rows = pg.sql(f"select id, {compare.select_list(schema, ['v'])} from {table}")
    return {i: compare.plain(v) for i, v in rows}


def same(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return a == b and math.copysign(1, a) == math.copysign(1, b)
    return a == b and type(a) is type(b)


def main(l):
    pg = l.postgres()
    tables = fill(pg)
    car = l.sidecar(pg).start().wait_streaming(pg)
    l.step(f"{len(tables)} types")
    work(pg, tables)
    car.terminate()
    car.catch_up()
    folder = lake.Lake(car.lake)
    schemas = {r.table: r.schema for r in folder.rows()}
    want = {t: expected(pg, t, schemas[t]) for t in tables}
    for table in tables:
        pg.sql(f"update {table} set id = id; delete from {table}")
    car.catch_up()
    check(folder, tables, want)
    l.step("all values equal")
    second_reader(folder)
    l.step("Apache Avro reads the same")


def check(folder, tables, want):
    seen, wrong = collections.Counter(), []
    for row in folder.rows():
        got, sql = compare.plain(row.cells["v"]), want[row.table][row.cells["id"]]
        if isinstance(sql, float) and tables[row.table] == "float4" and isinstance(got, float):
            sql = lake_float32(sql)
        if not same(got, sql):
            wrong.append(f"{tables[row.table]} {row.op}: lake {got!r:.120}, SQL {sql!r:.120}")
        assert not row.cells["__unchanged"], f"{row!r} {tables[row.table]}: unchanged {row.cells['__unchanged']}"
        assert not row.cells["__invalid"], f"{row!r} {tables[row.table]}: invalid"
        seen[row.table, row.op] += 1
    assert not wrong, "\n".join(wrong)
    for table, kind in tables.items():
        for op in "cud":
            assert seen[table, op] == len(TYPES[kind]), f"{kind}: {seen[table, op]} rows {op}, not {len(TYPES[kind])}"


def lake_float32(value):
    """psycopg2 reads float4's shortest text as a double; Avro's float is the nearest binary32."""
    import struct
    return value if math.isinf(value) else struct.unpack("f", struct.pack("f", value))[0]


def second_reader(folder):
    for record in folder.commits():
        for entry in record.get("files", []):
            mine, _ = folder.read_file(entry)
            with avro.datafile.DataFileReader(open(folder.path / entry["path"], "rb"), avro.io.DatumReader()) as reader:
                theirs = list(reader)
            assert len(mine) == len(theirs), entry["path"]
            for a, b in zip(mine, theirs):
                for column in a:
                    x, y = compare.plain(a[column]), compare.plain(b[column])
                    assert x == y, f"{entry['path']} {column}: fastavro {x!r:.100}, Apache Avro {y!r:.100}"


lab.run(main)
