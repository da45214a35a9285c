#!/usr/bin/env python3
"""Many faults in one pipeline: run.py [--sink lake|kafka] [--rounds N] [--kills N] [--faults N] [--minutes M] [--seed S]
[--version 15] [--fault NAME] [--first N].

Every round prints what it did. A failure keeps logs, lake and replica in build/test-logs/torture-VERSION-SEED.
"""
import argparse
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from sidestream_test import ROOT, lab, soak  # noqa: E402


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--sink", choices=["lake", "kafka"], default="lake")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--faults", type=int, default=0, help="with --kills and Kafka: and so many faults of its network")
    parser.add_argument("--kills", type=int, help="until so many processes were killed")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seed", default=str(int(time.time())))
    parser.add_argument("--version", default="15", help="of PostgreSQL")
    parser.add_argument("--fault", help="only this one")
    parser.add_argument("--first", type=int, default=0, help="the number of the first round: to play a failed one again")
    return parser.parse_args()


def main(l):
    l.step(f"seed {l.seed}, PostgreSQL {given.version}, {given.sink}")
    if given.sink == "kafka":
        from sidestream_test import soak_kafka
        torture = soak_kafka.Soak(l, given.version, faults=given.faults)
    else:
        torture = soak.Soak(l, given.version)
    torture.run(given.rounds, given.kills, given.minutes and given.minutes * 60, given.first, given.fault)


given = options()
os.environ["SIDESTREAM_SEED"] = given.seed
os.environ.setdefault("SIDESTREAM_KEEP", str(ROOT / f"build/test-logs/torture-{given.sink}-{given.version}-{given.seed}"))
lab.run(main)
