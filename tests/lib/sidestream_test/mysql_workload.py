"""Concurrent writers with a seed, as workload.py, for what MySQL and MariaDB have and PostgreSQL has not.

Inserts, updates of some columns, REPLACE and ON DUPLICATE KEY (which come as what they did), key changes and swaps, keys
that differ in case alone, deletes over two tables, TRUNCATE (which commits what was open), savepoints, rollbacks, partitions,
XA: prepared, then committed or rolled back, by the same connection or another one. Every transaction that commits leaves a row
in shop.txlog, whose id is known here: `acked` holds those whose COMMIT was answered, `unknown` those whose answer never came.
"""
import collections
import random
import threading
import time

import pymysql
import pymysql.err

from . import workload
from .wait import until

SCHEMA = """
create database shop character set utf8mb4;
create table shop.txlog (id varchar(100) character set ascii primary key, writer int not null);
create table shop.account (id int primary key, balance int not null, note varchar(100), body mediumtext, mark varchar(120));
create table shop.item (a int, b varchar(20) character set utf8mb4 collate utf8mb4_bin, qty int unsigned, price decimal(12,2),
    body blob, mark varchar(120), primary key (b, a));
create table shop.code (id int primary key, code varchar(150) not null unique, v int, mark varchar(120));
create table shop.word (word varchar(40) primary key, v int, mark varchar(120)) collate utf8mb4_general_ci;
create table shop.part (id int, region int, v int, mark varchar(120), primary key (id, region))
    partition by list (region) (partition p0 values in (0), partition p1 values in (1), partition p2 values in (2));
create table shop.scratch (id int primary key, mark varchar(120));
"""
TABLES = ["shop.account", "shop.item", "shop.code", "shop.word", "shop.part", "shop.scratch", "shop.txlog"]
WORDS = ["Äpfel", "äpfel", "apfel", "APFEL", "näh \U0001F600", "NÄH \U0001F600", "ß", "ss", "a b", "\U0001F600", "\U0001F601", "z", "Z",
         "'q\\u", "日本", "日本語", "", "%_", "é", "e", "E"]

# Weight and body of each statement; r: the writer's random numbers, m: a mark no other statement has.
KINDS = []


def kind(weight):
    def add(fn):
        KINDS.append((weight, fn))
        return fn
    return add


def _big(r):
    return r.randbytes(r.randint(800, 4000))


@kind(10)
def upsert_account(cur, r, m):
    cur.execute("insert into shop.account values (%s, %s, %s, %s, %s) on duplicate key update balance = values(balance), "
                "mark = values(mark)", (r.randint(1, 150), r.randint(-999, 999), r.choice([None, "", "näh", "a\tb\n\\"]), _big(r).hex(), m))


@kind(10)
def update_some(cur, r, m):
    cur.execute("update shop.account set balance = balance + %s, mark = %s where id = %s", (r.randint(-5, 5), m, r.randint(1, 150)))


@kind(4)
def update_body(cur, r, m):
    cur.execute("update shop.account set body = %s, mark = %s where id = %s", (_big(r).hex(), m, r.randint(1, 150)))


@kind(2)
def update_many(cur, r, m):
    low = r.randint(1, 150)
    cur.execute("update shop.account set balance = balance + 1, mark = concat(%s, id) where id between %s and %s",
                (m, low, low + r.randint(0, 60)))


@kind(3)
def replace_account(cur, r, m):
    cur.execute("replace into shop.account values (%s, %s, 'replaced', null, %s)", (r.randint(1, 150), r.randint(-9, 9), m))


@kind(4)
def change_key(cur, r, m):
    cur.execute("update ignore shop.account set id = %s, mark = %s where id = %s", (r.randint(1, 200), m, r.randint(1, 200)))


@kind(1)
def swap_keys(cur, r, m):
    a, b = r.sample(range(1, 151), 2)
    for old, new in ((a, -a), (b, a), (-a, b)):
        cur.execute("update shop.account set id = %s, mark = %s where id = %s", (new, f"{m}.{new}", old))


