"""What happens at the source, and what SQL says of each version of each row while it happens.

`public.every` has a column for every type of tests/integration/types/cases.py; its row n holds the n-th value of
each. `public.users` is the table of docs/readers.md: keys that move, values that are not sent, truncates.
"""
import json
import pathlib
import random
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration/types"))
from cases import CASES, SETUP, Beyond  # noqa: E402

HSTORES = ("ext.hstore", "ext.attributes")
EVERY, USERS, GROWN = "public.every", "public.users", "public.grown"
BIG = {"big_text": "text", "big_bytes": "bytea", "big_ints": "int4[]"}
LARGE = {"big_text": "repeat('x', 9000)", "big_bytes": "decode(repeat('00ff', 5000), 'hex')",
         "big_ints": "array(select generate_series(1, 5000))"}


def column_of(kind):
    """A column's name for a type: v_numeric_12_2, v_int4_array."""
    name = kind.replace('"char"', "onechar").replace("[]", "_array")
    return "v_" + re.sub(r"\W+", "_", name).strip("_")


COLUMNS = {column_of(kind): kind for kind in CASES}
assert len(COLUMNS) == len(CASES)
HEIGHT = max(len(rows) for rows in CASES.values())


class Want:
    """A record that must be in the lake. values: column to (text, [text of each item] or None); `sent` None: all were."""

    def __init__(self, op, reason=None, values=None, beyond=(), sent=None, prev_key=None, tx=None):
        self.op, self.reason, self.values, self.beyond = op, reason, values, set(beyond)
        self.sent, self.prev_key, self.tx = sent, prev_key, tx


def is_array(kind):
    return kind.endswith("[]") or kind == "ext.ints"


def printed(what, kind):
    """SQL of a value's text; of an hstore it is JSON, as in the lake."""
    one = what == "i" or not is_array(kind)
    return f"ext.hstore_to_json({what})::text" if one and kind.startswith(HSTORES) else f"format('%%s', {what})"


def word_of_sql(cur, n):
    """The row as the database prints it, arrays also item by item."""
    types = {"id": "int4", "n": "int4", **COLUMNS, **BIG}
    items = [c for c, kind in types.items() if is_array(kind)]
    # `is distinct from null`: a composite of nulls is not null.
    text = [f"case when {c} is distinct from null then {printed(c, types[c])} end" for c in types]
    text += [f"""case when {c} is not null then array(select case when i is distinct from null then {printed('i', types[c])} end
                 from unnest({c}) with ordinality u(i, o) order by o) end""" for c in items]
    cur.execute(f"select pg_current_xact_id()::text, {', '.join(text)} from {EVERY} where id = %s", [n])
    tx, *got = cur.fetchone()
    listed = dict(zip(items, got[len(types):]))
    return tx, {c: (v, listed.get(c)) for c, v in zip(types, got)}


class Every:
    """public.every, statement by statement; `wants` is what the lake must tell of it."""

    def __init__(self, pg):
        self.pg, self.wants, self.beyond = pg, [], {}

    def make(self):
        columns = ", ".join(f"{c} {kind}" for c, kind in {**COLUMNS, **BIG}.items())
        self.pg.sql(f"create table {EVERY} (id int primary key, n int, {columns});"
                    + ";".join(f"alter table {EVERY} alter {c} set storage external" for c in BIG))

    def run(self, sql, args=(), n=None, want=None):
        """One transaction; want(tx, values) gives the records."""
        con = self.pg.connect(autocommit=False)
        with con.cursor() as cur:
            cur.execute(sql, args)
            if n is not None:
                tx, values = word_of_sql(cur, n)
            else:
                cur.execute("select pg_current_xact_id()::text")
                tx, values = cur.fetchone()[0], None
        con.commit()
        con.close()
        self.wants += want(tx, values)

    def insert(self, n, case=None):
        """Row `case` (default n) of the cases; beyond the last one all are NULL."""
        case = n if case is None else case
        cells = {c: CASES[kind][case] for c, kind in COLUMNS.items() if case < len(CASES[kind])}
        beyond = {c for c, (_, value) in cells.items() if isinstance(value, Beyond)}
        self.beyond[n] = beyond
        names = ["id", "n", *cells, *BIG]
        values = ["%s", "%s", *[f"%s::{COLUMNS[c]}" for c in cells], *[LARGE[c] for c in BIG]]
        self.run(f"insert into {EVERY} ({', '.join(names)}) values ({', '.join(values)})",
                 [n, 0, *[literal for literal, _ in cells.values()]], n,
                 lambda tx, values: [Want("c", None, values, beyond, tx=tx)])

    def update(self, row, **cells):
        """The large values are not sent."""
        self.beyond[row] -= set(cells)
        self.run(f"update {EVERY} set {', '.join(f'{c} = %s' for c in cells)} where id = %s", [*cells.values(), row], row,
                 lambda tx, values: [Want("u", None, values, self.beyond[row], {"id", *cells}, tx=tx)])

    def key_change(self, n, new):
        self.beyond[new] = self.beyond.pop(n)
        self.run(f"update {EVERY} set id = %s where id = %s", [new, n], new,
                 lambda tx, values: [Want("d", "key_change", {"id": (str(n), None)}, sent={"id"}, tx=tx),
                                     Want("c", None, values, self.beyond[new], {"id"}, {"id": n}, tx)])

    def delete(self, n):
        self.run(f"delete from {EVERY} where id = %s", [n],
                 want=lambda tx, _: [Want("d", "delete", {"id": (str(n), None)}, sent={"id"}, tx=tx)])

    def truncate(self):
        self.run(f"truncate {EVERY}", want=lambda tx, _: [Want("t", "truncate", {}, tx=tx)])


