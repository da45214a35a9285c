"""Throughput, CPU and memory at full rate, beside pg_recvlogical on copies of one slot."""
import dataclasses
import shutil

from measure import measure, median, write_rows
from sidestream_test import lake
from sidestream_test.sidecar import BINARY

NATIVE = "pg_recvlogical"
CONTENDERS = {
    NATIVE: None,
    "null sink": {"type": "null"},
    "lake, no codec": {"type": "lake", "codec": "null"},
    "lake, deflate (default)": {"type": "lake"},
    "lake, zstandard": {"type": "lake", "codec": "zstandard"},
}


@dataclasses.dataclass
class Scene:
    """One table of the document: what the slot holds, and how it is read."""
    size: int
    per_transaction: int
    rows: int
    tcp: bool = False

    def title(self):
        many = {1: "one row"}.get(self.per_transaction, f"{self.per_transaction:,} rows")
        return f"Rows of {self.size} B, transactions of {many}, {'TCP' if self.tcp else 'unix socket'}"

    def content(self):
        return self.size, self.per_transaction, self.rows


def scenes(options):
    n = options.rows
    got = [Scene(size, per, n // 3 if per == 1 else n if size > 250 else 3 * n, tcp)
           for size in (250, 500) for per in (100, 1) for tcp in (False, True)]
    if options.quick:
        return [Scene(250, 100, n), Scene(250, 1, n // 3)]
    got.append(Scene(250, 1_000_000, 1_000_000))
    if options.long:
        got += [Scene(250, 1_000_000, 1_000_000, True), Scene(500, 1_000_000, 1_000_000), Scene(500, 1_000_000, 1_000_000, True)]
    return got


def contend(l, pg, name, scene, end):
    """One run of one contender on a fresh copy of the slot."""
    pg.sql("select pg_copy_logical_replication_slot('master', 'copy')")
    sink = CONTENDERS[name]
    try:
        if sink is None:
            words = [f"{pg.bin}/pg_recvlogical", "-h", "127.0.0.1" if scene.tcp else pg.base, "-p", str(pg.port), "-U", "postgres",
                     "-d", "postgres", "-v", "-S", "copy", "--start", "-o", "proto_version=1", "-o", "publication_names=bench",
                     "--endpos", end, "-f", "/dev/null"]
            return measure(pg, "copy", words)
        folder = l.folder / "car"
        path = {"path": str(folder / "lake"), "commit_interval": "10s"} if sink["type"] == "lake" else {}
        car = l.sidecar(pg, folder="car", url=pg.url(socket=not scene.tcp), name="bench",
                        capture=[{"tables": "bench.rows", "snapshot": "never"}],
                        source={"slot": "copy", "publication": "bench", "adopt_slot": True, "manage": "none"})
        car.settings["sink"] = {**sink, **path}
        car.write_config()
        got = measure(pg, "copy", [BINARY, "run", car.config, "--until-caught-up"])
        if path:
            there = lake.Lake(folder / "lake").count()
            assert there == scene.rows, f"{name}: {there} rows in the lake, {scene.rows} were committed"
        shutil.rmtree(folder)
        return got
    finally:
        pg.wait_slot_free("copy")
        pg.sql("select pg_drop_replication_slot('copy')")


def fill(pg, scene):
    """The master slot, and rows behind it; the LSN at which to end."""
    pg.sql("truncate bench.rows")
    pg.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = 'master'")
    pg.sql("select pg_create_logical_replication_slot('master', 'pgoutput')")
    write_rows(pg, scene.size, scene.rows, scene.per_transaction)
    return pg.value("select pg_current_wal_lsn()::text")


def shares(results, name):
    """Rows per second of it over those of pg_recvlogical, round by round."""
    return [native.seconds / run.seconds for native, run in zip(results[NATIVE], results[name])]


def bar_of(scene, name):
    """The least share of pg_recvlogical's throughput that the design allows."""
    bare = 0.9 if scene.per_transaction == 1 else 1.0
    return {"null sink": bare, "lake, no codec": bare, "lake, deflate (default)": 0.85}.get(name)


def table(results, scene):
    lines = ["| | rows/s (slowest to fastest) | of pg_recvlogical | bar | CPU-s per million rows | walsender's | peak resident |",
             "|---|---:|---:|---:|---:|---:|---:|"]
    for name, runs in results.items():
        rate = [scene.rows / r.seconds / 1000 for r in runs]
        share, bar = median(shares(results, name)), bar_of(scene, name)
        verdict = "" if bar is None else f"{bar:.2f} {'holds' if share >= bar else '**misses**'}"
        lines.append(f"| {name} | {median(rate):.0f} k ({min(rate):.0f} to {max(rate):.0f}) | {share:.2f} | {verdict} "
                     f"| {per_million(runs, scene, 'cpu'):.2f} | {per_million(runs, scene, 'sender_cpu'):.2f} "
                     f"| {max(r.memory for r in runs) / 2**20:.0f} MiB |")
    return lines


def per_million(runs, scene, what):
    return median(getattr(r, what) for r in runs) * 1e6 / scene.rows


def add_bars(bars, scene, results):
    def share(x):
        return f"{x:.2f} of pg_recvlogical"
    for name in results:
        bar = bar_of(scene, name)
        if bar and scene.size == 250:
            bars.at_least(f"throughput, {name}; {scene.title()}", median(shares(results, name)), bar, share)
    if scene.size == 250 and scene.per_transaction > 1:
        bars.at_most(f"CPU, lake, no codec; {scene.title()}", per_million(results["lake, no codec"], scene, "cpu"), 1.0,
                     lambda x: f"{x:.2f} CPU-s per million rows")
    most = max(r.memory for name, runs in results.items() if name != NATIVE for r in runs)
    bars.at_most(f"memory at full rate; {scene.title()}", most / 2**20, 96, lambda x: f"{x:.0f} MiB")


def warm(folder, size=2 << 30):
    """
    A virtual machine gets a page of memory from its host at the first touch, which made the first file of 1 GB ten times
    as dear as the next ones. So that much is written and removed first.
    """
    block = bytes(1 << 20)
    with open(folder / "warm", "wb", buffering=0) as out:
        for _ in range(size >> 20):
            out.write(block)
    (folder / "warm").unlink()


def run(l, pg, options, bars):
    if not options.quick:
        warm(l.folder)
    text = ["## Throughput, CPU and memory at full rate\n",
            f"Copies of one slot, read in turn, timed from when the server streams to the end of the process: {options.runs} round{'s' if options.runs > 1 else ''}; rows per second and CPU are medians, "
            "the share is the median of the rounds' own ratios, memory is the most that any round took. The lake commits every 10 s "
            "and fsyncs. CPU and memory are the reading process's.\n"]
    filled = None
    for scene in scenes(options):
        if scene.content() != filled:
            before = pg.wal_end()
            end, filled = fill(pg, scene), scene.content()
            l.step(f"{scene.rows} rows, {(pg.wal_end() - before) / scene.rows:.0f} bytes of log each")
        results = {name: [] for name in CONTENDERS}
        for _ in range(options.runs):
            for name in CONTENDERS:
                results[name].append(contend(l, pg, name, scene, end))
        told = ", ".join(f"{name} {scene.rows / median(r.seconds for r in runs) / 1000:.0f} k" for name, runs in results.items())
        l.step(f"{scene.title()}: {told}")
        text += [f"### {scene.title()}\n", f"{scene.rows:,} rows.\n", *table(results, scene), ""]
        add_bars(bars, scene, results)
    pg.sql("select pg_drop_replication_slot('master')")
    pg.sql("truncate bench.rows")
    return text