@kind(1)
def shift_keys(cur, r, m):
    """One statement in which each row takes the key that the one before it has just left."""
    low = r.randint(1, 120)
    cur.execute("update shop.account set id = id + 1, mark = concat(%s, '.', id) where id between %s and %s order by id desc",
                (m, low, low + r.randint(1, 8)))


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
    cur.execute("insert into shop.item values (%s, %s, %s, %s, %s, %s) on duplicate key update qty = qty + 1, mark = values(mark)",
                (r.randint(1, 12), r.choice("abcdéE\U0001F600"), r.choice([0, 4294967290]),
                 f"{r.randint(-10**9, 10**9)}.{r.randint(0, 99):02}", r.choice([None, b"", _big(r)]), m))


@kind(3)
def item_key(cur, r, m):
    cur.execute("update ignore shop.item set a = a + 100, mark = %s where a = %s and b = %s and a < 1000",
                (m, r.randint(1, 12) + 100 * r.randint(0, 3), r.choice("abcdéE\U0001F600")))


@kind(2)
def item_delete(cur, r, m):
    cur.execute("delete from shop.item where a %% 100 = %s and b = %s", (r.randint(1, 12), r.choice("abcdéE\U0001F600")))


@kind(4)
def code(cur, r, m):
    cur.execute("insert into shop.code values (%s, %s, 0, %s) on duplicate key update v = v + 1, mark = values(mark)",
                (r.randint(1, 60), f"{r.randint(1, 90)}", m))


@kind(2)
def code_replace(cur, r, m):
    """It may take the place of two rows."""
    cur.execute("replace into shop.code values (%s, %s, 7, %s)", (r.randint(1, 60), f"{r.randint(1, 90)}", m))


@kind(1)
def code_delete(cur, r, m):
    cur.execute("delete from shop.code where id = %s", (r.randint(1, 60),))


@kind(4)
def word(cur, r, m):
    """To the server some of these are the same key; to a consumer they are not."""
    cur.execute("insert into shop.word values (%s, 0, %s) on duplicate key update v = v + 1, word = values(word), mark = values(mark)",
                (r.choice(WORDS), m))


@kind(2)
def word_replace(cur, r, m):
    cur.execute("replace into shop.word values (%s, 9, %s)", (r.choice(WORDS), m))


@kind(1)
def word_delete(cur, r, m):
    cur.execute("delete from shop.word where word = %s", (r.choice(WORDS),))


@kind(4)
def part(cur, r, m):
    cur.execute("insert into shop.part values (%s, %s, 0, %s) on duplicate key update v = v + 1, mark = values(mark)",
                (r.randint(1, 80), r.randint(0, 2), m))


@kind(2)
def part_move(cur, r, m):
    cur.execute("update ignore shop.part set region = %s, mark = %s where id = %s and region = %s",
                (r.randint(0, 2), m, r.randint(1, 80), r.randint(0, 2)))


@kind(2)
def two_tables(cur, r, m):
    """One statement, rows of both between each other in the log."""
    low = r.randint(1, 60)
    cur.execute("update shop.account a join shop.code c on a.id = c.id set a.balance = a.balance + 1, c.v = c.v + 1, "
                "a.mark = concat(%s, 'a', a.id), c.mark = concat(%s, 'c', c.id) where a.id between %s and %s", (m, m, low, low + 9))


@kind(1)
def delete_two_tables(cur, r, m):
    cur.execute("delete a, c from shop.account a join shop.code c on a.id = c.id where a.id = %s", (r.randint(1, 60),))


@kind(4)
def scratch(cur, r, m):
    n = r.randint(1, 500)
    cur.execute("insert ignore into shop.scratch values " + ", ".join(f"({i}, '{m}{i}')" for i in range(n, n + r.randint(1, 40))))


