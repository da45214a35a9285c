#!/usr/bin/env python3
"""Random histories of copies: snapshot.py [--sink lake|kafka] [--histories N] [--seed S] [--version 15] [--first N].

Every history prints what happened. A failure keeps logs, lake, replica and what the source knew in
build/test-logs/snapshot-SINK-VERSION-SEED.
"""
import argparse
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from sidestream_test import ROOT, histories, lab  # noqa: E402


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--sink", choices=["lake", "kafka"], default="lake")
    parser.add_argument("--histories", type=int, default=100)
    parser.add_argument("--seed", default=str(int(time.time())))
    parser.add_argument("--version", default="15", help="of PostgreSQL")
    parser.add_argument("--first", type=int, default=0, help="the number of the first one: to play a failed one again")
    return parser.parse_args()


def main(l):
    l.step(f"seed {l.seed}, PostgreSQL {given.version}, {given.sink}")
    histories.Histories(l, given.sink, given.version).run(given.histories, given.first)


given = options()
os.environ["SIDESTREAM_SEED"] = given.seed
os.environ.setdefault("SIDESTREAM_KEEP", str(ROOT / f"build/test-logs/snapshot-{given.sink}-{given.version}-{given.seed}"))
lab.run(main)
