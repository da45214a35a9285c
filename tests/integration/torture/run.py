#!/usr/bin/env python3
"""Without this what one fault leaves behind would only be found by the next one in production: random faults, one after another in
one pipeline, each followed by a full comparison (the short form of `make torture`).
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import lab, soak  # noqa: E402


def main(l):
    l.step(f"seed {l.seed}")
    soak.Soak(l).run(l.rounds or None, seconds=None if l.rounds else 50)


lab.run(main)