def every_chapters(every):
    """Each chapter is captured by itself, so that there are several files."""
    def first():
        for n in range(HEIGHT + 1):  # the last one: all NULL
            every.insert(n)

    def second():
        every.update(0, n=1)
        every.update(1, n=None, v_text="changed", v_int4=None)
        every.delete(2)
        every.key_change(3, 1003)
        every.insert(2, 1)

    def third():
        every.truncate()
        for n in range(HEIGHT + 1):
            every.insert(n)

    def fourth():
        every.update(0, n=2)
        every.key_change(1, 1001)
        every.delete(4)
    return [first, second, third, fourth]


def make(pg):
    pg.sql("create schema ext;" + SETUP)
    every = Every(pg)
    every.make()
    pg.sql(f"""create table {USERS} (id int primary key, email text, bio text);
               alter table {USERS} alter bio set storage external;
               create table {GROWN} (id int primary key, a int)""")
    return every


class Users:
    """Random life of public.users: small and large values, keys that move, rows that come back, truncates."""

    def __init__(self, pg, seed):
        self.random, self.con, self.live, self.n = random.Random(f"users {seed}"), pg.connect(), set(), 0

    def bio(self):
        return self.random.choice([None, "", "small", "x" * 9000, "y" * 9000]) if self.random.random() < 0.5 \
            else f"{self.n} " + "z" * 9000

    def step(self, cur):
        self.n += 1
        rnd, free = self.random, [i for i in range(60) if i not in self.live]
        what = rnd.random()
        if what < 0.3 and free or not self.live:
            n = rnd.choice(free)
            cur.execute(f"insert into {USERS} values (%s, %s, %s)", (n, f"{self.n}@example.org", self.bio()))
            self.live.add(n)
            return
        n = rnd.choice(sorted(self.live))
        if what < 0.6:
            cur.execute(f"update {USERS} set email = %s where id = %s", (f"{self.n}@example.org", n))
        elif what < 0.7:
            cur.execute(f"update {USERS} set bio = %s where id = %s", (self.bio(), n))
        elif what < 0.9 and free:
            new = rnd.choice(free)
            cur.execute(f"update {USERS} set id = %s where id = %s", (new, n))
            self.live = self.live - {n} | {new}
        else:
            cur.execute(f"delete from {USERS} where id = %s", (n,))
            self.live.discard(n)

    def moves(self):
        """A large value through two key changes, each followed by an update (else the connector reads the row again and
        nothing is unsent); its first key used again; a value that became NULL. In every run, whatever the seed."""
        with self.con.cursor() as cur:
            for sql in ["insert into {} values (1000, 'a', repeat('m', 9000)), (2000, 'n', 'gone')",
                        "update {} set id = 1001 where id = 1000", "update {} set email = 'b' where id = 1001",
                        "update {} set id = 1002 where id = 1001", "update {} set email = 'c' where id = 1002",
                        "insert into {} values (1000, 'again', repeat('w', 9000))",
                        "update {} set email = 'still' where id = 1000", "update {} set bio = null where id = 2000"]:
                cur.execute(sql.format(USERS))

    def chapter(self, steps, truncate=False):
        with self.con.cursor() as cur:
            while steps > 0:
                cur.execute("begin")
                for _ in range(self.random.randint(1, 4)):
                    self.step(cur)
                    steps -= 1
                if truncate and steps < 20:
                    cur.execute(f"truncate {USERS}")
                    self.live, truncate = set(), False
                    self.step(cur)  # above the truncate, in the same transaction
                cur.execute("commit")


def key_json(key):
    return None if key is None else json.dumps(key, separators=(",", ":"))
