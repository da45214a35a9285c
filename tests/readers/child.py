"""child.py JOBS RESULTS: runs snippets of docs/readers.md in the python that has their packages.

JOBS is a JSON list of {folder, code: [python...], result: expression}; each is run in its folder with names of its own.
RESULTS is a pickle: for each [true, value] or [false, error].
"""
import json
import os
import pickle
import sys


def duckdb_rows(got):
    names = [d[0] for d in got.description]
    return [dict(zip(names, row)) for row in got.fetchall()]


def spark_rows(df):
    """As dicts; timestamps as microseconds, since Python's would be in the machine's zone."""
    from pyspark.sql import functions as f
    from pyspark.sql.types import ArrayType, TimestampType
    columns = []
    for field in df.schema.fields:
        column = f.col(f"`{field.name}`")
        if field.dataType == TimestampType():
            column = f.unix_micros(column).alias(field.name)
        elif isinstance(field.dataType, ArrayType) and field.dataType.elementType == TimestampType():
            column = f.transform(column, f.unix_micros).alias(field.name)
        columns.append(column)
    return [row.asDict() for row in df.select(*columns).collect()]


def run(job):
    os.chdir(job["folder"])
    names = {"duckdb_rows": duckdb_rows, "spark_rows": spark_rows}
    for code in job["code"]:
        exec(code, names)
    return eval(job["result"], names)


def main(jobs, results):
    found = []
    for job in json.load(open(jobs)):
        try:
            found.append([True, run(job)])
        except BaseException as e:  # Polars panics with one of those
            found.append([False, f"{type(e).__name__}: {e}"])
    with open(results, "wb") as out:
        pickle.dump(found, out)


main(*sys.argv[1:])
