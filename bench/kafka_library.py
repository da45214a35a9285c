"""The sidecar with another librdkafka than the machine's, beside it: what it costs and how long its commits take."""
import pathlib
import shutil
import subprocess
import time

import confluent_kafka

from bare import PARTITIONS, TOOLS, Writer, forget, forget_topics, new_car, paced_procedure, rows_committed, wait_rows
from measure import cpu_of, measure, median, quantile, threads_of
from sidestream_test.sidecar import BINARY
from throughput import Scene, fill

WARM_S = 1  # of each paced run is not counted


def path_of(text):
    """What --librdkafka says: a file, or `wheel` for the one inside the tests' Python packages."""
    if text != "wheel":
        return pathlib.Path(text).resolve(strict=True)
    found = list(pathlib.Path(confluent_kafka.__file__).parents[1].glob("confluent_kafka.libs/librdkafka-*.so*"))
    assert found, "confluent-kafka's wheel brings no librdkafka of its own here"
    return found[0]


class Library:
    """name: as the sidecar's log tells it."""

    def __init__(self, l, file):
        self.env, self.name = {}, None
        if file:
            folder = l.folder / "librdkafka"
            folder.mkdir(exist_ok=True)
            link = folder / "librdkafka.so.1"
            link.unlink(missing_ok=True)
            link.symlink_to(file)
            self.env = {"LD_LIBRARY_PATH": str(folder)}
            self._whole(file)

    @staticmethod
    def _whole(file):
        """A library without a function that the sidecar calls would end it in the middle of a run: functions are bound when first called."""
        def names(*words):
            return {line.split()[-1].split("@")[0] for line in subprocess.run(["nm", "-D", *map(str, words)], check=True, stdout=subprocess.PIPE,
                                                                              text=True).stdout.splitlines() if line}
        missing = {n for n in names("--undefined-only", BINARY) if n.startswith("rd_kafka_")} - names("--defined-only", file)
        assert not missing, f"{file} lacks {sorted(missing)}"

    def words(self, *command):
        return ["env", *(f"{k}={v}" for k, v in self.env.items()), *map(str, command)]

    def told(self, log):
        self.name = log.split("kafka: librdkafka ", 1)[1].split()[0]


def mine(threads):
    """CPU seconds of librdkafka's own threads."""
    return sum(cpu for (_, name), cpu in threads.items() if name.startswith("rdk:"))


# ---- at full rate ----

def full_rate(l, pg, broker, rows, library):
    """One run over a copy of the master slot; library None: the null sink."""
    pg.sql("select pg_copy_logical_replication_slot('master', 'copy')")
    source = {"slot": "copy", "publication": "bench", "adopt_slot": True, "manage": "none"}
    car = new_car(l, pg, broker, source)
    if not library:
        car.settings["sink"] = {"type": "null"}
        car.write_config()
    words = [BINARY, "run", car.config, "--until-caught-up"]
    got = measure(pg, "copy", library.words(*words) if library else words)
    if library:
        there = rows_committed(car.output())
        assert there == rows, f"{there} rows in Kafka, {rows} were committed"
    pg.wait_slot_free("copy")
    pg.sql("select pg_drop_replication_slot('copy')")
    forget_topics(broker, car.name)
    shutil.rmtree(car.folder)
    return got


def throughput(l, pg, broker, options, libraries):
    scene = Scene(500, 100, options.rows)
    fill(pg, scene)
    found = {library: [] for library in (None, *libraries)}
    for _ in range(options.runs):
        for library, runs in found.items():
            runs.append(full_rate(l, pg, broker, scene.rows, library))
    pg.sql("select pg_drop_replication_slot('master')")
    pg.sql("truncate bench.rows")
    return scene, found


# ---- at a pace ----

