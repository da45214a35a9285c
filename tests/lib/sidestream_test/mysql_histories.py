"""Random histories of copies of MySQL and MariaDB tables, as histories.py: tables are copied while everything happens to them,
and to the program, and copy_judge.py's rules are applied to what came out of it.

History n of a seed makes the same choices every time; where exactly a kill falls is up to the machine.
"""
import collections
import json
import math
import random
import signal
import time

import pymysql.err

from . import compare, copy_judge, http, mysql_oracle, mysql_workload, wait
from .compare import must
from .mysql_workload import _big

SCHEMA = mysql_workload.SCHEMA + """
create table shop.big (id bigint primary key, v int not null, body text, mark varchar(120));
create table shop.wide (a varchar(20), c decimal(10,2), b int, v int, body text, mark varchar(120), primary key (a, c, b)) character set utf8mb4;
create database extra character set utf8mb4;
create table extra.late (id bigint primary key, v int not null, body text, mark varchar(120));
"""
TABLES = [*mysql_workload.TABLES, "shop.big", "shop.wide"]
POINTS = ["snapshot.held", "snapshot.placed", "snapshot.range", "snapshot.range", "snapshot.read", "engine.before_commit",
          "engine.after_commit"]
KINDS = list(mysql_workload.KINDS)
BIG = ["shop.big", "extra.late"]  # of the same columns, as the added ones are


def fill(server, table, n):
    con = server.connect(autocommit=False)
    con.cursor().executemany(f"insert ignore into {table} values (%s, 0, %s, 'fill')",
                             [(g * 10, ("%x" % (g * 2654435761)) * (80 if g % 20 == 0 else 3)) for g in range(1, n + 1)])
    con.commit()
    con.close()


def fill_wide(server):
    con = server.connect(autocommit=False)
    con.cursor().executemany("insert into shop.wide values (%s, %s, %s, 0, %s, 'fill')",
                             [(chr(97 + g % 26) + ("", "ä", "Z", " ", "é'\"")[g % 5], g * 7 % 1000 / 4 - 99, g, "w" * (2000 if g % 9 == 0 else 5))
                              for g in range(1, 1201)])
    con.commit()
    con.close()


# ---- what is written, besides mysql_workload's ----------------------------------------------------------

def kind(weight):
    def add(fn):
        KINDS.append((weight, fn))
        return fn
    return add


def _table(r):
    return r.choice(BIG)


@kind(12)
def big_update(cur, r, m):
    cur.execute(f"update {_table(r)} set v = v + 1, mark = %s where id = %s", (m, r.randint(1, 4000) * 10))


@kind(5)
def big_moves(cur, r, m):
    """Far away, so that it crosses ranges."""
    cur.execute(f"update ignore {_table(r)} set id = %s, mark = %s where id >= %s order by id limit 1",
                (r.randint(1, 40000), m, r.randint(1, 40000)))


@kind(4)
def big_insert(cur, r, m):
    cur.execute(f"insert into {_table(r)} values (%s, 0, %s, %s) on duplicate key update body = values(body), mark = values(mark)",
                (r.randint(-100, 40100), r.choice([None, _big(r).hex()]), m))


@kind(3)
def big_delete(cur, r, m):
    cur.execute(f"delete from {_table(r)} where id >= %s order by id limit %s", (r.randint(1, 40000), r.randint(1, 4)))


@kind(2)
def big_many(cur, r, m):
    low = r.randint(1, 40000)
    cur.execute(f"update {_table(r)} set v = v + 1, mark = concat(%s, id) where id between %s and %s", (m, low, low + 900))


@kind(5)
def wide(cur, r, m):
    cur.execute("update shop.wide set v = v + 1, mark = %s where b = %s", (m, r.randint(1, 1200)))


@kind(3)
def wide_moves(cur, r, m):
    cur.execute("update ignore shop.wide set a = %s, c = c + 1, mark = %s where b = %s", (r.choice(["", "a", "zz", "Ä", "q\\'"]), m, r.randint(1, 1200)))


# ---- one history ------------------------------------------------------------------------------------------

