#!/usr/bin/env python3
"""charsets.py SOCKET >connectors/mysql/charset_single.h: what a real server makes of every byte of every single-byte
charset, as tables of code points. MariaDB 10.11 and MySQL 9.7 give the same ones.
"""
import subprocess
import sys

HEAD = """/*
 * charset_single.h - the single-byte charsets: bytes 0x80 to 0xff as Unicode, 0 where there is none.
 *
 * Made by tests/data/mysql/charsets.py out of a server's own conversions; the part below 0x80 is
 * ASCII but for swe7. Private to charset.c.
 */
#ifndef MYS_CHARSET_SINGLE_H
#define MYS_CHARSET_SINGLE_H

#include <stdint.h>
"""


def ask(socket, sql):
    client = ["mariadb", "--no-defaults", "-S", socket, "-uroot", "--default-character-set=utf8mb4", "-N"]
    return subprocess.run(client, input=sql, text=True, check=True, stdout=subprocess.PIPE).stdout.splitlines()


def points(socket, name, first, last):
    cells = [f"hex(convert(convert(_{name} x'{n:02X}' using utf32) using utf32))" for n in range(first, last)]
    row = ask(socket, f"select concat_ws(' ', {','.join(cells)})")[0].split()
    return [0 if int(cell, 16) in (0x3F, 0xFFFD) and n != 0x3F else int(cell, 16) for n, cell in zip(range(first, last), row)]


def main():
    socket = sys.argv[1]
    names = ask(socket, "select character_set_name from information_schema.character_sets "
                        "where maxlen = 1 and character_set_name <> 'binary' order by 1")
    print(HEAD)
    for name in names:
        table = points(socket, name, 0, 128) if name == "swe7" else points(socket, name, 128, 256)
        print(f"static const uint16_t mys_{name}[128] = {{" + ", ".join(f"0x{n:x}" for n in table) + "};")
    print("\n#endif")


main()
