"""Random histories of copies: tables are copied while everything happens to them, and to the program.

One history: writers work, a pipeline is begun, and the program is killed, tables are added, paused, resumed, asked for again,
truncated, rewritten, while commits wait for a standby that stands still and transactions stay open. Then all calms down,
`run --until-caught-up` ends the rest, and copy_judge.py judges. History n of a seed makes the same choices every time; where
exactly a kill falls is up to the machine.
"""
import collections
import json
import pathlib
import random
import signal
import subprocess
import time

import psycopg2

from . import copy_judge, http, postgres, wait, workload
from .workload import _big

SCHEMA = workload.SCHEMA + """
create table shop.big (id bigint primary key, v int not null, body text, mark text);
alter table shop.big alter body set storage external;
create table shop.wide (a text, b int, c uuid, v int, body text, mark text, primary key (a, c, b));
alter table shop.wide alter body set storage external;
create schema extra;
create table extra.late (id int primary key, v int not null, body text, mark text);
alter table extra.late alter body set storage external;
insert into shop.big select g * 10, 0, case when g % 20 = 0 then repeat(md5(g::text), 80) else md5(g::text) end, 'fill'
    from generate_series(1, 6000) g;
insert into shop.wide select chr(97 + g % 26) || (array['', 'ä', 'Z', ' ', 'é''"'])[1 + g % 5], g, md5(g::text)::uuid, 0,
    case when g % 9 = 0 then repeat(md5(g::text), 70) end, 'fill' from generate_series(1, 1500) g;
insert into extra.late select g, 0, md5(g::text), 'fill' from generate_series(1, 2000) g;
"""
TABLES = ["shop.account", "shop.item", "shop.code", "shop.part", "shop.scratch", "shop.txlog", "shop.big", "shop.wide"]
BIG = ["shop.big", "extra.late"]  # of the same columns, as the added ones are
POINTS = ["snapshot.held", "snapshot.placed", "snapshot.range", "snapshot.range", "snapshot.read", "engine.before_commit",
          "engine.after_commit"]
# Each writes every row of the table anew; its columns stay what they are.
REWRITES = ["alter table {0} alter mark type text using mark || ''", "vacuum full {0}",
            "alter table {0} alter mark type varchar(200) using mark::varchar(200)",
            "alter table {0} alter mark type text using substr(mark, 1)"]

# ---- what is written ---------------------------------------------------------------------------------

KINDS = list(workload.KINDS)


def kind(weight):
    def add(fn):
        KINDS.append((weight, fn))
        return fn
    return add


def _table(r):
    return r.choice(BIG)


@kind(12)
def big_beside_toast(cur, r, m):
    cur.execute(f"update {_table(r)} set v = v + 1, mark = %s where id = (%s / 10) * 10", (m, r.randint(1, 60000)))


@kind(5)
def big_moves(cur, r, m):
    """Far away, so that it crosses ranges, with its unsent body."""
    t = _table(r)
    cur.execute(f"update {t} set id = %s, mark = %s where id = (select id from {t} where id >= %s order by id limit 1) "
                f"and not exists (select from {t} where id = %s)", (n := r.randint(1, 60000), m, r.randint(1, 60000), n))


@kind(4)
def big_insert(cur, r, m):
    cur.execute(f"insert into {_table(r)} values (%s, 0, %s, %s) on conflict (id) do update set body = excluded.body, mark = "
                "excluded.mark", (r.randint(-100, 60100), r.choice([None, _big(r)]), m))


@kind(3)
def big_delete(cur, r, m):
    t = _table(r)
    cur.execute(f"delete from {t} where id in (select id from {t} where id >= %s order by id limit %s)",
                (r.randint(1, 60000), r.randint(1, 4)))


@kind(2)
def big_many(cur, r, m):
    low = r.randint(1, 60000)
    cur.execute(f"update {_table(r)} set v = v + 1, mark = %s || id where id between %s and %s", (m, low, low + 900))


@kind(5)
def wide(cur, r, m):
    cur.execute("update shop.wide set v = v + 1, mark = %s where b = %s", (m, r.randint(1, 1500)))


