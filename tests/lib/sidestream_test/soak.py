"""One pipeline that goes through many faults: its lake, slot and replica are carried from round to round.

A round: writers begin, a fault happens beside them, they end, the sidecar catches up, and what is new is judged:
each committed change once and in order in the lake, the lake's fold and the replica equal to the source. Round n of a
seed makes the same choices every time; where exactly a kill falls is up to the machine.
"""
import collections
import errno
import random
import subprocess
import time

from . import compare, oracle, proxy, sidecar, wait, workload

POINTS = ["engine.recovered", "engine.before_commit", "engine.after_commit", "lake.file_open", "lake.before_publish",
          "lake.after_publish", "lake.before_commit", "lake.after_commit", "lake.before_fence", "lake.after_fence",
          "lake.checkpoint"]
BULK = "create table shop.bulk (id int primary key, mark text);"
TABLES = ["shop.account", "shop.item", "shop.code", "shop.part", "shop.scratch", "shop.txlog", "shop.bulk"]
# (operation, where, error, mode, what it must come to: end with 1 and say `words`; or go on)
DISK = [("fsync", "data", errno.EIO, "once", "fsync"), ("fsync", "record", errno.EIO, "once", "fsync"),
        ("fsync", "dir", errno.EIO, "once", "fsync"), ("fsync", "any", errno.EIO, "done", "fsync"),
        ("write", "data", errno.EIO, "once", "write"), ("write", "record", errno.EIO, "once", "write"),
        ("link", "data", errno.EIO, "once", "link"), ("link", "record", errno.EIO, "once", "link"),
        ("link", "record", errno.EIO, "done", "link"), ("link", "data", errno.EIO, "done", "link"),
        ("link", "record", errno.EEXIST, "done", None), ("write", "any", 0, "short", None),
        ("write", "any", errno.ENOSPC, "once", None), ("link", "record", errno.ENOSPC, "once", None)]


class Judge:
    """Remembers how far lake and source were judged equal, and judges what came since."""

    def __init__(self, car, events):
        self.car, self.oracle = car, events
        self.log = car.output()
        self.commit, self.place, self.seq, self.state = 0, 0, "", None

    def read(self):
        """(rows, number of commits) since the last call."""
        rows, commits = list(self.log.rows(since=self.commit)), self.log.commits(self.commit)
        if commits:
            self.commit = commits[-1]["seq"]
        return rows, len(commits)

    def round(self, pg, writers, acked=True):
        """(rows, commits) that are new; raises when they are not what was committed."""
        events = [e for e in self.oracle.events() if e.place > self.place]
        rows, commits = self.read()
        keys = {t: compare.key_columns(pg, t) for t in TABLES}
        compare.must(not rows or rows[0].seq > self.seq, f"{rows[:1]} comes again: judged up to {self.seq}")
        compare.history(rows, events, keys)
        self._transactions(pg, rows, writers, acked)
        self.state = compare.fold(rows, keys, self.state)
        for table in TABLES:
            live = {k: c for k, c in self.state[table].items() if not c["__deleted"]}
            self.state[table] = live
            compare.tables_equal(pg, list(live.values()), table, "fold of the log")
        compare.replica(pg, self.car.replica(), TABLES)
        if rows:
            self.seq, self.place = rows[-1].seq, events[-1].place
            pg.sql("select pg_replication_slot_advance(%s, pg_current_wal_flush_lsn())", [self.oracle.slot])
        return len(rows), commits

    @staticmethod
    def _transactions(pg, rows, writers, acked):
        """By the writers' own word. shop.txlog was empty when they began."""
        there = {r[0] for r in pg.sql("select id from shop.txlog")}
        mine = [r.cells["id"] for r in rows if r.table == "shop.txlog" and r.op == "c"]
        compare.must(len(mine) == len(set(mine)), "a transaction was captured twice")
        compare.must(set(mine) == there, f"transactions in one only: {sorted(set(mine) ^ there)[:5]}")
        compare.must(not acked or set(writers.acked) <= there, "an acknowledged transaction is not in the database")
        compare.must(there <= {*writers.acked, *writers.unknown}, "a transaction that no writer committed")


