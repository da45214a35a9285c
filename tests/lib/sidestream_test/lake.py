"""An independent reader of a lake folder: json, hashlib and fastavro, none of the project's code.

It trusts nothing: the numbers of the commit records must be without a gap, each must name its
predecessor's hash and begin where it ended, and each file must have the size, hash, row count and
operation counts that its record says.
"""
import collections
import hashlib
import json
import pathlib
import re

import fastavro

SEQ = re.compile(r"[0-9a-f]{8}-[0-9a-f]{24}-[0-9a-f]{12}")


class Damaged(AssertionError):
    pass


def must(ok, text):
    if not ok:
        raise Damaged(text)


class Row:
    """One record of a data file: its table, the commit it came with, its columns."""
    __slots__ = ("commit", "table", "cells", "schema")

    def __init__(self, commit, table, cells, schema):
        self.commit, self.table, self.cells, self.schema = commit, table, cells, schema

    op = property(lambda self: self.cells["__op"])
    seq = property(lambda self: self.cells["__seq"])

    def place(self):
        """(incarnation, commit LSN, ordinal) out of __seq."""
        inc, place, ordinal = self.seq.split("-")
        return int(inc, 16), int(place, 16), int(ordinal, 16)

    def __repr__(self):
        return f"<{self.table} {self.op} {self.seq} in commit {self.commit}>"


class Lake:
    def __init__(self, path):
        self.path = pathlib.Path(path)

    def commits(self, since=0):
        """Every commit record after number `since` in order, the chain verified."""
        folder = self.path / "_cdc/commits"
        names = sorted(p.name for p in folder.glob("*.json")) if folder.exists() else []
        before, last = None, []
        if since:
            raw = (folder / f"{since:020d}.json").read_bytes()
            before, names = (raw, json.loads(raw)), [n for n in names if n > f"{since:020d}.json"]
        for i, name in enumerate(names):
            raw = (folder / name).read_bytes()
            record = json.loads(raw)
            must(name == f"{record['seq']:020d}.json", f"{name} says seq {record['seq']}")
            if before is not None:
                must(record["seq"] == before[1]["seq"] + 1, f"{name}: a gap before it")
                must(record["prev"] == hashlib.sha256(before[0]).hexdigest(), f"{name}: prev is another record")
                must(record["from"] == before[1]["to"], f"{name}: does not begin where the last one ended")
            before = (raw, record)
            last.append(record)
        return last

    def read_file(self, entry):
        """The rows of one file of a commit record, everything the record says verified."""
        path = self.path / entry["path"]
        must(path.exists(), f"{entry['path']}: committed, but not there")
        raw = path.read_bytes()
        must(len(raw) == entry["bytes"], f"{entry['path']}: {len(raw)} bytes, not {entry['bytes']}")
        must(hashlib.sha256(raw).hexdigest() == entry["sha256"], f"{entry['path']}: other content")
        with open(path, "rb") as f:
            reader = fastavro.reader(f)
            schema = reader.writer_schema
            rows = list(reader)
        must(len(rows) == entry["records"], f"{entry['path']}: {len(rows)} rows, not {entry['records']}")
        ops = collections.Counter(r["__op"] for r in rows)
        must(ops == {k: v for k, v in entry["ops"].items() if v}, f"{entry['path']}: ops {ops}, not {entry['ops']}")
        for r in rows:
            must(SEQ.fullmatch(r["__seq"]), f"{entry['path']}: odd __seq {r['__seq']!r}")
        if rows:
            must(min(r["__seq"] for r in rows) == entry["seq_min"], f"{entry['path']}: seq_min")
            must(max(r["__seq"] for r in rows) == entry["seq_max"], f"{entry['path']}: seq_max")
        return rows, schema

    def rows(self, table=None, since=0):
        """All committed rows, by commit and then by __seq; halves of one key change stay in file order."""
        for record in self.commits(since):
            mine = []
            for entry in record.get("files", []):
                if table and entry["table"] != table:
                    continue
                rows, schema = self.read_file(entry)
                mine += [Row(record["seq"], entry["table"], r, schema) for r in rows]
            mine.sort(key=lambda r: r.seq)  # stable
            yield from mine

    def count(self, table=None):
        return sum(e["records"] for c in self.commits() for e in c.get("files", [])
                   if not table or e["table"] == table)

    def position(self):
        got = self.commits()
        return got[-1]["to"] if got else None

    def orphans(self):
        """Data files that no commit names."""
        named = {e["path"] for c in self.commits() for e in c.get("files", [])}
        there = {str(p.relative_to(self.path)) for p in self.path.glob("log/**/*") if p.is_file()}
        return sorted(there - named)


def fields(schema):
    """Column name to Avro type without the null branch. The name is the source's own."""
    found = {}
    for f in schema["fields"]:
        kinds = f["type"] if isinstance(f["type"], list) else [f["type"]]
        found[f.get("cdc.column", f["name"])] = next((k for k in kinds if k != "null"), None)
    return found