class History:
    def __init__(self, all_of_them, n):
        self.all, self.l, self.server, self.n = all_of_them, all_of_them.l, all_of_them.server, n
        self.r = random.Random(f"{self.l.seed}/{self.server.kind}/{all_of_them.sink}/{n}")
        self.added, self.paused, self.said, self.interrupted = [], set(), [], set()
        BIG[:] = ["shop.big", "extra.late"]
        self._prepare()

    def _prepare(self):
        r, server = self.r, self.server
        server.sql("drop database if exists shop; drop database if exists extra;" + SCHEMA)
        for table, n in (("shop.big", 4000), ("extra.late", 1500)):
            fill(server, table, n)
        fill_wide(server)
        self.oracle = mysql_oracle.Oracle(server, ("shop.", "extra."), copied=True)
        self.writers = mysql_workload.Writers(server, f"{self.l.seed}/{self.n}", r.randint(1, 3), pause=r.choice([0.002, 0.01]), xa=0,
                                              truncate=0, kinds=KINDS)
        self.writers.weights = [x * r.choice([0.3, 1, 1, 3]) for x in self.writers.weights]
        self.face = http.Face()
        how = {"mode": r.choice(["auto", "auto", "ranged"]), "threads": r.randint(1, 3), "range_bytes": r.choice(["16KiB", "64KiB", "512KiB"]),
               "rate": r.choice([0, 0, "2MB", "2MB" if self.all.brief else "500kB"])}
        source = {"lock": r.choice(["auto", "auto", "never"])}
        capture = [{"tables": "shop.*"}] + ([{"tables": "extra.*"}] if r.random() < 0.3 else [])
        sink = {"commit_interval": r.choice(["10ms", "100ms"]), "idle_interval": "1s", **({"partitions": 3} if self.all.broker else {})}
        self.car = self.l.sidecar(server, folder=f"{server.kind}-{self.all.sink}{self.n}", name=f"{server.kind}{self.n}", capture=capture,
                                  http=self.face.settings, snapshot=how, source=source, kafka=self.all.broker, sink=sink)
        self.said.append(f"{how}, lock {source['lock']}, {self.writers.n} writers")

    def tables(self):
        extra = any(rule["tables"] == "extra.*" for rule in self.car.settings["capture"])
        return TABLES + self.added + (["extra.late"] if extra else [])

    def run(self):
        self.writers.start()
        self.car.start()
        time.sleep(self.r.choice([0, 0.2, 0.6]))
        for _ in range(self.r.randint(3, 4 if self.all.brief else 9)):
            if self.positioned():  # before it, a transaction that is prepared would be none of ours
                self.writers.xa, self.writers.truncate = 0.03, 0.003
            name = self.r.choices(list(ACTIONS), [w for w, _ in ACTIONS.values()])[0]
            said = ACTIONS[name][1](self)
            self.said.append(f"{name} {said}" if said else name)
            self.all.tally[name] += 1
            time.sleep(self.r.choice([0, 0.05, 0.3, 1]) * self.r.random())
            assert self.car.alive(), f"{name}: ended with {self.car.process.returncode}\n{self.car.log()[-2000:]}"
        self.writers.stop()
        for table in sorted(self.paused):
            wait.until(f"{table} to be resumed", lambda: self.command("resume", table) is not None, 60)
        if self.r.random() < 0.5:
            self.car.kill9()
        else:
            assert self.car.terminate(60) in (0, -15), f"SIGTERM: {self.car.process.returncode}\n{self.car.log()[-2000:]}"  # -15: as below
        self.car.catch_up()
        return self.judge()

    def positioned(self):
        return self.car.position() is not None

    def command(self, what, table, seconds=20):
        """What became of it; None: nobody knows."""
        end, number = time.monotonic() + seconds, None
        while time.monotonic() < end and self.car.alive():
            got = self.face.ask("/commands", None if number else {"command": what, "table": table})
            if got and got[0] == 202:
                number = json.loads(got[1])["id"]
            elif got and number:
                mine = [c for c in json.loads(got[1]) if c["id"] == number]
                if mine and mine[0]["state"] in ("done", "failed"):
                    return mine[0]
            time.sleep(0.02)
        return None

    def again(self):
        self.car.kill9()
        self.car.start()

    def judge(self):
        tables, log = self.tables(), self.car.output()
        rows, events = list(log.rows()), self.oracle.events()
        keys = {t: self.server.key_columns(t) for t in sorted({r.table for r in rows} | {e.table for e in events})}
        copy_judge.states(self.car, tables)
        begin = beginning(self.car)
        for table in sorted(set(tables) - self.interrupted):
            copy_judge.once(table, rows, changes(table, rows, events, begin), keys)
        read = copy_judge.not_stale(rows, events, keys)
        state = copy_judge.fold(rows, keys)
        for table in tables:
            compare.tables_equal(self.server, [c for c in state[table].values() if not c["__deleted"]], table, "fold of the log")
        total = compare.replica(self.server, self.car.replica(), tables)
        if self.n % 3 == 0:
            copy_judge.verified(self.car)
        got = self.car.call("fsck", "CONFIG")
        must(got.code == 0 or self.car.kafka, f"fsck: {got!r}")
        return f"{read} rows read, {len(rows) - read} changes, {total} rows equal"


