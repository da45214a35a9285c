#!/usr/bin/env python3
"""Throughput beside the native ceiling: `make bench`, or bench/run.py [--quick] [--rows N] [--runs N] [--write FILE].

One server, one slot. Each run reads a copy of that slot, so all read the same contents: pg_recvlogical into
/dev/null, then the sidecar into its null sink, into a lake without codec, and into a lake as it is by default,
one after the other, round by round; the median round counts. Everything runs on this machine, so only
the ratios within one run mean anything. The table is written to docs/benchmarks.md.
"""
import argparse
import datetime
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/lib"))

from sidestream_test import lab as labs  # noqa: E402
from sidestream_test import lake  # noqa: E402
from sidestream_test.sidecar import BINARY  # noqa: E402

TABLE = """create schema bench;
create table bench.rows (id bigint primary key, customer int not null, product int not null, quantity smallint not null,
  price numeric(12,2) not null, paid boolean not null, placed timestamptz not null, day date not null,
  status text not null, email text not null, address text not null, note text);
create publication bench for table bench.rows;
"""
ROW = """select g, g % 50000, g * 7 % 900, (g % 20)::smallint, (g % 99999) / 100.0, g % 2 = 0,
  timestamptz '2026-01-01 00:00:00.123456+00' + g * interval '1 ms', date '2026-01-01' + (g % 365)::int,
  (array['new','paid','shipped','returned'])[1 + g % 4], 'customer' || g % 50000 || '@example.com',
  (g % 200) || ' ' || left(md5(g::text), 24) || ' Street, Town ' || g % 1000, case when g % 3 > 0 then md5((g * 3)::text) || left(md5((g * 5)::text), 18) end
  from generate_series(%s, %s) g"""
CONTENDERS = {
    "pg_recvlogical": None,
    "sidestream, null sink": {"type": "null"},
    "sidestream, lake, no codec": {"type": "lake", "codec": "null"},
    "sidestream, lake (deflate)": {"type": "lake"},
}


class Run:
    """One finished process: its seconds, CPU, memory, and the walsender's CPU beside it."""

    def __init__(self, seconds, cpu, sender_cpu, memory):
        self.seconds, self.cpu, self.sender_cpu, self.memory = seconds, cpu, sender_cpu, memory


