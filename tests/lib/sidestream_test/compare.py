"""Judges a lake or topics, and a replica, against the database: nothing lost, nothing doubled, all in order, all equal."""
import collections
import datetime
import decimal
import json
import math
import sqlite3
import uuid

from . import lake as lakes
from .oracle import UNSENT


class Differs(AssertionError):
    pass


def must(ok, text):
    if not ok:
        raise Differs(text)


# ---- the log --------------------------------------------------------------------------------------

Want = collections.namedtuple("Want", "event op half key")  # half: None, "old" or "new" of a key change


def wanted(events, keys):
    """The lake's rows that the committed history asks for. keys: table name to key columns."""
    for e in events:
        if e.op == "T":
            yield Want(e, "t", None, None)
            continue
        key = keys[e.table]
        new = e.new and {c: _filled(e, c) for c in key}
        old = e.old and {c: e.old[c] for c in key}
        if e.op == "I":
            yield Want(e, "c", None, new)
        elif e.op == "D":
            yield Want(e, "d", None, old)
        elif old and UNSENT not in old.values() and old != new:
            yield Want(e, "d", "old", old)
            yield Want(e, "c", "new", new)
        else:
            yield Want(e, "u", None, new)


def _filled(e, column):
    value = e.new[column]
    return e.old[column] if value is UNSENT and e.old else value


def text(value):
    """A lake or SQLite value of a simple type as PostgreSQL writes it."""
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if value is None or isinstance(value, (int, str, decimal.Decimal, uuid.UUID)):
        return None if value is None else str(value)
    return NotImplemented


def history(rows, events, keys):
    """Every wanted row, each once, in order, with the right number, key, transaction, and values."""
    rows, want = list(rows), list(wanted(events, keys))
    previous = ""
    for i, (row, w) in enumerate(zip(rows, want)):
        what = f"row {i}: there is {row!r}, committed was {w.event!r} {w.half or ''}"
        must(row.seq >= previous, f"{what}: out of order")
        previous = row.seq
        inc, place, ordinal = row.place()
        must((row.table, row.op) == (w.event.table, w.op), what)
        must((place, ordinal) == (w.event.place, w.event.ordinal), f"{what}: other __seq")
        must(str(row.cells["__tx"]) == str(w.event.xid), f"{what}: other __tx {row.cells['__tx']}")
        _cells(row, w, what)
    if len(rows) != len(want):
        extra = rows[len(want):len(want) + 3] or want[len(rows):len(rows) + 3]
        raise Differs(f"there are {len(rows)} rows, committed were {len(want)}; first beyond: {extra}")
    return len(rows)


def _cells(row, w, what):
    cells, e = row.cells, w.event
    must(cells["__deleted"] == (w.op in "dt"), f"{what}: __deleted")
    reason = {"t": "truncate", "d": "key_change" if w.half else "delete"}.get(w.op)
    must(cells["__delete_reason"] == reason, f"{what}: __delete_reason {cells['__delete_reason']}")
    must((cells["__deleted_at"] is not None) == (w.op in "dt"), f"{what}: __deleted_at")
    must(cells["__updated_at"] >= _time(e.at_us) or _time(e.at_us) - cells["__updated_at"] < datetime.timedelta(0),
         f"{what}: __updated_at {cells['__updated_at']} before the commit {_time(e.at_us)}")
    if w.op == "t":
        return
    for column, value in w.key.items():
        must(text(cells[column]) == value, f"{what}: key {column} is {cells[column]!r}, not {value!r}")
    unchanged = cells["__unchanged"] or []
    if w.op == "d":
        for column in unchanged:
            must(cells[column] is None, f"{what}: {column} is in __unchanged and has a value")
        return
    for column, value in e.new.items():
        if value is UNSENT:
            _unsent(cells, column, e, w, unchanged, what)
        else:
            must(column not in unchanged, f"{what}: {column} was sent, and is in __unchanged")
            got = text(cells[column])
            must(got is NotImplemented or got == value, f"{what}: {column} is {got!r:.60}, not {value!r:.60}")
    if w.half == "new":
        prev = {k: text(v) for k, v in json.loads(cells["__prev_key"]).items()}
        must(prev == {c: e.old[c] for c in w.key}, f"{what}: __prev_key {cells['__prev_key']}")


