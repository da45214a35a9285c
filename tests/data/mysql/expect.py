#!/usr/bin/env python3
"""expect.py MYSQL_SOCKET MARIADB_SOCKET: writes the fourth column of types.tsv out of what SELECT gives on the servers, so
that the decoder is judged by them and not by itself. Form: the kind, then the value as cdc_json_value prints it; what a
kind cannot hold is "invalid" and the server's text. Long values are cut: 40 bytes, the length, CRC-32C.
"""
import base64
import json
import pathlib
import re
import struct
import subprocess
import sys

KINDS = [("TINYINT|SMALLINT|MEDIUMINT|INT( |$)|YEAR|BIGINT$", "int"), ("BIGINT UNSIGNED|DECIMAL", "decimal"),
         (r"BIT\(1\)", "bool"), ("BIT", "bits"), ("FLOAT", "float32"), ("DOUBLE", "float"), ("DATETIME", "timestamp"), ("DATE", "date"),
         ("TIMESTAMP", "timestamptz"), ("TIME", "time"), ("BINARY|VARBINARY", "bytes"), (".*BLOB", "bytes"),
         ("POINT|GEOMETRY|POLYGON", "bytes"), ("JSON", "json"), ("UUID", "uuid"), ("VECTOR", "array"), ("", "text")]


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def ask(socket, sql):
    client = ["mariadb", "--no-defaults", "-S", socket, "-uroot", "--default-character-set=utf8mb4", "-N", "--binary-mode"]
    return subprocess.run(client, input=sql, text=True, check=True, stdout=subprocess.PIPE).stdout.splitlines()


def selected(socket, kind, column, literal):
    """The value as the server gives it: text, or hexadecimal digits of bytes; None for NULL."""
    show = {"bytes": "hex(v)", "bits": "hex(cast(v as binary))", "array": "hex(v)", "bool": "v+0", "float32": "format(v, 0), v+0.0e0",
            "float": "v"}.get(kind, "hex(cast(v as char character set utf8mb4))")
    rows = ask(socket, "SET time_zone='+00:00', sql_mode=''; DROP DATABASE IF EXISTS expect; CREATE DATABASE expect "
                       f"CHARACTER SET utf8mb4; USE expect; CREATE TABLE t (v {column}); INSERT INTO t VALUES ({literal});"
                       f"SELECT v IS NULL, {show} FROM t")
    null, text = rows[-1].split("\t")[0], rows[-1].split("\t")[-1]
    if null == "1":
        return None
    return text if kind in ("bytes", "bits", "array", "bool", "float", "float32") else bytes.fromhex(text).decode()


def quoted(text):
    out = json.dumps(text, ensure_ascii=False)
    return out


def is_date(text):
    return re.match(r"(?!0000)\d{4}-(?!00)\d\d-(?!00)\d\d", text) is not None


def shown(kind, column, text):
    if kind == "decimal" and re.match(r"DECIMAL\((39|65),", column):
        return "text " + quoted(text)
    if kind in ("date", "timestamp", "timestamptz") and not is_date(text):
        return "invalid " + text
    if kind == "time" and not re.match(r"([01]\d|2[0-3]):", text):
        return "invalid " + text
    if kind in ("bytes", "bits"):
        kind, text = "bytes", base64.b64encode(bytes.fromhex(text)).decode()
    if kind in ("time", "timestamp", "timestamptz"):
        text = (text if "." in text else text + ".").ljust(len(text.split(".")[0]) + 7, "0").replace(" ", "T")
        text += "Z" if kind == "timestamptz" else ""
    if kind == "bool":
        return "bool " + ("true" if text == "1" else "false")
    if kind == "int":
        return f"int {int(text)}"
    if kind == "float32":
        val = struct.unpack("f", struct.pack("f", float(text)))[0]
        return "float " + next(t for t in (f"{val:.{n}g}" for n in range(6, 10))
                               if struct.unpack("f", struct.pack("f", float(t)))[0] == val)
    if kind == "float":
        return "float " + next(t for t in (f"{float(text):.{n}g}" for n in (15, 16, 17)) if float(t) == float(text))
    if kind == "array":
        raw = bytes.fromhex(text)
        return "array [" + ",".join(f"{x:.7g}" for x in struct.unpack(f"<{len(raw) // 4}f", raw)) + "]"
    return f"{kind} {quoted(text)}"


def cut(text):
    raw = text.encode()
    return text if len(raw) <= 200 else raw[:40].decode(errors="ignore") + f"... {len(raw)} bytes, {crc32c(raw):08x}"


def main():
    sockets = {"mysql": sys.argv[1], "mariadb": sys.argv[2], "both": sys.argv[1]}
    path = pathlib.Path(__file__).parent / "types.tsv"
    lines = path.read_text().splitlines()
    for i, line in enumerate(lines):
        if line.startswith("#"):
            continue
        server, column, literal = line.split("\t")[:3]
        kind = next(k for pattern, k in KINDS if re.match(pattern, column) and (k != "json" or server == "mysql"))
        text = selected(sockets[server], kind, column, literal)
        lines[i] = "\t".join([server, column, literal, "null" if text is None else cut(shown(kind, column, text))])
    path.write_text("\n".join(lines) + "\n")


main()
