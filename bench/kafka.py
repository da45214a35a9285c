#!/usr/bin/env python3
"""What PostgreSQL to Kafka costs: `make bench-kafka`, or bench/kafka.py [--quick] [--only SECTION...] [--librdkafka FILE] [--write FILE].

A server and a broker on this machine. Throughput: one slot; each run reads a copy of it, so all read the same contents,
one after the other, round by round: pg_recvlogical into /dev/null; the sidecar into its null sink and into Kafka;
pg_recvlogical with a bare producer (produce.c) of as many records of the same bytes at its side. Then idle, start, the
length of a commit, the way to a consumer (kafka_bars.py), and, if told where another librdkafka is, the sidecar with it
beside the machine's own (kafka_library.py). Only ratios within one run mean anything elsewhere.

The document is written anew but for what stands below the line "## What the profile says", which is kept by hand.
"""
import argparse
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/lib"))

from sidestream_test import lab as labs  # noqa: E402  (finds the virtual environment)
from sidestream_test import kafka  # noqa: E402

import kafka_bars  # noqa: E402
import kafka_library  # noqa: E402
from bare import INTERVAL_MS, PARTITIONS, Bare, forget_topics, new_car, recvlogical, rows_committed, sizes_of  # noqa: E402
from document import machine, write  # noqa: E402
from measure import TABLE, Bars, cpu_of, measure, median  # noqa: E402
from sidestream_test.sidecar import BINARY  # noqa: E402
from throughput import Scene, fill, warm  # noqa: E402

CONF = ["max_wal_size = 32GB", "shared_buffers = 256MB", "checkpoint_timeout = 1h", "autovacuum = off"]
BROKER = ["log.retention.check.interval.ms=5000"]
BROKER_ENV = {"KAFKA_HEAP": "1g", "KAFKA_TIER": "4"}
NATIVE, NULL, OURS = "pg_recvlogical", "null sink", "Kafka sink"
BESIDE, BESIDE_TX = "bare producer, idempotent, beside pg_recvlogical", "bare producer, transactional, beside pg_recvlogical"
ALONE, ALONE_TX = "bare producer, idempotent, no walsender", "bare producer, transactional, no walsender"
SECTIONS = {**kafka_bars.ALL, "library": kafka_library.library}
BARE = {BESIDE: None, BESIDE_TX: "bench-bare", ALONE: None, ALONE_TX: "bench-bare"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="little of everything, one round: only to see that it works")
    parser.add_argument("--only", nargs="+", choices=["throughput", *SECTIONS], help="these sections; written nowhere unless --write")
    parser.add_argument("--rows", type=int, default=600_000, help="with transactions of 100; a third where they have one")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--librdkafka", metavar="FILE", help="another one to compare with (section `library`); wheel: that of the tests' Python packages")
    parser.add_argument("--write", type=pathlib.Path, help="where to (default docs/benchmarks-kafka.md; quick: nowhere)")
    options = parser.parse_args()
    if options.only and "library" in options.only and not options.librdkafka:
        parser.error("the section `library` needs --librdkafka")
    if options.quick:
        options.rows, options.runs = 60_000, 1
    elif options.write is None and not options.only:
        options.write = ROOT / "docs/benchmarks-kafka.md"
    return options


# ---- one run ----

def bare_run(pg, broker, name, scene, sizes, end):
    """Both at once; over when the slower one is. The numbers but the walsender's are the producer's."""
    bare = Bare(broker, scene.rows, sizes, BARE[name], INTERVAL_MS)
    if name in (ALONE, ALONE_TX):
        bare.go()
        got = bare.end()
        got.sender_cpu = 0.0
    else:
        beside = measure(pg, "copy", recvlogical(pg, "copy", "--endpos", end), at_stream=bare.go)
        got = bare.end()
        got.seconds, got.sender_cpu = max(got.seconds, beside.seconds), beside.sender_cpu
    got.memory, got.threads = got.resident, {}
    return got


