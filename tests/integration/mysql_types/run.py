#!/usr/bin/env python3
"""Without this a type could lose values: every type's extremes and NULL, from MariaDB and from MySQL, streamed and copied, are
read from the lake by fastavro, and must be what stands beside the SQL.

cases.py is the table. Each type has a table in database `t_nul` (on_invalid: null) and, where it has values beyond its
target, in `t_str` (on_invalid: string: all of the column as the server prints it). Two pipelines: one sees the rows
come, one copies them; both must say the same, in values, types and schemas.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import lab, mysql  # noqa: E402  (first: it goes into the venv)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from typed import both_ways  # noqa: E402


def check_fail(server, car):
    """The default: stop, name the column, and never the value."""
    con = server.connect()
    con.cursor().execute("insert into t_beyond.t values (1, '2024-01-01'), (2, '2024-00-17')")
    con.close()
    got = car.call("run", "CONFIG", "--until-caught-up")
    assert got.code == 3, f"{got!r}"
    assert "t_beyond.t.v" in got.err and "on_invalid" in got.err, got.err
    assert "2024-00" not in got.err, got.err


def main(l):
    for kind in mysql.KINDS:
        server = l.mysql(kind)
        check_fail(server, both_ways(l, server, together=4))
        l.step(f"{kind}: a value beyond its type stops the pipeline where no rule says otherwise")
        server.stop("immediate")


lab.run(main)
