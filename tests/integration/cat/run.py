#!/usr/bin/env python3
"""Without this what people look at first would differ from what is in the files: `cat` prints every committed row once, in
commit order, with all columns, from a number on, of one table, and as it comes.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import datetime  # noqa: E402
import decimal  # noqa: E402
import json  # noqa: E402
import subprocess  # noqa: E402
import uuid  # noqa: E402

from sidestream_test import lab, lake, sidecar, wait, workload  # noqa: E402


def as_json(value):
    """DESIGN.md part 12: the JSON text form, from fastavro's values."""
    if isinstance(value, bytes):
        import base64
        return base64.b64encode(value).decode()
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, list):
        return [as_json(v) for v in value]
    return value


def main(l):
    pg = l.postgres()
    pg.sql(workload.SCHEMA)
    car = l.sidecar(pg).start().wait_streaming(pg)
    workload.Writers(pg, l.seed, 2, transactions=80).start().join()
    car.terminate()
    car.catch_up()
    rows = list(lake.Lake(car.lake).rows())

    def lines(*args):
        got = car.call("cat", *args)
        assert got.code == 0, got
        return [json.loads(line) for line in got.out.splitlines()]
    for place in ("CONFIG", car.lake):
        same(lines(place), rows)
    middle = rows[len(rows) // 2].commit
    same(lines(car.lake, "--from", middle), [r for r in rows if r.commit > middle])
    same(lines("CONFIG", "--table", "shop.account"), [r for r in rows if r.table == "shop.account"])
    same(lines(car.lake, "--table", "shop.item", "--from", middle),
         [r for r in rows if r.table == "shop.item" and r.commit > middle])
    assert lines(car.lake, "--from", lake.Lake(car.lake).commits()[-1]["seq"]) == []
    beyond = car.call("cat", car.lake, "--from", "4711")
    assert beyond.code == 3 and "4711" in beyond.err, beyond  # a reader's own position is ahead of the lake
    files = car.call("cat", car.lake, "--files").out.split()
    named = [e["path"] for c in lake.Lake(car.lake).commits() for e in c["files"]]
    assert len(files) == len(named) and all(f.endswith(n) for f, n in zip(sorted(files), sorted(named))), files[:3]
    one = car.call("cat", car.lake, "--files", "shop.item").out.split()
    assert len(one) == len([n for n in named if "shop.item" in n])
    l.step(f"{len(rows)} lines as in the files")
    follow(pg, car, rows, l)


def same(printed, rows):
    assert len(printed) == len(rows), f"{len(printed)} lines, {len(rows)} rows"
    for line, row in zip(printed, rows):
        assert (line["table"], line["commit"]) == (row.table, row.commit), (line, row)
        assert line["row"].keys() == row.cells.keys(), (line["row"].keys(), row.cells.keys())
        for column, value in row.cells.items():
            got = line["row"][column]
            assert got == as_json(value), f"{row!r} {column}: printed {got!r:.100}, in the file {value!r:.100}"
        if row.op != "t":
            assert all(row.cells[c] is not None and line["key"][c] == as_json(row.cells[c]) for c in line["key"]), line["key"]


def follow(pg, car, rows, l):
    out = open(car.folder / "follow.jsonl", "w+")
    reader = subprocess.Popen([sidecar.BINARY, "cat", car.config, "--follow", "--from", str(rows[-1].commit), "--table", "shop.scratch"],
                              stdin=subprocess.DEVNULL, stdout=out)
    try:
        car.start().wait_streaming(pg)
        for i in range(3):
            pg.sql("insert into shop.scratch values (%s, 'followed')", [9000 + i])

            def there():
                assert reader.poll() is None, f"ended with {reader.returncode}"
                return f'"id":{9000 + i}' in (car.folder / "follow.jsonl").read_text()
            wait.until("the row at the follower", there, 20)
        assert car.terminate() == 0
        reader.terminate()
        assert reader.wait(10) == 0, "SIGTERM is how one ends it"
    finally:
        reader.kill()
    l.step("followed")


lab.run(main)
