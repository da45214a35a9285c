#!/usr/bin/env python3
"""What copying tables costs: `make bench-snapshot`, or bench/snapshot.py [--quick] [--only SECTION...] [--rows N] [--runs N] [--write FILE].

Throughput: binary COPY of one table by psql into /dev/null, then `run --until-caught-up` of new pipelines that copy the same
table into the null sink, a lake and Kafka, by one connection and by two, one after the other, round by round. A run is timed
from when its rows begin to be read to the end of the process (the last commit included). Resume: a table of ten million
narrow rows, the process killed at the half, and what is read twice. Only ratios within one run mean anything elsewhere.

The document is written anew but for what stands below the line "## What the profile says", which is kept by hand.
"""
import argparse
import itertools
import os
import pathlib
import shutil
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/lib"))

from sidestream_test import lab as labs  # noqa: E402  (finds the virtual environment)

from bare import forget_topics  # noqa: E402
from document import machine, write  # noqa: E402
from measure import TABLE, Bars, measured, median, row_sql  # noqa: E402
from sidestream_test import copy_judge  # noqa: E402
from sidestream_test.sidecar import BINARY  # noqa: E402
from throughput import warm  # noqa: E402

CONF = ["max_wal_size = 32GB", "max_locks_per_transaction = 256", "shared_buffers = 512MB", "checkpoint_timeout = 1h", "autovacuum = off"]
BROKER = ["log.retention.check.interval.ms=5000"]
BROKER_ENV = {"KAFKA_HEAP": "1g", "KAFKA_TIER": "4"}
NATIVE = "COPY ... TO STDOUT (FORMAT binary)"
BEGINS = b"tables are copied as of the start"
SINKS = ["null", "plain", "lake", "kafka"]
PARTITIONS = 6
SHARE = 0.85  # of the native COPY, by one connection
AGAIN = 0.05  # of the table may be read twice
MEMORY = 96
EACH = 5  # milliseconds a small table may take
names = (f"copy{n}" for n in itertools.count(1))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="little of everything, one round: only to see that it works")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), help="these sections; written nowhere unless --write")
    parser.add_argument("--sinks", nargs="+", choices=SINKS, default=SINKS)
    parser.add_argument("--rows", type=int, default=2_000_000, help="of the table of the throughput")
    parser.add_argument("--narrow", type=int, default=10_000_000, help="of the table of the resumption")
    parser.add_argument("--tables", type=int, default=1000, help="small ones")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write", type=pathlib.Path, help="where to (default docs/benchmarks-snapshot.md; quick: nowhere)")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.narrow, options.tables, options.runs = 200_000, 400_000, 100, 1
    elif options.write is None and not options.only:
        options.write = ROOT / "docs/benchmarks-snapshot.md"
    return options


# ---- one run ----

def native(pg):
    return measured([f"{pg.bin}/psql", "-X", "-q", "-h", pg.base, "-p", str(pg.port), "-U", "postgres", "-d", "postgres", "-c",
                     "copy bench.rows to stdout (format binary)"])


def pipeline(l, pg, broker, sink, tables, snapshot, **source):
    name = next(names)
    car = l.sidecar(pg, folder=name, name=name, kafka=broker if sink == "kafka" else None, source=source, snapshot=snapshot,
                    capture=[{"tables": tables, "snapshot": "initial"}], sink={"partitions": PARTITIONS} if sink == "kafka" else {})
    if sink == "null":
        car.settings["sink"] = {"type": "null"}
    elif sink in ("lake", "plain"):
        if sink == "plain":
            car.settings["sink"]["codec"] = "null"
        del car.settings["sink"]["commit_interval"]  # the default
    else:
        broker.create(f"{name}.{tables}", PARTITIONS)
    car.write_config()
    return car


def count(car):
    """Rows that are committed."""
    if car.kafka:
        return sum(end["rows"] for end in car.output().commits())
    return car.output().count()


def forget(pg, broker, car):
    car.kill9()
    l_slot = car.slot
    pg.wait_slot_free(l_slot)
    pg.sql("select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s", [l_slot])
    for publication, in pg.sql("select pubname from pg_publication where pubname like %s", [l_slot + "%"]):
        pg.sql(f'drop publication "{publication}"')
    if car.kafka:
        forget_topics(broker, car.name)
    shutil.rmtree(car.folder)


