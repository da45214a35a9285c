"""What was really committed, in order, from PostgreSQL itself.

A logical slot of the test's own is read by SQL (pg_logical_slot_peek_binary_changes, so it can be read
as often as one likes), through the sidecar's publication so that the raw rows have the same numbers.
The forty lines of pgoutput below are the test's own reading of the protocol's page, not the
connector's.
"""
import struct

from .postgres import lsn


class Event:
    """One raw row of a committed transaction. key, old, new: column name to text, None for NULL, ... unsent."""
    __slots__ = ("place", "xid", "at_us", "ordinal", "op", "table", "old", "new")

    def __init__(self, tx, ordinal, op, table, old, new):
        self.place, self.xid, self.at_us = tx
        self.ordinal, self.op, self.table, self.old, self.new = ordinal, op, table, old, new

    def __repr__(self):
        return f"<{self.op} {self.table} tx {self.xid} at {self.place:X} row {self.ordinal}>"


UNSENT = ...  # an unchanged TOAST value, or a column outside the identity


class Oracle:
    def __init__(self, pg, publication, slot="oracle", db="postgres", make=True):
        self.pg, self.publication, self.slot, self.db = pg, publication, slot, db
        if make:
            pg.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", [slot], db)

    def events(self):
        rows = self.pg.sql("select data from pg_logical_slot_peek_binary_changes(%s, null, null, "
                           "'proto_version', '1', 'publication_names', %s)",
                           [self.slot, f'"{self.publication}"'], self.db)
        relations, tx, ordinal, found = {}, None, 0, []
        for (data,) in rows:
            data = bytes(data)
            kind = data[:1]
            if kind == b"B":
                place, at, xid = struct.unpack_from(">QqI", data, 1)
                tx, ordinal = (place, xid, at + 946684800000000), 0
            elif kind == b"R":
                oid, name, columns = _relation(data)
                relations[oid] = (name, columns)
            elif kind in (b"I", b"U", b"D"):
                ordinal += 1
                (oid,) = struct.unpack_from(">I", data, 1)
                name, columns = relations[oid]
                old, new = _tuples(data, 5, columns)
                found.append(Event(tx, ordinal, kind.decode(), name, old, new))
            elif kind == b"T":
                ordinal += 1
                count, _ = struct.unpack_from(">IB", data, 1)
                for oid in struct.unpack_from(f">{count}I", data, 6):
                    found.append(Event(tx, ordinal, "T", relations[oid][0], None, None))
        return found


def _text(data, at):
    end = data.index(b"\0", at)
    return data[at:end].decode(), end + 1


def _relation(data):
    (oid,) = struct.unpack_from(">I", data, 1)
    schema, at = _text(data, 5)
    name, at = _text(data, at)
    (count,) = struct.unpack_from(">H", data, at + 1)
    at += 3
    columns = []
    for _ in range(count):
        column, at = _text(data, at + 1)
        at += 8
        columns.append(column)
    return oid, f"{schema}.{name}", columns


def _tuples(data, at, columns):
    got = {}
    while at < len(data):
        kind, count = data[at:at + 1], struct.unpack_from(">H", data, at + 1)[0]
        at, row = at + 3, {}
        for column in columns[:count]:
            mark, at = data[at:at + 1], at + 1
            if mark == b"t":
                (size,) = struct.unpack_from(">I", data, at)
                row[column] = data[at + 4:at + 4 + size].decode()
                at += 4 + size
            else:
                row[column] = None if mark == b"n" else UNSENT
        got["new" if kind == b"N" else "old"] = row
    return got.get("old"), got.get("new")


__all__ = ["Oracle", "Event", "UNSENT", "lsn"]