def _unsent(cells, column, e, w, unchanged, what):
    known = e.old.get(column, UNSENT) if e.old else UNSENT
    if w.half == "new" and known is None:
        known = UNSENT  # a K tuple has nothing but the key
    if known is not UNSENT:
        must(text(cells[column]) == known, f"{what}: {column} was in the old row, and is not filled from it")
    elif column in unchanged:
        must(cells[column] is None, f"{what}: {column} is in __unchanged and has a value")
    else:
        must(w.half == "new", f"{what}: {column} was not sent, and is not in __unchanged")


def _time(us):
    return datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(microseconds=us)


def transactions(pg, rows, writers):
    """The writers' own word: what was acknowledged is there, each transaction once, none else."""
    there = [r[0] for r in pg.sql("select id from shop.txlog")]
    rows = [r.cells["id"] for r in rows if r.table == "shop.txlog" and r.op == "c"]
    doubled = [i for i, n in collections.Counter(rows).items() if n > 1]
    must(not doubled, f"transactions captured twice: {doubled[:5]}")
    must(set(rows) == set(there), f"captured only: {sorted(set(rows) - set(there))[:5]}, "
                                  f"in the database only: {sorted(set(there) - set(rows))[:5]}")
    if writers:
        missing = set(writers.acked) - set(there)
        must(not missing, f"acknowledged, and not in the database: {sorted(missing)[:5]}")
        odd = set(there) - set(writers.acked) - set(writers.unknown)
        must(not odd, f"never committed by a writer: {sorted(odd)[:5]}")


# ---- tables ----------------------------------------------------------------------------------------

def key_columns(pg, table, db="postgres"):
    """The key that the stream identifies a row by: the identity's index if one was named, else the primary key."""
    if hasattr(pg, "key_columns"):
        return pg.key_columns(table)
    rows = pg.sql("""select a.attname from pg_class c join pg_index i on i.indrelid = c.oid
        join pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.indkey)
        where c.oid = %s::regclass and case c.relreplident when 'i' then i.indisreplident else i.indisprimary end
        order by array_position(i.indkey::int[], a.attnum::int)""", [table], db)
    return [r[0] for r in rows]


def simple_table(pg, table, db="postgres"):
    """The table's rows as sets of (column, text)."""
    if hasattr(pg, "simple_table"):
        return pg.simple_table(table)
    import psycopg2.extras
    con = pg.connect(db)
    with con.cursor() as cur:
        cur.execute("select quote_ident(attname), attname from pg_attribute where attrelid = %s::regclass "
                    "and attnum > 0 and not attisdropped order by attnum", [table])
        columns = cur.fetchall()
        cur.execute(f"select {', '.join(q + '::text' for q, _ in columns)} from {table}")
        rows = cur.fetchall()
    con.close()
    return [name for _, name in columns], rows


def fold(rows, keys, state=None):
    """The lake's log applied by the rule of P8: the greater __seq wins per key, t ends all below it."""
    state = collections.defaultdict(dict) if state is None else state
    moving = {}
    for row in rows:
        table = state[row.table]
        if row.op == "t":
            for key, cells in table.items():
                if cells["__seq"] < row.seq and not cells["__deleted"]:
                    table[key] = {**cells, "__deleted": True}
            continue
        key = tuple(row.cells[c] for c in keys[row.table])
        old = table.get(key)
        if row.cells["__prev_key"]:
            old = table.get(tuple(json.loads(row.cells["__prev_key"]).values()), old)
        if old is not None and row.cells["__unchanged"]:
            row.cells.update({c: old[c] for c in row.cells["__unchanged"]})
        table[key] = row.cells
    return state