def car_run(l, pg, broker, name, scene):
    source = {"slot": "copy", "publication": "bench", "adopt_slot": True, "manage": "none"}
    car = new_car(l, pg, broker, source)
    if name == NULL:
        car.settings["sink"] = {"type": "null"}
        car.write_config()
    got = measure(pg, "copy", [BINARY, "run", car.config, "--until-caught-up"])
    if name == OURS:
        log = car.output()
        there = rows_committed(log)
        assert there == scene.rows, f"{there} rows in Kafka, {scene.rows} were committed"
        got.commits = log.commits()
    forget_topics(broker, car.name)
    shutil.rmtree(car.folder)
    return got


def contend(l, pg, broker, name, scene, end, sizes):
    """One run of one contender on a fresh copy of the slot."""
    pg.sql("select pg_copy_logical_replication_slot('master', 'copy')")
    java = broker.nodes[0].pid()
    before = cpu_of(java)
    try:
        if name in BARE:
            got = bare_run(pg, broker, name, scene, sizes, end)
        elif name == NATIVE:
            got = measure(pg, "copy", recvlogical(pg, "copy", "--endpos", end))
        else:
            got = car_run(l, pg, broker, name, scene)
        got.broker_cpu = cpu_of(java) - before
        return got
    finally:
        pg.wait_slot_free("copy")
        pg.sql("select pg_drop_replication_slot('copy')")


# ---- scenes, tables, bars ----

