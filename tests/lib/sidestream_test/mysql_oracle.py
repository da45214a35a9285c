"""What was really committed, in order, from the binary log of MySQL or MariaDB itself.

The log is fetched by COM_BINLOG_DUMP as often as one likes. Which bytes are a transaction is read here, by the protocol's
pages; what is in its rows is read by mysql-replication (pymysqlreplication), a library of its own.
"""
import re
import struct
import uuid
import zlib
from decimal import Decimal

import pymysql.err
import zstandard
from pymysql.constants import COMMAND
from pymysql.protocol import MysqlPacket
from pymysqlreplication import row_event
from pymysqlreplication.constants import NONE_SOURCE
from pymysqlreplication.packet import BinLogPacketWrapper

from .oracle import UNSENT, Event

QUERY, ROTATE, FORMAT, XID, TABLE_MAP, GTID, ANONYMOUS, XA_PREPARE, TAGGED = 2, 4, 15, 16, 19, 33, 34, 38, 42
PAYLOAD, MARIADB_GTID, QUERY_PACKED = 40, 162, 165
ROWS = {23: "I", 24: "U", 25: "D", 30: "I", 31: "U", 32: "D"}
PACKED = {166: 23, 167: 24, 168: 25}  # MariaDB: rows as zlib, and what they are unpacked
ARTIFICIAL = 0x20
TORN = "truncated in the middle of event"  # as the server says it
READS = {row_event.TableMapEvent, row_event.WriteRowsEvent, row_event.UpdateRowsEvent, row_event.DeleteRowsEvent}


class Oracle:
    """Everything that is committed from now on to tables whose name begins with one of `tables`. `copied`: the pipeline copies
    tables at its start, and so may know them before their first row in the log."""

    def __init__(self, server, tables=("shop.",), copied=False):
        self.server, self.tables, self.copied = server, tables, copied
        self.file, self.pos = server.binlog_end()

    def events(self):
        found = (e for e in Reader(self.server).read(self.file, self.pos) if e.table.startswith(tuple(self.tables)))
        return list(found if self.copied else that_matter(found))


def that_matter(events, rows=()):
    """Without copies, a TRUNCATE of a table that had no rows yet is nothing to a consumer; in `rows` it may be told all the same."""
    seen, told = set(), {(r.table, str(r.cells["__tx"])) for r in rows if r.op == "t"}
    for e in events:
        if e.op != "T" or e.table in seen or (e.table, e.xid) in told:
            seen.add(e.table)
            yield e


class Control:
    charset = "utf8mb4"

    def __init__(self, dbms):
        self._get_dbms = lambda: dbms


class Tx:
    def __init__(self, place, name, at_us):
        self.head, self.rows = (place, name, at_us), []