class Soak:
    def __init__(self, l, version=None, kinds=None):
        l.keep_lakes = True
        self.faults = self.table()
        self.l, self.kinds = l, kinds or list(self.faults)
        self.tally = collections.Counter()
        self.kills = self.rows = self.rounds = self.commits = 0
        conf = ["wal_sender_timeout = 4s", "max_wal_size = 512MB"]
        self.pg = l.postgres(version=version, conf=conf)
        self.pg.sql(workload.SCHEMA + BULK)
        self.net = proxy.Proxy(self.pg.port)
        l.undo.append(self.net.close)
        url = self.pg.url(port=self.net.port) + "?options=-c%20wal_sender_timeout%3D4s"
        self.car = self.pipeline(url, [{"tables": "shop.txlog", "deletes": "hard", "snapshot": "never"},
                                       {"tables": "shop.*", "snapshot": "never"}])
        self.car.start(env=self.env).wait_streaming(self.pg)
        self.judge = self.Judge(self.car, oracle.Oracle(self.pg, self.car.slot))
        self.car.terminate()

    # ---- the sink, in one place ----

    Judge = Judge

    @staticmethod
    def table():
        return FAULTS

    def pipeline(self, url, capture):
        car = self.l.sidecar(self.pg, url=url, capture=capture)
        self.fault = self.l.fault(car)
        self.env = self.fault.env
        return car

    def tune(self, r):
        """Draws the round's settings of the sink; says which."""
        interval = r.choice(["0", "0", "20ms", "200ms"])
        self.car.settings["sink"].update(commit_interval=interval, codec=r.choice(["deflate", "zstandard", "null"]),
                                         max_rows=r.choice([1, 50, 1000000]))
        return f"commits every {interval}"

    def committed(self):
        """Another value after each commit."""
        return max((self.car.lake / "_cdc/commits").iterdir(), default=None)

    def end(self):
        """After the last round."""

    def calm(self):
        self.net.calm()
        self.net.cut()
        self.fault.clear()

    # ---- what the faults use ----

    def start(self, **env):
        self.car.start(env={**self.env, **env})

    def kill(self):
        self.car.kill9()
        self.kills += 1

    def again(self):
        self.kill()
        self.start()

    def alive(self, what):
        assert self.car.alive(), f"{what}: ended with {self.car.process.returncode}\n{self.car.log()[-2000:]}"

    def goes_on(self, what, timeout=40):
        """A commit with rows after now, from a sidecar that was not restarted."""
        last = self.committed()
        self.alive(what)
        wait.until(f"a commit after {what}", lambda: self.committed() != last, timeout, 0.05)
        self.alive(what)

    def enough(self, kills):
        return self.kills >= kills

    # ---- a round ----

    def round(self, n, kind=None):
        r = random.Random(f"{self.l.seed}/{n}")
        kind_drawn = r.choices(self.kinds, [self.faults[k][0] for k in self.kinds])[0]
        kind = kind or kind_drawn
        began, kills = time.monotonic(), self.kills
        settings = self.tune(r)
        self.car.write_config()
        self.pg.sql("delete from shop.txlog")
        writers = workload.Writers(self.pg, f"{self.l.seed}/{n}", r.randint(1, 4), pause=r.choice([0, 0.003, 0.02]))
        writers.weights = [w * r.choice([0, 0.3, 1, 1, 4]) + 0.01 for w in writers.weights]
        self.start()
        writers.start()
        if r.random() < 0.15:
            self._bulk(r)
        said = self.faults[kind][1](self, r)
        writers.stop()
        if r.random() < 0.7:
            self.kill()
        elif self.car.alive():
            assert self.car.terminate(60) in (0, -15), f"SIGTERM: {self.car.process.returncode}"  # -15: not yet in its main
        self.calm()
        self.car.catch_up()
        rows, commits = self.judge.round(self.pg, writers)
        if n % 40 == 39:
            got = self.car.call("fsck", "CONFIG")
            compare.must(got.code == 0, f"fsck: {got!r}")
        self.rows, self.commits, self.rounds = self.rows + rows, self.commits + commits, self.rounds + 1
        self.l.step(f"round {n}: {kind}{': ' + said if said else ''}; {self.kills - kills} kills, {settings}, "
                    f"{rows} rows in {commits}, {time.monotonic() - began:.1f} s; in all {self.kills} kills")

    def _bulk(self, r):
        self.pg.each("truncate shop.bulk", "insert into shop.bulk select g, repeat(md5(g::text), 8) "
                     f"from generate_series(1, {r.choice([2000, 20000])}) g")

    def run(self, rounds=None, kills=None, seconds=None, first=0, kind=None):
        began, n = time.monotonic(), first
        while ((rounds is None or n - first < rounds) and (kills is None or not self.enough(kills))
               and (seconds is None or time.monotonic() - began < seconds)):
            try:
                self.round(n, kind)
            except BaseException:
                self.l.step(f"round {n} failed (seed {self.l.seed}, {self.kills} kills before)")
                raise
            n += 1
        self.l.step("fsck")
        got = self.car.call("fsck", "CONFIG", timeout=600)
        compare.must(got.code == 0, f"fsck: {got!r}")
        self.end()
        self.l.step(f"{self.rounds} rounds, {self.kills} kills, {self.rows} rows in {self.commits} commits, "
                    f"{time.monotonic() - began:.0f} s, seed {self.l.seed}, PostgreSQL {self.pg.version}: nothing lost, nothing "
                    "doubled, replica equal")


