"""Runs the snippets of docs/readers.md in their readers' own processes, and undoes the JSON of avro-tools."""
import json
import os
import pickle
import shutil
import subprocess

from sidestream_test import ROOT
from sidestream_test.sidecar import BINARY

import docs

READERS = ROOT / ".cache/readers"
CHILD = ROOT / "tests/readers/child.py"
PYTHON = {"fastavro": ROOT / ".cache/venv/bin/python", "apache": ROOT / ".cache/venv/bin/python"}
RECORDS = {  # engine: (first line of its snippet, how to get rows of it)
    "duckdb": ("DuckDB: the records of a table", "duckdb_rows(con.execute('select * from log'))"),
    "spark": ("Spark: the records of a table", "spark_rows(df)"),
    "fastavro": ("fastavro: the records of a table", "rows"),
    "apache": ("Avro for Python: the records of a table", "rows"),
    "polars": ("Polars: the records of a table", "df.rows(named=True)"),
}


class Failed(Exception):
    """What the reader said instead of rows."""


def place(folder, lake):
    """A folder as the snippets expect it: ./lake, the jars, `sidestream` in the PATH."""
    folder.mkdir()
    (folder / "lake").symlink_to(lake)
    for jar in (READERS / "jars").glob("*.jar"):
        (folder / jar.name).symlink_to(jar)
    (folder / "bin").mkdir()
    (folder / "conf").mkdir()  # two cores, and little data: Spark's 200 tasks a query take minutes
    (folder / "conf/spark-defaults.conf").write_text("spark.sql.shuffle.partitions 2\nspark.ui.enabled false\n")
    shutil.copy(BINARY, folder / "bin/sidestream")
    return folder


def environment(folder):
    # Far from UTC, and no network for DuckDB's `install`: it finds the extension below HOME.
    return {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}", "TZ": "Asia/Kolkata",
            "HOME": str(READERS / "home"), "PYTHONDONTWRITEBYTECODE": "1", "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_CONF_DIR": f"{folder}/conf"}


def job(folder, engine, table=None, more=(), result=None):
    name, rows = RECORDS[engine]
    return {"folder": str(folder), "code": [docs.snippet(name, table), *more], "result": result or rows}


def run(engine, jobs, work):
    """Values or Failed for each job; one process, because Spark takes ten seconds to start."""
    asked, got = work / f"{engine}.json", work / f"{engine}.pickle"
    asked.write_text(json.dumps(jobs))
    with open(work / f"{engine}.log", "w") as log:
        code = subprocess.run([PYTHON.get(engine, READERS / "bin/python"), CHILD, asked, got], cwd=work, stdout=log, stderr=log,
                              env=environment(jobs[0]["folder"]), timeout=600).returncode
    if code:
        raise AssertionError(f"{engine}: exit {code}\n" + (work / f"{engine}.log").read_text()[-3000:])
    with open(got, "rb") as f:
        return [value if ok else Failed(value) for ok, value in pickle.load(f)]


def java(folder, table, schema):
    """Records by avro-tools, the JSON encoding of unions undone."""
    script = docs.snippet("avro-tools: the records of a table as JSON lines", table)
    got = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=environment(folder),
                         capture_output=True, timeout=600)
    if got.returncode:
        raise Failed(got.stderr.decode(errors="replace")[-2000:])
    # not splitlines(), which also cuts at control characters within a text
    return [{f["name"]: plain(f["type"], record[f["name"]]) for f in schema["fields"]}
            for record in map(json.loads, got.stdout.decode().split("\n")[:-1])]


def branch(avro, namespace):
    """A type's name in JSON."""
    if isinstance(avro, str):
        return avro
    return f"{namespace}.{avro['name']}" if "name" in avro and "." not in avro["name"] else avro.get("name", avro["type"])


def plain(avro, value):
    if isinstance(avro, list) and value is not None:
        (avro,) = [t for t in avro if t != "null"]
        assert isinstance(value, dict) and len(value) == 1, f"a union as {value!r:.100}"
        ((name, value),) = value.items()
        want = branch(avro, "").lstrip(".")
        assert name == want or name.endswith("." + want), f"a union's {want} as {name}"
    if isinstance(avro, dict) and avro["type"] == "array" and value is not None:
        return [plain(avro["items"], item) for item in value]
    return value
