#!/usr/bin/env python3
"""Without this some mixture of copies, writers, kills, pauses and added tables would lose a row or bring back an old one: random
histories, each followed by a full comparison (the short form of `make torture-snapshot`).
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import histories, lab  # noqa: E402


def main(l):
    l.step(f"seed {l.seed}")
    for sink, count in (("lake", l.rounds or 3), ("kafka", max(1, l.rounds // 3))):
        histories.Histories(l, sink, brief=not l.rounds).run(count)


lab.run(main)
