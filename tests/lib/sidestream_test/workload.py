"""Concurrent writers with a seed: everything a change stream can stumble over, many times a second.

Inserts, updates that leave a TOAST value alone, key changes and swaps, deletes, upserts, truncates, rows
that move between partitions, savepoints rolled back to, whole transactions rolled back, transactions over
many tables. Every transaction that commits leaves one row in shop.txlog, whose id is known here: `acked`
holds those whose COMMIT was answered, `unknown` those whose answer never came.
"""
import random
import threading
import time

import psycopg2

SCHEMA = """
create schema shop;
create table shop.txlog (id text primary key, writer int not null);
create table shop.account (id int primary key, balance int not null, note text, body text, mark text);
alter table shop.account alter body set storage external;
create table shop.item (a int, b text, qty int, price numeric(12,2), body text, mark text, primary key (a, b));
alter table shop.item alter body set storage external;
alter table shop.item replica identity full;
create table shop.code (id int primary key, code text not null, v int, mark text);
create unique index code_code on shop.code (code);
alter table shop.code replica identity using index code_code;
create table shop.part (id int, region int, v int, mark text, primary key (id, region)) partition by list (region);
create table shop.part_0 partition of shop.part for values in (0);
create table shop.part_1 partition of shop.part for values in (1);
create table shop.part_2 (region int not null, mark text, id int not null, v int);
alter table shop.part attach partition shop.part_2 for values in (2);
create table shop.scratch (id int primary key, mark text);
"""

# Weight and body of each statement; r: the writer's random numbers, m: a mark no other statement has.
KINDS = []


def kind(weight):
    def add(fn):
        KINDS.append((weight, fn))
        return fn
    return add


def _big(r):
    return r.randbytes(r.randint(1500, 5000)).hex()


@kind(10)
def upsert_account(cur, r, m):
    cur.execute("insert into shop.account values (%s, %s, %s, %s, %s) on conflict (id) do update "
                "set balance = excluded.balance, mark = excluded.mark",
                (r.randint(1, 150), r.randint(-999, 999), r.choice([None, "", "näh", "a\tb\n\\"]), _big(r), m))


@kind(12)
def update_beside_toast(cur, r, m):
    cur.execute("update shop.account set balance = balance + %s, mark = %s where id = %s",
                (r.randint(-5, 5), m, r.randint(1, 150)))


@kind(4)
def update_toast(cur, r, m):
    cur.execute("update shop.account set body = %s, mark = %s where id = %s", (_big(r), m, r.randint(1, 150)))


@kind(2)
def update_many(cur, r, m):
    low = r.randint(1, 150)
    cur.execute("update shop.account set balance = balance + 1, mark = %s || id where id between %s and %s",
                (m, low, low + r.randint(0, 60)))


@kind(4)
def change_key(cur, r, m):
    cur.execute("update shop.account set id = %s, mark = %s where id = %s and not exists "
                "(select from shop.account where id = %s)", (n := r.randint(1, 200), m, r.randint(1, 200), n))


@kind(1)
def swap_keys(cur, r, m):
    a, b = r.sample(range(1, 151), 2)
    for old, new in ((a, -a), (b, a), (-a, b)):
        cur.execute("update shop.account set id = %s, mark = %s where id = %s", (new, f"{m}.{new}", old))


@kind(4)
def delete_account(cur, r, m):
    cur.execute("delete from shop.account where id = %s", (r.randint(1, 150),))


@kind(1)
def delete_and_insert_again(cur, r, m):
    i = r.randint(1, 150)
    cur.execute("delete from shop.account where id = %s", (i,))
    cur.execute("insert into shop.account values (%s, 0, 'again', null, %s)", (i, m))


@kind(8)
def item(cur, r, m):
    key = (r.randint(1, 12), r.choice("abcdé"))
    cur.execute("insert into shop.item values (%s, %s, %s, %s, %s, %s) on conflict (a, b) do update "
                "set qty = shop.item.qty + 1, mark = excluded.mark",
                (*key, r.randint(0, 9), f"{r.randint(-10**9, 10**9)}.{r.randint(0, 99):02}", _big(r), m))


@kind(3)
def item_key(cur, r, m):
    cur.execute("update shop.item set a = a + 100, mark = %s where a = %s and b = %s and a < 1000",
                (m, r.randint(1, 12) + 100 * r.randint(0, 3), r.choice("abcdé")))


