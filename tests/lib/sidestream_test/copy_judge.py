"""Judges a history of copies (histories.py).

Besides that log, replica and source are equal in the end:
- what was captured all the time is there exactly once and in order, whatever was copied beside it;
- a row that was read never stands behind a change that it does not contain. Every statement of the writers leaves a mark of
  its own in its rows, so for every copied row it is known which transaction made it;
- tables are locked in ACCESS SHARE at most, and nobody who waits for such a table waits long.
"""
import collections
import json
import threading
import time

import psycopg2

from . import compare, oracle
from .compare import must
from .oracle import lsn

ALLOWED = {"AccessShareLock"}
PUBLISHING = {"ShareUpdateExclusiveLock", "ShareRowExclusiveLock"}  # ALTER PUBLICATION's, and what is locked for it before
PUBLISHES = ("PUBLICATION", "SHARE ROW EXCLUSIVE MODE", "COMMIT")
WAITS = 6.0  # seconds; the copy looks once a second, and machines are slow
UNKNOWN = "(unknown)"


class Locks:
    """Looks at pg_locks ten times a second: what the copies hold, and who waits for them."""
    HELD = """select a.pid, l.relation::regclass::text, l.mode, a.query from pg_locks l join pg_stat_activity a using (pid)
        where a.application_name like 'sidestream/%' and l.locktype = 'relation' and l.relation >= 16384 and l.granted"""
    WAITING = """select w.pid, b.query, w.query from pg_stat_activity w, pg_stat_activity b where b.pid = any (pg_blocking_pids(w.pid))
        and b.application_name like 'sidestream/%' and w.application_name not like 'sidestream/%' and w.wait_event_type = 'Lock'"""

    def __init__(self, pg):
        self.con, self.looks, self.bad, self.longest = pg.connect(), 0, [], (0.0, None)
        self.stopping, self.since = threading.Event(), {}
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self):
        while not self.stopping.wait(0.1):
            try:
                self._look(self.con.cursor())
            except psycopg2.Error:
                return  # the server has ended

    def _look(self, cur):
        self.looks += 1
        cur.execute(self.HELD)
        for pid, relation, mode, query in cur.fetchall():
            if mode not in ALLOWED and not (mode in PUBLISHING and any(p in query for p in PUBLISHES)):
                self.bad.append(f"{mode} of {relation}: {query[:200]}")
        cur.execute(self.WAITING)
        now, waiting = time.monotonic(), {}
        for pid, held_by, query in cur.fetchall():
            waiting[pid] = self.since.get(pid, now)
            self.longest = max(self.longest, (now - waiting[pid], f"{query[:100]} behind {held_by[:200]}"), key=lambda x: x[0])
        self.since = waiting

    def judge(self):
        self.stopping.set()
        self.thread.join()
        self.con.close()
        must(self.looks, "nobody looked at the locks")
        must(not self.bad, f"stronger locks than ACCESS SHARE: {self.bad[:3]}")
        must(self.longest[0] < WAITS, f"somebody waited {self.longest[0]:.1f} s: {self.longest[1]}")


def checkpoint(car):
    """The whole map as the sink has it."""
    if car.kafka:
        return dict(car.output().control().map)
    found = {}
    for record in car.output().commits():
        for key, value in record.get("delta", {}).items():
            found.pop(key, None)
            if value is not None:
                found[key] = json.loads(value) if isinstance(value, str) and value[:1] in "{[" else value
    return found


class Judge:
    """Made before the pipeline: its slot of its own sees everything."""

    def __init__(self, pg):
        self.pg = pg
        self.interrupted = set()  # tables that were not captured all the time
        pg.sql("create publication judge for all tables with (publish_via_partition_root = true)")
        self.oracle = oracle.Oracle(pg, "judge", "judge")
        self.locks = Locks(pg)

    def end(self):
        self.pg.sql("select pg_drop_replication_slot('judge')")
        self.pg.sql("drop publication judge")

    def all(self, h):
        """What was judged, as a sentence."""
        self.locks.judge()
        log, tables = h.car.output(), h.tables()
        rows, events = list(log.rows()), self.oracle.events()
        keys = {t: compare.key_columns(self.pg, t) for t in sorted({r.table for r in rows} | {e.table for e in events})}
        states(h.car, tables)
        begin = beginning(h.car)
        for table in sorted(set(tables) - self.interrupted):
            once(table, rows, [e for e in events if e.table == table and e.place >= begin], keys)
        read = not_stale(rows, events, keys)
        state = fold(rows, keys)
        for table in tables:
            compare.tables_equal(self.pg, [c for c in state[table].values() if not c["__deleted"]], table, "fold of the log")
        total = compare.replica(self.pg, h.car.replica(), tables)
        if h.n % 3 == 0:
            verified(h.car)
        got = h.car.call("fsck", "CONFIG")
        must(got.code == 0 or h.car.kafka, f"fsck: {got!r}")
        return f"{read} rows read, {len(rows) - read} changes, {total} rows equal, waited for {self.locks.longest[0]:.1f} s"

    def keep(self, h):
        """What the server knew, beside the lake."""
        self.locks.stopping.set()
        try:
            with open(h.car.folder / "source.txt", "w") as out:
                for e in self.oracle.events():
                    out.write(f"{e.place:X} {e.ordinal} {e.op} {e.table} old {brief(e.old)} new {brief(e.new)}\n")
            if h.car.kafka:
                with open(h.car.folder / "rows.txt", "w") as out:
                    for r in h.car.output().rows():
                        out.write(f"{r.commit} {r.seq} {r.op} {r.table} {brief(r.cells)}\n")
            (h.car.folder / "checkpoint.json").write_text(json.dumps(checkpoint(h.car), indent=1))
        except Exception as e:  # of secondary importance
            print(f"evidence: {e!r}")


