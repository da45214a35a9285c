"""SQL beside the value that a consumer must see: every type with its extremes, and what is beyond the target.

A value is what fastavro gives for the column: int, float, bool, str, bytes, Decimal, date, time, datetime, list.
Beyond(text) is a value that the Avro type cannot hold; text is what PostgreSQL prints for it.
"""
import datetime as dt
import math
import struct
from decimal import Decimal as D

UTC = dt.timezone.utc


class Beyond(str):
    """A value that follows `on_invalid`."""


def f32(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def ts(*parts):
    return dt.datetime(*parts, tzinfo=UTC)


SETUP = """
create extension citext schema ext; create extension hstore schema ext; create extension ltree schema ext;
create extension cube schema ext;
create type ext.mood as enum ('sad', 'very happy', 'it''s "so"');
create domain ext.positive as int check (value > 0);
create domain ext.price as numeric(8,2);
create domain ext.deep_price as ext.price;
create domain ext.day as date;
create domain ext.ints as int[];
create domain ext.doc as jsonb;
create domain ext.attributes as ext.hstore;
create type ext.pair as (a int, b text);
"""

# type: [(SQL literal, value)]
CASES = {
    # numbers
    "int2": [("-32768", -32768), ("0", 0), ("32767", 32767)],
    "int4": [("-2147483648", -2**31), ("2147483647", 2**31 - 1)],
    "int8": [("-9223372036854775808", -2**63), ("9223372036854775807", 2**63 - 1)],
    "oid": [("0", 0), ("2147483648", 2**31), ("4294967295", 2**32 - 1)],
    "xid": [("0", 0), ("4294967295", 2**32 - 1)],
    "xid8": [("0", "0"), ("18446744073709551615", "18446744073709551615")],
    "cid": [("4294967295", "4294967295")],
    "float4": [("0", 0.0), ("-0", -0.0), ("1.1", f32(1.1)), ("3.4028235e38", f32(3.4028235e38)), ("1e-45", f32(1e-45)),
               ("NaN", math.nan), ("Infinity", math.inf), ("-Infinity", -math.inf)],
    "float8": [("0.1", 0.1), ("-0", -0.0), ("1.7976931348623157e308", 1.7976931348623157e308), ("5e-324", 5e-324),
               ("NaN", math.nan), ("Infinity", math.inf), ("-Infinity", -math.inf)],
    "numeric(12,2)": [("0", D("0.00")), ("-0.01", D("-0.01")), ("9999999999.99", D("9999999999.99")),
                      ("-9999999999.99", D("-9999999999.99")), ("NaN", Beyond("NaN"))],
    "numeric(1,0)": [("9", D("9")), ("-9", D("-9"))],
    "numeric(38,0)": [("9" * 38, D("9" * 38)), ("-" + "9" * 38, D("-" + "9" * 38))],
    "numeric(38,38)": [("0." + "9" * 38, D("0." + "9" * 38)), ("-0." + "0" * 37 + "1", D("-0." + "0" * 37 + "1"))],
    "numeric(39,0)": [("9" * 39, "9" * 39)],
    "numeric(50,5)": [("1" * 45 + ".12345", "1" * 45 + ".12345"), ("NaN", "NaN")],
    "numeric": [("1.10", "1.10"), ("-0.000", "0.000"), ("1e-300", "0." + "0" * 299 + "1"), ("NaN", "NaN"),
                ("Infinity", "Infinity"), ("-Infinity", "-Infinity"), ("9" * 1000, "9" * 1000)],
    "money": [("92233720368547758.07", "$92,233,720,368,547,758.07"), ("-92233720368547758.08", "-$92,233,720,368,547,758.08")],
    "bool": [("true", True), ("false", False)],
    # text
    "text": [("", ""), ("näh \U0001F600", "näh \U0001F600"), ("tab\tnew\nline\\back\"quote'\x01", "tab\tnew\nline\\back\"quote'\x01"),
             ("x" * 100000, "x" * 100000), ("NULL", "NULL"), ("\\x00", "\\x00")],
    "varchar(10)": [("", ""), ("abc  ", "abc  "), ("ää" * 5, "ää" * 5)],
    "char(5)": [("ab", "ab   "), ("", "     ")],
    "bpchar": [("ab  ", "ab  ")],
    '"char"': [("x", "x")],
    "name": [("some_name", "some_name")],
    "ext.citext": [("MiXeD", "MiXeD")],
    "ext.mood": [("sad", "sad"), ("very happy", "very happy"), ("it's \"so\"", "it's \"so\"")],
    "bytea": [("\\x", b""), ("\\x00ff10", b"\x00\xff\x10"), ("\\x" + "ab" * 50000, b"\xab" * 50000)],
    "uuid": [("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"),
             ("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "ffffffff-ffff-ffff-ffff-ffffffffffff")],
    "json": [('{"a": 1,  "b":[null, true], "a": 2}', '{"a": 1,  "b":[null, true], "a": 2}'), ("null", "null"), ('"a=>b"', '"a=>b"'),
             ('"=>"', '"=>"'), ("12345678901234567890.10", "12345678901234567890.10")],
    "jsonb": [('{"b": 1e40, "a": "\\u00e4", "b": 2}', '{"a": "ä", "b": 2}'), ("[]", "[]"), ('""', '""')],
    "jsonpath": [("$.a[*] ? (@ > 1)", '$."a"[*]?(@ > 1)')],
    "xml": [("<a b=\"1\">x</a>", "<a b=\"1\">x</a>"), ("just text", "just text")],
    # time
    "date": [("0001-01-01", dt.date(1, 1, 1)), ("1969-12-31", dt.date(1969, 12, 31)), ("2024-02-29", dt.date(2024, 2, 29)),
             ("9999-12-31", dt.date(9999, 12, 31)), ("10000-01-01", Beyond("10000-01-01")), ("5874897-12-31", Beyond("5874897-12-31")),
             ("0001-12-31 BC", Beyond("0001-12-31 BC")), ("4713-01-01 BC", Beyond("4713-01-01 BC")),
             ("infinity", Beyond("infinity")), ("-infinity", Beyond("-infinity"))],
    "time": [("00:00:00", dt.time(0)), ("23:59:59.999999", dt.time(23, 59, 59, 999999)), ("24:00:00", Beyond("24:00:00"))],
    "time(3)": [("12:34:56.7896", dt.time(12, 34, 56, 790000))],
    "timetz": [("12:34:56.789+05:30", "12:34:56.789+05:30"), ("24:00:00-15:59:59", "24:00:00-15:59:59")],
    "timestamp": [("0001-01-01 00:00:00", ts(1, 1, 1)), ("1969-12-31 23:59:59.999999", ts(1969, 12, 31, 23, 59, 59, 999999)),
                  ("9999-12-31 23:59:59.999999", ts(9999, 12, 31, 23, 59, 59, 999999)),
                  ("10000-01-01 00:00:00", Beyond("10000-01-01 00:00:00")),
                  ("294276-12-31 23:59:59.999999", Beyond("294276-12-31 23:59:59.999999")),
                  ("4713-11-24 00:00:00 BC", Beyond("4713-11-24 00:00:00 BC")), ("infinity", Beyond("infinity")),
                  ("-infinity", Beyond("-infinity"))],
    "timestamp(0)": [("2024-01-01 12:00:00.6", ts(2024, 1, 1, 12, 0, 1))],
    "timestamptz": [("0001-01-01 00:00:00+00", ts(1, 1, 1)), ("2024-03-31 02:30:00+02", ts(2024, 3, 31, 0, 30)),
                    ("9999-12-31 23:59:59.999999+00", ts(9999, 12, 31, 23, 59, 59, 999999)),
                    ("9999-12-31 23:59:59-01", Beyond("10000-01-01 00:59:59+00")),
                    ("0001-01-01 00:00:00+01", Beyond("0001-12-31 23:00:00+00 BC")),
                    ("infinity", Beyond("infinity")), ("-infinity", Beyond("-infinity"))],
    "interval": [("1 year 2 mons -3 days 04:05:06.789", "1 year 2 mons -3 days +04:05:06.789"), ("0", "00:00:00"),
                 ("-178000000 years", "-178000000 years"), ("-0.000001 s", "-00:00:00.000001")],
    # network, bits, geometry, search, system
    "inet": [("192.168.0.1/24", "192.168.0.1/24"), ("192.168.0.1", "192.168.0.1"), ("::1", "::1"), ("::ffff:1.2.3.4/128", "::ffff:1.2.3.4")],
    "cidr": [("10.0.0.0/8", "10.0.0.0/8"), ("10.1.2.3/32", "10.1.2.3/32")],
    "macaddr": [("08:00:2B:01:02:03", "08:00:2b:01:02:03")],
    "macaddr8": [("08:00:2b:01:02:03:04:05", "08:00:2b:01:02:03:04:05")],
    "bit(5)": [("10101", "10101")],
    "varbit": [("", ""), ("1", "1"), ("10" * 500, "10" * 500)],
    "point": [("(1.5,-2)", "(1.5,-2)"), ("(NaN,Infinity)", "(NaN,Infinity)")],
    "line": [("{1,2,3}", "{1,2,3}")],
    "lseg": [("[(0,0),(1,1)]", "[(0,0),(1,1)]")],
    "box": [("((0,0),(1,1))", "(1,1),(0,0)")],
    "path": [("[(0,0),(1,1)]", "[(0,0),(1,1)]"), ("((0,0),(1,1))", "((0,0),(1,1))")],
    "polygon": [("((0,0),(1,1),(2,0))", "((0,0),(1,1),(2,0))")],
    "circle": [("<(1,2),3>", "<(1,2),3>")],
    "tsvector": [("'a':1A 'b c':2", "'a':1A 'b c':2")],
    "tsquery": [("a & !b", "'a' & !'b'")],
    "pg_lsn": [("0/0", "0/0"), ("FFFFFFFF/FFFFFFFF", "FFFFFFFF/FFFFFFFF")],
    "txid_snapshot": [("10:20:10,14", "10:20:10,14")],
    "pg_snapshot": [("10:20:10,14", "10:20:10,14")],
    "tid": [("(4294967295,65535)", "(4294967295,65535)")],
    "regclass": [("pg_class", "pg_class")],
    "regtype": [("int4", "integer")],
    "int2vector": [("1 2", "1 2")],
    "oidvector": [("1 4294967295", "1 4294967295")],
    "refcursor": [("cur", "cur")],
    # ranges
    "int4range": [("[1,10]", "[1,11)"), ("empty", "empty"), ("(,)", "(,)")],
    "int8range": [("[1,2)", "[1,2)")],
    "numrange": [("(1.50,2]", "(1.50,2]")],
    "daterange": [("[2024-01-01,infinity)", "[2024-01-01,infinity)")],
    "tsrange": [("[2024-01-01 00:00,2024-01-02 00:00]", '["2024-01-01 00:00:00","2024-01-02 00:00:00"]')],
    "tstzrange": [("[2024-01-01 00:00+01,)", '["2023-12-31 23:00:00+00",)')],
    "int4multirange": [("{[1,3),[5,8)}", "{[1,3),[5,8)}"), ("{}", "{}")],
    "tsmultirange": [("{[2024-01-01 00:00,2024-01-02 00:00)}", '{["2024-01-01 00:00:00","2024-01-02 00:00:00")}')],
    # made of others
    "ext.pair": [('(1,"x y")', '(1,"x y")'), ("(,)", "(,)")],
    "ext.positive": [("7", 7)],
    "ext.price": [("1.50", D("1.50")), ("NaN", Beyond("NaN"))],
    "ext.deep_price": [("-999999.99", D("-999999.99"))],
    "ext.day": [("2024-02-29", dt.date(2024, 2, 29)), ("infinity", Beyond("infinity"))],
    "ext.doc": [('{"a": 1}', '{"a": 1}'), ('"x"', '"x"')],
    "ext.hstore": [("", "{}"), ("a=>1, bb=>NULL", '{"a":"1","bb":null}'), ('"k \\"q\\""=>"b\\\\s\nn\x01=>"', '{"k \\"q\\"":"b\\\\s\\u000an\\u0001=>"}'),
                   ('"ä"=>"NULL", ""=>""', '{"":"","ä":"NULL"}')],
    "ext.attributes": [("a=>1", '{"a":"1"}'), ("", "{}")],
    "ext.ltree": [("Top.Science", "Top.Science")],
    "ext.cube": [("(1,2),(3,4)", "(1, 2),(3, 4)")],
    # arrays
    "int4[]": [("{}", []), ("{1,NULL,-2147483648}", [1, None, -2**31]), ("{{1,2},{3,4}}", Beyond("{{1,2},{3,4}}")),
               ("[0:1]={5,6}", Beyond("[0:1]={5,6}")), ("[2:2]={5}", Beyond("[2:2]={5}")),
               ("{" + ",".join(map(str, range(20000))) + "}", list(range(20000)))],
    "int2[]": [("{-32768,32767}", [-32768, 32767])],
    "int8[]": [("{9223372036854775807,-9223372036854775808}", [2**63 - 1, -2**63])],
    "oid[]": [("{4294967295}", [2**32 - 1])],
    "xid[]": [("{4294967295}", [2**32 - 1])],
    "bool[]": [("{t,f,NULL}", [True, False, None])],
    "float4[]": [("{1.1,NaN,-Infinity,NULL}", [f32(1.1), math.nan, -math.inf, None])],
    "float8[]": [("{0.1,5e-324}", [0.1, 5e-324])],
    "numeric(8,3)[]": [("{1.5,-2.125,NULL}", [D("1.500"), D("-2.125"), None]), ("{1.5,NaN}", Beyond("{1.500,NaN}"))],
    "numeric[]": [("{1.10,NaN,NULL}", ["1.10", "NaN", None])],
    "text[]": [('{"a b",NULL,"NULL",null,"q\\"x","b\\\\s","{","}",",",""," ","tab\t","n\n",ä😀,"\v\f\r"}',
                ["a b", None, "NULL", None, 'q"x', "b\\s", "{", "}", ",", "", " ", "tab\t", "n\n", "ä😀", "\v\f\r"]),
               ('{{"a","b"}}', Beyond("{{a,b}}")), ('{"[0:1]={x}"}', ["[0:1]={x}"])],
    "varchar(3)[]": [("{abc,NULL}", ["abc", None])],
    "char(3)[]": [("{ab,abc}", ["ab ", "abc"])],
    "name[]": [("{a}", ["a"])],
    "bytea[]": [('{"\\\\x00ff",NULL,"\\\\x"}', [b"\x00\xff", None, b""])],
    "date[]": [("{2024-02-29,NULL}", [dt.date(2024, 2, 29), None]), ("{2024-02-29,infinity}", Beyond("{2024-02-29,infinity}")),
               ('{"4713-01-01 BC"}', Beyond('{"4713-01-01 BC"}'))],
    "time[]": [("{23:59:59.999999}", [dt.time(23, 59, 59, 999999)]), ("{24:00:00}", Beyond("{24:00:00}"))],
    "timestamp[]": [("{2024-01-01 12:00:00.5,NULL}", [ts(2024, 1, 1, 12, 0, 0, 500000), None]), ("{infinity}", Beyond("{infinity}"))],
    "timestamptz(3)[]": [("{2024-01-01 12:00:00.5+01}", [ts(2024, 1, 1, 11, 0, 0, 500000)])],
    "uuid[]": [("{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"])],
    "json[]": [('{"{\\"a\\": [1, 2]}",NULL}', ['{"a": [1, 2]}', None])],
    "jsonb[]": [('{"{\\"b\\": 1}"}', ['{"b": 1}'])],
    "money[]": [('{1234.5}', ["$1,234.50"])],
    "interval[]": [('{1 day,NULL}', ["1 day", None])],
    "inet[]": [("{10.0.0.1/8}", ["10.0.0.1/8"])],
    "bit(3)[]": [("{101}", ["101"])],
    "point[]": [('{"(1,2)","(3,4)"}', ["(1,2)", "(3,4)"])],
    "box[]": [("{(1,1),(0,0);(2,2),(0,0)}", "{(1,1),(0,0);(2,2),(0,0)}")],
    "tsvector[]": [("{\"'a':1\"}", ["'a':1"])],
    "ext.mood[]": [("{sad,NULL,\"very happy\"}", ["sad", None, "very happy"]), ("{{sad}}", Beyond("{{sad}}"))],
    "ext.citext[]": [("{Ab}", ["Ab"])],
    "ext.ltree[]": [("{a.b}", ["a.b"])],
    "ext.hstore[]": [('{"\\"a\\"=>\\"1\\"",NULL}', ['{"a":"1"}', None])],
    "ext.price[]": [("{1.5,NULL}", [D("1.50"), None]), ("{NaN}", Beyond("{NaN}"))],
    "ext.doc[]": [('{"[1]"}', ["[1]"])],
    "ext.ints": [("{1,2}", [1, 2]), ("{{1}}", Beyond("{{1}}"))],
    "ext.ints[]": [('{"{1,2}"}', '{"{1,2}"}')],
    "int4range[]": [('{"[1,2)"}', '{"[1,2)"}')],
    "ext.pair[]": [('{"(1,\\"x y\\")"}', '{"(1,\\"x y\\")"}')],
    "int2vector[]": [('{"1 2"}', ["1 2"])],
}
NEWER = {17: {"interval": [("infinity", "infinity"), ("-infinity", "-infinity")]}}

# type: SQL of a value too large for its row, so that an update of another column leaves it out
LARGE = {
    "text": "repeat('x', 9000)", "bytea": "decode(repeat('00ff', 5000), 'hex')", "numeric": "repeat('7', 20000)::numeric",
    "json": "json_build_object('a', repeat('x', 9000))", "jsonb": "jsonb_build_object('a', repeat('x', 9000))",
    "xml": "('<a>' || repeat('x', 9000) || '</a>')::xml", "ext.citext": "repeat('X', 9000)::ext.citext",
    "ext.hstore": "ext.hstore('k', repeat('v', 9000))", "ext.pair": "row(1, repeat('x', 9000))::ext.pair",
    "int4[]": "array(select generate_series(1, 5000))", "text[]": "array[repeat('x', 9000), null]",
    "numeric(8,3)[]": "array(select g::numeric(8,3) from generate_series(1, 3000) g)", "ext.mood[]": "array_fill('sad'::ext.mood, array[3000])",
    "ext.ints": "array(select generate_series(1, 5000))::ext.ints", "varbit": "repeat('10', 40000)::varbit",
    "tsvector": "array_to_tsvector(array(select 'w' || g from generate_series(1, 2000) g))",
    "polygon": "(select polygon(('(' || string_agg(format('(%s,%s)', g, g), ',') || ')')::path) from generate_series(1, 500) g)",
    "int4multirange": "(select range_agg(int4range(3 * g, 3 * g + 1)) from generate_series(1, 2000) g)",
    "ext.ltree": "(repeat('a.', 4000) || 'b')::ext.ltree", "char(9000)": "'x'",
}
