#!/usr/bin/env python3
"""Without this a proposal of `init` could be one that does not work: names that YAML, patterns or URLs would take
otherwise, and every commented line, taken out of its comment, must load and pass `check`.
"""
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import lab  # noqa: E402
from sidestream_test.sidecar import BINARY  # noqa: E402

TABLES = [
    'create table shop.users (id int primary key, email text, phone text, password_hash text, password_changed_at timestamptz, '
    'email_verified bool, zip text, ip inet, "Updated_At" timestamptz, deleted_at timestamptz, birth_date date)',
    'create table shop.mail (email text primary key, phone text)',
    'create table "od.d"."a*b[c]\'d?\\" (a int, "b #c" text, "e\nmail" text, "email: x" text, primary key (a, "b #c"))',
    'create table "od.d"."x${env:NO}" (a int primary key)',
    'create table shop."new\nline" (a int primary key)',
    "create table shop.bare (at timestamptz, what text)",
    "create table shop.uniq (a int not null unique, what text)",
    "create table shop.none (id int primary key)", "alter table shop.none replica identity nothing",
    "create table shop.fully (id int, v text)", "alter table shop.fully replica identity full",
    "create table shop.parts (id int primary key, is_deleted bool) partition by list (id)",
    "create table shop.parts_1 partition of shop.parts for values in (1)",
    "create table shop.uneven (id int primary key) partition by list (id)",
    "create table shop.uneven_1 partition of shop.uneven for values in (1)", "alter table shop.uneven_1 replica identity full",
]
DATABASE = "2 Odd Näme's"


def run(folder, *args):
    return subprocess.run([BINARY, *map(str, args)], cwd=folder, text=True, capture_output=True, timeout=60,
                          env={**os.environ, "SIDESTREAM_HASH": "0123456789abcdef"})


def uncomment(text):
    text = re.sub(r"^    # ((columns|updated_at|logical_delete|insert_only|snapshot):.*)$", r"    \1", text, flags=re.M)
    text = re.sub(r"    skip: true\n(    insert_only)", r"\1", text)
    text = re.sub(r"^  # (- .*|  snapshot: never)$", r"  \1", text, flags=re.M)
    return text.replace("# secrets:", "secrets:")


def main(l):
    pg = l.postgres()
    pg.sql(f'create database "{DATABASE}"')
    pg.each('create schema shop', 'create schema "od.d"', *TABLES, db=DATABASE)
    quoted = DATABASE.replace(" ", "%20").replace("'", "%27").replace("ä", "%C3%A4")
    got = run(l.folder, "init", pg.url(socket=True, db=quoted))
    assert got.returncode == 0, got
    text = got.stdout
    for line in ("# columns: {exclude: [password_hash], hash: [email], mask: [phone, ip, birth_date]}", "# updated_at: Updated_At",
                 "# logical_delete: {column: deleted_at}", "# columns: {hash: [email], mask: [phone]}", "# columns: {hash: ['email: x']}",
                 'REPLICA IDENTITY USING INDEX uniq_a_key;', 'ALTER TABLE "shop"."bare" REPLICA IDENTITY FULL;',
                 'ALTER TABLE "shop"."none" REPLICA IDENTITY DEFAULT;', "# logical_delete: {column: is_deleted}", "name: db2_odd_n__me_s"):
        assert line in text, f"{line} is not in\n{text}"
    assert "exclude: [password_hash, password_changed_at" not in text and "email_verified" not in text
    (l.folder / "as-is.yaml").write_text(text)
    got = run(l.folder, "check", "as-is.yaml")
    assert got.returncode == 0 and "takes no table" not in got.stdout, f"{got.stdout}{got.stderr}\n{text}"
    l.step("the proposal loads as it is, and each rule takes its table")
    (l.folder / "all.yaml").write_text(uncomment(text))
    got = run(l.folder, "check", "all.yaml")
    assert got.returncode == 0, f"{got.stdout}{got.stderr}\n{uncomment(text)}"
    for words in ("shop.bare: rule .*inserts only", "shop.users: .*hashed email; masked phone, ip, birth_date", "shop.users: .*updated at Updated_At"):
        assert re.search(words, got.stdout), f"{words} is not in\n{got.stdout}"
    l.step("and with everything taken out of its comment")
    pg.each("drop schema shop cascade", 'drop schema "od.d" cascade', db=DATABASE)
    (l.folder / "empty.yaml").write_text(run(l.folder, "init", pg.url(socket=True, db=quoted)).stdout)
    assert run(l.folder, "check", "empty.yaml").returncode == 0


lab.run(main)
