#!/usr/bin/env python3
"""Makes tests/data/pgtypes/, the corpus of tests/fuzz/fuzz_pgtypes.c, out of a table: a byte that picks the column,
then a text form of it.
"""
import pathlib

SCALARS = ["bool", "bytea", "int8", "int2", "int4", "text", "oid", "xid", "json", "float4", "float8", "date", "time", "timestamp",
           "timestamptz", "numeric", "uuid", "jsonb"]
ARRAYS = [s + "[]" for s in ["bool", "bytea", "int8", "int2", "int4", "text", "oid", "json", "float4", "float8", "date", "time",
                             "timestamp", "timestamptz", "numeric", "uuid"]]
COLUMNS = SCALARS + ARRAYS + ["hstore[]", "hstore"]  # the order of fuzz_pgtypes.c
UUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
TEXTS = {
    "bool": ["t", "f"],
    "bytea": ["\\x", "\\x00ff10"],
    "int8": ["-9223372036854775808", "9223372036854775807"],
    "int2": ["-32768"],
    "int4": ["2147483647", "-2147483648"],
    "text": ["", "ä b"],
    "oid": ["4294967295"],
    "xid": ["0"],
    "json": ['{"a": [1, null]}'],
    "jsonb": ['"x"'],
    "float4": ["1.1", "-0", "1e-45"],
    "float8": ["NaN", "-Infinity", "1.7976931348623157e+308"],
    "date": ["2024-02-29", "infinity", "0044-03-15 BC", "5874897-12-31"],
    "time": ["23:59:59.999999", "24:00:00"],
    "timestamp": ["2024-01-31 12:34:56.789", "-infinity", "4713-11-24 00:00:00 BC"],
    "timestamptz": ["2024-01-31 12:34:56+00", "0001-12-31 23:00:00+00 BC", "2024-01-31 12:34:56-05:30:10"],
    "numeric": ["-9999999999.99", "0.00", "NaN"],
    "uuid": [UUID],
    "bool[]": ["{t,f,NULL}"],
    "bytea[]": ['{"\\\\x00ff",NULL}'],
    "int8[]": ["{}", "{1,NULL,-3}", "{{1,2},{3,4}}", "[0:1]={5,6}", "[-3:-2][1:1]={{1},{2}}"],
    "int2[]": ["{1}"],
    "int4[]": ["{{{{{{1}}}}}}"],
    "text[]": ['{"a b",NULL,"NULL","q\\"x","b\\\\s","",ä}', '{{"a","b,"}}'],
    "oid[]": ["{4294967295}"],
    "json[]": ['{"{\\"a\\": [1, \\"\\\\\\\\\\"]}",1}'],
    "float4[]": ["{1.1,NaN}"],
    "float8[]": ["{-Infinity}"],
    "date[]": ["{2024-02-29,infinity}", '{"4713-01-01 BC"}'],
    "time[]": ["{24:00:00}"],
    "timestamp[]": ['{"2024-01-01 12:00:00.5",NULL}'],
    "timestamptz[]": ['{"2024-01-01 12:00:00+00"}'],
    "numeric[]": ["{1.50,-2.12,NULL}", "{1.50,NaN}"],
    "uuid[]": ["{" + UUID + "}"],
    "hstore": ["", '"a"=>"1", "bb"=>NULL', '"k \\"q\\""=>"b\\\\s\n"', '"a=>b"', '{"a": 1}'],
    "hstore[]": ['{"\\"a\\"=>\\"1\\"",NULL,""}'],
}


def main():
    folder = pathlib.Path(__file__).parent / "pgtypes"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for kind, texts in TEXTS.items():
        for i, text in enumerate(texts):
            name = kind.replace("[]", "_array")
            (folder / f"{name}_{i}.bin").write_bytes(bytes([COLUMNS.index(kind)]) + text.encode())


main()
