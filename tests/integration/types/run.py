#!/usr/bin/env python3
"""Without this a type could lose values: every type's extremes, NULL, unsent values and values beyond the Avro type
are read from the lake by fastavro and by Apache Avro, and from the replica, and must be what stands beside the SQL.

cases.py is the table. Each type has a table in schema `nul` (on_invalid: null) and, where it has values
beyond its target, in `str` (on_invalid: string: all of the column as PostgreSQL prints it).
"""
import base64
import datetime as dt
import json
import math
import pathlib
import struct
import sys
from decimal import Decimal

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import compare, lab, lake  # noqa: E402  (first: it goes into the venv)

import avro.datafile  # noqa: E402
import avro.io  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from cases import CASES, LARGE, NEWER, SETUP, Beyond  # noqa: E402

CAPTURE = [
    {"tables": "str.*", "snapshot": "never", "on_invalid": "string"},
    {"tables": "beyond.*", "snapshot": "never"},
    {"tables": "*.*", "snapshot": "never", "on_invalid": "null"},
]


def cases_of(pg):
    cases = {kind: list(rows) for kind, rows in CASES.items()}
    for version, more in NEWER.items():
        for kind, rows in more.items():
            cases[kind] += rows if pg.version >= version else []
    return cases


def has_beyond(rows):
    return any(isinstance(want, Beyond) for _, want in rows)


def make(pg, cases):
    """{table: (type, rows)}"""
    pg.sql("create schema ext; create schema nul; create schema str; create schema big; create schema beyond;" + SETUP)
    tables, sql = {}, []
    for i, (kind, rows) in enumerate(cases.items()):
        tables[f"nul.t{i:03}"] = (kind, rows)
        if has_beyond(rows):
            tables[f"str.t{i:03}"] = (kind, rows)
    for table, (kind, _) in tables.items():
        sql.append(f"create table {table} (id int primary key, v {kind})")
    for i, kind in enumerate(LARGE):
        sql.append(f"create table big.t{i:03} (id int primary key, n int, v {kind});"
                   f"alter table big.t{i:03} alter v set storage external")
    sql.append("create table beyond.t (id int primary key, v date)")
    pg.sql(";".join(sql))
    return tables


def fill(pg, tables):
    con = pg.connect()
    cur = con.cursor()
    for table, (kind, rows) in tables.items():
        for n, (literal, _) in enumerate(rows):
            cur.execute(f"insert into {table} values (%s, %s::{kind})", (n, literal))
        cur.execute(f"insert into {table} values (%s, null)", (len(rows),))
    for i, (kind, value) in enumerate(LARGE.items()):
        cur.execute(f"insert into big.t{i:03} values (1, 1, {value})")
        cur.execute(f"update big.t{i:03} set n = 2")
    con.close()


def same(got, want, kind=""):
    """Equal, and of one type; NaN is itself, and -0 is not 0."""
    if isinstance(want, list):
        return isinstance(got, list) and len(got) == len(want) and all(same(g, w, kind) for g, w in zip(got, want))
    if isinstance(want, float) and isinstance(got, float):
        if "float4" in kind and math.isfinite(got):
            got = struct.unpack("f", struct.pack("f", got))[0]
        return (math.isnan(got) and math.isnan(want)) or (got == want and math.copysign(1, got) == math.copysign(1, want))
    return compare.plain(got) == compare.plain(want) and isinstance(got, bool) == isinstance(want, bool)


def want_in_lake(table, want):
    """(value, __invalid)"""
    if not isinstance(want, Beyond):
        return want, None
    return (None, ["v"]) if table.startswith("nul.") else (str(want), None)


def check_lake(pg, folder, tables):
    wrong, seen, schemas = [], set(), {}
    for row in folder.rows():
        schemas[row.table] = row.schema
        if row.table not in tables:
            continue
        kind, rows = tables[row.table]
        i = row.cells["id"]
        want = rows[i][1] if i < len(rows) else None
        value, invalid = want_in_lake(row.table, want)
        if row.table.startswith("str.") and want is not None and not isinstance(want, Beyond):
            value = pg.value(f"select format('%%s', v) from {row.table} where id = %s", [i])
        if not same(row.cells["v"], value, kind) or row.cells["__invalid"] != invalid or row.cells["__unchanged"]:
            wrong.append(f"{kind} {rows[i][0] if i < len(rows) else None!r:.60}: lake {row.cells['v']!r:.120}, "
                         f"invalid {row.cells['__invalid']}, wanted {value!r:.120}, invalid {invalid}")
        seen.add((row.table, i))
    for table, (kind, rows) in tables.items():
        wrong += [f"{kind}: no row {i}" for i in range(len(rows) + 1) if (table, i) not in seen]
    assert not wrong, f"{len(wrong)} wrong\n" + "\n".join(wrong)
    return schemas