def cpu_of(pid):
    try:
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid):
    try:
        for line in open(f"/proc/{pid}/status"):
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def measure(pg, slot, words):
    """Runs the command; samples its memory and the walsender's CPU until it ends."""
    sender = [None, 0.0]
    peak = [0]
    done = threading.Event()
    began = time.monotonic()
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def watch():
        while not done.wait(0.03):
            peak[0] = max(peak[0], memory_of(process.pid))
            if sender[0] is None:
                sender[0] = (pg.slot(slot) or {}).get("active_pid")
            sender[1] = max(sender[1], (sender[0] and cpu_of(sender[0])) or 0.0)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    err = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    done.set()
    watcher.join()
    if process.returncode:
        sys.exit(f"{words[0]} ended with {process.returncode}: {err[-2000:].decode(errors='replace')}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, sender[1], peak[0])


def contend(l, pg, name, rows, end):
    """One run of one contender on a fresh copy of the slot."""
    pg.sql("select pg_copy_logical_replication_slot('master', 'copy')")
    sink = CONTENDERS[name]
    try:
        if sink is None:
            words = [f"{pg.bin}/pg_recvlogical", "-h", pg.base, "-p", str(pg.port), "-U", "postgres", "-d", "postgres",
                     "-S", "copy", "--start", "-o", "proto_version=1", "-o", "publication_names=bench",
                     "--endpos", end, "-f", "/dev/null"]
            return measure(pg, "copy", words)
        folder = l.folder / "car"
        path = {"path": str(folder / "lake"), "commit_interval": "10s"} if sink["type"] == "lake" else {}
        car = l.sidecar(pg, folder="car", name="bench", capture=[{"tables": "bench.rows", "snapshot": "never"}],
                        source={"slot": "copy", "publication": "bench", "adopt_slot": True, "manage": "none"})
        car.settings["sink"] = {**sink, **path}
        car.write_config()
        got = measure(pg, "copy", [BINARY, "run", car.config, "--until-caught-up"])
        if path:
            there = lake.Lake(folder / "lake").count()
            assert there == rows, f"{name}: {there} rows in the lake, {rows} were committed"
        shutil.rmtree(folder)
        return got
    finally:
        pg.wait_slot_free("copy")
        pg.sql("select pg_drop_replication_slot('copy')")


def fill(pg, rows, per_transaction):
    """The master slot, and rows behind it; the LSN at which to end."""
    pg.sql("truncate bench.rows")
    pg.sql("select pg_create_logical_replication_slot('master', 'pgoutput')")
    if per_transaction > 1:
        con = pg.connect()
        cur = con.cursor()
        for first in range(1, rows + 1, per_transaction):
            cur.execute("insert into bench.rows " + ROW.replace("%s", "{}").format(first, min(rows, first + per_transaction - 1)))
        con.close()
    else:
        pg.sql("create or replace procedure bench.single(n int) language plpgsql as $$ begin for i in 1..n loop "
               f"insert into bench.rows {ROW.replace('%s', 'i')}; commit; end loop; end $$".replace("%%", "%"))
        pg.sql("set synchronous_commit = off; ")
        con = pg.connect()
        cur = con.cursor()
        cur.execute("set synchronous_commit = off")
        cur.execute(f"call bench.single({rows})")
        con.close()
    pg.sql("checkpoint")
    return pg.value("select pg_current_wal_lsn()::text")


def table(results, rows):
    base = statistics.median(r.seconds for r in results["pg_recvlogical"])
    lines = ["| | rows/s | of pg_recvlogical | CPU-s per million rows: client | walsender | peak resident |",
             "|---|---:|---:|---:|---:|---:|"]
    for name, runs in results.items():
        runs = sorted(runs, key=lambda r: r.seconds)
        mid = runs[len(runs) // 2]
        spread = f"{rows / runs[-1].seconds / 1000:.0f} to {rows / runs[0].seconds / 1000:.0f} k"
        lines.append(f"| {name} | {rows / mid.seconds / 1000:.0f} k ({spread}) | {base / mid.seconds:.2f} "
                     f"| {mid.cpu * 1e6 / rows:.2f} | {mid.sender_cpu * 1e6 / rows:.2f} "
                     f"| {max(r.memory for r in runs) / 2**20:.0f} MiB |")
    return lines


def machine(pg):
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown CPU")
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    changed = subprocess.run(["git", "-C", ROOT, "status", "--porcelain", "-uno"], capture_output=True, text=True).stdout.strip()
    version = pg.value("show server_version").split()[0]
    return (f"{model}, {os.cpu_count()} cores, {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 30} GiB, Linux "
            f"{platform.release()}; PostgreSQL {version} on the same machine, unix socket, fsync off; commit {commit or 'none yet'}"
            f"{' with changes' if changed else ''}; load average {os.getloadavg()[0]:.1f} before the start; "
            f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="50,000 rows, one run: only to see that it works")
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write", type=pathlib.Path, help="where to (default docs/benchmarks.md; quick: nowhere)")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.runs = 50_000, 1
    elif options.write is None:
        options.write = ROOT / "docs/benchmarks.md"
    l = labs.Lab("bench")
    try:
        bench(l, options)
    finally:
        l.close()
        shutil.rmtree(l.folder, ignore_errors=True)


def bench(l, options):
    pg = l.postgres(conf=["max_wal_size = 8GB", "shared_buffers = 256MB", "checkpoint_timeout = 1h", "autovacuum = off"])
    pg.sql(TABLE)
    text = [f"# Benchmarks\n\nWritten by `make bench` (bench/run.py says how). {machine(pg)}.\n",
            "The same slot contents for all, read in turn; the median of "
            f"{options.runs} round{'s' if options.runs > 1 else ''}, slowest to fastest in brackets. Rows have 12 columns. "
            "Only the ratios within one table mean anything on another machine.\n"]
    for title, rows, size in (("Transactions of 1,000 rows", options.rows, 1000),
                              ("Transactions of one row", options.rows // 5, 1)):
        before = pg.wal_end()
        end = fill(pg, rows, size)
        l.step(f"{title}: {rows} rows, {(pg.wal_end() - before) / rows:.0f} bytes of log each")
        results = {name: [] for name in CONTENDERS}
        for round in range(options.runs):
            for name in CONTENDERS:
                got = contend(l, pg, name, rows, end)
                results[name].append(got)
                l.step(f"  {round + 1}/{options.runs} {name}: {rows / got.seconds / 1000:.0f} k rows/s, {got.cpu:.2f} CPU-s")
        text += [f"## {title}\n\n{rows:,} rows.\n", *table(results, rows), ""]
        pg.sql("select pg_drop_replication_slot('master')")
    print("\n".join(text))
    if options.write:
        options.write.write_text("\n".join(text))


main()