@kind(3)
def wide_moves(cur, r, m):
    cur.execute("update shop.wide set a = %s, mark = %s where b = %s", (r.choice(["", "a", "zz", "Ä", "q\\'"]), m, r.randint(1, 1500)))


@kind(2)
def wide_delete(cur, r, m):
    b = r.randint(1, 1500)
    cur.execute("delete from shop.wide where b = %s", (b,))
    if r.random() < 0.7:
        cur.execute("insert into shop.wide values (%s, %s, md5(%s)::uuid, 0, %s, %s)", (r.choice("azm"), b, m, _big(r), m))


class Writers(workload.Writers):
    """`slow`: its transactions stay open for up to so many seconds. `synchronous`: its commits wait for the standby."""

    def __init__(self, pg, seed, n, slow=0.0, synchronous=False, pause=0.01):
        super().__init__(pg, seed, n, pause=pause)
        self.slow, self.synchronous = slow, synchronous
        self.weights = [w for w, _ in KINDS]

    def _connect(self):
        con = super()._connect()
        if con and self.synchronous:
            con.cursor().execute("set synchronous_commit = on")
            con.commit()
        return con

    def _transaction(self, con, r, mark, i):
        cur = con.cursor()
        for s in range(r.choice([1, 2, 3] if self.slow else [1, 1, 1, 2, 3, 5, 12])):
            fn = r.choices(KINDS, self.weights)[0][1]
            if r.random() < 0.15:
                cur.execute("savepoint s")
                fn(cur, r, f"{mark}/{s}x")
                cur.execute("rollback to s" if r.random() < 0.6 else "release s")
            else:
                fn(cur, r, f"{mark}/{s}")
            if self.slow:
                self.stopping.wait(self.slow * r.random())
        cur.execute("insert into shop.txlog values (%s, %s)", (mark, i))
        return r.random() > 0.08


