#!/usr/bin/env python3
"""Without this a reader that is not ours could see other values than the source has: run.py [PATTERN...]

One table with a column for every type lives through everything a row can; its lake, once with deflate and once
with zstandard, is read by the snippets of docs/readers.md, and every value is compared with what SQL
returned for that version of the row. The snippets for the rows of now are compared with the table itself.
The last line is `N passed, N failed, N skipped`. `make test-readers` installs what it needs.
"""
import atexit
import fnmatch
import pathlib
import re
import shutil
import sys
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[0] / "lib")]
from sidestream_test import ROOT, lab  # noqa: E402  (first: it goes into the venv)

import docs  # noqa: E402
import engines  # noqa: E402
import story  # noqa: E402
from expect import Expected, hstore, is_hstore, order, same  # noqa: E402
from traps import TRAPS, value_of  # noqa: E402

CODECS = ("deflate", "zstandard")
REFUSED = {("duckdb", "zstandard"): "unknown codec", ("polars", "zstandard"): "unsupported Avro codec"}
NOW, FILLED = "The rows of now", "{}: the rows of now, values that were not sent filled in"


class World:
    """The source, its lakes, and what must be read of them."""

    def __init__(self, l):
        self.lab, self.pg = l, l.postgres(15)
        self.every = story.make(self.pg)
        capture = [{"tables": "public.*", "snapshot": "never", "on_invalid": "null"}]
        self.cars = {c: l.sidecar(self.pg, name=c, capture=capture, sink={"codec": c}) for c in CODECS}
        self.catch_up()
        self.live()
        self.work = l.folder / "work"
        self.work.mkdir()
        self.places = {c: engines.place(self.work / c, car.lake) for c, car in self.cars.items()}
        self.expected = {c: Expected(car.lake, story.EVERY, self.every.wants) for c, car in self.cars.items()}
        self.users = self.pg.sql(f"select id, email, bio from {story.USERS} order by id")

    def catch_up(self):
        for car in self.cars.values():
            car.catch_up()

    def live(self):
        users = story.Users(self.pg, self.lab.seed)
        grown = ["insert into public.grown values (1, 1)",
                 "alter table public.grown add b text; insert into public.grown values (2, 2, 'two')", "", ""]
        for i, (chapter, sql) in enumerate(zip(story.every_chapters(self.every), grown)):
            chapter()
            users.chapter(150, truncate=i in (0, 2))
            if sql:
                self.pg.sql(sql)
            if i == 3:
                users.moves()
            self.catch_up()


class Tests:
    def __init__(self, patterns):
        self.patterns, self.passed, self.failed, self.skipped = patterns or ["*"], 0, 0, 0

    def wanted(self, name):
        return any(fnmatch.fnmatch(name, p) for p in self.patterns)

    def check(self, name, test, *args):
        if not self.wanted(name):
            return
        try:
            detail = test(*args)
        except Exception as e:
            self.failed += 1
            text = str(e) if isinstance(e, AssertionError) else traceback.format_exc()
            print(f"FAIL  {name}\n" + "\n".join("    | " + t[:1000] for t in text.splitlines()[:40]), flush=True)
        else:
            self.passed += 1
            print(f"ok    {name}" + (f": {detail}" if detail else ""), flush=True)


def values(engine, got, expected):
    """Every value of every record."""
    if isinstance(got, engines.Failed):
        raise AssertionError(got)
    got = sorted(got, key=order)
    assert len(got) == len(expected.rows), f"{len(got)} records, wanted {len(expected.rows)}"
    wrong, n = [], 0
    for have, want in zip(got, expected.rows):
        assert list(have) == list(expected.kinds), f"columns {list(have)}"
        for column, kind in expected.kinds.items():
            n += 1
            try:
                value = value_of(engine, kind, have[column])
                value = hstore(value) if is_hstore(column) else value
                good = same(value, want[column])
            except Exception as e:
                value, good = f"{type(e).__name__}: {e}", False
            if not good:
                wrong.append(f"{have['__seq']} {have['__op']} {column} {kind}: {have[column]!r:.80} is {value!r:.80}, "
                             f"wanted {want[column]!r:.80}")
    assert not wrong, f"{len(wrong)} of {n} values are wrong\n" + "\n".join(wrong)
    return f"{len(got)} records, {n} values"


def refused(got, words):
    assert isinstance(got, engines.Failed), "it is read now; docs/readers.md says otherwise"
    assert words in str(got), f"it says: {got}"
    return words


