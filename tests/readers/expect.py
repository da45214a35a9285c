"""What every reader must give: the story's records with SQL's values, and the meta columns as fastavro has them."""
import datetime as dt
import decimal
import json
import math
import struct
import uuid

from sidestream_test import lake

from story import BIG, COLUMNS, EVERY, HSTORES, key_json

UTC = dt.timezone.utc
PARSE = {
    "boolean": lambda t: t == "t",
    "int": int, "long": int, "float": float, "double": float, "string": str, "uuid": uuid.UUID,
    "decimal": decimal.Decimal,
    "bytes": lambda t: bytes.fromhex(t[2:]),
    "date": dt.date.fromisoformat,
    "time-micros": dt.time.fromisoformat,
    "timestamp-micros": lambda t: (lambda v: v if v.tzinfo else v.replace(tzinfo=UTC))(dt.datetime.fromisoformat(t)),
}


def kind_of(avro):
    """A short name of an Avro type: int, decimal(12,2), array<uuid>."""
    if isinstance(avro, list):
        avro = next(t for t in avro if t != "null")
    if isinstance(avro, str):
        return avro
    if avro["type"] == "array":
        return f"array<{kind_of(avro['items'])}>"
    logical = avro.get("logicalType")
    if logical == "decimal":
        return f"decimal({avro['precision']},{avro['scale']})"
    return logical or avro["type"]


def parse(kind, text, items):
    if text is None:
        return None
    if kind.startswith("array<"):
        return [None if i is None else parse(kind[6:-1], i, None) for i in items]
    value = PARSE[kind.split("(")[0]](text)
    if kind == "float":
        return struct.unpack("f", struct.pack("f", value))[0]
    return value


def same(got, want):
    """Equal and of one type; NaN is itself, -0 is not 0, a decimal has its scale, a timestamp its zone."""
    if type(got) is not type(want):
        return False
    if isinstance(want, list):
        return len(got) == len(want) and all(map(same, got, want))
    if isinstance(want, float):
        return math.isnan(got) and math.isnan(want) or got == want and math.copysign(1, got) == math.copysign(1, want)
    if isinstance(want, decimal.Decimal):
        return got == want and got.as_tuple().exponent == want.as_tuple().exponent
    return got == want


def is_hstore(column):
    return COLUMNS.get(column, "").startswith(HSTORES)


def order(row):
    """By __seq; the two halves of a key change have the same one."""
    return row["__seq"], row["__op"] != "d"


class Expected:
    """Records of one table in one lake as dicts of values, and the kind of each column."""

    def __init__(self, folder, table, wants=None):
        rows = list(lake.Lake(folder).rows(table))
        self.schema = rows[-1].schema
        self.kinds = {f["name"]: kind_of(f["type"]) for f in self.schema["fields"]}
        self.rows = sorted((r.cells for r in rows), key=order)
        if wants is not None:
            self.rows = self.by_sql(wants)

    def by_sql(self, wants):
        assert len(self.rows) == len(wants), f"{EVERY}: {len(self.rows)} records, {len(wants)} were made"
        found = []
        for i, (row, want) in enumerate(zip(self.rows, wants)):
            what = f"record {i} ({want.op} {want.reason or ''})"
            meta = {c: v for c, v in row.items() if c.startswith("__")}
            self.check_meta(what, meta, want)
            found.append({**self.values(what, row, meta, want), **meta})
        return found

    def check_meta(self, what, meta, want):
        deleted = want.op in "dt"
        got = [meta[c] for c in ("__op", "__deleted", "__delete_reason", "__tx", "__prev_key", "__invalid")]
        unsent = meta["__unchanged"] or []
        invalid = sorted(want.beyond - set(unsent), key=list(COLUMNS).index) or None
        need = [want.op, deleted, want.reason, want.tx, key_json(want.prev_key), invalid]
        assert got == need, f"{what}: {got}, wanted {need}"
        assert (meta["__deleted_at"] is not None) == deleted, f"{what}: __deleted_at"
        if want.sent is None:
            assert not unsent, f"{what}: __unchanged {unsent}"
        elif want.op == "d":
            assert set(unsent) == set(self.source_columns()) - want.sent, f"{what}: __unchanged {unsent}"
        elif want.prev_key and not unsent:
            pass  # at a key change the connector asks the table for what was not sent
        else:  # what else is stored outside the row is PostgreSQL's affair
            assert set(BIG) <= set(unsent) and not want.sent & set(unsent), f"{what}: __unchanged {unsent}"

    def source_columns(self):
        return [c for c in self.kinds if not c.startswith("__")]

    def values(self, what, row, meta, want):
        """SQL's word; where it has none for a record (unsent, invalid) the lake must have null."""
        values = {}
        for column in self.source_columns():
            hidden = column in (meta["__unchanged"] or []) or column in want.beyond
            value = None if hidden or column not in want.values else parse(self.kinds[column], *want.values[column])
            values[column] = hstore(value) if is_hstore(column) else value
        return values


def hstore(text):
    """JSON of hstore, whose spaces are nobody's business, as a dict."""
    if isinstance(text, list):
        return [None if t is None else hstore(t) for t in text]
    return None if text is None else json.loads(text)