def changes(table, rows, events, begin):
    """The table's events behind that beginning. A TRUNCATE may be left out when nothing of the table had been written before, or
    ever was: it may be empty when it is copied."""
    place, gtids = begin
    first = min((r.place()[1] for r in rows if r.table == table), default=math.inf)
    return [e for e in events if e.table == table and e.place >= place and not contains(gtids, e.xid)
            and (e.op != "T" or e.place >= first)]


def beginning(car):
    """Where the pipeline's stream begins, its first position: (place, GTIDs). The set may have more than lies before the place."""
    if car.kafka:
        first = next(v for v in car.output().control().values("position") if v)
    else:
        first = next(c["delta"]["position"] for c in car.output().commits() if c.get("delta", {}).get("position"))
    at = json.loads(first)
    must(at["kind"] == "tx", f"the first position is {first}")
    return int(at["file"].rsplit(".", 1)[1]) << 64 | at["pos"], at["gtids"] or ""


def contains(gtids, one):
    """MariaDB: 0-1-100, all of the domain up to it. MySQL: uuid:1-5:7."""
    head, _, number = one.rpartition("-" if ":" not in one else ":")
    for part in gtids.split(","):
        if ":" not in one:
            domain, _, upto = part.split("-") if part else (None, None, 0)
            if domain == head.split("-")[0] and int(number) <= int(upto):
                return True
        elif part.startswith(head + ":"):
            spans = [span.split("-") for span in part[len(head) + 1:].split(":")]
            return any(int(s[0]) <= int(number) <= int(s[-1]) for s in spans)
    return False


# ---- what happens: name -> (weight, what it does; what it says) ----------------------------------------------

ACTIONS = {}


def action(weight):
    def add(fn):
        ACTIONS[fn.__name__] = (weight, fn)
        return fn
    return add


@action(6)
def kill(h):
    for _ in range(h.r.randint(1, 4)):
        h.again()
        h.all.tally["kills"] += 1
        time.sleep(h.r.choice([0.05, 0.3, 1]) * h.r.random())


@action(5)
def point(h):
    name = f"{h.r.choice(POINTS)}:{h.r.choice([1, 1, 2, 3, 7])}"
    h.car.kill9()
    h.car.start(env={"SIDESTREAM_CRASH": name})
    end = time.monotonic() + 2
    while h.car.alive() and time.monotonic() < end:
        time.sleep(0.01)
    died = not h.car.alive()
    if died:
        assert h.car.process.returncode == -signal.SIGKILL, f"{name}: ended with {h.car.process.returncode}\n{h.car.log()[-2000:]}"
        h.all.tally["kills at points"] += 1
    h.again()
    return name if died else f"{name} (did not come)"


@action(4)
def repeat(h):
    table = h.r.choice(h.tables())
    got = h.command("snapshot", table, 5)
    return f"{table}: {got and got['state']}"


@action(3)
def pause(h):
    table = h.r.choice(h.tables())
    h.paused.add(table)
    h.interrupted.add(table)
    got = h.command("pause", table, 5)
    time.sleep(0.5 * h.r.random())
    if h.r.random() < 0.3:
        h.again()
    if h.r.random() < 0.6 and h.command("resume", table, 5):
        h.paused.discard(table)
    return f"{table}: {got and got['state']}{'' if table in h.paused else ', resumed'}"