def now(got, world):
    """The rows of now without what was not sent; the rest must be as SQL says."""
    assert not isinstance(got, engines.Failed), str(got)
    got, unsent = {r["id"]: r for r in got}, 0
    assert sorted(got) == [r[0] for r in world.users], f"rows {sorted(got)}, at the source {[r[0] for r in world.users]}"
    for key, email, bio in world.users:
        row = got[key]
        known = [c for c in ("email", "bio") if c not in (row["__unchanged"] or [])]
        have, want = ({c: d[c] for c in known} for d in (row, {"email": email, "bio": bio}))
        assert have == want, f"row {key}: {have!r:.200}, at the source {want!r:.200}"
        unsent += 2 - len(known)
    return f"{len(got)} rows, {unsent} values not sent"


def filled(got, world):
    assert not isinstance(got, engines.Failed), str(got)
    have = sorted((r["id"], r["email"], r["bio"]) for r in got)
    wrong = sorted({*have} ^ {*world.users})
    assert not wrong, f"{len(have)} rows, at the source {len(world.users)}; not in both:\n" + "\n".join(f"{r!r:.80}" for r in wrong[:6])
    assert len(have) == len(world.users), "rows are doubled"
    return f"{len(have)} rows"


def equal(got, want):
    assert got == want, f"{got!r}, wanted {want!r}"


# ---- one engine after another -----------------------------------------------------------------------


def read_every(tests, world, engine, more=()):
    """Both lakes, and in the same process `more`: (name, codec, table, code, result, judge)."""
    jobs = [engines.job(world.places[c], engine, story.EVERY) for c in CODECS]
    jobs += [engines.job(world.places[codec], engine, table, code, result) for _, codec, table, code, result, _ in more]
    got = engines.run(engine, jobs, world.work)
    for codec, answer in zip(CODECS, got):
        name, words = f"{engine} {codec}", REFUSED.get((engine, codec))
        if words:
            tests.check(f"{name} is refused", refused, answer, words)
        else:
            tests.check(name, values, engine, answer, world.expected[codec])
    for (name, *_, judge), answer in zip(more, got[len(CODECS):]):
        tests.check(f"{engine} {name}", judge, answer)


def duckdb(tests, world):
    def over(order, options=""):
        return f"duckdb_rows(con.execute(f'select * exclude (__synced_at) from read_avro({{sorted(files{order})}}{options})'))"

    def columns(extra):
        return lambda got: equal(sorted(c for c in got[0] if not c.startswith("__")), extra)
    by_sql = "duckdb_rows(con.execute(sql))"
    more = [
        (NOW, "deflate", None, [f"sql = {docs.snippet(NOW)!r}"], by_sql, lambda got: now(got, world)),
        ("the rows of now, filled in", "deflate", None, [f"sql = {docs.snippet(FILLED.format('DuckDB'))!r}"], by_sql,
         lambda got: filled(got, world)),
        ("leaves out a later column, silently", "deflate", story.GROWN, [], "duckdb_rows(con.execute('select * from log'))",
         columns(["a", "id"])),
        ("refuses older files after newer ones", "deflate", story.GROWN, [], over("").replace("sorted(files)", "sorted(files)[::-1]"),
         lambda got: refused(got, "schema mismatch")),
        ("has no union_by_name", "deflate", story.GROWN, [], over("", ", union_by_name = true"),
         lambda got: refused(got, "not implemented")),
        ("union all by name has all columns", "deflate", story.GROWN, ["files.sort()"],
         "duckdb_rows(con.execute(' union all by name '.join(f'select id, a' + (', b' if n else '') + f' from read_avro({[f]})' "
         "for n, f in enumerate(files)) + ' order by id'))", lambda got: equal(got, [{"id": 1, "a": 1, "b": None},
                                                                                     {"id": 2, "a": 2, "b": "two"}])),
        ("adds a column dt of its own", "deflate", story.GROWN, [], over("[:1]"), columns(["a", "dt", "id"])),
    ]
    read_every(tests, world, "duckdb", more)


