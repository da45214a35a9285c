"""Where a reader makes of a type something else than its value: the table that docs/readers.md tells in words.

A trap holds for one engine and one kind of Avro type (an array's items too). `raw` is what the engine gives,
no other: a trap that has gone is a failure, so that docs/ gets to know. `back` makes the value of it.
`says` must stand in the engine's section of docs/readers.md.
"""
import datetime as dt
import decimal
import struct
import typing
import uuid

UTC = dt.timezone.utc
EPOCH = dt.datetime(1970, 1, 1)


class Trap(typing.NamedTuple):
    engine: str
    kind: str
    says: str
    raw: tuple
    back: typing.Callable



def naive(value):
    assert value.tzinfo is None, "the timestamp has a zone now"
    return value.replace(tzinfo=UTC)


def from_micros(us):
    return (EPOCH + dt.timedelta(microseconds=us)).replace(tzinfo=UTC)


def time_of(us):
    return (EPOCH + dt.timedelta(microseconds=us)).time()


def latin(text):
    return text.encode("latin-1")


def f32(number):
    """"NaN", "Infinity", or the digits of a float: Java's shortest digits are those of 32 bits."""
    return struct.unpack("f", struct.pack("f", float(number)))[0]


def unit_of(kind):
    """0.01 of decimal(12,2)."""
    return decimal.Decimal(1).scaleb(-int(kind.rsplit(",", 1)[1].rstrip(")")))


def java_decimal(text, kind):
    return decimal.Decimal(int.from_bytes(latin(text), "big", signed=True)).scaleb(unit_of(kind).as_tuple().exponent, EXACT)


def spark_decimal(number, kind):
    scaled = number.quantize(unit_of(kind), context=EXACT)
    assert scaled == number, "quantize() lost digits"
    return scaled


EXACT = decimal.Context(prec=50)
TRAPS = [
    # DuckDB has no zone in what it reads, so nothing tells an instant from a local time.
    Trap("duckdb", "timestamp-micros", "`TIMESTAMP` without a zone", (dt.datetime,), naive),
    # Avro's logical type is not looked at.
    Trap("duckdb", "uuid", "uuid: `VARCHAR`", (str,), uuid.UUID),
    # Spark has no type for a time of day.
    Trap("spark", "time-micros", "time: `bigint`, microseconds since midnight", (int,), time_of),
    Trap("spark", "uuid", "uuid: `string`", (str,), uuid.UUID),
    # Read as unix_micros(), because collect() fails for the first day of year 1 and gives local times.
    Trap("spark", "timestamp-micros", "`unix_micros()`", (int,), from_micros),
    # Java prints 1E-38 as 1.0E-38, and PySpark takes that text: the number is right, its exponent may not be.
    Trap("spark", "decimal", "`Decimal('-1.0E-38')`", (decimal.Decimal,), spark_decimal),
    # PySpark's own choice.
    Trap("spark", "bytes", "`bytearray`", (bytearray,), bytes),
    Trap("polars", "uuid", "uuid: `String`", (str,), uuid.UUID),
    Trap("apache", "uuid", "uuid: `str`", (str,), uuid.UUID),
    # tojson prints what is in the file: no logical type is looked at, and JSON has no bytes and no NaN.
    Trap("java", "date", "date: days since 1970-01-01", (int,), lambda n: EPOCH.date() + dt.timedelta(n)),
    Trap("java", "time-micros", "time: microseconds since midnight", (int,), time_of),
    Trap("java", "timestamp-micros", "timestamp: microseconds since 1970-01-01", (int,), from_micros),
    Trap("java", "decimal", "decimal: the bytes of the unscaled number", (str,), java_decimal),
    Trap("java", "bytes", "bytes: a string, each character one byte", (str,), latin),
    Trap("java", "uuid", "uuid: a string", (str,), uuid.UUID),
    Trap("java", "float", "NaN and the infinities: strings", (float, str), f32),
    Trap("java", "double", "NaN and the infinities: strings", (float, str), float),
]
BY_KIND = {(t.engine, t.kind): t for t in TRAPS}


def value_of(engine, kind, got):
    """What the engine gave as the value it stands for."""
    if got is None:
        return None
    if kind.startswith("array<"):
        assert isinstance(got, list), f"an array as {type(got).__name__}"
        return [value_of(engine, kind[6:-1], item) for item in got]
    trap = BY_KIND.get((engine, kind.split("(")[0]))
    if trap is None:
        return got
    assert type(got) in trap.raw, f"{kind} as {type(got).__name__}: docs/readers.md says {trap.says!r}"
    return trap.back(got, kind) if trap.kind == "decimal" else trap.back(got)