@action(3)
def add(h):
    """A table under the glob, with rows of its first transaction."""
    name = f"shop.added{len(h.added)}"
    h.server.sql(f"create table {name} (id bigint primary key, v int not null, body text, mark varchar(120))")
    fill(h.server, name, 1500)
    h.added.append(name)
    h.interrupted.add(name)  # it is not known from where on it is captured
    BIG.append(name)
    how = h.r.choice(["HUP", "again", "nothing"])
    if how == "HUP":
        h.car.process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        if h.car.process.poll() == -signal.SIGHUP:  # not yet in its main
            h.car.start()
    elif how == "again":
        h.again()
    return f"{name}, {how}"


@action(1)
def add_schema(h):
    """By the configuration."""
    if "extra.late" not in h.tables():
        h.car.settings["capture"].append({**h.car.settings["capture"][0], "tables": "extra.*"})
        h.car.write_config()
        h.interrupted.add("extra.late")
        h.again()


@action(2)
def truncate(h):
    table = h.r.choice(["shop.big", "shop.wide", "shop.account"])
    said = altered(h, f"truncate {table}")
    if h.r.random() < 0.7 and table == "shop.big":
        fill(h.server, "shop.big", 1500)
    return said


@action(3)
def rebuild(h):
    """It changes nothing that a consumer sees; a copy that runs must go on with it."""
    table = h.r.choice([t for t in h.tables() if t != "shop.part"])
    return altered(h, h.r.choice(["alter table {0} engine=innodb, algorithm=copy", "alter table {0} force",
                                  "alter table {0} add column zz int, algorithm=copy; alter table {0} drop column zz"]).format(table))


def altered(h, statement):
    """An application's migration: it must not wait for the copy for long."""
    began = time.monotonic()
    try:
        h.server.sql("set lock_wait_timeout = 8; " + statement)
    except pymysql.err.MySQLError as e:
        return f"{statement}: {e.args}"
    seconds = time.monotonic() - began
    must(seconds < 7, f"{statement} took {seconds:.1f} s")
    return statement


@action(2)
def terminate(h):
    assert h.car.terminate(60) in (0, -15), f"SIGTERM: {h.car.process.returncode}\n{h.car.log()[-2000:]}"  # -15: not yet in its main
    h.car.start()


@action(2)
def disconnect(h):
    """One session of it, or all."""
    mine = h.server.sessions(lambda user, command: user == "cdc")
    for number in mine if h.r.random() < 0.3 else h.r.sample(mine, min(1, len(mine))):
        try:
            h.server.sql(f"kill {number}")
        except pymysql.err.MySQLError:
            pass  # gone by itself


@action(1)
def rotate(h):
    h.server.sql("flush binary logs")


# ---- many of them ----------------------------------------------------------------------------------------------

class Histories:
    """`brief`: shorter ones."""

    def __init__(self, l, server, sink, broker=None, brief=False):
        self.l, self.server, self.sink, self.broker, self.brief = l, server, sink, broker, brief
        self.tally = collections.Counter()

    def one(self, n):
        began, h = time.monotonic(), None
        try:
            h = History(self, n)
            told = h.run()
        except BaseException:
            self.l.keep_lakes = True
            self.l.step(f"history {n} failed (seed {self.l.seed}, {self.server.kind}, {self.sink}): {'; '.join(h.said) if h else ''}")
            if h:
                keep(h)
            raise
        self.l.step(f"history {n}: {'; '.join(h.said)}: {told}, {time.monotonic() - began:.1f} s")

    def run(self, count, first=0):
        began = time.monotonic()
        for n in range(first, first + count):
            self.one(n)
        self.l.step(f"{count} histories, {self.server.kind}, {self.sink}, seed {self.l.seed}, {time.monotonic() - began:.0f} s: "
                    f"{dict(self.tally)}; every replica equal to its source")


def keep(h):
    """What the server knew, beside the lake."""
    try:
        with open(h.car.folder / "source.txt", "w") as out:
            for e in h.oracle.events():
                out.write(f"{e.place:X} {e.ordinal} {e.op} {e.table} old {copy_judge.brief(e.old)} new {copy_judge.brief(e.new)}\n")
        (h.car.folder / "checkpoint.json").write_text(json.dumps(copy_judge.checkpoint(h.car), indent=1))
    except Exception as e:  # of secondary importance
        print(f"evidence: {e!r}")
