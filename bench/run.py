#!/usr/bin/env python3
"""What it costs: `make bench`, or bench/run.py [--quick] [--long] [--only SECTION...] [--rows N] [--runs N] [--write FILE].

One server on this machine. Throughput (throughput.py): one slot; each run reads a copy of it, so all read the same
contents: pg_recvlogical into /dev/null, then the sidecar into its null sink and into lakes of three codecs, one after the
other, round by round. Then what is not throughput (bars.py). Only ratios within one run mean anything elsewhere.

The document is written anew but for what stands below the line "## What the profile says", which is kept by hand.
"""
import argparse
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/lib"))

from sidestream_test import lab as labs  # noqa: E402  (finds the virtual environment)

import bars as others  # noqa: E402
import throughput  # noqa: E402
from document import machine, write  # noqa: E402
from measure import TABLE, Bars  # noqa: E402

CONF = ["max_wal_size = 32GB", "shared_buffers = 256MB", "checkpoint_timeout = 1h", "autovacuum = off"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="little of everything, one round: only to see that it works")
    parser.add_argument("--long", action="store_true", help="a stall of ten minutes, a backlog of 10 GB, more of the large transactions")
    parser.add_argument("--only", nargs="+", choices=["throughput", *others.ALL], help="these sections; written nowhere unless --write")
    parser.add_argument("--rows", type=int, default=300_000, help="of a table with transactions of 100; a third where they have one")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write", type=pathlib.Path, help="where to (default docs/benchmarks.md; quick: nowhere)")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.runs = 30_000, 1
    elif options.write is None and not options.only:
        options.write = ROOT / "docs/benchmarks.md"
    return options


def bench(l, options):
    pg = l.postgres(conf=CONF)
    pg.sql(TABLE)
    bars = Bars()
    head = ["# Benchmarks\n", f"Written by `make bench` (bench/run.py says how). {machine(pg)}.\n",
            "Rows have 12 columns and are, as the walsender sends them, about 250 or 500 bytes. Only the ratios within one run mean "
            "anything on another machine.\n"]
    text = []
    for name, section in {"throughput": throughput.run, **others.ALL}.items():
        if not options.only or name in options.only:
            text += section(l, pg, options, bars) or []
    text = "\n".join([*head, "## The bars\n", "`of the bar`: the measured value over the bar. A bar is a bound for a quiet machine.\n",
                      *bars.table(), "", *text])
    print(text)
    if options.write:
        write(options.write, text)


def main():
    options = arguments()
    l = labs.Lab("bench")
    try:
        bench(l, options)
    finally:
        l.close()
        shutil.rmtree(l.folder, ignore_errors=True)


main()