def scenes(options):
    """With the number of rounds of each."""
    n = options.rows
    got = [(Scene(500, 100, n), options.runs), (Scene(500, 1, n // 3), options.runs)]
    big = 1_000_000 if not options.quick else 100_000
    return got + [(Scene(500, 1_000_000, big), min(options.runs, 3))]


def contenders(scene):
    return [NATIVE, NULL, OURS, BESIDE, BESIDE_TX] + ([ALONE, ALONE_TX] if scene.per_transaction == 100 else [])


def share(results, name, of):
    """Rows per second over another's: the median of the rounds' own ratios."""
    return median(b.seconds / a.seconds for a, b in zip(results[name], results[of]))


def per_million(runs, scene, what):
    return median(getattr(r, what) for r in runs) * 1e6 / scene.rows


def client_share(run):
    """Of the CPU, what librdkafka's own threads took; by the last look at them."""
    mine = sum(cpu for (_, name), cpu in run.threads.items() if name.startswith("rdk:"))
    return mine / (sum(run.threads.values()) or 1)


def table(results, scene):
    lines = ["| | rows/s (slowest to fastest) | of pg_recvlogical | of the bare producer beside it | CPU-s per million rows | of that librdkafka's "
             "threads | walsender's | broker's | commits per second | peak resident |", "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for name, runs in results.items():
        rate = [scene.rows / r.seconds / 1000 for r in runs]
        theirs = median(client_share(r) * r.cpu for r in runs) * 1e6 / scene.rows
        commits = median(len(getattr(r, "commits", ())) / r.seconds for r in runs)
        lines.append(f"| {name} | {median(rate):.0f} k ({min(rate):.0f} to {max(rate):.0f}) | {share(results, name, NATIVE):.2f} "
                     f"| {share(results, name, BESIDE):.2f} | {per_million(runs, scene, 'cpu'):.2f} | {f'{theirs:.2f}' if name == OURS else ''} "
                     f"| {per_million(runs, scene, 'sender_cpu'):.2f} | {per_million(runs, scene, 'broker_cpu'):.2f} "
                     f"| {f'{commits:.0f}' if commits else ''} | {max(r.memory for r in runs) / 2**20:.0f} MiB |")
    return lines


def add_bars(bars, scene, results):
    ours = results[OURS]
    rate = median(scene.rows / r.seconds / 1000 for r in ours)
    bars.at_least(f"PG → Kafka; {scene.title()}", rate, 150, lambda x: f"{x:.0f} k rows/s")
    bars.at_least(f"or, of the bare idempotent producer beside the same walsender; {scene.title()}", share(results, OURS, BESIDE), 0.9,
                  lambda x: f"{x:.2f} of it")
    alone = per_million(ours, scene, "cpu") - per_million(results[NULL], scene, "cpu")
    bars.at_most(f"CPU of the sink on top of encoding (Kafka sink less null sink); {scene.title()}", alone, 1.2,
                 lambda x: f"{x:.2f} CPU-s per million rows")
    most, null = (max(r.memory for r in results[name]) / 2**20 for name in (OURS, NULL))
    bars.at_most(f"memory at full rate (null sink {null:.0f} MiB); {scene.title()}", most, 96, lambda x: f"{x:.0f} MiB")


def warm_broker(broker, sizes, options):
    """The broker's hot code is compiled after a while; that of its transactions after some thousand of them, and until then a
    commit takes three times as long."""
    rows = 50_000 if options.quick else 1_500_000
    for name, interval, rate in ((None, INTERVAL_MS, 0), ("bench-bare", INTERVAL_MS, 0), ("bench-bare", 1, rows // 25)):
        bare = Bare(broker, rows, sizes, name, interval, rate)
        bare.go()
        bare.end()


def throughput(l, pg, broker, options, bars):
    if not options.quick:
        warm(l.folder)
    text = ["## Throughput, CPU and memory at full rate\n",
            "Copies of one slot, read in turn over a unix socket, timed from when the server streams to the end of the process; rows per second "
            "and CPU are medians of the rounds, a share is the median of the rounds' own ratios, memory is the most that any round took. The "
            f"sidecar's topic has {PARTITIONS} partitions and is there before; all else is as by default. The bare producer (bench/produce.c) makes as "
            "many records of the same bytes while pg_recvlogical reads the same slot beside it; over when both are; its CPU is without "
            f"pg_recvlogical's. In transactions it commits every {INTERVAL_MS} ms, as the sidecar does under load.\n"]
    for scene, runs in scenes(options):
        before = pg.wal_end()
        end = fill(pg, scene)
        l.step(f"{scene.rows} rows, {(pg.wal_end() - before) / scene.rows:.0f} bytes of log each")
        results = {name: [] for name in contenders(scene)}
        for _ in range(runs):
            for name in results:
                results[name].append(contend(l, pg, broker, name, scene, end, options.sizes))
        told = ", ".join(f"{name} {scene.rows / median(r.seconds for r in found) / 1000:.0f} k" for name, found in results.items())
        l.step(f"{scene.title()}: {told}")
        text += [f"### {scene.title()}\n", f"{scene.rows:,} rows, rounds: {runs}.\n", *table(results, scene), ""]
        add_bars(bars, scene, results)
    pg.sql("select pg_drop_replication_slot('master')")
    pg.sql("truncate bench.rows")
    return text


def bench(l, options):
    pg = l.postgres(conf=CONF)
    pg.sql(TABLE)
    broker = l.kafka(conf=BROKER, env=BROKER_ENV)
    options.sizes = sizes_of(l, pg, broker)
    probe = Bare(broker, 1, options.sizes)
    probe.go()
    version = probe.end().version
    bars = Bars()
    head = ["# Benchmarks with Kafka\n",
            f"Written by `make bench-kafka` (bench/kafka.py says how). {machine(pg, 'Apache Kafka 4.3.1 (one node, KRaft, replication 1, 1 GiB heap)')}. "
            f"librdkafka {version}.\n",
            "Rows have 12 columns and are, as the walsender sends them, about 500 bytes; as records "
            f"{options.sizes.key} bytes of key and {options.sizes.value} of value. Only the ratios within one run mean anything on another machine.\n"]
    warm_broker(broker, options.sizes, options)
    text = []
    for name, section in {"throughput": throughput, **SECTIONS}.items():
        if not options.only or name in options.only:
            text += section(l, pg, broker, options, bars) or []
    text = "\n".join([*head, "## The bars\n", "`of the bar`: the measured value over the bar. A bar is a bound for a quiet machine. Of the two bars of "
                      "throughput one is to hold.\n", *bars.table(), "", *text])
    print(text)
    if options.write:
        write(options.write, text)


def main():
    options = arguments()
    l = labs.Lab("bench-kafka")
    try:
        bench(l, options)
    finally:
        l.close()
        shutil.rmtree(l.folder, ignore_errors=True)


main()
