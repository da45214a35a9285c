#!/usr/bin/env python3
"""Without this `init` could write a configuration for MySQL that does not load, does not pass `check`, forgets tables, or shows the
password; odd names included.
"""
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import lab, lake  # noqa: E402
from sidestream_test.mysql import KINDS  # noqa: E402
from sidestream_test.sidecar import BINARY  # noqa: E402

PASSWORD = "Pa55-of-init/ä"
TABLES = [
    "create database shop character set utf8mb4", "create database `od.d 2` character set utf8mb4", "use shop",
    "create table users (id int primary key, email varchar(90), phone varchar(20), password_hash text, email_verified tinyint(1), zip text, "
    "`Updated_At` timestamp(6) null, deleted_at datetime, birth_date date)",
    "create table mail (email varchar(90) primary key, phone text)",
    "create table marked (id int primary key, is_deleted bool)",
    "create table uniq (a int not null, b int not null, c text, unique (b, a))",
    "create table bare (at timestamp null, what text) engine = myisam",
    "create table parents (id int primary key)",
    "create table children (id int primary key, p int, foreign key (p) references parents (id) on delete set null)",
    "create view seen as select * from users",
    "create table `od.d 2`.`a*b[c]'d?\\\\` (a int, `b #c` varchar(9), `email: x` text, primary key (`b #c`, a))",
    "create table `od.d 2`.`x${env:NO}` (a int primary key)",
    "insert into users (id, email) with recursive n (i) as (select 1 union all select i + 1 from n where i < 500) select i, i from n",
]


def run(folder, *args, **env):
    return subprocess.run([BINARY, *map(str, args)], cwd=folder, text=True, capture_output=True, timeout=60,
                          env={**os.environ, "SIDESTREAM_HASH": "0123456789abcdef", **env})


def uncomment(text):
    text = re.sub(r"^    # ((columns|updated_at|logical_delete):.*)$", r"    \1", text, flags=re.M)
    return re.sub(r"^  # (- .*)$", r"  \1", text, flags=re.M).replace("# secrets:", "secrets:")


def proposed(l, server):
    server.each("; ".join(TABLES), f"create user own@'%' identified by '{PASSWORD}'", "grant all on *.* to own@'%'")
    quoted = "Pa55-of-init%2F%C3%A4"
    folder = l.folder / f"init-{server.kind}"
    folder.mkdir()
    got = run(folder, "init", server.url("own", quoted))
    assert got.returncode == 0, got
    again = run(folder, "init", server.url("own", None), "--output", "as-is.yaml", MYSQL_PWD=PASSWORD)
    assert again.returncode == 0, again
    text = (folder / "as-is.yaml").read_text()
    assert text == got.stdout and PASSWORD not in text and quoted not in text and "own:${env:MYSQL_PWD}@127.0.0.1" in text, text
    return folder, text, quoted


def main(l):
    for kind in KINDS:
        server = l.mysql(kind)
        folder, text, password = proposed(l, server)
        l.step(f"{kind}: the text")
        for line in ("    # columns: {exclude: [password_hash], hash: [email], mask: [phone, birth_date]}", "    # updated_at: Updated_At",
                     "    # logical_delete: {column: deleted_at}", "    # columns: {hash: [email], mask: [phone]}", "    # columns: {hash: ['email: x']}",
                     "    # logical_delete: {column: is_deleted}", "  - tables: shop.uniq", "  # - tables: shop.*", f"name: {server.family}   "):
            assert line in text, f"{line!r} is not in\n{text}"
        assert re.search(r"# shop.uniq: .*; key (b, a|a, b)\n", text), text
        assert re.search(r"# shop.bare: .*no primary key.*; engine MyISAM\n", text), text
        assert re.search(r"# shop.users: .*about \d+ rows; key id\n", text), text
        assert re.search(r"- tables: shop.children\n    skip: true", text) if not server.logs_cascades() else "- tables: shop.children\n\n" in text, text
        assert "shop.seen" not in text and "email_verified" not in text, text
        l.step(f"{kind}: it loads, passes check, copies and captures")
        got = run(folder, "check", "as-is.yaml", MYSQL_PWD=password)
        assert got.returncode == 0 and "takes no table" not in got.stdout, f"{got.stdout}{got.stderr}\n{text}"
        assert run(folder, "run", "as-is.yaml", "--until-caught-up", MYSQL_PWD=password).returncode == 0
        server.sql("insert into shop.users (id) values (1000)")
        got = run(folder, "run", "as-is.yaml", "--until-caught-up", MYSQL_PWD=password)
        assert got.returncode == 0, got
        ops = sorted((r.op, r.cells["id"]) for r in lake.Lake(folder / f"{server.family}-lake").rows("shop.users"))
        assert ops == [("c", 1000), *(("r", n) for n in range(1, 501))], ops[:9]
        l.step(f"{kind}: and with everything taken out of its comment")
        (folder / "all.yaml").write_text(uncomment(text))
        got = run(folder, "check", "all.yaml", MYSQL_PWD=password)
        assert got.returncode == 0, f"{got.stdout}{got.stderr}\n{uncomment(text)}"
        for words in ("shop.users: .*hashed email; masked phone, birth_date", "shop.users: .*updated at Updated_At"):
            assert re.search(words, got.stdout), f"{words} is not in\n{got.stdout}"
        l.step(f"{kind}: what cannot be looked at")
        for url in (server.url("own", "wrong"), server.url("own", None, port=9), server.url("own", password, query="what=1")):
            got = run(folder, "init", url, "--output", "new.yaml")
            assert got.returncode in (1, 2, 3) and got.stderr and password not in got.stderr, got
            assert not (folder / "new.yaml").exists(), url
        server.each("drop database shop", "drop database `od.d 2`")
        (folder / "empty.yaml").write_text(run(folder, "init", server.url("own", password)).stdout)
        assert run(folder, "check", "empty.yaml", MYSQL_PWD=password).returncode == 0
        server.stop()


lab.run(main)
