#!/usr/bin/env python3
"""Makes tests/data/pgcopy/, the corpus of tests/fuzz/fuzz_pgcopy.c: the number of columns less one, the first column's
number in its table, then a row as a binary COPY has it.
"""
import pathlib
import struct

OIDS = [16, 17, 19, 20, 21, 23, 25, 26, 28, 114, 700, 701, 1042, 1043, 1082, 1083, 1114, 1184, 1700, 2950, 3802, 1007]


def numeric(digits, weight, sign=0, scale=6):
    return struct.pack(">HhHH", len(digits), weight, sign, scale) + b"".join(struct.pack(">H", d) for d in digits)


FIELDS = {
    16: [b"\x01"], 17: [b"", b"\x00\xff"], 19: [b"name"], 20: [struct.pack(">q", -1)], 21: [struct.pack(">h", -1)],
    23: [struct.pack(">i", 7)], 25: ["ä".encode()], 26: [b"\xff" * 4], 28: [b"\0\0\0\3"], 114: [b"{}"],
    700: [struct.pack(">f", 1.5)], 701: [struct.pack(">d", float("nan"))], 1042: [b"a "], 1043: [b""],
    1082: [struct.pack(">i", 0), b"\x7f\xff\xff\xff", struct.pack(">i", -800000)], 1083: [struct.pack(">q", 86400000000)],
    1114: [struct.pack(">q", -1), b"\x7f" + b"\xff" * 7, struct.pack(">q", 9223371331199999999)],
    1184: [struct.pack(">q", 0), b"\x80" + b"\0" * 7, struct.pack(">q", -63082281600000001)],
    1700: [numeric([], 0), numeric([12, 5000], 0), numeric([9999] * 8, 7), numeric([], 0, 0xC000), numeric([1], -2, 0x4000)],
    2950: [bytes(range(16))], 3802: [b"\x01{}"], 1007: [b"{1,NULL,3}"],
}


def row(fields):
    return struct.pack(">H", len(fields)) + b"".join(struct.pack(">i", -1) if f is None else struct.pack(">i", len(f)) + f
                                                     for f in fields)


def main():
    folder = pathlib.Path(__file__).parent / "pgcopy"
    folder.mkdir(exist_ok=True)
    for i, oid in enumerate(OIDS):
        for k, field in enumerate(FIELDS[oid]):
            (folder / f"{oid}_{k}").write_bytes(bytes([0, i]) + row([field]))
    (folder / "all").write_bytes(bytes([len(OIDS) - 1, 0]) + row([FIELDS[oid][0] for oid in OIDS]))
    (folder / "nulls").write_bytes(bytes([len(OIDS) - 1, 0]) + row([None] * len(OIDS)))
    (folder / "header").write_bytes(bytes([0, 5]) + b"PGCOPY\n\xff\r\n\0" + b"\0" * 8 + row([b"\0\0\0\7"]))
    (folder / "end").write_bytes(bytes([0, 0]) + b"\xff\xff")


if __name__ == "__main__":
    main()
