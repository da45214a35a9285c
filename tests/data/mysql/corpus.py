#!/usr/bin/env python3
"""Makes the corpora of tests/fuzz/fuzz_mysql_*.c out of the recorded binlogs: tests/data/mysql_event (events without
checksums; of types.*.bin the first row of each table), mysql_apply (the same behind a byte that names the family), mysql_json
(documents; and two bytes of length, document, differences) and mysql_gtid (sets, lists, in both forms).
"""
import pathlib
import shutil

HERE = pathlib.Path(__file__).parent
FORMAT, TABLE_MAP, ROWS, PARTIAL = 15, 19, (23, 30), 39
UUIDS = ["3e11fa47-71ca-11e1-9e33-c80aa9429562", "0000aaaa-71ca-11e1-9e33-000000000000"]
TEXTS = ["", UUIDS[0] + ":1", UUIDS[0] + ":1-5:7-9,\n" + UUIDS[1] + ":3", UUIDS[0] + ":1-2:blue:5:7-8:red:1",
         UUIDS[1].upper() + ":9223372036854775806", "0-1-100", "0-1-100,2-7-55,7-9-18446744073709551615"]


def events(raw):
    at = 4
    while at < len(raw):
        n = int.from_bytes(raw[at + 9:at + 13], "little")
        yield raw[at:at + n]
        at += n


def bare(event):
    """Without the checksum, and with the length that is then right; a format description keeps its own."""
    if event[4] == FORMAT:
        body = event[:-5] + b"\0" * 5
    else:
        body = event[:-4]
    return body[:9] + len(body).to_bytes(4, "little") + body[13:]


def first_rows(all_events):
    last, seen = None, set()
    for event in all_events:
        if event[4] == TABLE_MAP:
            last = event
        elif event[4] in ROWS and last is not None and last[19:25] not in seen and len(event) < 2000:
            seen.add(last[19:25])
            yield from (last, event)
        elif event[4] == FORMAT:
            yield event


def documents(all_events):
    """The rows of (INT, JSON): a byte of nulls, the number, the length, the document."""
    last = b""
    for event in all_events:
        if event[4] == TABLE_MAP:
            last = event
        elif event[4] == 30 and b"\x02\x03\xf5\x01\x04" in last and len(event) < 4000 and event[-4 - 1:] and event[31] == 0:
            yield event[31 + 1 + 4 + 4:-4]


def differences(all_events):
    """Of rows of (INT, JSON, INT, JSON): the length of the old document, it, and what differs."""
    for event in all_events:
        body = event[19:-4]
        if event[4] != PARTIAL or body[12] != 255 or body[13] & 2:  # a bit for each of four columns, and a is no NULL
            continue
        n = int.from_bytes(body[18:22], "little")
        doc, at = body[22:22 + n], 22 + n + 4 + (0 if body[13] & 8 else 4 + int.from_bytes(body[26 + n:30 + n], "little"))
        if body[at:at + 1] == b"\x01" and body[at + 1] & 1 and len(body) < 1000:
            n = int.from_bytes(body[at + 7:at + 11], "little")
            yield len(doc).to_bytes(2, "little") + doc + body[at + 11:at + 11 + n]


def ends(all_events):
    """The first and last transactions of a long scene."""
    total, begin = 0, [i for i, event in enumerate(all_events) if event[4] == 33]
    for event in all_events[:begin[-6]]:
        total += len(event)
        if total < 8000:
            yield event
    yield from all_events[begin[-6]:]


def wire(sids, tagged):
    out = (1 << 56 | len(sids) << 8 | 1 if tagged else len(sids)).to_bytes(8, "little")
    for uuid, tag, ranges in sids:
        out += bytes.fromhex(uuid.replace("-", "")) + (bytes([len(tag) * 2]) + tag.encode() if tagged else b"")
        out += len(ranges).to_bytes(8, "little") + b"".join(n.to_bytes(8, "little") for r in ranges for n in r)
    return out


def fresh(name):
    folder = HERE.parent / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def main():
    to, applied, docs, diffs = fresh("mysql_event"), fresh("mysql_apply"), [], []
    for path in sorted(HERE.glob("*.bin")):
        all_events = list(events(path.read_bytes()))
        chosen = {"types": first_rows, "json": ends}.get(path.name.split(".")[0], list)(all_events)
        out = b"".join(bare(event) for event in chosen)
        (to / path.name).write_bytes(out)
        (applied / path.name).write_bytes(bytes([2 + (".mariadb." in path.name)]) + out)
        if path.name == "types.mysql.bin":
            docs = list(documents(all_events))
        elif path.name == "json.mysql.bin":
            diffs = list(differences(all_events))
    to = fresh("mysql_json")
    for i, doc in enumerate(docs):
        (to / f"{i}.bin").write_bytes(doc)
    for i, diff in enumerate(diffs):
        (to / f"diff{i}.bin").write_bytes(diff)
    to = fresh("mysql_gtid")
    sets = [wire([], False), wire([(UUIDS[0], "", [(1, 6), (7, 9)])], False),
            wire([(UUIDS[1], "", [(3, 4)]), (UUIDS[0], "", []), (UUIDS[0], "blue", [(1, 2)])], True)]
    lists = [n.to_bytes(4, "little") + bytes(range(16)) * n for n in (0, 2)]
    for i, text in enumerate([t.encode() for t in TEXTS] + sets + lists):
        (to / f"{i}.bin").write_bytes(text)


main()
