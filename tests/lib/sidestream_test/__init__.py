"""What the integration tests share: servers, the sidecar, an independent reader of the lake, an oracle.

Nothing here uses the project's own code to judge it: the lake is read by fastavro, and what was
committed is known from PostgreSQL itself, by SQL and through a slot of the test's own.
"""
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]


def _use_venv():
    """The readers live in .cache/venv (scripts/install.sh test); go there if this python lacks them."""
    try:
        import fastavro  # noqa: F401
        import psycopg2  # noqa: F401
    except ImportError:
        venv = ROOT / ".cache/venv/bin/python"
        if not venv.exists() or os.environ.get("SIDESTREAM_IN_VENV"):
            sys.exit("the tests' Python packages are missing; run scripts/install.sh test")
        os.environ["SIDESTREAM_IN_VENV"] = "1"
        os.execv(venv, [str(venv), *sys.argv])


_use_venv()