# ---- faults: name -> (weight, what it does beside the writers; what it says) ------------------------

FAULTS = {}


def fault(weight):
    def add(fn):
        FAULTS[fn.__name__] = (weight, fn)
        return fn
    return add


@fault(10)
def kills(s, r):
    for _ in range(r.randint(3, 12)):
        time.sleep(r.choice([0.02, 0.1, 0.2, 0.6]) * r.random())
        s.alive("before the kill")
        s.again()
    time.sleep(0.3 * r.random())


@fault(8)
def points(s, r):
    said = []
    for _ in range(r.randint(1, 4)):
        name, n = r.choice(POINTS), r.choice([1, 1, 2, 3, 10])
        s.car.kill9()
        s.start(SIDESTREAM_CRASH=f"{name}:{n}")
        end = time.monotonic() + 2
        while s.car.alive() and time.monotonic() < end:
            time.sleep(0.01)
        if not s.car.alive():
            assert s.car.process.returncode == -9, f"{name}: ended with {s.car.process.returncode}\n{s.car.log()[-2000:]}"
            said.append(f"{name}:{n}")
        s.again()
    return ", ".join(said)


@fault(3)
def replica_kills(s, r):
    """The reader of the lake dies, at a point or anywhere, while the lake grows."""
    for _ in range(r.randint(1, 3)):
        env = {"SIDESTREAM_CRASH": f"replica.{r.choice(['before', 'after'])}_commit:{r.choice([1, 2])}"} if r.random() < 0.5 else {}
        with open(s.car.folder / "replica.log", "ab") as log:
            p = subprocess.Popen([sidecar.BINARY, "replica", s.car.config, "--to", s.car.folder / "replica.db"],
                                 stdin=subprocess.DEVNULL, stderr=log, env={**__import__("os").environ, **env})
        time.sleep(0.8 * r.random())
        p.kill()
        p.wait()
        s.kills += 1
        if r.random() < 0.5:
            s.again()


@fault(4)
def disk_error(s, r):
    """A call fails once; the program ends with 1 and says so, or goes on, and is started again."""
    said = []
    for _ in range(r.randint(1, 3)):
        op, where, error, mode, word = r.choice(DISK)
        nth = r.randint(1, 12) if where != "dir" else r.randint(1, 4)
        before = len(s.car.log())
        s.fault.arm(op, where, nth, error, mode)
        if r.random() < 0.3:  # it may strike the start
            s.kill()
            if s.fault.fired():  # at once, and who was struck could perhaps not say so any more
                before = len(s.car.log())
                s.fault.arm(op, where, nth, error, mode)
            s.start()
        said.append(f"{op} {where} {nth} {errno.errorcode.get(error, mode)} {mode}")
        end = time.monotonic() + 5
        while not s.fault.fired() and s.car.alive() and time.monotonic() < end:
            time.sleep(0.02)
        if not s.fault.fired():
            said[-1] += " (did not come)"
            s.fault.clear()
        elif word is None:
            s.goes_on(said[-1])
        else:
            ended(s, word, before, said[-1])
            s.start()
    return ", ".join(said)