def check_types(pg, schemas):
    """cdc.type of every column is what format_type says where nothing is in the search path."""
    for table, schema in schemas.items():
        column = next(f for f in schema["fields"] if f["name"] == "v")
        want = pg.value("set search_path = pg_catalog; select format_type(atttypid, atttypmod) from pg_attribute "
                        "where attrelid = %s::regclass and attname = 'v'", [table])
        assert column["cdc.type"] == want, f"{table}: cdc.type {column['cdc.type']!r}, format_type {want!r}"


def in_replica(value, kind):
    """A lake value as the replica has it."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value + 0.0  # SQLite has no -0
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dt.datetime):
        return value.strftime("%Y").zfill(4) + value.strftime("-%m-%dT%H:%M:%S.%f") + ("Z" if "tz" in kind else "")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, dt.time):
        return value.strftime("%H:%M:%S.%f")
    return value


def in_json(value, kind):
    """An item of an array as JSON has it."""
    if isinstance(value, (bool, int, str)) or value is None:
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return in_replica(value, kind)


def check_replica(folder, car, tables):
    path = car.replica()
    last = {(r.table, r.cells["id"]): r.cells for r in folder.rows()}
    wrong = []
    for table, (kind, rows) in tables.items():
        got = {r["id"]: r for r in compare.replica_rows(path, table)}
        for i in range(len(rows) + 1):
            value, have = last[table, i]["v"], got[i]["v"]
            if isinstance(value, list):
                value, have = [in_json(v, kind) for v in value], json.loads(have)
            else:
                value = in_replica(value, kind)
            if not same(have, value, kind):
                wrong.append(f"{table} {kind}: replica {have!r:.120}, lake {value!r:.120}")
            if (got[i]["__invalid"] or "null") != json.dumps(last[table, i]["__invalid"], separators=(",", ":")):
                wrong.append(f"{table} {kind}: replica __invalid {got[i]['__invalid']}, lake {last[table, i]['__invalid']}")
    assert not wrong, f"{len(wrong)} wrong\n" + "\n".join(wrong)
    for i, kind in enumerate(LARGE):
        check_unsent(folder, path, f"big.t{i:03}", kind)


def check_unsent(folder, path, table, kind):
    first, second = [r.cells for r in folder.rows(table)]
    assert first["v"] is not None and not first["__unchanged"], f"{kind}: first {first!r:.200}"
    assert second["v"] is None and second["__unchanged"] == ["v"] and second["n"] == 2, f"{kind}: second {second!r:.200}"
    (row,) = compare.replica_rows(path, table)
    value, have = first["v"], row["v"]
    if isinstance(value, list):
        value, have = [in_json(v, kind) for v in value], json.loads(have)
    assert same(have, value, kind), f"{kind}: the replica lost the unsent value"
    assert row["n"] == 2 and not row["__unchanged"], f"{kind}: {row!r:.200}"


def second_reader(folder):
    n = 0
    for record in folder.commits():
        for entry in record.get("files", []):
            mine, _ = folder.read_file(entry)
            with avro.datafile.DataFileReader(open(folder.path / entry["path"], "rb"), avro.io.DatumReader()) as reader:
                theirs = list(reader)
            assert len(mine) == len(theirs), entry["path"]
            for a, b in zip(mine, theirs):
                for column in a:
                    assert same(compare.plain(b[column]), compare.plain(a[column])), \
                        f"{entry['path']} {column}: fastavro {a[column]!r:.100}, Apache Avro {b[column]!r:.100}"
                n += 1
    return n


def check_fail(pg, car):
    """The default: stop, name the column, and never the value."""
    pg.sql("insert into beyond.t values (1, '2024-01-01'), (2, '12345-06-07')")
    got = car.call("run", "CONFIG", "--until-caught-up")
    assert got.code == 3, f"{got!r}"
    assert "beyond.t.v" in got.err and "on_invalid" in got.err, got.err
    assert "12345" not in got.err, got.err
    pg.sql("update beyond.t set v = '2024-02-02' where id = 2")


def main(l):
    pg = l.postgres()
    cases = cases_of(pg)
    tables = make(pg, cases)
    car = l.sidecar(pg, capture=CAPTURE).start().wait_streaming(pg)
    fill(pg, tables)
    assert car.terminate() == 0
    car.catch_up()
    folder = lake.Lake(car.lake)
    schemas = check_lake(pg, folder, tables)
    l.step(f"{len(cases)} types, {sum(len(r) + 1 for _, r in tables.values())} values equal in the lake")
    check_types(pg, schemas)
    check_replica(folder, car, tables)
    l.step(f"equal in the replica; {len(LARGE)} unsent values kept")
    l.step(f"Apache Avro reads the same {second_reader(folder)} rows")
    check_fail(pg, car)
    l.step("a value beyond its type stops the pipeline where no rule says otherwise")


lab.run(main)
