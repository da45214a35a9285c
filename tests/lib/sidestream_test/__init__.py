"""What the integration tests share: servers, the sidecar, an independent reader of the lake, an oracle.

Nothing here uses the project's own code to judge it: the lake is read by fastavro, and what was
committed is known from PostgreSQL itself, by SQL and through a slot of the test's own.
"""
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]


def _use_venv():
    """The readers live in .cache/venv (scripts/install.sh test); go there, whatever this python has."""
    venv = ROOT / ".cache/venv"
    if pathlib.Path(sys.prefix).resolve() == venv.resolve():
        return
    if not (venv / "made-from").exists():
        sys.exit("the tests' Python packages are missing; run scripts/install.sh test")
    os.execv(venv / "bin/python", [str(venv / "bin/python"), *sys.argv])


_use_venv()
