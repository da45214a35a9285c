#!/usr/bin/env python3
"""Without this a mistake or an accident around the sidecar would be passed over in silence, and what it cost would be noticed
weeks later: each of them ends with a clear message, the remedy, the right exit code, and nothing lost.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import os  # noqa: E402
import re  # noqa: E402
import shutil  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402

from sidestream_test import lab, lake, wait  # noqa: E402

CASES = []


def case(fn):
    CASES.append(fn)
    return fn


class Bench:
    """One server for the cases that leave it whole; each case has a schema, a table and a pipeline of its own."""

    def __init__(self, l):
        self.lab, self.pg, self.n = l, l.postgres(), 0

    def pipeline(self, pg=None, begin=True, **settings):
        self.n += 1
        pg = pg or self.pg
        schema = f"s{self.n}"
        pg.sql(f"create schema {schema}; create table {schema}.t (id int primary key, v text)")
        car = self.lab.sidecar(pg, name=f"case{self.n}", capture=[{"tables": f"{schema}.*", "snapshot": "never"}],
                               **settings)
        car.table, car.pg = f"{schema}.t", pg
        if begin:
            car.catch_up()
            pg.sql(f"insert into {car.table} values (1, 'one')")
            car.catch_up()
            assert self.ids(car) == [1]
            pg.wait_slot_free(car.slot)  # the server may notice later that we have gone
        return car

    @staticmethod
    def ids(car):
        return [r.cells["id"] for r in lake.Lake(car.lake).rows(car.table)]

    @staticmethod
    def refused(car, code, *patterns, args=("run", "CONFIG", "--until-caught-up"), **more):
        got = car.call(*args, timeout=60, **more)
        said = got.out + got.err
        codes = code if isinstance(code, tuple) else (code,)
        assert got.code in codes, f"exit {got.code}, wanted {code}: {said[-1500:]}"
        for p in patterns:
            assert re.search(p, said, re.I | re.S), f"nothing like /{p}/ in: {said[-1500:]}"
        return got


# ---- configuration ---------------------------------------------------------------------------------

GOOD = """name: shop
source:
  type: postgres
  url: postgresql://postgres@127.0.0.1:1/x
capture:
  - tables: shop.*
    snapshot: never
sink:
  type: lake
  path: {lake}