def copied(l, pg, broker, sink, threads, options):
    car = pipeline(l, pg, broker, sink, "bench.rows", {"threads": threads})
    got = measured([BINARY, "run", car.config, "--until-caught-up"], BEGINS)
    if sink != "null":
        assert count(car) == options.rows, f"{count(car)} rows in {sink}, {options.rows} in the table"
    forget(pg, broker, car)
    return got


# ---- throughput ----

def fill(pg, rows):
    for first in range(1, rows + 1, 200_000):
        pg.sql(row_sql(250, first, min(rows, first + 199_999)))
    pg.each("vacuum (analyze, freeze) bench.rows", "checkpoint")


def label(sink, threads):
    named = {"null": "null sink", "plain": "lake, no codec", "lake": "lake, deflate (default)", "kafka": "Kafka"}[sink]
    return f"{named}, {threads} connection{'s' if threads > 1 else ''}"


def throughput(l, pg, broker, options, bars):
    pg.sql(TABLE)
    fill(pg, options.rows)
    size = pg.value("select pg_table_size('bench.rows')")
    l.step(f"{options.rows} rows, {size / 2**20:.0f} MiB")
    results = {NATIVE: []}
    for _ in range(options.runs):
        results[NATIVE].append(native(pg))
        for sink in options.sinks:
            for threads in (1, 2):
                results.setdefault(label(sink, threads), []).append(copied(l, pg, broker, sink, threads, options))
    pg.sql("drop table bench.rows")
    for name, runs in results.items():
        l.step(f"{name}: {options.rows / median(r.seconds for r in runs) / 1000:.0f} k rows/s")
    return report(options, results, size, bars)


def share(results, name):
    """Rows per second over those of the native COPY: the median of the rounds' own ratios."""
    return median(n.seconds / r.seconds for n, r in zip(results[NATIVE], results[name]))


def report(options, results, size, bars):
    lines = ["| | rows/s (slowest to fastest) | of the native COPY | CPU-s per million rows | processors busy, of "
             f"{os.cpu_count()} | peak resident |", "|---|---:|---:|---:|---:|---:|"]
    for name, runs in results.items():
        rate = [options.rows / r.seconds / 1000 for r in runs]
        lines.append(f"| {name} | {median(rate):.0f} k ({min(rate):.0f} to {max(rate):.0f}) | {share(results, name):.2f} "
                     f"| {median(r.cpu for r in runs) * 1e6 / options.rows:.2f} | {median(r.busy for r in runs):.2f} | {max(r.memory for r in runs) / 2**20:.0f} MiB |")
        if name == NATIVE:
            continue
        if "1 connection" in name:
            bars.at_least(f"copy into {name}", share(results, name), SHARE, lambda x: f"{x:.2f} of the native COPY")
        bars.at_most(f"memory, copy into {name}", max(r.memory for r in runs) / 2**20, MEMORY, lambda x: f"{x:.0f} MiB")
    return ["## Throughput, CPU and memory\n",
            f"{options.rows:,} rows of 12 columns, {size / 2**20:.0f} MiB, all in the server's or the system's memory; {options.runs} rounds over a unix "
            "socket. psql reads COPY and throws the rows away; a pipeline decodes and encodes them, commits and ends. Medians; "
            "the share is the median of the rounds' own ratios; CPU and memory are the reading process's; processors busy are those of the whole machine: the server, the broker, the process.\n", *lines, ""]


# ---- resumption ----

def killed_at_half(l, pg, options, how, **source):
    """(rows read twice, seconds of the second run, peak resident, seconds somebody waited for a lock)."""
    car = pipeline(l, pg, None, "lake", "bench.narrow", how, **source)
    car.settings["sink"]["commit_interval"] = "100ms"
    car.write_config()
    locks = copy_judge.Locks(pg)
    car.start()
    while (n := count(car)) < options.narrow // 2:
        assert car.alive(), car.log()[-2000:]
        time.sleep(0.02)
    car.kill9()
    there = count(car)
    got = measured([BINARY, "run", car.config, "--until-caught-up"])
    locks.judge()
    again = count(car) - options.narrow
    l.step(f"killed with {n} to {there} of {options.narrow} rows committed: {again} rows came twice, {got.seconds:.1f} s for the rest")
    assert again >= 0, "rows are missing"
    forget(pg, None, car)
    return again, got