class Standby:
    """pg_receivewal as the synchronous standby: commits of those who ask for one wait while it stands still."""
    CONF = ["synchronous_standby_names = 'sst_sync'", "synchronous_commit = local"]

    def __init__(self, l, pg):
        folder = pg.base.with_name(f"{pg.base.name}-receivewal")
        folder.mkdir()
        where = f"host={pg.base} port={pg.port} user=postgres application_name=sst_sync"
        tool = pathlib.Path(pg.bin) / "pg_receivewal"
        if not tool.exists():  # the binaries of 14 and 16 are servers alone
            tool = pathlib.Path(postgres.fetch("15")) / "pg_receivewal"
        with open(folder.with_suffix(".log"), "ab") as log:
            self.process = subprocess.Popen([tool, "-D", folder, "-d", where, "--synchronous"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        l.undo.append(self.end)
        wait.until("a synchronous standby", lambda: pg.value("select sync_state from pg_stat_replication where "
                                                             "application_name = 'sst_sync'") == "sync")

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self):
        self.process.kill()
        self.process.wait()


# ---- one history -------------------------------------------------------------------------------------

class History:
    def __init__(self, all_of_them, n):
        self.all, self.l, self.pg, self.n = all_of_them, all_of_them.l, all_of_them.pg, n
        self.r = random.Random(f"{self.l.seed}/{all_of_them.sink}/{n}")
        self.added, self.paused, self.said = [], set(), []
        self.tally = all_of_them.tally
        self.prepare()

    def prepare(self):
        r, pg = self.r, self.pg
        pg.sql("drop schema if exists shop cascade; drop schema if exists extra cascade")
        pg.sql(SCHEMA)
        self.judge = copy_judge.Judge(pg)
        self.writers = [Writers(pg, f"{self.l.seed}/{self.n}", r.randint(1, 3), pause=r.choice([0.002, 0.01]))]
        if r.random() < 0.6:
            self.writers.append(Writers(pg, f"{self.l.seed}/{self.n}/slow", 1, slow=r.choice([0.3, 0.8])))
        if r.random() < 0.7:
            self.writers.append(Writers(pg, f"{self.l.seed}/{self.n}/sync", 2, synchronous=True))
        for w in self.writers:
            w.weights = [x * r.choice([0.3, 1, 1, 3]) for x in w.weights]
        self.face = http.Face()
        how = {"mode": r.choice(["auto", "ranged"]), "threads": r.randint(1, 3), "range_bytes": r.choice(["16KiB", "64KiB", "512KiB"]),
               "rate": r.choice([0, 0, "2MB" if self.all.brief else "500kB", "2MB"])}
        capture = [{"tables": "shop.*", "priority": 1}] + ([{"tables": "extra.*"}] if r.random() < 0.3 else [])
        self.car = self.l.sidecar(pg, folder=f"{self.all.sink}{self.n}", name=f"h{self.n}", capture=capture, http=self.face.settings, snapshot=how,
                                  source={"copy_split": r.choice(["auto", "key", "ctid"])}, kafka=self.all.broker,
                                  sink={"commit_interval": r.choice(["10ms", "100ms"]), "idle_interval": "1s", **({"partitions": 3} if self.all.broker else {})})
        self.said.append(f"{how}, {self.car.settings['source']['copy_split']}, {sum(w.n for w in self.writers)} writers")

    def tables(self):
        extra = any(rule["tables"] == "extra.*" for rule in self.car.settings["capture"])
        return TABLES + self.added + (["extra.late"] if extra else [])

    def run(self):
        """
        Until the pipeline has a position nobody rewrites or truncates: PostgreSQL's own fault, a slot that is made just then
        cannot be read ("could not map filenode").
        """
        weights = [w.weights for w in self.writers]
        for w in self.writers:
            w.weights = [x * (fn is not workload.truncate) for x, (_, fn) in zip(w.weights, KINDS)]
            w.start()
        self.car.start()
        time.sleep(self.r.choice([0, 0.2, 0.6]))
        for _ in range(self.r.randint(3, 4 if self.all.brief else 9)):
            name = self.r.choices(list(ACTIONS), [w for w, _ in ACTIONS.values()])[0]
            if name in ("rewrite", "truncate") and not self.positioned():
                name = "kill"
            if self.positioned():
                for w, full in zip(self.writers, weights):
                    w.weights = full
            said = ACTIONS[name][1](self)
            self.said.append(f"{name} {said}" if said else name)
            self.tally[name] += 1
            time.sleep(self.r.choice([0, 0.05, 0.3, 1]) * self.r.random())
            self.alive(name)
        self.calm()
        self.car.catch_up()
        return self.judge.all(self)

    def positioned(self):
        if self.all.broker and f"_sidestream.{self.car.name}" not in self.all.broker.topics():
            return False
        return "position" in copy_judge.checkpoint(self.car)

    def alive(self, what):
        assert self.car.alive(), f"{what}: ended with {self.car.process.returncode}\n{self.car.log()[-2000:]}"

    def calm(self):
        """Nobody writes any more, nothing is paused; the rest is left to run --until-caught-up."""
        self.all.standby.go_on()
        for w in self.writers:
            w.stop()
        for table in sorted(self.paused):
            wait.until(f"{table} to be resumed", lambda: self.command("resume", table) is not None, 60)
        if self.r.random() < 0.5:
            self.car.kill9()
        else:
            assert self.car.terminate(60) in (0, -15), f"SIGTERM: {self.car.process.returncode}\n{self.car.log()[-2000:]}"  # -15: as below

    def command(self, what, table, seconds=20):
        """What became of it (state, outcome); None: nobody knows."""
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

    def end(self):
        assert self.car.call("drop", "CONFIG", "--yes").code == 0
        self.judge.end()
        if self.all.broker:
            for topic in [t for t in self.all.broker.topics() if t.startswith(f"{self.car.name}.") or t == f"_sidestream.{self.car.name}"]:
                self.all.broker.delete(topic)


# ---- what happens: name -> (weight, what it does; what it says) -----------------------------------------

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
        h.tally["kills"] += 1
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
        h.tally["kills at points"] += 1
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
    h.judge.interrupted.add(table)
    got = h.command("pause", table, 5)
    time.sleep(0.5 * h.r.random())
    if h.r.random() < 0.3:
        h.again()
    if h.r.random() < 0.6:
        resumed = h.command("resume", table, 5)
        if resumed:
            h.paused.discard(table)
    return f"{table}: {got and got['state']}{'' if table in h.paused else ', resumed'}"


@action(3)
def add(h):
    """A table under the glob, with rows from before and of its first transaction."""
    name = f"shop.added{len(h.added)}"
    h.pg.sql(f"create table {name} (id bigint primary key, v int not null, body text, mark text); "
             f"alter table {name} alter body set storage external; insert into {name} select g * 10, 0, "
             f"case when g % 20 = 0 then repeat(md5(g::text), 80) else md5(g::text) end, 'fill' from generate_series(1, 2000) g")
    h.added.append(name)
    h.judge.interrupted.add(name)  # it is not known from where on it is captured
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
        h.judge.interrupted.add("extra.late")
        h.again()


@action(4)
def rewrite(h):
    table, how = h.r.choice(h.tables()), h.r.choice(REWRITES)
    if table == "shop.part":  # one partition alone
        table, how = f"shop.part_{h.r.randint(0, 2)}", REWRITES[1]
    elif table == "shop.txlog":
        table = "shop.big"
    return altered(h, how.format(table))


@action(1)
def truncate(h):
    table = h.r.choice(["shop.big", "shop.wide", "shop.account"])
    said = altered(h, f"truncate {table}")
    if h.r.random() < 0.7 and table == "shop.big":
        h.pg.sql("insert into shop.big select g, 0, repeat(md5(g::text), 3), 'filled' from generate_series(20001, 23000) g "
                 "on conflict do nothing")
    return said


def altered(h, statement):
    """A strong lock, as an application's migration asks for it: it must not wait for the copy for long (copy_judge.Locks)."""
    con = h.pg.connect()
    try:
        con.cursor().execute("set lock_timeout = '8s'")
        con.cursor().execute(statement)
        return statement
    except psycopg2.Error as e:
        return f"{statement}: {str(e).splitlines()[0]}"
    finally:
        con.close()


@action(4)
def stall(h):
    """Commits of the synchronous writers are in the log, and nobody sees them yet."""
    h.all.standby.pause()
    time.sleep(h.r.choice([0.1, 0.5, 2]) * h.r.random())
    what = h.r.choice(["nothing", "again", "repeat", "repeat"])
    if what == "again":
        h.again()
    elif what == "repeat":
        h.command("snapshot", h.r.choice(h.tables()), 1)
    time.sleep(h.r.choice([0.1, 0.5, 2]) * h.r.random())
    h.all.standby.go_on()
    return what


@action(2)
def terminate(h):
    assert h.car.terminate(60) in (0, -15), f"SIGTERM: {h.car.process.returncode}\n{h.car.log()[-2000:]}"  # -15: not yet in its main
    h.car.start()


@action(2)
def disconnect(h):
    """One session of it, or all."""
    h.pg.sql("select pg_terminate_backend(pid) from (select pid from pg_stat_activity where application_name like %s "
             "order by random() limit %s) a", ["sidestream/%", h.r.choice([1, 1, 100])])


# ---- many of them --------------------------------------------------------------------------------------

class Histories:
    """`brief`: shorter ones."""

    def __init__(self, l, sink, version=None, brief=False):
        l.keep_lakes = True
        self.l, self.sink, self.brief = l, sink, brief
        self.broker = l.kafka() if sink == "kafka" else None
        self.pg = l.postgres(version=version, conf=[*Standby.CONF, "wal_sender_timeout = 30s", "max_wal_size = 512MB"])
        self.standby = Standby(l, self.pg)
        self.tally = collections.Counter()

    def one(self, n):
        began, h = time.monotonic(), None
        BIG[:] = ["shop.big", "extra.late"]
        try:
            h = History(self, n)
            told = h.run()
            h.end()
        except BaseException:
            self.l.step(f"history {n} failed (seed {self.l.seed}, {self.sink}): {'; '.join(h.said) if h else ''}")
            if h:
                h.judge.keep(h)
            raise
        self.l.step(f"history {n}: {'; '.join(h.said)}: {told}, {time.monotonic() - began:.1f} s")

    def run(self, count, first=0):
        began = time.monotonic()
        for n in range(first, first + count):
            self.one(n)
        self.l.step(f"{count} histories, {self.sink}, seed {self.l.seed}, PostgreSQL {self.pg.version}, {time.monotonic() - began:.0f} s: "
                    f"{dict(self.tally)}; every replica equal to its source")