"""


@case
def wrong_configuration(b):
    car = b.pipeline(begin=False)
    for old, new, *patterns in (
        ("  path:", "  pahth:", r"config.yaml:10", "pahth", "path"),
        ("snapshot: never", "snapshot: sometimes", r"config.yaml:7", "snapshot", "initial"),
        ("snapshot: never", "snapshot: initial\nsnapshot: {threads: none}", r"config.yaml:8", "threads"),
        ("type: lake", "type: lakes", r"config.yaml:9", "lakes", "lake"),
        ("type: postgres", "type: postgers", r"config.yaml:3", "postgres"),
        ("name: shop", "name: Shop!", r"config.yaml:1", "name"),
        ("name: shop\n", "", "name"),
        ("127.0.0.1", "${env:NOT_SET_ANYWHERE}", r"config.yaml:4", "NOT_SET_ANYWHERE"),
        ("127.0.0.1", "${file:/nowhere/at/all}", r"config.yaml:4", "/nowhere/at/all"),
        ("capture:", "capture: [", r"config.yaml:\d+"),
        ("sink:\n", "memory: 12parsecs\nsink:\n", r"config.yaml:8", "memory"),
        ("path: {lake}", "path: {lake}\n  commit_interval: soon", r"config.yaml:11", "commit_interval"),
        ("capture:", "capture: []\nextra:", "capture|extra"),
    ):
        assert old in GOOD
        car.write_config(GOOD.replace(old, new).replace("{lake}", str(car.lake)))
        for command in ("run", "check"):
            b.refused(car, 2, *patterns, args=(command, "CONFIG"))
    b.refused(car, 2, "nowhere.yaml", args=("run", "nowhere.yaml"))
    b.refused(car, 2, "frobnicate", args=("frobnicate",))
    b.refused(car, 2, "--until", args=("run", "CONFIG", "--until-cauht-up"))
    assert car.call("run", "--help").code == 0


# ---- the server says no --------------------------------------------------------------------------------

@case
def wrong_password(b):
    pg = b.lab.postgres(name="auth")
    pg.sql("create role cdc login replication password 'right'; create role weak login password 'right'")
    (pg.base / "data/pg_hba.conf").write_text("local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    pg.reload()
    car = b.pipeline(pg, begin=False, url=pg.url(user="cdc", password="wrong"))
    b.refused(car, 3, "password")
    b.refused(car, (1, 3), "password", args=("check", "CONFIG"))

    def use(**url):
        car.settings["source"]["url"] = pg.url(**url)
        car.write_config()
    use(user="nobody_here", password="x")
    b.refused(car, 3, "nobody_here|password")
    use(user="cdc", password="right", db="nowhere")
    b.refused(car, 3, "nowhere")
    use(user="weak", password="right")
    b.refused(car, 3, "replication", "weak|alter role")
    use(user="cdc", password="right")
    got = b.refused(car, 3, "publication|owner|privilege|permission")
    assert re.search("create publication|owner|grant", got.err, re.I), got.err
    told = b.refused(car, 1, "create publication", args=("check", "CONFIG"))
    # What it prints as SQL is enough: run by the owner, and the role can capture.
    sql = [line.strip() for line in told.out.splitlines() if re.match(r"\s+(create|grant|alter)\b", line, re.I)]
    assert sql, told.out
    pg.each(*sql)
    car.settings["source"]["manage"] = "slot"
    car.write_config()
    car.catch_up()
    pg.sql(f"insert into {car.table} values (1, 'one')")
    car.catch_up()
    assert b.ids(car) == [1]
    pg.stop()


@case
def unreachable(b):
    """No refusal: a network error is retried for ever, and said."""
    car = b.pipeline(begin=False)
    car.settings["source"]["url"] = "postgresql://postgres@127.0.0.1:9/postgres"
    car.write_config()
    car.start()
    wait.until("a word about it", lambda: re.search("refused", car.log()))
    time.sleep(2)
    assert car.alive(), car.log()[-1500:]
    assert car.terminate(10) == 0


@case
def wal_level(b):
    pg = b.lab.postgres(name="replica_level", conf=["wal_level = replica"])
    car = b.pipeline(pg, begin=False)
    b.refused(car, (2, 3), "wal_level", "logical")
    b.refused(car, 1, "wal_level", "logical", args=("check", "CONFIG"))
    pg.stop()


@case
def no_identity(b):
    car = b.pipeline(begin=False)
    schema = car.table.split(".")[0]
    b.pg.sql(f"create table {schema}.bare (a int, b text)")
    b.refused(car, 1, f"{schema}.bare", "replica identity", args=("check", "CONFIG"))
    b.refused(car, 3, f"{schema}.bare", "replica identity")
    # The application must not have been hurt by it.
    b.pg.each(f"insert into {schema}.bare values (1, 'x')", f"update {schema}.bare set b = 'y'", f"delete from {schema}.bare")
    b.pg.sql(f"alter table {schema}.bare replica identity full")
    car.catch_up()
    b.pg.each(f"insert into {schema}.bare values (2, 'x')", f"update {schema}.bare set b = 'y'")
    car.catch_up()
    assert [r.op for r in lake.Lake(car.lake).rows(f"{schema}.bare")] == ["c", "u"]


# ---- the slot and the publication --------------------------------------------------------------------------

@case
def slot_dropped(b):
    car = b.pipeline()
    b.pg.sql("select pg_drop_replication_slot(%s)", [car.slot])
    b.pg.sql(f"insert into {car.table} values (2, 'lost')")
    b.refused(car, 3, car.slot, "drop|missing|exist|gone")
    assert b.pg.slot(car.slot) is None, "a new slot would hide the gap"

@case
def slot_foreign(b):
    """A slot of our name that we have no record of."""
    car = b.pipeline(begin=False)
    b.pg.sql(f"create publication {car.slot} for table {car.table}")
    b.pg.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", [car.slot])
    b.refused(car, 3, car.slot)
    b.pg.sql("select pg_drop_replication_slot(%s)", [car.slot])


@case
def slot_invalidated(b):
    pg = b.lab.postgres(name="small_wal", conf=["max_slot_wal_keep_size = 16MB", "max_wal_size = 64MB", "min_wal_size = 32MB"])
    car = b.pipeline(pg)
    pg.sql("create table public.noise (v text)")
    for _ in range(8):
        pg.sql("insert into public.noise select repeat(md5(g::text), 30) from generate_series(1, 12000) g")
        pg.sql("select pg_switch_wal()")
        pg.sql("checkpoint")
    assert pg.slot(car.slot)["wal_status"] == "lost", pg.slot(car.slot)
    b.refused(car, 3, car.slot, "lost|invalidat", "max_slot_wal_keep_size")
    assert b.ids(car) == [1]
    pg.stop()


@case
def slot_held(b):
    """Held by another: not refused at once (it may be our own dead walsender), but said, with the pid."""
    car = b.pipeline()
    holder = subprocess.Popen([f"{b.pg.bin}/pg_recvlogical", "-h", b.pg.base, "-p", str(b.pg.port), "-U", "postgres", "-d", "postgres",
                               "-S", car.slot, "--start", "-o", "proto_version=1", "-o", f"publication_names={car.slot}",
                               "-f", "/dev/null"], stderr=subprocess.DEVNULL)
    try:
        wait.until("the slot to be held", lambda: b.pg.slot(car.slot)["active"])
        pid = b.pg.slot(car.slot)["active_pid"]
        b.pg.sql(f"insert into {car.table} values (2, 'two')")
        car.start()
        wait.until("a word about the holder", lambda: str(pid) in car.log() and car.slot in car.log(), 20)
        assert car.alive()
    finally:
        holder.kill()
        holder.wait()
    wait.until("the row, once the slot is free", lambda: 2 in b.ids(car), 40)
    assert car.terminate() == 0
    assert b.ids(car) == [1, 2]


@case
def slot_moved(b):
    """Somebody read our slot: what it consumed is gone."""
    car = b.pipeline()
    b.pg.sql(f"insert into {car.table} values (2, 'lost')")
    b.pg.sql("select pg_replication_slot_advance(%s, pg_current_wal_lsn())", [car.slot])
    b.refused(car, 3, car.slot, "gap|lost|advanced|moved|past|beyond")
    assert b.ids(car) == [1]


def publication_dropped(b, pg):
    car = b.pipeline(pg)
    pg.sql(f"drop publication {car.slot}")
    pg.sql(f"insert into {car.table} values (2, 'lost')")
    got = b.refused(car, 3, "publication", car.slot)
    assert got.seconds < 30
    # And while it streams.
    car = b.pipeline(pg)
    car.start().wait_streaming(pg)
    pg.sql(f"drop publication {car.slot}")
    for i in range(5):
        pg.sql(f"insert into {car.table} values ({10 + i}, 'x')")
        time.sleep(0.2)
    assert car.wait(30) == 3, car.log()[-1500:]
    assert "publication" in car.log()[-1500:]
    assert b.ids(car) == [1], "nothing after the gap may be written"


@case
def publication_dropped_15(b):
    publication_dropped(b, b.pg)


@case
def publication_dropped_18(b):
    pg = b.lab.postgres(18, name="pg18")
    publication_dropped(b, pg)
    pg.stop()


# ---- another server, another time ---------------------------------------------------------------------------

@case
def other_server(b):
    car = b.pipeline()
    other = b.lab.postgres(name="other")
    other.sql(f"create schema {car.table.split('.')[0]}; create table {car.table} (id int primary key, v text); "
              f"create publication {car.slot} for table {car.table}")
    other.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", [car.slot])
    car.settings["source"]["url"] = other.url(socket=True)
    car.write_config()
    b.refused(car, 3, "server|system")
    assert b.ids(car) == [1]
    other.stop()


@case
def restored_backup(b):
    pg = b.lab.postgres(name="backup")
    car = b.pipeline(pg)
    pg.stop()
    shutil.copytree(pg.base / "data", pg.base / "copy", symlinks=True)
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", "postgres", pg.base / "copy"], check=True)
    (pg.base / "copy").chmod(0o700)
    pg.start()
    pg.sql("create table public.noise (v text)")
    pg.sql("insert into public.noise select repeat('x', 200) from generate_series(1, 50000)")
    pg.sql(f"insert into {car.table} values (2, 'two')")
    car.catch_up()
    pg.stop()
    shutil.rmtree(pg.base / "data")
    (pg.base / "copy").rename(pg.base / "data")
    pg.start()
    pg.sql(f"insert into {car.table} values (3, 'another history')")
    b.refused(car, 3, "backup|ahead|restored")
    assert b.ids(car) == [1, 2]
    pg.stop()


# ---- the lake ------------------------------------------------------------------------------------------

@case
def second_instance(b):
    car = b.pipeline()
    car.start().wait_streaming(b.pg)
    pid = car.process.pid
    b.refused(car, 3, str(pid))
    assert car.alive()
    b.pg.sql(f"insert into {car.table} values (2, 'two')")
    wait.until("the first one goes on", lambda: 2 in b.ids(car))
    assert car.terminate() == 0


@case
def foreign_folder(b):
    car = b.pipeline(begin=False)
    car.lake.mkdir(parents=True)
    (car.lake / "holiday.jpg").write_text("mine")
    b.refused(car, (2, 3), str(car.lake))
    assert [p.name for p in car.lake.iterdir()] == ["holiday.jpg"], "nothing may be written into a foreign folder"
    other = b.pipeline()
    car.settings["sink"]["path"] = str(other.lake)
    car.write_config()
    b.refused(car, (2, 3), other.name)
    assert b.ids(other) == [1]
    b.pg.sql(f"insert into {other.table} values (2, 'two')")
    other.catch_up()
    assert b.ids(other) == [1, 2]


@case
def not_writable(b):
    car = b.pipeline(begin=False)
    car.lake.parent.mkdir(exist_ok=True)
    car.lake.write_text("a file in the way")
    b.refused(car, (1, 2, 3), str(car.lake))


def head(car):
    return sorted((car.lake / "_cdc/commits").glob("*.json"))


@case
def corrupt_log(b):
    car = b.pipeline()
    for i in range(2, 5):
        b.pg.sql(f"insert into {car.table} values ({i}, 'x')")
        car.catch_up()
    commits = head(car)
    # The newest record is damaged: run must not go on from it.
    whole = commits[-1].read_bytes()
    commits[-1].write_bytes(whole[:len(whole) // 2])
    b.refused(car, (1, 3), commits[-1].name)
    b.refused(car, 1, commits[-1].name, args=("fsck", "CONFIG"))
    commits[-1].write_bytes(whole)
    # One in the middle says something else.
    old = commits[3].read_bytes()
    commits[3].write_bytes(old.replace(b'"epoch":', b'"epoch": '))
    b.refused(car, 1, "commit 5", args=("fsck", "CONFIG"))
    commits[3].write_bytes(old)
    # One is missing.
    commits[3].rename(car.lake / "away")
    b.refused(car, 1, "commit 4.*missing", args=("fsck", "CONFIG"))
    (car.lake / "away").rename(commits[3])
    assert car.call("fsck", "CONFIG").code == 0
    car.catch_up()
    assert b.ids(car) == [1, 2, 3, 4]


@case
def file_cut_short(b):
    car = b.pipeline()
    b.pg.sql(f"insert into {car.table} values (2, 'x')")
    car.catch_up()
    newest = [c for c in lake.Lake(car.lake).commits() if c.get("files")][-1]["files"][0]
    path = car.lake / newest["path"]
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    for args in (("fsck", "CONFIG"), ("fsck", car.lake), ("cat", "CONFIG"),
                 ("replica", "CONFIG", "--to", car.folder / "r.db", "--until-caught-up")):
        b.refused(car, 1, re.escape(path.name), args=args)
    turned = bytearray(whole)
    turned[len(whole) // 2] ^= 1
    path.write_bytes(turned)
    b.refused(car, 1, re.escape(path.name), args=("fsck", "CONFIG"))
    path.write_bytes(whole)
    assert car.call("fsck", "CONFIG").code == 0
    path.unlink()
    b.refused(car, 1, re.escape(path.name), args=("fsck", "CONFIG"))


@case
def lake_emptied(b):
    """The lake is gone and the slot is there: the position is lost, starting anew would be a silent gap."""
    car = b.pipeline()
    shutil.rmtree(car.lake)
    b.pg.sql(f"insert into {car.table} values (2, 'two')")
    b.refused(car, 3, car.slot)


@case
def lake_restored(b):
    """An older copy of the lake: the server has released what it lacks."""
    car = b.pipeline()
    shutil.copytree(car.lake, car.folder / "copy")
    b.pg.sql(f"insert into {car.table} values (2, 'two')")
    car.catch_up()
    b.pg.sql(f"insert into {car.table} values (3, 'three')")
    car.catch_up()
    shutil.rmtree(car.lake)
    (car.folder / "copy").rename(car.lake)
    b.refused(car, 3, car.slot, "past our position")


def main(l):
    b = Bench(l)
    only = os.environ.get("SIDESTREAM_CASE")
    failed = []
    for fn in CASES:
        if only and only not in fn.__name__:
            continue
        try:
            fn(b)
            l.step(f"{fn.__name__}: as it should")
        except Exception as e:  # all of them are tried; a failure names its case
            failed.append(fn.__name__)
            l.step(f"{fn.__name__}: FAILED: {type(e).__name__}: {str(e)[:1800]}")
            for car in l.sidecars:
                car.kill9()
    assert not failed, f"{len(failed)} of {len(CASES)} cases failed: {', '.join(failed)}"


lab.run(main)