def resume(l, pg, broker, options, bars):
    pg.sql("create schema if not exists bench; create table bench.narrow (id bigint primary key, v int)")
    for first in range(1, options.narrow + 1, 1_000_000):
        pg.sql(f"insert into bench.narrow select g, g % 1000 from generate_series({first}, {min(options.narrow, first + 999_999)}) g")
    pg.each("vacuum (analyze, freeze) bench.narrow", "checkpoint")
    size = pg.value("select pg_table_size('bench.narrow')")
    ways = {"by default": ({}, "auto"), "`mode: ranged`": ({"mode": "ranged"}, "auto"),
            "`copy_split: ctid` (begun anew)": ({}, "ctid")}
    lines = ["| | rows that came twice | of the table | seconds for the rest | peak resident |", "|---|---:|---:|---:|---:|"]
    for name, (how, split) in ways.items():
        again, got = killed_at_half(l, pg, options, how, copy_split=split)
        lines.append(f"| {name} | {again:,} | {again / options.narrow * 100:.1f} % | {got.seconds:.1f} | {got.memory / 2**20:.0f} MiB |")
        if split == "auto" and not options.quick:  # a table from 4 million rows on is cut by key
            bars.at_most(f"rows read again after a kill -9 at the half, {name}", again / options.narrow, AGAIN, lambda x: f"{x * 100:.1f} % of the table")
        bars.at_most(f"memory, {options.narrow:,} narrow rows, {name}", got.memory / 2**20, MEMORY, lambda x: f"{x:.0f} MiB")
    pg.sql("drop table bench.narrow")
    return ["## Killed at the half\n",
            f"{options.narrow:,} rows of a bigint key and an int, {size / 2**20:.0f} MiB, into a lake; kill -9 when half of them are committed, then "
            "`run --until-caught-up`. While it runs the server's locks are looked at ten times a second: none of ours is stronger than "
            "ACCESS SHARE but ALTER PUBLICATION's.\n", *lines, ""]


# ---- many small tables ----

def many(l, pg, broker, options, bars):
    pg.sql("create schema many")
    for first in range(1, options.tables + 1, 250):
        pg.sql("".join(f"create table many.t{n} (id bigint primary key, name text, at timestamptz); insert into many.t{n} select g, 'name ' || g, now() "
                       "from generate_series(1, 10) g;" for n in range(first, min(options.tables, first + 249) + 1)))
    lines = ["| | ms a table | CPU-ms a table | peak resident |", "|---|---:|---:|---:|"]
    for how in ({}, {"mode": "ranged"}):
        car = pipeline(l, pg, None, "null", "many.*", {"threads": 1, **how})
        got = measured([BINARY, "run", car.config, "--until-caught-up"])
        name = "`mode: ranged`" if how else "by default"
        lines.append(f"| {name} | {got.seconds * 1e3 / options.tables:.1f} | {got.cpu * 1e3 / options.tables:.1f} | {got.memory / 2**20:.0f} MiB |")
        bars.at_most(f"small tables, {name}", got.seconds * 1e3 / options.tables, EACH, lambda x: f"{x:.1f} ms each")
        forget(pg, None, car)
    pg.sql("drop schema many cascade")
    return ["## Many small tables\n", f"{options.tables:,} tables of 10 rows that were never analyzed, into the null sink, by one connection; from the start of the process to its end.\n",
            *lines, ""]


SECTIONS = {"throughput": throughput, "resume": resume, "many": many}


def bench(l, options):
    pg = l.postgres(conf=CONF)
    broker = l.kafka(conf=BROKER, env=BROKER_ENV) if "kafka" in options.sinks and (not options.only or "throughput" in options.only) else None
    bars = Bars()
    beside = ["Apache Kafka 4.3.1 (one node, KRaft, replication 1, 1 GiB heap)"] if broker else []
    head = ["# Benchmarks of snapshots\n", f"Written by `make bench-snapshot` (bench/snapshot.py says how). {machine(pg, *beside)}.\n",
            "Only the ratios within one run mean anything on another machine.\n"]
    if not options.quick:
        warm(l.folder)
    text = []
    for name, section in SECTIONS.items():
        if not options.only or name in options.only:
            text += section(l, pg, broker, options, bars)
    text = "\n".join([*head, "## The bars\n", "`of the bar`: the measured value over the bar. A bar is a bound for a quiet machine.\n",
                      *bars.table(), "", *text])
    print(text)
    if options.write:
        write(options.write, text)


def main():
    options = arguments()
    l = labs.Lab("bench-snapshot")
    try:
        bench(l, options)
    finally:
        l.close()
        shutil.rmtree(l.folder, ignore_errors=True)


main()
