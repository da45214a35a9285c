#!/usr/bin/env python3
"""What MariaDB and MySQL as a source cost: `make bench-mysql`, or bench/mysql.py [--quick] [--only SECTION...] [--kinds KIND...] [--write FILE].

One server at a time on this machine. Throughput: the same stretch of one binlog is read again and again, round by round: by a bare
loop over its packets and by mariadb-binlog --raw (MySQL's is not for it); by the sidecar into its null sink and into lakes. And one
thread decodes and encodes it out of memory (mysql_decode.c). The null sink forgets its position with the process, so its sidecars are started before the log is written and stopped (SIGSTOP) until their
turn comes; the lakes begin from copies of one that was filled up to that place. Then memory with a transaction of a million rows,
idle, and copies beside an unbuffered SELECT. Only ratios within one run, and rows per CPU-second, mean anything elsewhere.

The document is written anew but for what stands below the line "## What the profile says", which is kept by hand.
"""
import argparse
import dataclasses
import itertools
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/lib"))

from sidestream_test import lab as labs  # noqa: E402  (finds the virtual environment)

from document import setting, write  # noqa: E402
from measure import Bars, Run, cpu_of, measured, median, memory_of  # noqa: E402
from sidestream_test import http  # noqa: E402
from sidestream_test.sidecar import BINARY  # noqa: E402
from throughput import warm  # noqa: E402

RAW_PROGRAM, DECODE_PROGRAM = BINARY.parent / "bench/binlog_raw", BINARY.parent / "bench/mysql_decode"
CONF = ["innodb_buffer_pool_size=512M", "sync_binlog=0", "innodb_flush_log_at_trx_commit=0", "max_binlog_size=1G", "innodb_doublewrite=0"]
MORE = {"mariadb": ["innodb_log_file_size=512M"], "mysql": ["innodb_redo_log_capacity=512M"]}
NAMES = {"mariadb": "MariaDB", "mysql": "MySQL"}
RAW, TOOL, NULL, PLAIN, LAKE = "bare packet loop", "mariadb-binlog --raw", "null sink", "lake, no codec", "lake, deflate (default)"
SINKS = {PLAIN: {"codec": "null"}, LAKE: {}}
SELECT = "unbuffered SELECT (bare loop)"
STREAMS, BEGINS = b"mysql: streaming from", b"tables are copied as of the start"
MIB = 2**20
names = (f"car{n}" for n in itertools.count(1))

TABLE = """create table {} (id bigint unsigned primary key, i int, s smallint, d decimal(12,2), f double, dt datetime(6), ts timestamp(3) null,
  v varchar(64), e enum('new','paid','sent'), w varchar(255))"""
# About 110 bytes in the log.
ROW = """{0}, {0} % 100000, {0} % 30000, {0} / 100, {0} / 7, '2026-02-28 12:34:56.789012', '2026-02-28 12:34:56.789',
  concat('customer ', {0} % 5000), 1 + {0} % 3, concat('some text of row ', {0})"""
SMALL = f"""create procedure bench.small(n int) begin
  declare k int default 0;
  while k < n do
    start transaction;
    update small set i = i + 1 where id = k * 7 % 1000;
    update small set w = concat('another text, the ', k, 'th') where id = k * 11 % 1000;
    delete from small where id = k * 13 % 1000;
    insert into small select {ROW.format('(k * 13 % 1000)')};
    commit;
    set k = k + 1;
  end while;
end"""


@dataclasses.dataclass
class Scene:
    """What a stretch of the log holds."""
    name: str
    table: str
    rows: int
    fill: object  # (server, scene)
    least: float = 0  # million rows per CPU-second that the design wants
    runs: int = 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="little of everything, one round: only to see that it works")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), help="these sections; written nowhere unless --write")
    parser.add_argument("--kinds", nargs="+", choices=list(NAMES), default=list(NAMES))
    parser.add_argument("--rows", type=int, default=3_000_000, help="in bulk; a fifth of it in small transactions")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write", type=pathlib.Path, help="where to (default docs/benchmarks-mysql.md; quick: nowhere)")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.runs = 200_000, 1
    elif options.write is None and not options.only:
        options.write = ROOT / "docs/benchmarks-mysql.md"
    return options


