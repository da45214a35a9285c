#!/usr/bin/env python3
"""iconv_fixes.py SOCKET >connectors/mysql/charset_fixes.h: where MySQL's multi-byte charsets differ from glibc's iconv, as
pairs of code points: what iconv makes, what the server makes. Checks every code of one and two bytes, and of three where
there are. Only what one code of iconv's stands for is changed; a server's U+FFFD is not taken over. gb18030 is left out:
24 of its two-byte codes are private characters to MySQL, which iconv makes also of four-byte codes.
"""
import ctypes
import subprocess
import sys

CHARSETS = {"big5": "BIG5", "ujis": "EUC-JP", "sjis": "CP932", "euckr": "UHC", "gb2312": "EUC-CN", "gbk": "GBK",
            "cp932": "CP932", "eucjpms": "EUC-JP-MS"}
HEAD = """/*
 * charset_fixes.h - where a server's multi-byte charset differs from glibc's iconv: what iconv
 * makes of a code, and what the server makes of it.
 *
 * Made by tests/data/mysql/iconv_fixes.py out of a server's own conversions. Private to charset.c.
 */
#ifndef MYS_CHARSET_FIXES_H
#define MYS_CHARSET_FIXES_H

#include <stdint.h>
"""
LIB = ctypes.CDLL(None)
LIB.iconv_open.restype = ctypes.c_void_p
LIB.iconv_open.argtypes = [ctypes.c_char_p] * 2
LIB.iconv.restype = ctypes.c_size_t
LIB.iconv.argtypes = [ctypes.c_void_p] * 5


def iconv(cd, code):
    src, dst = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(64)
    src_p, dst_p = ctypes.c_void_p(ctypes.addressof(src)), ctypes.c_void_p(ctypes.addressof(dst))
    src_n, dst_n = ctypes.c_size_t(len(code)), ctypes.c_size_t(64)
    LIB.iconv(cd, None, None, None, None)
    rc = LIB.iconv(cd, ctypes.byref(src_p), ctypes.byref(src_n), ctypes.byref(dst_p), ctypes.byref(dst_n))
    return None if rc == ctypes.c_size_t(-1).value or src_n.value else dst.raw[:64 - dst_n.value].decode()


def ask(socket, sql):
    client = ["mariadb", "--no-defaults", "-S", socket, "-uroot", "--default-character-set=utf8mb4", "-N"]
    return subprocess.run(client, input=sql, text=True, check=True, stdout=subprocess.PIPE).stdout.splitlines()


def server(socket, charset, codes):
    out = {}
    for at in range(0, len(codes), 2000):
        values = ",".join(f"({at + i},x'{c.hex()}')" for i, c in enumerate(codes[at:at + 2000]))
        rows = ask(socket, "create temporary table mysql.t (i int, b varbinary(4)) engine=innodb;"
                           f"insert into mysql.t values {values};"
                           f"select i, hex(convert(convert(b using {charset}) using utf8mb4)) from mysql.t")
        for row in rows:
            i, text = row.split("\t")
            out[codes[int(i)]] = None if text == "NULL" else bytes.fromhex(text).decode()
    return out


def fixes(socket, charset, name):
    codes = [bytes([a]) for a in range(128)] + [bytes([a, b]) for a in range(128, 256) for b in range(0x30, 256)]
    if name.startswith("EUC-JP"):
        codes += [bytes([0x8F, a, b]) for a in range(0xA1, 255) for b in range(0xA1, 255)]
    cd = LIB.iconv_open(b"UTF-8", name.encode())
    made = {}
    for code, theirs in server(socket, charset, codes).items():
        ours = iconv(cd, code)
        if ours is None or len(ours) != 1 or theirs is None or len(theirs) != 1 or theirs in "?\ufffd" and code != b"?":
            continue
        made.setdefault(ours, set()).add(theirs)
    return sorted((ord(a), ord(next(iter(b)))) for a, b in made.items() if len(b) == 1 and a not in b)


def main():
    print(HEAD)
    for charset, name in CHARSETS.items():
        pairs = fixes(sys.argv[1], charset, name)
        if pairs:
            body = ", ".join(f"{{0x{a:x}, 0x{b:x}}}" for a, b in pairs)
            print(f"static const uint16_t mys_{charset}_fixes[][2] = {{{body}}};")
    print("\n#endif")


main()