def verified(car):
    car.start()
    got = car.call("verify", "CONFIG", "--timeout", "60s", timeout=120)
    must(got.code == 0, f"verify: {got!r}")
    must(car.terminate() == 0, f"SIGTERM: {car.process.returncode}")


def brief(row):
    return row and {c: v[:40] if isinstance(v, str) else v for c, v in row.items() if v is not oracle.UNSENT}


def beginning(car):
    """Where the pipeline's stream begins: its first position."""
    if car.kafka:
        first = next(v for v in car.output().control().values("position") if v)
    else:
        first = next(c["delta"]["position"] for c in car.output().commits() if c.get("delta", {}).get("position"))
    kind, place = first.strip('"').split(":", 1)
    must(kind == "idle", f"the first position is {first}")
    return lsn(place)


def states(car, tables):
    """Every table is copied, and none has a gap."""
    there = checkpoint(car)
    for table in tables:
        copy, state = there.get(f"copy/{table}") or {}, there.get(f"table/{table}") or {}
        must(copy.get("state") == "done", f"{table}: its copy is {copy}")
        must("gap" not in state and state.get("state") != "paused", f"{table}: {state}")


def once(table, rows, events, keys):
    """The table's changes are those that were committed. Rows are numbered otherwise: the judge's slot sees more tables."""
    mine = [r for r in rows if r.table == table and r.op != "r" and r.cells["__delete_reason"] != "inferred"]
    for row, want in zip(mine, compare.wanted(events, keys)):
        want.event.ordinal = row.place()[2]
    try:
        compare.history(mine, events, keys)
    except compare.Differs as e:
        raise compare.Differs(f"{table}: {e}") from None


def not_stale(rows, events, keys):
    """No row that was read is older than a change that stands before it; how many were read."""
    made, last, ended, read = {}, collections.defaultdict(int), collections.defaultdict(int), 0
    for e in events:
        if e.new and e.op != "T":
            key = tuple(compare._filled(e, c) for c in keys[e.table])
            made.setdefault((e.table, key, e.new.get("mark")), e.place)
    for row in rows:
        place = row.place()[1]
        if row.op == "t":
            if row.cells["__delete_reason"] != "inferred":
                ended[row.table] = place
            continue
        key = tuple(compare.text(row.cells[c]) for c in keys[row.table])
        if row.op != "r":
            last[row.table, key] = place
            continue
        read += 1
        mark = row.cells.get("mark")
        if row.table == "shop.txlog" or mark is None:
            continue
        at, change = made.get((row.table, key, mark), 0), max(last[row.table, key], ended[row.table])
        must(at >= change, f"{row!r} with mark {mark} was made at {at:X}, and stands behind a change at {change:X}")
        must(place >= change, f"{row!r}: behind a change at {change:X}")
    return read


def fold(rows, keys):
    """compare.fold, for a log in which a row may be changed before it was read: what is not known stays unknown."""
    state = collections.defaultdict(dict)
    for row in rows:
        table = state[row.table]
        if row.op == "t":
            for key, cells in table.items():
                if cells["__seq"] < row.seq and not cells["__deleted"]:
                    table[key] = {**cells, "__deleted": True}
            continue
        key = tuple(compare.text(row.cells[c]) for c in keys[row.table])
        moved = row.cells["__prev_key"] and json.loads(row.cells["__prev_key"])
        before = [table.get(tuple(str(moved[c]) for c in keys[row.table]))] if moved else []
        there = table.get(key)  # alive while its key is to be taken: this very row, read after it had moved
        before = [there, *before] if there and not there["__deleted"] else [*before, there]
        before = [b for b in before if b is not None]
        for c in row.cells["__unchanged"] or []:
            row.cells[c] = next((b[c] for b in before if b[c] != UNKNOWN), UNKNOWN)
        table[key] = row.cells
    return state
