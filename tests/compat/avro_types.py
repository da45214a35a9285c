#!/usr/bin/env python3
"""Our Avro files before two independent readers, and theirs before ours.

usage: avro_types.py PROGRAM      (PROGRAM: the built tests/compat/avro_types; run with .cache/venv)

1. PROGRAM writes every type at its boundary values in every codec; fastavro and Apache avro must
   read exactly what the table in tests/unit/avro_cells.h says. The same of keys, which come as
   bare bytes.
2. fastavro writes the same rows with our schema text in every codec; PROGRAM must read them.
"""
import datetime
import decimal
import io
import json
import os
import subprocess
import sys
import tempfile

import avro.datafile
import avro.io
import avro.schema
import fastavro

CODECS = ("null", "deflate", "zstandard")
ROUNDS = 300


def canonical(value):
    """The form in which avro_cells.h writes a value."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            assert value.utcoffset() == datetime.timedelta(0)
        return value.replace(tzinfo=None).isoformat(timespec="microseconds")
    if isinstance(value, datetime.time):
        return value.isoformat(timespec="microseconds")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, list):
        return "[" + ",".join("null" if v is None else canonical(v) for v in value) + "]"
    return str(value)


def check_meta(row, i, who):
    zero = datetime.timedelta(0)
    expect = {
        "__op": "c", "__deleted": False, "__deleted_at": None, "__delete_reason": None,
        "__source_updated_at": None, "__tx": "777", "__unchanged": None, "__invalid": None,
        "__prev_key": None, "__seq": "00000001-" + "0" * 24 + "-%012x" % (i + 1),
    }
    for name, value in expect.items():
        assert row[name] == value, (who, i, name, row[name])
    for name, text in (("__updated_at", "2020-09-13T12:26:40.000001"),
                       ("__synced_at", "2023-11-14T22:13:20.000000")):
        assert canonical(row[name]) == text and row[name].utcoffset() == zero, (who, name, row[name])


def judge(rows, expected, who):
    n = 0
    for i, row in enumerate(rows):
        for name, text in expected[i % len(expected)].items():
            got = canonical(row[name])
            assert got == text, f"{who}: row {i}, column {name}: {got!r} instead of {text!r}"
        check_meta(row, i, who)
        n += 1
    assert n == ROUNDS * len(expected), (who, n)
    print(f"ok  {who}: {n} rows, {len(expected[0])} columns")


def by_fastavro(path):
    with open(path, "rb") as f:
        reader = fastavro.reader(f)
        assert reader.metadata["cdc.commit"] == "42"
        yield from reader


def by_apache(path):
    with open(path, "rb") as f, avro.datafile.DataFileReader(f, avro.io.DatumReader()) as reader:
        yield from reader


def judge_keys(folder, expected):
    with open(os.path.join(folder, "key.avsc"), encoding="utf-8") as f:
        text = f.read()
    ours, theirs = fastavro.parse_schema(json.loads(text)), avro.schema.parse(text)
    for i, want in enumerate(expected):
        with open(os.path.join(folder, f"key{i}.bin"), "rb") as f:
            data = f.read()
        for who, read in (
            ("fastavro", lambda b: fastavro.schemaless_reader(b, ours)),
            ("avro", lambda b: avro.io.DatumReader(theirs).read(avro.io.BinaryDecoder(b))),
        ):
            stream = io.BytesIO(data)
            got = {name: canonical(value) for name, value in read(stream).items()}
            assert got == want and list(got) == list(want)[::-1], (who, i, got, want)
            assert stream.read() == b"", (who, i, "bytes left over")
    print(f"ok  keys by fastavro and avro: {len(expected)} of {len(expected[0])} columns")


def write_back(source, target, codec):
    with open(source, "rb") as f:
        reader = fastavro.reader(f)
        schema, rows = json.loads(reader.metadata["avro.schema"]), list(reader)
    with open(target, "wb") as f:
        fastavro.writer(f, schema, rows, codec=codec)


def main(program):
    with tempfile.TemporaryDirectory(prefix="avro_types.") as folder:
        subprocess.run([program, "write", folder], check=True)
        with open(os.path.join(folder, "expected.json"), encoding="utf-8") as f:
            expected = json.load(f)
        judge_keys(folder, expected)
        for codec in CODECS:
            path = os.path.join(folder, codec + ".avro")
            judge(by_fastavro(path), expected, f"fastavro {codec}")
            judge(by_apache(path), expected, f"avro {codec}")
            subprocess.run([program, "read", path], check=True)
            back = os.path.join(folder, codec + "-back.avro")
            write_back(path, back, codec)
            subprocess.run([program, "read", back], check=True)
            print(f"ok  ours {codec}: own file and fastavro's")


if __name__ == "__main__":
    main(sys.argv[1])