def ended(s, word, before, what):
    """With 1, and with words; but for hints, whose failure is only warned of."""
    end = time.monotonic() + 5
    while s.car.alive() and time.monotonic() < end and "Input/output error" not in s.car.log()[before:]:
        time.sleep(0.02)
    text = s.car.log()[before:]
    assert "Input/output error" in text and word in text, f"{what}: the log does not say so\n{text[-2000:]}"
    if "_cdc/checkpoints" in text or "_cdc/hint" in text:
        return s.car.kill9()
    assert s.car.wait(10) == 1, f"{what}: exit {s.car.process.returncode}\n{text[-2000:]}"


@fault(3)
def disk_full(s, r):
    s.fault.arm("write", r.choice(["any", "data", "record"]), r.randint(1, 10), errno.ENOSPC, "always")
    before = len(s.car.log())
    wait.until("the full disk to be met", lambda: "No space left" in s.car.log()[before:] or not s.car.alive(), 20)
    s.alive("a full disk")
    if r.random() < 0.6:
        s.again()
        time.sleep(r.random())
        s.alive("a full disk at the start")
    s.fault.clear()
    s.goes_on("room")


@fault(3)
def freeze(s, r):
    """The process stands still for longer than wal_sender_timeout."""
    seconds = r.choice([0.5, 5.5])
    s.car.process.send_signal(19)
    time.sleep(seconds)
    if r.random() < 0.4:
        s.kill()
        s.start()
    else:
        s.car.process.send_signal(18)
    s.goes_on(f"{seconds} s without running")


@fault(4)
def server(s, r):
    how = r.choice(["fast", "immediate", "crash"])
    time.sleep(0.3 * r.random())
    s.pg.crash() if how == "crash" else s.pg.stop(how)
    if r.random() < 0.4:
        s.again()
    time.sleep(r.random())
    s.alive("the server's end")
    s.pg.start()
    if r.random() < 0.3:
        s.again()
    s.goes_on(f"the server's {how}")
    return how


@fault(2)
def terminate(s, r):
    for _ in range(r.randint(1, 3)):
        s.pg.sql("select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = %s and active_pid > 0",
                 [s.car.slot])
        time.sleep(r.random())
    s.goes_on("pg_terminate_backend")


@fault(6)
def network(s, r):
    how = r.choice(list(NETWORK))
    NETWORK[how](s.net, r)
    if r.random() < 0.4:
        s.again()
        time.sleep(r.random())
    s.net.calm()
    if how.startswith("swallow"):
        s.net.cut()
    s.goes_on(how)
    return how


def _cut(net, r):
    for _ in range(r.randint(1, 5)):
        net.cut()
        time.sleep(0.4 * r.random())


def _frozen(ways):
    def act(net, r):
        net.frozen = ways
        time.sleep(r.choice([0.5, 5.5]))
    return act


def _swallow(ways):
    def act(net, r):
        net.swallow = ways
        time.sleep(r.choice([0.2, 1, 5]))
    return act


def _torn(way):
    def act(net, r):
        for _ in range(r.randint(1, 3)):
            net.cut_after[way] = r.choice([1, 30, 500, 5000, 60000]) + r.randint(0, 300)
            end = time.monotonic() + 2
            while way in net.cut_after and time.monotonic() < end:
                time.sleep(0.02)
    return act


def _latency(net, r):
    net.latency = r.choice([0.01, 0.1, 0.3])
    time.sleep(2)


def _trickle(net, r):
    net.rate = r.choice([2000, 20000])
    time.sleep(3)


def _refuse(net, r):
    net.refuse = True
    net.cut()
    time.sleep(1.5)


NETWORK = {"cut": _cut, "refused": _refuse, "frozen": _frozen(proxy.BOTH), "frozen up": _frozen(("up",)),
           "frozen down": _frozen(("down",)), "swallow": _swallow(proxy.BOTH), "swallow up": _swallow(("up",)),
           "swallow down": _swallow(("down",)), "torn up": _torn("up"), "torn down": _torn("down"), "latency": _latency,
           "trickle": _trickle}