class Reader:
    def __init__(self, server):
        self.server = server
        self.control, self.maps = Control(server.family), {}
        self.tx, self.prepared, self.found = None, {}, []
        self.file, self.at = None, 0

    def read(self, file, pos):
        """Everything from there on. A file that a killed server left may end inside an event, which then did not happen."""
        while file:
            file, pos = self._read(file, pos), 4
        return self.found

    def _read(self, file, pos):
        """Up to the end, or to such a place: then the name of the file to go on with."""
        con = self.server.connect()
        try:
            with con.cursor() as cur:
                cur.execute("select @@global.binlog_checksum")
                self.checksum = cur.fetchone()[0] != "NONE"
                cur.execute("set @master_binlog_checksum = @@global.binlog_checksum, @source_binlog_checksum = @@global.binlog_checksum, "
                            f"@mariadb_slave_capability = 4, @slave_uuid = '{uuid.uuid4()}', @replica_uuid = @slave_uuid")
            con._execute_command(COMMAND.COM_BINLOG_DUMP, struct.pack("<IHI", pos, 1, 4000000000) + file.encode())
            while True:
                packet = con._read_packet()
                data = packet.get_all_data()
                if packet.is_eof_packet() and len(data) < 9:
                    return None
                self._event(data[1:], self.checksum)
        except pymysql.err.OperationalError as e:
            later = [name for name in self.server.binlogs() if self.file and name > self.file]
            if TORN not in str(e.args) or not later:
                raise
            self.tx = None
            return later[0]
        finally:
            con.close()

    def _event(self, raw, checksum):
        kind, size, end, flags = struct.unpack_from("<4xB4xIIH", raw)
        if end and not flags & ARTIFICIAL and checksum is not None:
            self.at = end - size
        body = raw[19:-4] if checksum else raw[19:]
        if kind == ROTATE:
            self.file = re.match(rb"[^\0]*?\.\d+", body[8:])[0].decode()
        elif kind == FORMAT:
            self.maps.clear()
        elif kind in (GTID, ANONYMOUS, MARIADB_GTID):
            self._begin(kind, raw, body)
        elif kind == TAGGED:
            raise NotImplementedError("a tagged GTID")
        elif kind in (QUERY, QUERY_PACKED):
            self._query(kind, body)
        elif kind == XID:
            self._commit()
        elif kind == XA_PREPARE:
            self._prepare(body)
        elif kind == PAYLOAD:
            for inner in unpacked(body):
                self._event(inner, None)
        elif kind in PACKED:
            self._rows(*plain(raw, body, PACKED[kind]))
        elif kind in ROWS or kind == TABLE_MAP:
            self._rows(kind, raw, checksum)

    def _begin(self, kind, raw, body):
        place = int(self.file.rsplit(".", 1)[1]) << 64 | self.at
        seconds, server = struct.unpack_from("<IxI", raw)
        if kind == MARIADB_GTID:
            number, domain = struct.unpack_from("<QI", body)
            name, us = f"{domain}-{server}-{number}", seconds * 1000000
        else:
            (number,), us = struct.unpack_from("<Q", body, 17), int.from_bytes(body[42:49], "little")
            if us >> 55:  # the original server's time follows
                us = int.from_bytes(body[49:56], "little")
            name = f"{uuid.UUID(bytes=body[1:17])}:{number}" if kind == GTID else f"{self.file}:{self.at}"
        self.tx = Tx(place, name, us)

    def _commit(self):
        for ordinal, (op, table, old, new) in enumerate(self.tx.rows, 1):
            self.found.append(Event(self.tx.head, ordinal, op, table, old, new))
        self.tx = None

    def _query(self, kind, body):
        db_len, status = struct.unpack_from("<8xB2xH", body)
        db = body[13 + status:13 + status + db_len].decode()
        sql = body[13 + status + db_len + 1:]
        sql = (inflated(sql) if kind == QUERY_PACKED else sql).decode(errors="replace").strip()
        word = re.match(r"(?:\s|/\*.*?\*/)*(\w+)\s*(\w*)", sql, re.S)
        verb, second = (word[1].upper(), word[2].upper()) if word else ("", "")
        if verb == "BEGIN" or (verb, second) in (("XA", "START"), ("XA", "END")) or verb in ("SAVEPOINT", "ROLLBACK"):
            return
        if (verb, second) in (("XA", "COMMIT"), ("XA", "ROLLBACK")):
            rows = self.prepared.pop(xid_of(sql), [])
            self.tx.rows = rows if second == "COMMIT" else []
        elif verb == "TRUNCATE":
            name = re.match(r"(?:\s|/\*.*?\*/)*truncate\s+(?:table\s+)?(?:`?(\w+)`?\s*\.\s*)?`?(\w+)`?", sql, re.S | re.I)
            self.tx.rows = [("T", f"{name[1] or db}.{name[2]}", None, None)]
        self._commit()

    def _prepare(self, body):
        one_phase, form, glen, blen = struct.unpack_from("<?III", body)
        if one_phase:
            return self._commit()
        self.prepared[form, body[13:13 + glen], body[13 + glen:13 + glen + blen]] = self.tx.rows
        self.tx = None

    def _rows(self, kind, raw, checksum):
        packet = BinLogPacketWrapper(MysqlPacket(b"\0" + raw, "utf8mb4"), self.maps, self.control, (8, 0, 0), bool(checksum), READS,
                                     None, None, None, None, False, False, False, True, False)
        event = packet.event
        if kind == TABLE_MAP:
            self.maps[event.table_id] = event.get_table()
            return
        table = f"{event.schema}.{event.table}"
        binary = {c.name for c in event.columns if c.character_set_name == "binary"}
        for row in event.rows:
            old = new = None
            if ROWS[kind] == "U":
                old = texts(row["before_values"], row["before_none_sources"], binary)
                new = texts(row["after_values"], row["after_none_sources"], binary)
            else:
                image = texts(row["values"], row["none_sources"], binary)
                old, new = (image, None) if ROWS[kind] == "D" else (None, image)
            self.tx.rows.append((ROWS[kind], table, old, new))


def xid_of(sql):
    """XA COMMIT X'6162',X'',1"""
    gtrid, bqual, form = re.search(r"X'([0-9a-f]*)'\s*,\s*X'([0-9a-f]*)'\s*,\s*(\d+)", sql, re.I).groups()
    return int(form), bytes.fromhex(gtrid), bytes.fromhex(bqual)


def texts(values, why, binary):
    """The library gives empty bytes as an empty text."""
    return {c: UNSENT if v is None and why.get(c) == NONE_SOURCE.COLS_BITMAP else "\\x" if v == "" and c in binary else text(v)
            for c, v in values.items()}


def text(value):
    """In the form of compare.text."""
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, set):
        return ",".join(sorted(value))
    return None if value is None else str(value)


def lenenc(data, at):
    first = data[at]
    if first < 251:
        return first, at + 1
    n = {252: 2, 253: 3, 254: 8}[first]
    return int.from_bytes(data[at + 1:at + 1 + n], "little"), at + 1 + n


def unpacked(body):
    """The events of a transaction payload."""
    at, algorithm = 0, 0
    while body[at]:
        field, (size, start) = body[at], lenenc(body, at + 1)
        if field == 2:
            algorithm = lenenc(body, start)[0]
        at = start + size
    data = body[at + 1:]
    if algorithm == 0:
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at + 9)
        yield data[at:at + size]
        at += size


def inflated(data):
    """MariaDB's packed form: a byte that tells how, the length, zlib."""
    return zlib.decompress(data[1 + (data[0] & 7):])


def plain(raw, body, kind):
    """A packed event of rows as it would be without; its arguments for _rows."""
    columns, at = lenenc(body, 8)
    at += (columns + 7) // 8 * (2 if kind == 24 else 1)
    body = body[:at] + inflated(body[at:])
    head = raw[:4] + bytes([kind]) + raw[5:9] + struct.pack("<I", 19 + len(body)) + raw[13:19]
    return kind, head + body, False


__all__ = ["Oracle", "Reader", "that_matter"]