# ---- what is in the log ----

def prepare(server):
    server.each("create database bench character set utf8mb4", *(TABLE.format(f"bench.{name}") for name in ("bulk", "small")),
                "create table bench.seq (n int primary key)",
                "insert into bench.seq select a.n + 10 * b.n + 100 * c.n + 1000 * d.n from "
                + ", ".join(f"({' union all '.join(f'select {i} n' for i in range(10))}) {t}" for t in "abcd"))
    server.each(f"insert into small select {ROW.format('n')} from seq where n < 1000", SMALL, db="bench")


def fill_bulk(server, scene, per_transaction=10_000):
    """Rows 0 to `rows`, by statements of 10,000."""
    con = server.connect("bench", autocommit=False)
    with con.cursor() as cur:
        for first in range(0, scene.rows, 10_000):
            cur.execute(f"insert into bulk select {ROW.format(f'({first} + n)')} from seq order by n")
            if (first + 10_000) % per_transaction == 0:
                con.commit()
    con.commit()
    con.close()


def fill_large(server, scene):
    fill_bulk(server, scene, scene.rows)


def fill_small(server, scene):
    server.sql(f"call bench.small({scene.rows // 4})")


def scenes(options):
    large = 1_000_000 if not options.quick else 100_000
    return [Scene("bulk: transactions of 10,000 inserted rows", "bulk", options.rows, fill_bulk, 4.0, options.runs),
            Scene("small: transactions of 2 updates, a delete and an insert", "small", options.rows // 5 // 4 * 4, fill_small, 2.0, options.runs),
            Scene("one transaction of a million rows", "bulk", large, fill_large, 0, min(options.runs, 2))]


# ---- one run ----

def bare(server, *words):
    """The bare loop: its own figures."""
    got = subprocess.run([RAW_PROGRAM, server.base / "my.sock", *words], stdout=subprocess.PIPE, check=True, text=True)
    n, size, seconds, cpu = got.stdout.split()
    run = Run(float(seconds), float(cpu), 0.0, 0, [], {})
    run.n, run.bytes = int(n), int(size)
    return run


def tool(l, server, file, pos):
    folder = l.folder / "raw"
    folder.mkdir()
    try:
        return measured(["mariadb-binlog", "--no-defaults", "-S", server.base / "my.sock", "-uroot", "--read-from-remote-server", "--raw",
                         f"--start-position={pos}", "-r", f"{folder}/", file])
    finally:
        shutil.rmtree(folder)


def new_car(l, server, table, sink, **more):
    name = next(names)
    car = l.sidecar(server, folder=name, name=name, url=server.url("root", None, socket=True),
                    capture=[{"tables": f"bench.{table}", "snapshot": "never"}], **more)
    car.settings["sink"] = sink if sink["type"] == "null" else {"path": str(car.folder / "lake"), **sink}
    car.write_config()
    return car


def away(car):
    car.kill9()
    shutil.rmtree(car.folder)


class Waiting:
    """A sidecar with a null sink that has begun to read, and is stopped until it may go on."""

    def __init__(self, l, server, scene):
        self.face = http.Face()
        # Nothing is to time out while it is stopped.
        self.car = new_car(l, server, scene.table, {"type": "null"}, http=self.face.settings, source={"heartbeat": "10m"})
        before = len(server.dumps())
        self.car.start()
        while STREAMS.decode() not in self.car.log() or len(server.dumps()) == before:
            assert self.car.alive(), self.car.log()[-2000:]
            time.sleep(0.02)
        time.sleep(0.3)
        self.car.process.send_signal(signal.SIGSTOP)

    def rows(self):
        got = self.face.metrics()
        return got[("sidestream_rows_written_total",)]

    def go(self, scene):
        """Until it stands still with all rows; asking while it works would be work for it."""
        pid = self.car.process.pid
        first = used = cpu_of(pid)
        began = last = time.monotonic()
        self.car.process.send_signal(signal.SIGCONT)
        while True:
            time.sleep(0.004)
            now, at = cpu_of(pid), time.monotonic()
            assert now is not None, self.car.log()[-2000:]
            if now > used + 0.0005:
                last = at
            used = now
            if at - last > 0.15 and used > first:
                if self.rows() >= scene.rows:
                    break
                assert at - last < 60, f"{self.rows()} of {scene.rows} rows\n{self.car.log()[-2000:]}"
        run = Run(last - began, used - first, 0.0, memory_of(pid), [], {})
        assert self.rows() == scene.rows, f"{self.rows()} rows, {scene.rows} were committed"
        assert "next try" not in self.car.log(), self.car.log()[-2000:]
        away(self.car)
        return run


def lake_run(l, server, scene, sink, primed):
    car = new_car(l, server, scene.table, {"type": "lake", "commit_interval": "10s", **sink})
    car.settings["name"] = primed.settings["name"]  # the lake is its own
    car.write_config()
    shutil.copytree(primed.lake, car.folder / "lake")
    got = measured([BINARY, "run", car.config, "--until-caught-up"], STREAMS)
    assert (n := car.output().count()) == scene.rows, f"{n} rows in the lake, {scene.rows} were committed"
    away(car)
    return got


def contend(l, server, name, scene, place, ready):
    before = cpu_of(server.pid())
    if name == RAW:
        got = bare(server, "log", *map(str, place))
    elif name == TOOL:
        got = tool(l, server, *place)
    elif name == NULL:
        got = ready["null"].pop().go(scene)
    else:
        got = lake_run(l, server, scene, SINKS[name], ready["lake"])
    got.sender_cpu = cpu_of(server.pid()) - before
    return got


# ---- throughput ----

def decoded(server, file):
    """CPU seconds per million rows of one thread: for event heads alone, rows decoded, and encoded as well."""
    got = subprocess.run([DECODE_PROGRAM, server.base / "data" / file], stdout=subprocess.PIPE, check=True, text=True).stdout
    return [float(n) for n in re.findall(r" ([0-9.]+) CPU-s", got)]


def share(results, name, of):
    """Rows per second over another's: the median of the rounds' own ratios."""
    return median(b.seconds / a.seconds for a, b in zip(results[name], results[of]))


def per_million(runs, scene, what="cpu"):
    return median(getattr(r, what) for r in runs) * 1e6 / scene.rows


def table(results, scene):
    lines = [f"| | rows/s (slowest to fastest) | of the {RAW} | CPU-s per million rows | million rows per CPU-s | server's CPU-s | peak resident |",
             "|---|---:|---:|---:|---:|---:|---:|"]
    for name, runs in results.items():
        rate = [scene.rows / r.seconds / 1000 for r in runs]
        memory = max(r.memory for r in runs)
        lines.append(f"| {name} | {median(rate):.0f} k ({min(rate):.0f} to {max(rate):.0f}) | {share(results, name, RAW):.2f} "
                     f"| {per_million(runs, scene):.3f} | {1 / per_million(runs, scene):.1f} | {per_million(runs, scene, 'sender_cpu'):.2f} "
                     f"| {f'{memory / MIB:.0f} MiB' if memory else ''} |")
    return lines


def add_bars(bars, kind, scene, results, alone):
    def show(x):
        return f"{x:.1f} million rows per CPU-s"
    ours = [name for name in results if name in (NULL, *SINKS)]
    if scene.least:
        bars.at_least(f"{NAMES[kind]}: decode and Avro alone, {scene.name}", 1 / alone[2], scene.least, show)
        bars.at_least(f"{NAMES[kind]}: the whole process with the null sink, {scene.name}", 1 / per_million(results[NULL], scene), scene.least, show)
    most = max(r.memory for name in ours for r in results[name])
    bars.at_most(f"{NAMES[kind]}: memory at full rate, {scene.name}", most / MIB, 96, lambda x: f"{x:.0f} MiB")


def contest(l, server, kind, scene):
    """The log is written once, and read by all in turn."""
    server.sql("truncate bench.bulk")
    primed = new_car(l, server, scene.table, {"type": "lake"})
    assert primed.call("run", "CONFIG", "--until-caught-up").code == 0, primed.log()[-2000:]
    ready = {"lake": primed, "null": [Waiting(l, server, scene) for _ in range(scene.runs)]}
    server.sql("flush binary logs")  # from where nothing else is
    place = server.binlog_end()
    scene.fill(server, scene)
    size = bare(server, "log", *map(str, place))
    l.step(f"{NAMES[kind]}, {scene.name}: {scene.rows:,} rows, {size.bytes / scene.rows:.0f} bytes of log each")
    results = {name: [] for name in [RAW, *([TOOL] if kind == "mariadb" else []), NULL, *SINKS]}
    for _ in range(scene.runs):
        for name in results:
            results[name].append(contend(l, server, name, scene, place, ready))
    away(primed)
    alone = decoded(server, place[0])
    told = ", ".join(f"{name} {scene.rows / median(r.seconds for r in runs) / 1000:.0f} k" for name, runs in results.items())
    l.step(f"  {told}; million rows per CPU-s: null sink {1 / per_million(results[NULL], scene):.1f}, decode and Avro alone {1 / alone[2]:.1f}")
    return size, results, alone


def throughput(l, server, kind, options, bars):
    text = [f"### {NAMES[kind]}: throughput, CPU and memory\n",
            "The same stretch of the log, read in turn. Seconds count from when the server streams to the last row written (null sink), or to the end "
            "of the process with its last commit (lakes). Medians; the share is the median of the rounds' own ratios; memory is the most "
            "of any round. The server's CPU is per million rows too, and all of its process.\n"]
    for scene in scenes(options):
        size, results, alone = contest(l, server, kind, scene)
        text += [f"#### {scene.name[0].upper()}{scene.name[1:]}\n",
                 f"{scene.rows:,} row changes, {size.bytes / scene.rows:.0f} bytes of log each in {size.n:,} events; rounds: {scene.runs}.\n",
                 *table(results, scene), "",
                 f"One thread, the log in memory, CPU-s per million rows: {alone[0]:.3f} for the heads of events and their checksums, {alone[1]:.3f} with rows "
                 f"decoded, {alone[2]:.3f} with these encoded as Avro.\n"]
        add_bars(bars, kind, scene, results, alone)
    return text


# ---- idle ----

def idle(l, server, kind, options, bars):
    seconds = 5 if options.quick else 30
    car = new_car(l, server, "bulk", {"type": "lake"}).start()
    car.wait_streaming(server)
    time.sleep(3)
    before, began = cpu_of(car.process.pid), time.monotonic()
    time.sleep(seconds)
    used = (cpu_of(car.process.pid) - before) / (time.monotonic() - began) * 100
    resident = memory_of(car.process.pid, "VmRSS") / MIB
    l.step(f"{NAMES[kind]}, idle: {used:.3f} % of a core, {resident:.0f} MiB")
    bars.at_most(f"{NAMES[kind]}: idle, {seconds} s: CPU", used, 0.2, lambda x: f"{x:.3f} % of a core")
    bars.at_most(f"{NAMES[kind]}: idle: resident", resident, 32, lambda x: f"{x:.0f} MiB")
    away(car)
    return []


# ---- copies ----

def copied(l, server, rows, sink, threads):
    car = new_car(l, server, "bulk", {"type": sink}, snapshot={"threads": threads})
    car.settings["capture"][0]["snapshot"] = "initial"
    car.write_config()
    before = cpu_of(server.pid())
    got = measured([BINARY, "run", car.config, "--until-caught-up"], BEGINS)
    got.sender_cpu = cpu_of(server.pid()) - before
    if sink == "lake":
        assert (n := car.output().count()) == rows, f"{n} rows in the lake, {rows} in the table"
    away(car)
    return got


def selected(server):
    before = cpu_of(server.pid())
    got = bare(server, "select", "select id, i, s, d, f + 0e0, dt, ts, v, e, w from bench.bulk")
    got.sender_cpu = cpu_of(server.pid()) - before
    return got


def snapshot(l, server, kind, options, bars):
    rows = options.rows // 3 * 2
    scene = Scene("copy", "bulk", rows // 10_000 * 10_000, fill_bulk)
    server.sql("truncate bench.bulk")
    fill_bulk(server, scene)
    server.sql("analyze table bench.bulk")
    results = {SELECT: []}
    for _ in range(options.runs):
        results[SELECT].append(selected(server))
        for sink, threads in itertools.product(("null", "lake"), (1, 2)):
            name = f"{ {'null': NULL, 'lake': LAKE}[sink]}, {threads} connection{'s' if threads > 1 else ''}"
            results.setdefault(name, []).append(copied(l, server, scene.rows, sink, threads))
    lines = ["| | rows/s (slowest to fastest) | of the bare loop | CPU-s per million rows | server's CPU-s | peak resident |",
             "|---|---:|---:|---:|---:|---:|"]
    for name, runs in results.items():
        rate = [scene.rows / r.seconds / 1000 for r in runs]
        memory = max(r.memory for r in runs)
        lines.append(f"| {name} | {median(rate):.0f} k ({min(rate):.0f} to {max(rate):.0f}) | {share(results, name, SELECT):.2f} "
                     f"| {per_million(runs, scene):.2f} | {per_million(runs, scene, 'sender_cpu'):.2f} | {f'{memory / MIB:.0f} MiB' if memory else ''} |")
        l.step(f"{NAMES[kind]}, copy, {name}: {median(rate):.0f} k rows/s")
        if name != SELECT:
            bars.at_most(f"{NAMES[kind]}: memory, copy into {name}", memory / MIB, 96, lambda x: f"{x:.0f} MiB")
            if "1 connection" in name:
                bars.at_least(f"{NAMES[kind]}: copy into {name}", share(results, name, SELECT), 0.85, lambda x: f"{x:.2f} of the bare SELECT")
    return [f"### {NAMES[kind]}: copies of a table\n",
            f"{scene.rows:,} rows of 10 columns; {options.runs} rounds over the socket. The bare loop reads the rows as text and throws them away; a pipeline is "
            "timed from when its rows begin to be read to the end of the process. The design has no bar for MySQL's copies; the one shown is PostgreSQL's.\n",
            *lines, ""]


SECTIONS = {"throughput": throughput, "idle": idle, "snapshot": snapshot}


def bench(l, options):
    bars, text, servers = Bars(), [], []
    if not options.quick:
        warm(l.folder)
    for kind in options.kinds:
        server = l.mysql(kind, conf=[*CONF, *MORE[kind]])
        prepare(server)
        version = server.value("select version()").split("-")[0]
        servers.append(f"{NAMES[kind]} {version}")
        for name, section in SECTIONS.items():
            if not options.only or name in options.only:
                text += section(l, server, kind, options, bars)
        server.stop()
        shutil.rmtree(server.base)
    head = ["# Benchmarks of MariaDB and MySQL\n",
            f"Written by `make bench-mysql` (bench/mysql.py says how). {setting(*servers, how='one at a time, sync_binlog=0, over the socket')}.\n",
            "Only the ratios within one run, and rows per CPU-second of a like machine, mean anything elsewhere.\n"]
    text = "\n".join([*head, "## The bars\n", "`of the bar`: the measured value over the bar. A bar is a bound for a quiet machine.\n",
                      *bars.table(), "", "## Figures\n", *text])
    print(text)
    if options.write:
        write(options.write, text)


def main():
    options = arguments()
    os.umask(0o022)
    l = labs.Lab("bench-mysql")
    try:
        bench(l, options)
    finally:
        l.close()
        shutil.rmtree(l.folder, ignore_errors=True)


main()
