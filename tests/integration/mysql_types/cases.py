"""SQL beside the value that a consumer must see: every type of MySQL and MariaDB with its extremes.

A value is what fastavro gives for the column. Beyond(text) is a value that the Avro type cannot hold; text is what the
server prints for it. SERVER: whatever text the server itself prints.
"""
import datetime as dt
import struct
from decimal import Decimal as D

UTC = dt.timezone.utc
SERVER = object()


class Beyond(str):
    """A value that follows `on_invalid`."""


def f32(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def ts(*parts):
    return dt.datetime(*parts, tzinfo=UTC)


def text(*values):
    """Values that are written as they are read."""
    return [(quote(v), v) for v in values]


def quote(v):
    return "'" + v.replace("\\", "\\\\").replace("'", "''") + "'"


def beyond(*values):
    return [(quote(v), Beyond(v)) for v in values]


def ints(*values):
    return [(str(v), v) for v in values]


def point(x, y):
    return b"\x01" + struct.pack("<Idd", 1, x, y)


def wkb(kind, *parts):
    return b"\x01" + struct.pack("<II", kind, len(parts)) + b"".join(parts)


def xy(*pairs):
    return [struct.pack("<dd", *p) for p in pairs]


def geo(body, srid=0):
    return struct.pack("<I", srid) + body


RING = struct.pack("<I", 4) + b"".join(xy((0, 0), (4, 0), (0, 4), (0, 0)))
MANY = [f"label{i:03}" for i in range(300)]
BITS = [f"m{i:02}" for i in range(64)]


def labels(names):
    return ",".join(map(quote, names))


# type: [(SQL expression, value)]
BOTH = {
    # numbers
    "tinyint": ints(-128, 0, 127),
    "tinyint unsigned": ints(0, 255),
    "tinyint(1)": ints(0, 1, -128),
    "bool": ints(0, 1),
    "smallint": ints(-32768, 32767),
    "smallint unsigned": ints(65535),
    "mediumint": ints(-8388608, -1, 8388607),
    "mediumint unsigned": ints(16777215),
    "int": ints(-2**31, 2**31 - 1),
    "int unsigned": ints(0, 2**32 - 1),
    "int(7) unsigned zerofill": ints(42),
    "bigint": ints(-2**63, 2**63 - 1),
    "bigint unsigned": [("0", D(0)), ("9223372036854775808", D(2**63)), ("18446744073709551615", D(2**64 - 1))],
    "float": [("0", 0.0), ("1.1", f32(1.1)), ("-3.402823466e38", f32(-3.402823466e38)), ("1.4e-45", f32(1.4e-45)),
              ("16777217", 16777216.0), ("1e-10", f32(1e-10))],
    "float(7,3)": [("1234.567", f32(1234.567))],
    "float unsigned": [("3.5", 3.5)],
    "double": [("0.1", 0.1), ("1.7976931348623157e308", 1.7976931348623157e308), ("-2.2250738585072014e-308", -2.2250738585072014e-308),
               ("1e15", 1e15), ("0.30000000000000004", 0.30000000000000004)],
    "double(10,2)": [("12345678.91", 12345678.91)],
    "decimal(12,2)": [("0", D("0.00")), ("-0.01", D("-0.01")), ("9999999999.99", D("9999999999.99")),
                      ("-9999999999.99", D("-9999999999.99"))],
    "decimal(1,0)": [("9", D(9)), ("-9", D(-9))],
    "decimal(4,4)": [("0.9999", D("0.9999")), ("-0.0001", D("-0.0001"))],
    "decimal(18,9)": [("123456789.987654321", D("123456789.987654321")), ("-1", D("-1.000000000"))],
    "decimal(38,0)": [("9" * 38, D("9" * 38)), ("-" + "9" * 38, D("-" + "9" * 38))],
    "decimal(38,30)": [("12345678." + "1" * 30, D("12345678." + "1" * 30)), ("-0." + "0" * 29 + "1", D("-0." + "0" * 29 + "1"))],
    "decimal(30,30)": [("0." + "9" * 30, D("0." + "9" * 30))],
    "decimal(10,2) unsigned": [("12345678.90", D("12345678.90"))],
    "decimal(39,0)": [("9" * 39, "9" * 39), ("-1", "-1")],
    "decimal(65,30)": [("9" * 35 + "." + "9" * 30, "9" * 35 + "." + "9" * 30), ("-0.5", "-0.5" + "0" * 29), ("0", "0." + "0" * 30)],
    "bit(1)": [("b'0'", False), ("b'1'", True)],
    "bit(8)": [("b'10101010'", b"\xaa"), ("0", b"\0")],
    "bit(12)": [("b'1'", b"\0\1"), ("b'111100000001'", b"\x0f\x01")],
    "bit(64)": [("18446744073709551615", b"\xff" * 8), ("1", b"\0" * 7 + b"\1"), ("x'8000000000000000'", b"\x80" + b"\0" * 7)],
    "year": ints(0, 1901, 2000, 2155),
    # time
    "date": [("'0001-01-01'", dt.date(1, 1, 1)), ("'1582-10-10'", dt.date(1582, 10, 10)), ("'1969-12-31'", dt.date(1969, 12, 31)),
             ("'2024-02-29'", dt.date(2024, 2, 29)), ("'9999-12-31'", dt.date(9999, 12, 31)),
             *beyond("0000-00-00", "2024-00-00", "2024-01-00", "0000-01-01", "2023-02-31", "1900-02-29")],
    "time": [("'00:00:00'", dt.time(0)), ("'23:59:59'", dt.time(23, 59, 59)),
             *beyond("24:00:00", "-00:00:01", "838:59:59", "-838:59:59")],
    "time(1)": [("'12:34:56.7'", dt.time(12, 34, 56, 700000)), *beyond("-00:00:00.1")],
    "time(3)": [("'12:34:56.789'", dt.time(12, 34, 56, 789000)), *beyond("-01:02:03.004")],
    "time(6)": [("'23:59:59.999999'", dt.time(23, 59, 59, 999999)), ("'00:00:00.000001'", dt.time(0, 0, 0, 1)),
                *beyond("-00:00:00.000001", "-838:59:58.999999", "838:59:59.000000", "24:00:00.000000", "-12:00:00.500000")],
    "datetime": [("'0001-01-01 00:00:00'", ts(1, 1, 1)), ("'1969-12-31 23:59:59'", ts(1969, 12, 31, 23, 59, 59)),
                 ("'9999-12-31 23:59:59'", ts(9999, 12, 31, 23, 59, 59)),
                 *beyond("0000-00-00 00:00:00", "2024-00-10 01:02:03", "2024-10-00 00:00:00", "2023-02-31 12:00:00")],
    "datetime(1)": [("'2024-02-29 12:00:00.9'", ts(2024, 2, 29, 12, 0, 0, 900000))],
    "datetime(2)": [("'2024-02-29 12:00:00.98'", ts(2024, 2, 29, 12, 0, 0, 980000))],
    "datetime(3)": [("'1969-12-31 23:59:59.999'", ts(1969, 12, 31, 23, 59, 59, 999000))],
    "datetime(5)": [("'2024-02-29 12:00:00.98765'", ts(2024, 2, 29, 12, 0, 0, 987650))],
    "datetime(6)": [("'9999-12-31 23:59:59.999999'", ts(9999, 12, 31, 23, 59, 59, 999999)),
                    ("'2024-02-29 00:00:00.000001'", ts(2024, 2, 29, 0, 0, 0, 1)), *beyond("0000-00-00 00:00:00.000000")],
    "timestamp null": [("'1970-01-01 00:00:01'", ts(1970, 1, 1, 0, 0, 1)), ("'2038-01-19 03:14:07'", ts(2038, 1, 19, 3, 14, 7)),
                       *beyond("0000-00-00 00:00:00")],
    "timestamp(2) null": [("'2024-03-31 02:30:00.25'", ts(2024, 3, 31, 2, 30, 0, 250000))],
    "timestamp(6) null": [("'2038-01-19 03:14:07.999999'", ts(2038, 1, 19, 3, 14, 7, 999999)),
                          ("'1970-01-01 00:00:01.000001'", ts(1970, 1, 1, 0, 0, 1, 1)), *beyond("0000-00-00 00:00:00.000000")],
    # text
    "char(5)": [("'ab'", "ab"), ("''", ""), ("'ab   '", "ab"), ("'ab\\t'", "ab\t")],
    "char(255)": text("\U0001F600" * 255, "x"),
    "varchar(10)": text("", "abc  ", "näh \U0001F600", "\U0001F600" * 10),
    "varchar(63)": text("x" * 63),
    "varchar(64)": text("ä" * 64),
    "varchar(16000)": text("y" * 16000),
    "tinytext": text("", "x" * 255),
    "text": text("", "tab\tnew\nline\\back\"quote'\x01\0", "x" * 65535, "NULL", "\\N"),
    "mediumtext": text("ä" * 100000),
    "longtext": text("x" * 70000),
    "varchar(20) character set latin1": text("äöü€", "\u0081"),
    "varchar(20) character set utf8mb3": text("日本語"),
    "varchar(20) character set ascii": text("plain"),
    "char(20) character set ucs2": text("äЖ日"),
    "varchar(20) character set utf16": text("a\U0001F600"),
    "varchar(20) character set utf16le": text("a\U0001F600"),
    "varchar(20) character set utf32": text("a\U0001F600"),
    "varchar(20) character set gbk": text("中文€"[:2]),
    "varchar(20) character set gb2312": text("中文"),
    "varchar(20) character set big5": text("中文"),
    "varchar(20) character set sjis": text("表ソ日本"),
    "varchar(20) character set cp932": text("表①"),
    "varchar(20) character set ujis": text("日本"),
    "varchar(20) character set eucjpms": text("日本"),
    "varchar(20) character set euckr": text("한국"),
    "varchar(20) character set koi8r": text("Привет"),
    "varchar(20) character set koi8u": text("їжак"),
    "varchar(20) character set cp1251": text("Привет"),
    "varchar(20) character set cp866": text("Привет"),
    "varchar(20) character set cp1250": text("žluť"),
    "varchar(20) character set latin2": text("žluť"),
    "varchar(20) character set cp852": text("žluť"),
    "varchar(20) character set cp850": text("äé"),
    "varchar(20) character set latin5": text("ığş"),
    "varchar(20) character set latin7": text("ąč"),
    "varchar(20) character set cp1257": text("ąč"),
    "varchar(20) character set greek": text("Ωμ"),
    "varchar(20) character set hebrew": text("שלום"),
    "varchar(20) character set cp1256": text("سلام"),
    "varchar(20) character set tis620": text("ไทย"),
    "varchar(20) character set macroman": text("äΩ"),
    "text character set latin1": text("é" * 300),
    "enum('a','b''c','ö','')": text("a", "b'c", "ö", ""),
    "enum('x','y')": [("'nothing of it'", ""), ("2", "y")],
    "enum('é','x') character set latin1": text("é"),
    f"enum({labels(MANY)})": text(MANY[0], MANY[255], MANY[299]),
    "set('a','b''c','ö')": [("''", ""), ("'ö,a'", "a,ö"), ("7", "a,b'c,ö")],
    f"set({labels(BITS)})": text("m00", "m63", "m07,m08,m63", ",".join(BITS)),
    # bytes
    "binary(4)": [("x'0100'", b"\1\0\0\0"), ("x'00000000'", b"\0" * 4), ("''", b"\0" * 4), ("'ab  '", b"ab  ")],
    "binary(255)": [("repeat(x'ff', 255)", b"\xff" * 255)],
    "varbinary(10)": [("''", b""), ("x'00ff1000'", b"\0\xff\x10\0")],
    "varbinary(300)": [("repeat(x'ab', 300)", b"\xab" * 300)],
    "varchar(10) character set binary": [("x'00ff'", b"\0\xff")],
    "tinyblob": [("''", b""), ("repeat(x'01', 255)", b"\1" * 255)],
    "blob": [("x'27225c00'", b"'\"\\\0"), ("repeat(x'ab', 65535)", b"\xab" * 65535)],
    "mediumblob": [("repeat(x'abcd', 50000)", b"\xab\xcd" * 50000)],
    "longblob": [("x'00'", b"\0")],
    # geometry
    "geometry": [("ST_GeomFromText('POINT(1 2)')", geo(point(1, 2))),
                 ("ST_GeomFromText('LINESTRING(0 0,1.5 -2)')", geo(wkb(2, *xy((0, 0), (1.5, -2)))))],
    "point": [("ST_GeomFromText('POINT(-1.5 1e300)')", geo(point(-1.5, 1e300)))],
    "linestring": [("ST_GeomFromText('LINESTRING(0 0,1 1,2 0)')", geo(wkb(2, *xy((0, 0), (1, 1), (2, 0)))))],
    "polygon": [("ST_GeomFromText('POLYGON((0 0,4 0,0 4,0 0))')", geo(wkb(3, RING)))],
    "multipoint": [("ST_GeomFromText('MULTIPOINT(0 0,1 1)')", geo(wkb(4, point(0, 0), point(1, 1))))],
    "multilinestring": [("ST_GeomFromText('MULTILINESTRING((0 0,1 1))')", geo(wkb(5, wkb(2, *xy((0, 0), (1, 1))))))],
    "multipolygon": [("ST_GeomFromText('MULTIPOLYGON(((0 0,4 0,0 4,0 0)))')", geo(wkb(6, wkb(3, RING))))],
    "geometrycollection": [("ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2))')", geo(wkb(7, point(1, 2))))],
}

DEEP = "[" * 60 + "]" * 60
MYSQL = {
    "double": [("-0e0", -0.0), ("5e-324", 5e-324)],
    "varchar(20) character set gb18030": text("中\U0001F600"),
    "point srid 4326": [("ST_GeomFromText('POINT(10 20)', 4326)", geo(point(20, 10), 4326))],
    "json": [("'null'", "null"), ("'true'", "true"), ("'{}'", "{}"), ("'[]'", "[]"), ("'\"\"'", '""'), ("'-1'", "-1"),
             ("'18446744073709551615'", "18446744073709551615"), ("'-9223372036854775808'", "-9223372036854775808"),
             ("'18446744073709551616'", SERVER), ("'1.0'", "1.0"), ("'0.1'", "0.1"), ("'1e100'", "1e100"), ("'-0.0'", "-0.0"),
             ("'[32767, 32768, -32768, -32769, 65535, 65536, 2147483648, -2147483649]'",
              "[32767, 32768, -32768, -32769, 65535, 65536, 2147483648, -2147483649]"),
             ("'{\"bb\": 1, \"a\": [null, true, false], \"\": {}}'", '{"": {}, "a": [null, true, false], "bb": 1}'),
             ("'{\"a\":1,\"a\":2}'", '{"a": 2}'), (quote('"ä\\u00e4\\n\\t\\"\\\\/\U0001F600\\u0001"'), SERVER), (quote(DEEP), DEEP),
             ("json_object('d', cast('2024-02-29' as date), 't', cast('-12:34:56.000001' as time(6)), "
              "'dt', cast('2024-02-29 12:00:00.5' as datetime(6)), 'ts', timestamp('2024-02-29 01:02:03'))", SERVER),
             ("json_array(cast(1.10 as decimal(5,2)), cast(-9999999999.5 as decimal(20,5)), 1e-7, 12345678901234567890.5e0)", SERVER),
             ("json_object('b', x'00ff10', 'bit', b'101', 'y', cast('x' as binary))", SERVER),
             ("json_array(repeat('x', 127), repeat('x', 128), repeat('ä', 9000))", SERVER),
             ("json_object('k', repeat('x', 66000), 'l', json_array(1, 2.5, null), 'm', json_object('n', 70000, 'o', 100000))", SERVER)],
    "vector(3)": [("to_vector('[1,2.5,-3]')", [1.0, 2.5, -3.0]), ("to_vector('[0,3.402823466e38,1.1]')", [0.0, f32(3.402823466e38), f32(1.1)])],
    "vector": [("to_vector('[1]')", [1.0])],
}
MARIADB = {
    "decimal(38,38)": [("0." + "9" * 38, D("0." + "9" * 38))],
    "json": [("'{\"b\":1,  \"a\":[null]}'", '{"b":1,  "a":[null]}'), ("'null'", "null"), ("'\"ä\"'", '"ä"')],
    "uuid": [(quote(u), u) for u in ("00000000-0000-0000-0000-000000000000", "550e8400-e29b-41d4-a716-446655440000",
                                     "ffffffff-ffff-ffff-ffff-ffffffffffff", "f47ac10b-58cc-1372-8567-0e02b2c3d479",
                                     "01890a5d-ac96-774b-bcce-b302099a8057", "00000000-0000-0000-0000-000000000001")],
    "inet4": [(quote(a), a) for a in ("0.0.0.0", "192.168.0.0", "255.255.255.255", "10.0.0.1")],
    "inet6": [(quote(a), a) for a in ("::", "::1", "2001:db8::ff00:42:8329", "fe80::", "1:2:3:4:5:6:7:8")]
    + [("'::ffff:192.168.0.1'", SERVER), ("'1:0:0:2:0:0:0:3'", SERVER),
       ("'1:0:2:3:4:5:6:7'", "1:0:2:3:4:5:6:7")],  # RFC 5952's form; MariaDB itself prints 1::2:...
    "vector(3)": [("vec_fromtext('[1,2.5,-3]')", [1.0, 2.5, -3.0]), ("vec_fromtext('[0,1e18,1.1]')", [0.0, f32(1e18), f32(1.1)])],
    "vector(200)": [(f"vec_fromtext('{list(range(200))}')", [float(i) for i in range(200)])],
    "varchar(200) compressed": text("", "x" * 200, "short", "ä" * 150),
    "varchar(1000) compressed": text("y" * 1000),
    "text compressed": text("", "z" * 60000, "näh"),
    "blob compressed": [("x'00'", b"\0"), ("repeat(x'ab', 60000)", b"\xab" * 60000)],
    "varbinary(300) compressed": [("repeat(x'00', 300)", b"\0" * 300)],
}


# Types that came later: the first version that has them.
SINCE = {"vector": (9, 0), "uuid": (10, 7), "inet4": (10, 10), "vector mariadb": (11, 7)}


def cases(mariadb, version):
    found = {kind: list(rows) for kind, rows in BOTH.items()}
    for kind, rows in (MARIADB if mariadb else MYSQL).items():
        name = kind.split("(")[0]
        since = SINCE.get(name + " mariadb" * mariadb) or SINCE.get(name, (0,))
        if version >= since:
            found[kind] = found.get(kind, []) + list(rows)
    return found