def spark(tests, world):
    def only(names):
        return lambda got: equal(got if isinstance(got, engines.Failed) else [c for c in got if not c.startswith("__")], names)
    mode = "spark.sql.avro.datetimeRebaseModeInRead"
    rows = "[[r.id, r.a, r.b] for r in df.orderBy('id').collect()]"
    newest = """
import glob
texts = [open(f).read() for f in glob.glob("lake/_cdc/schemas/*")]
text = next(t for t in texts if '"cdc.table":"grown"' in t.replace('": "', '":"') and '"name":"b"' in t.replace('": "', '":"'))
df = spark.read.format("avro").option("avroSchema", text).load(files)"""
    more = [
        (NOW, "zstandard", None, [f"sql = {docs.snippet(NOW)!r}"], "spark_rows(spark.sql(sql))", lambda got: now(got, world)),
        ("the rows of now, filled in", "zstandard", None, [docs.snippet(FILLED.format("Spark"))], "spark_rows(current)",
         lambda got: filled(got, world)),
        ("ancient dates are refused without CORRECTED", "deflate", story.EVERY, [f"spark.conf.unset({mode!r})"],
         "df.select('v_date').collect()", lambda got: refused(got, "READ_ANCIENT_DATETIME")),
        ("collect() fails in year 1", "deflate", story.EVERY, [f"spark.conf.set({mode!r}, 'CORRECTED')"],
         "df.select('v_timestamp').collect()", lambda got: refused(got, "year 0 is out of range")),
        ("leaves out a later column, silently", "deflate", story.GROWN, ["df = spark.read.format('avro').load(sorted(files))"],
         "df.columns", only(["id", "a"])),
        ("mergeSchema does nothing", "deflate", story.GROWN,
         ["df = spark.read.format('avro').option('mergeSchema', 'true').load(sorted(files))"], "df.columns", only(["id", "a"])),
        ("avroSchema has all columns", "deflate", story.GROWN, [newest], rows,
         lambda got: equal(got, [[1, 1, None], [2, 2, "two"]])),
        ("adds a column dt to a folder", "deflate", story.GROWN, [], "spark.read.format('avro').load('lake/log/public.grown').columns",
         only(["id", "a", "dt"])),
    ]
    read_every(tests, world, "spark", more)


def java(tests, world):
    def read(codec):
        expected = world.expected[codec]
        return values("java", engines.java(world.places[codec], story.EVERY, expected.schema), expected)
    for codec in CODECS:
        tests.check(f"java {codec}", read, codec)


def polars(tests, world):
    read_every(tests, world, "polars", [
        ("diagonal has all columns", "deflate", story.GROWN, [], "df.sort('id').select('id', 'a', 'b').rows()",
         lambda got: equal(got, [(1, 1, None), (2, 2, "two")]))])


ENGINES = {"duckdb": duckdb, "java": java, "spark": spark, "polars": polars,
           "fastavro": lambda t, w: read_every(t, w, "fastavro"), "apache": lambda t, w: read_every(t, w, "apache")}


def told():
    """docs/readers.md names every trap of the table, each reader's version, and has no snippet that is not run."""
    missing = [f"{t.engine}: {t.says}" for t in TRAPS if not docs.says(t.engine, t.says)]
    missing += [f"{engine}: {words}" for (engine, _), words in REFUSED.items() if not docs.says(engine, words)]
    pins = (HERE / "requirements.txt").read_text() + (ROOT / "tests/requirements.txt").read_text() \
        + (ROOT / "scripts/test-readers.sh").read_text()
    for name in re.findall(r"^\| \S.*?\| (\d[\d.]+) \|", docs.TEXT, re.M):
        if f"=={name}\n" not in pins and f":{name}" not in pins:
            missing.append(f"version {name} is not what is installed")
    run = {name for name, _ in engines.RECORDS.values()} | {NOW, "avro-tools: the records of a table as JSON lines"} \
        | {FILLED.format(e) for e in ("DuckDB", "Spark")}
    missing += [f"not run: {name}" for name in set(docs.BLOCKS) ^ run]
    assert not missing, "\n".join(missing)
    return f"{len(TRAPS)} traps, {len(docs.BLOCKS)} snippets"


def main(argv):
    if not (engines.READERS / "made-from").exists():
        sys.exit("the readers are missing; run make test-readers")
    l = lab.Lab("readers")
    atexit.register(shutil.rmtree, l.folder, ignore_errors=True)
    atexit.register(l.close)
    tests = Tests(argv)
    tests.check("docs", told)
    world = World(l)
    l.step(f"seed {l.seed}: {len(world.every.wants)} records of {len(story.COLUMNS)} types, {len(world.users)} live users")
    for engine, read in ENGINES.items():
        if any(fnmatch.fnmatch(engine, p.split(" ")[0]) for p in tests.patterns):
            attempt(tests, engine, read, world)
    print(f"{tests.passed} passed, {tests.failed} failed, {tests.skipped} skipped")
    return 1 if tests.failed or not tests.passed else 0


def attempt(tests, engine, read, world):
    """A reader that cannot even be started is one failure, and the others go on."""
    try:
        read(tests, world)
    except Exception as e:
        tests.failed += 1
        print(f"FAIL  {engine}: {e}", flush=True)


sys.exit(main(sys.argv[1:]))