class Writers(workload.Writers):
    """`n` threads; with `transactions` each ends after so many, else they run until stop(). `xa`, `truncate`: how often."""

    def __init__(self, server, seed, n=3, transactions=None, pause=0.0, xa=0.05, truncate=0.003, kinds=None):
        super().__init__(server, seed, n, transactions, pause)
        self.kinds = kinds or KINDS
        self.weights = [w for w, _ in self.kinds]
        self.xa, self.truncate, self.prepared, self.xas = xa, truncate, {}, 0
        self.done, self.lock = collections.Counter(), threading.Lock()

    def without_xa(self):
        """From here on. Returns when no writer is inside of one: each has committed twice since, the first of them perhaps by XA."""
        self.xa, before = 0, len(self.acked)

        def twice():
            done = collections.Counter(mark.split("/")[-2] for mark in self.acked[before:])
            return all(done[str(i)] >= 2 for i in range(self.n)) and not self.prepared
        until("every writer to commit without XA", twice, 60)
        return self

    def _connect(self):
        while not self.stopping.is_set():
            try:
                con = self.pg.connect("shop", autocommit=False)
                con.cursor().execute("set lock_wait_timeout = 3, innodb_lock_wait_timeout = 1")
                return con
            except pymysql.err.MySQLError:
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
                self._one(con, r, mark, i)
            except (pymysql.err.MySQLError, OSError, AttributeError, RuntimeError) as e:
                self.done[f"error {e.args[0] if e.args else e!r}"] += 1
                con = self._after_error(con, i)
            if self.pause:
                time.sleep(self.pause)
        if con is not None:
            con.close()

    def _one(self, con, r, mark, i):
        self._settle(con, i)
        if r.random() < self.truncate:
            con.cursor().execute("truncate shop.scratch")
        elif r.random() < self.xa:
            self._prepared(con, r, mark, i)
        elif self._transaction(con, r, mark, i):
            self._commit(con, mark)
        else:
            con.rollback()

    def _commit(self, con, mark):
        try:
            con.commit()
        except Exception:
            self.unknown.append(mark)
            raise
        self.acked.append(mark)

    def _prepared(self, con, r, mark, i):
        """XA: ended in one phase, at once, or by another connection, some of them rolled back."""
        with self.lock:
            self.xas += 1
            name = f"'{self.seed[-40:]}.{self.xas}','{i}',{self.xas % 3 + 1}"
        cur = con.cursor()
        cur.execute(f"xa start {name}")
        keep = self._transaction(con, r, mark, i, savepoints=False)
        cur.execute(f"xa end {name}")
        if keep and r.random() < 0.2:
            self.unknown.append(mark)
            cur.execute(f"xa commit {name} one phase")
            return self._ended("one phase", mark)
        self.prepared[i] = (name, mark, keep, con)
        if keep:
            self.unknown.append(mark)
        cur.execute(f"xa prepare {name}")
        self.done["prepared"] += 1
        if r.random() < 0.4:
            time.sleep(0.1 * r.random())  # others commit between the two
        if r.random() < 0.3:
            con.close()  # the next one ends it
            raise OSError
        self._settle(con, i)

    def _settle(self, con, i):
        """Ends what this writer has prepared, perhaps on an earlier connection, perhaps before the server's crash."""
        if i not in self.prepared:
            return
        name, mark, keep, owner = self.prepared[i]
        try:
            self._end(con, owner, f"xa {'commit' if keep else 'rollback'} {name}")
            self._ended("xa commit" if keep else "xa rollback", mark if keep else None)
        except pymysql.err.MySQLError as e:
            if e.args[0] not in (1397, 1402):  # XAER_NOTA: ended, or never prepared; XA_RBROLLBACK
                raise
        del self.prepared[i]

    def _end(self, con, owner, text):
        if con is owner:
            con.cursor().execute(text)
            return
        self.pg.left(owner.thread_id())
        con.autocommit(True)  # MariaDB wants it from those who did not prepare it
        try:
            con.cursor().execute(text)
        finally:
            con.autocommit(False)

    def _ended(self, what, mark):
        self.done[what] += 1
        if mark:
            self.unknown.remove(mark)
            self.acked.append(mark)

    def _after_error(self, con, i):
        """A conflict is part of the game; a lost connection is made again. One in an XA is not worth saving."""
        try:
            con.rollback()
            return con
        except (pymysql.err.MySQLError, OSError, AttributeError):
            try:
                con.close()
            except (pymysql.err.MySQLError, OSError):
                pass
            return None

    def join(self, timeout=120):
        super().join(timeout)
        for i in list(self.prepared):
            con = self.pg.connect()
            self._settle(con, i)
            con.close()
        return self

    def _transaction(self, con, r, mark, i, savepoints=True):
        """Runs the statements; whether to commit."""
        cur = con.cursor()
        for s in range(r.choice([1, 1, 1, 2, 3, 5, 12])):
            fn = r.choices(self.kinds, self.weights)[0][1]
            if savepoints and r.random() < 0.15:
                cur.execute("savepoint s")
                fn(cur, r, f"{mark}/{s}x")
                cur.execute("rollback to savepoint s" if r.random() < 0.6 else "release savepoint s")
            else:
                fn(cur, r, f"{mark}/{s}")
        cur.execute("insert into shop.txlog values (%s, %s)", (mark, i))
        return r.random() > 0.08