def tables_equal(pg, got, table, where, db="postgres"):
    """got: a list of dicts of live rows (column to value)."""
    columns, rows = simple_table(pg, table, db)
    want = collections.Counter(rows)
    have = collections.Counter(tuple(text(r[c]) for c in columns) for r in got)
    if want != have:
        more, less = list((have - want).elements()), list((want - have).elements())
        raise Differs(f"{where} {table}: {sum(have.values())} rows, source {sum(want.values())}; "
                      f"only here {_short(more)}, only there {_short(less)}")
    return sum(want.values())


def _short(rows):
    return [tuple(c if c is None or len(c) < 40 else c[:37] + "..." for c in r) for r in rows[:3]]


def replica_rows(path, table):
    """Every row of a replica's table as dicts."""
    con = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    con.row_factory = sqlite3.Row
    try:
        return [dict(r) for r in con.execute(f'select * from "{table}"')]
    finally:
        con.close()


def replica(pg, path, tables, db="postgres"):
    """The replica's live rows equal the source; returns how many there were."""
    total = 0
    for table in tables:
        try:
            rows = replica_rows(path, table)
        except sqlite3.OperationalError as e:
            if "no such table" not in str(e):
                raise
            rows = []  # never changed
        live = [r for r in rows if not r["__deleted"]]
        total += tables_equal(pg, live, table, "replica", db)
    return total


# ---- values of every type --------------------------------------------------------------------------

def plain(value):
    """A value of fastavro or psycopg2 in a form in which both say the same."""
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None) if value.tzinfo is None else value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    if isinstance(value, decimal.Decimal):
        return ("decimal", value, str(value))
    if isinstance(value, float):
        return "nan" if value != value else value
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


def select_list(schema, columns):
    """What to ask SQL for, so that it comes in the form the lake has. Where the lake has text: what the type's output
    function gives (a cast to text would strip char(n) and add a mask to inet)."""
    kinds = lakes.fields(schema)
    return ", ".join(f'case when "{c}" is not null then format(\'%s\', "{c}") end' if kinds[c] == "string" else f'"{c}"'
                     for c in columns)


def told(rows, events):
    """Without a TRUNCATE of a table of which nothing had been written: whether a pipeline that copies tells of it depends on whether
    it was started anew since it looked at the empty table. A consumer has nothing of it either way."""
    first = {}
    for row in rows:
        first.setdefault(row.table, row.place()[1])
    return [e for e in events if e.op != "T" or e.place >= first.get(e.table, math.inf)]


def everything(lab, pg, sidecar, oracle, writers=None, tables=None):
    """All of the above for the workload's schema; what was compared, as a sentence."""
    log = sidecar.output()
    copies = any(not rule.get("skip") and rule.get("snapshot") != "never" for rule in sidecar.settings["capture"])
    must(getattr(oracle, "copied", copies) == copies, f"the test's own fault: the oracle was told {not copies} of copies")
    rows = list(log.rows())
    events = told(rows, oracle.events()) if copies else oracle.events()
    names = sorted({e.table for e in events})
    keys = {t: key_columns(pg, t) for t in set(names) | set(tables or [])}
    n = history(rows, events, keys)
    if writers is not None:
        transactions(pg, rows, writers)
    state = fold(rows, keys)
    tables = tables or names
    for table in tables:
        live = [c for c in state[table].values() if not c["__deleted"]]
        tables_equal(pg, live, table, "fold of the log")
    path = sidecar.replica()
    total = replica(pg, path, tables)
    got = sidecar.call("fsck", "CONFIG")
    must(got.code == 0, f"fsck: {got!r}")
    return f"{n} rows of {len(log.commits())} commits in order, {total} live rows equal in log and replica"