@kind(2)
def item_delete(cur, r, m):
    cur.execute("delete from shop.item where a %% 100 = %s and b = %s", (r.randint(1, 12), r.choice("abcdé")))


@kind(4)
def code(cur, r, m):
    i = r.randint(1, 60)
    cur.execute("insert into shop.code values (%s, %s, 0, %s) on conflict (id) do update "
                "set v = shop.code.v + 1, code = case when %s then excluded.code else shop.code.code end, mark = excluded.mark",
                (i, f"{i}-{m}", m, r.random() < 0.3))


@kind(1)
def code_delete(cur, r, m):
    cur.execute("delete from shop.code where id = %s", (r.randint(1, 60),))


@kind(4)
def part(cur, r, m):
    cur.execute("insert into shop.part values (%s, %s, 0, %s) on conflict (id, region) do update "
                "set v = shop.part.v + 1, mark = excluded.mark", (r.randint(1, 80), r.randint(0, 2), m))


@kind(2)
def part_move(cur, r, m):
    i, a, b = r.randint(1, 80), *r.sample(range(3), 2)
    cur.execute("delete from shop.part where id = %s and region = %s", (i, b))
    cur.execute("update shop.part set region = %s, mark = %s where id = %s and region = %s", (b, m, i, a))


@kind(4)
def scratch(cur, r, m):
    cur.execute("insert into shop.scratch select g, %s || g from generate_series(%s, %s) g on conflict do nothing",
                (m, n := r.randint(1, 500), n + r.randint(0, 40)))


@kind(0.5)
def truncate(cur, r, m):
    cur.execute("truncate shop.scratch")


class Writers:
    """`n` threads; with `transactions` each ends after so many, else they run until stop()."""

    def __init__(self, pg, seed, n=3, transactions=None, pause=0.0, db="postgres"):
        self.pg, self.seed, self.n, self.db, self.pause = pg, seed, n, db, pause
        self.transactions = transactions
        self.acked, self.unknown, self.failures = [], [], []
        self.stopping = threading.Event()
        self.weights = [w for w, _ in KINDS]
        self.threads = [threading.Thread(target=self._guarded, args=(i,), daemon=True) for i in range(n)]

    def start(self):
        for t in self.threads:
            t.start()
        return self

    def stop(self):
        self.stopping.set()
        return self.join()

    def join(self, timeout=120):
        for t in self.threads:
            t.join(timeout)
            assert not t.is_alive(), "a writer hangs"
        assert not self.failures, self.failures
        return self

    def _guarded(self, i):
        try:
            self._write(i)
        except Exception as e:  # a thread's exception must reach join()
            self.failures.append(repr(e))

    def _connect(self):
        while not self.stopping.is_set():
            try:
                con = self.pg.connect(self.db, autocommit=False)
                con.cursor().execute("set lock_timeout = '3s'")
                con.commit()
                return con
            except psycopg2.OperationalError:
                time.sleep(0.05)
        return None

    def _write(self, i):
        r, con, n = random.Random(f"{self.seed}/{i}"), None, 0
        while not self.stopping.is_set() and (self.transactions is None or n < self.transactions):
            con = con or self._connect()
            if con is None:
                break
            n += 1
            mark = f"{self.seed}/{i}/{n}"
            try:
                if self._transaction(con, r, mark, i):
                    self._commit(con, mark)
                else:
                    con.rollback()
            except (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.Error) as e:
                con = self._after_error(con, e)
            if self.pause:
                time.sleep(self.pause)
        if con is not None:
            con.close()

    def _commit(self, con, mark):
        try:
            con.commit()
        except psycopg2.Error:
            self.unknown.append(mark)
            raise
        self.acked.append(mark)

    @staticmethod
    def _after_error(con, e):
        """A conflict is part of the game; a lost connection is made again."""
        try:
            con.rollback()
            return con if not con.closed else None
        except psycopg2.Error:
            return None

    def _transaction(self, con, r, mark, i):
        """Runs the statements; whether to commit."""
        cur = con.cursor()
        for s in range(r.choice([1, 1, 1, 2, 3, 5, 12])):
            fn = r.choices(KINDS, self.weights)[0][1]
            if r.random() < 0.15:
                cur.execute("savepoint s")
                fn(cur, r, f"{mark}/{s}x")
                cur.execute("rollback to s" if r.random() < 0.6 else "release s")
            else:
                fn(cur, r, f"{mark}/{s}")
        cur.execute("insert into shop.txlog values (%s, %s)", (mark, i))
        return r.random() > 0.08