class Paced:
    """Of one run: each commit's milliseconds, shares of a core: the sidecar's, librdkafka's threads', the broker's."""

    def __init__(self, l, pg, broker, library, rate, per, seconds):
        car = new_car(l, pg, broker)
        told = car.folder / "commits"
        car.start(env={**library.env, "LD_PRELOAD": str(TOOLS / "commits.so"), "COMMITS_FILE": str(told)}).wait_streaming(pg)
        library.told(car.log())
        java, pid = broker.nodes[0].pid(), car.process.pid
        writer = Writer(pg, rate, per, seconds)
        time.sleep(WARM_S)
        before, began = (cpu_of(pid), mine(threads_of(pid)), cpu_of(java)), time.monotonic()
        took = writer.end()
        spent = [b - a for a, b in zip(before, (cpu_of(pid), mine(threads_of(pid)), cpu_of(java)))]
        self.car, self.client, self.broker = (100 * s / (time.monotonic() - began) for s in spent)
        wait_rows(car, writer.rows)
        lines = [tuple(map(int, line.split())) for line in told.read_text().splitlines()]
        self.commits = [us / 1000 for at, us in lines if writer.began + WARM_S <= at / 1e6 <= writer.began + took]
        assert len(self.commits) > 10, f"{len(self.commits)} commits"
        self.rate = len(self.commits) / (took - WARM_S)
        forget(pg, broker, car)


def paced(l, pg, broker, options, libraries, rate, per):
    seconds = 3 if options.quick else 10
    found = {library: [] for library in libraries}
    for _ in range(options.runs):
        for library, runs in found.items():
            runs.append(Paced(l, pg, broker, library, rate, per, seconds))
    return found


# ---- the section ----

def commits(runs):
    return " | ".join(f"{median(quantile(r.commits, share) for r in runs):.1f} ms" for share in (0.5, 0.9, 0.99))


def share(runs, what):
    return f"{median(getattr(r, what) for r in runs):.1f} %"


def full_table(scene, found):
    def per_million(runs, what):
        return median(map(what, runs)) * 1e6 / scene.rows
    null = per_million(found[None], lambda r: r.cpu)
    lines = ["| librdkafka | rows/s | CPU-s per million rows | on top of encoding | of that librdkafka's threads |", "|---|---:|---:|---:|---:|"]
    for library, runs in found.items():
        if library:
            cpu = per_million(runs, lambda r: r.cpu)
            theirs = per_million(runs, lambda r: r.cpu * mine(r.threads) / (sum(r.threads.values()) or 1))
            lines.append(f"| {library.name} | {scene.rows / median(r.seconds for r in runs) / 1000:.0f} k | {cpu:.2f} | {cpu - null:.2f} | {theirs:.2f} |")
    return lines


def paced_table(found):
    lines = ["| librdkafka | sidecar, of a core | of that librdkafka's threads | broker, of a core | commits/s | commit p50 | p90 | p99 |",
             "|---|---:|---:|---:|---:|---:|---:|---:|"]
    for library, runs in found.items():
        lines.append(f"| {library.name} | {share(runs, 'car')} | {share(runs, 'client')} | {share(runs, 'broker')} "
                     f"| {median(r.rate for r in runs):.0f} | {commits(runs)} |")
    return lines


def library(l, pg, broker, options, bars):
    """Bars are of the machine's own librdkafka alone: these tables have none."""
    if not options.librdkafka:
        return []
    libraries = Library(l, None), Library(l, path_of(options.librdkafka))
    paced_procedure(pg)
    slow = paced(l, pg, broker, options, libraries, 1000, 1)
    fast = paced(l, pg, broker, options, libraries, 20_000, 100)
    assert libraries[0].name != libraries[1].name, f"both are {libraries[0].name}"
    scene, full = throughput(l, pg, broker, options, libraries)
    for which, found in (("1,000 tx/s", slow), ("20,000 rows/s", fast)):
        l.step(f"{which}: " + "; ".join(f"{lib.name} {share(runs, 'car')} of a core, commits {commits(runs)}" for lib, runs in found.items()))
    seconds = 3 if options.quick else 10
    return ["## Another librdkafka\n",
            f"The same binary with {libraries[0].name}, which it is built with, and with {libraries[1].name} in its place (`--librdkafka`), by turns in one run, "
            f"rounds: {options.runs}. First {scene.title()[0].lower()}{scene.title()[1:]}, {scene.rows:,} of them into {PARTITIONS} partitions as under Throughput; on top of encoding: less "
            f"the null sink of the same rounds. Then at a pace for {seconds} s, of which the first does not count; a commit from the transaction's "
            "last record to its end.\n",
            "### At full rate\n", *full_table(scene, full), "",
            "### 1,000 transactions/s of one row\n", *paced_table(slow), "",
            "### 20,000 rows/s in transactions of 100\n", *paced_table(fast), ""]
