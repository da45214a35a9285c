"""A throw-away MariaDB or MySQL server, by tests/servers/mysql.sh.

The sidecar comes as user `cdc`, who has what the documentation asks for and no more; the tests come as root over the
socket. Both are made without a trace in the log, so that every server's log begins with what a test does.
"""
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import threading

import pymysql
import pymysql.constants.CLIENT
import pymysql.converters
import pymysql.err

from . import ROOT, compare
from .ports import free_port
from .wait import until

SERVERS = ROOT / "tests/servers"
# The two that every scenario runs on; scenario `mysql_versions` has the others of tests/servers/mysql.sh.
KINDS = tuple((os.environ.get("SIDESTREAM_MYSQL") or "mariadb,mysql").split(","))
PASSWORD = "Cdc-1"
# As the log has them: times as texts, so that 0000-00-00 and 838:59:59 come through.
TEXTS = {k: v for k, v in pymysql.converters.conversions.items() if isinstance(k, type)}
TEXTS.update({t: pymysql.converters.decoders[t] for t in (0, 1, 2, 3, 4, 5, 8, 9, 13, 246) if t in pymysql.converters.decoders})


class Mysql:
    """One server. `base` is its folder, kind one of mysql.sh's ("mariadb", "mysql80"); conf are lines of my.cnf."""

    def __init__(self, base, kind, conf=(), server_id=1):
        self.kind, self.base, self.server_id = kind, pathlib.Path(base), server_id
        self.mariadb = kind.startswith("mariadb")
        self.family = "mariadb" if self.mariadb else "mysql"
        self.conf = [f"server_id={server_id}", "sync_binlog=0", *conf]
        self.port = free_port()
        self.made, self.kept, self.told = False, threading.local(), None

    # ---- its life ----

    def shell(self, *words, timeout=180):
        got = subprocess.run(["bash", "-c", f'. {SERVERS}/mysql.sh && "$@"', "my", *map(str, words)], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
        if got.returncode:
            raise RuntimeError(f"{words[0]} failed: {got.stdout}{got.stderr}")
        return got.stdout.strip()

    def start(self):
        """The server keeps what it inherits: it must get a file, not our pipe."""
        with open(self.base.parent / f"{self.base.name}.ctl", "a+") as out:
            rc = subprocess.run(["bash", "-c", f'. {SERVERS}/mysql.sh && "$@"', "my", "my_up", self.kind, str(self.base),
                                 str(self.port), *self.conf], stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=400).returncode  # perhaps fetched
            if rc:
                out.seek(0)
                raise RuntimeError(f"my_up failed: {out.read()[-3000:]}")
        if not self.made:
            self._users()
            self.made = True
        return self

    def _users(self):
        more = "binlog monitor" if self.mariadb else "replication client"
        if not self.mariadb and self.version() < (8, 0, 22):
            more += ", lock tables"  # for SELECT ... FOR SHARE, after XA COMMITs
        self.each("set sql_log_bin = 0", f"create user cdc@'%' identified by '{PASSWORD}'",
                  f"grant select, reload, replication slave, {more} on *.* to cdc@'%'",
                  f"create user repl@'%' identified by '{PASSWORD}'", "grant replication slave on *.* to repl@'%'")

    def pid(self):
        return int((self.base / "my.pid").read_text())

    def running(self):
        try:
            os.kill(self.pid(), 0)
        except (FileNotFoundError, ValueError, ProcessLookupError):
            return False
        return True

    def stop(self, mode="fast", timeout=60):
        if mode == "immediate":
            self.crash()
        else:
            self.shell("my_down", self.base, timeout=timeout)

    def crash(self):
        self.shell("my_crash", self.base)

    def restart(self):
        self.stop()
        self.start()

    def freeze(self):
        """It stands still, and its connections stay."""
        os.kill(self.pid(), signal.SIGSTOP)

    def thaw(self):
        os.kill(self.pid(), signal.SIGCONT)

    def log(self):
        path = self.base / "my.err"
        return path.read_text(errors="replace") if path.exists() else ""

    # ---- who comes ----

    def url(self, user="cdc", password=PASSWORD, port=None, socket=False, query=""):
        """By TCP, as most people would; `query`: more parameters, tls=required&ca=..."""
        scheme = "mariadb" if self.mariadb else "mysql"
        query = "&".join(q for q in (f"socket={self.base}/my.sock" if socket else "", query) if q)
        auth = user if password is None else f"{user}:{password}"
        return f"{scheme}://{auth}@127.0.0.1:{port or self.port}{'?' + query if query else ''}"

    def connect(self, db=None, autocommit=True, **more):
        conv = more.pop("conv", None) or TEXTS
        return pymysql.connect(unix_socket=str(self.base / "my.sock"), user="root", database=db, autocommit=autocommit,
                               charset="utf8mb4", connect_timeout=10, conv=conv,
                               init_command="set time_zone = '+00:00', sql_mode = ''", **more)

    def sql(self, text, args=None, db=None):
        """Runs one or more statements; the rows of the last one, or [] where it has none."""
        con = self.connect(db, client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS)
        try:
            with con.cursor() as cur:
                cur.execute(text, args)
                rows = list(cur.fetchall())
                while cur.nextset():
                    rows = list(cur.fetchall())
                return rows
        finally:
            con.close()

    def each(self, *statements, db=None):
        """Runs texts one by one on one connection; a text may hold several statements. One that fails is named."""
        con = self.connect(db, client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS)
        try:
            for text in statements:
                with con.cursor() as cur:
                    try:
                        cur.execute(text)
                        while cur.nextset():
                            pass
                    except pymysql.err.MySQLError as e:
                        raise AssertionError(f"{self.kind}: {text[:300]}: {e}") from None
        finally:
            con.close()

    def value(self, text, args=None):
        """Of a SELECT; on a connection that each thread keeps, since each login takes a while."""
        for _ in range(2):
            try:
                con = self.kept.con = getattr(self.kept, "con", None) or self.connect()
                with con.cursor() as cur:
                    cur.execute(text, args)
                    row = cur.fetchone()
                    return row[0] if row else None
            except (pymysql.err.OperationalError, pymysql.err.InterfaceError):
                self.kept.con = None  # the server was started anew
        return self.sql(text, args)[0][0]

    def left(self, thread):
        """Until the engine has let go of what that session, now closed, has prepared. MariaDB answers OK and logs an XA COMMIT
        that comes a moment before, and does not do it (connectors/mysql/xa_check.c; mysql_xa tests that). The session's
        number goes from the process list earlier, and information_schema.innodb_trx may be a moment old."""
        def gone():
            with own.cursor() as cur:
                cur.execute("show engine innodb status")
                text = cur.fetchone()[2].decode(errors="replace")  # with statements that are cut anywhere, and their blobs
                now = text.partition("LIST OF TRANSACTIONS")[2]  # before it: the latest deadlock, of any time
                return not any("(PREPARED)" in t and f" thread id {thread}, " in t for t in now.split("---TRANSACTION"))
        if self.loses_xa():
            with contextlib.closing(self.connect(use_unicode=False)) as own:
                until(f"the end of session {thread}", gone, 20)

    def loses_xa(self):
        """Whether an XA COMMIT that meets the end of the session that prepared may be logged and not done."""
        return self.mariadb or self.version() < (8, 0, 31)

    # ---- its log ----

    def binlog_end(self):
        """(file, offset)"""
        new = not self.mariadb and self.version() >= (8, 2)
        return self.sql("show binary log status" if new else "show master status")[0][:2]

    def version(self):
        """Asked once: writers want to know while the server is down."""
        self.told = self.told or tuple(int(n) for n in re.match(r"(\d+)\.(\d+)\.(\d+)", self.value("select version()")).groups())
        return self.told

    def can(self, sql):
        """A schema without what this server does not know yet: INVISIBLE columns."""
        return sql if self.mariadb or self.version() >= (8, 0, 23) else sql.replace(" invisible ", " ")

    def logs_cascades(self):
        """Whether what a foreign key's CASCADE does to the other table is in the log."""
        return not self.mariadb and self.version() >= (9, 6)

    def binlogs(self):
        return [r[0] for r in self.sql("show binary logs")]

    def purge(self):
        """Everything but a new, empty file is deleted; a file is kept while somebody reads it."""
        self.sql("flush binary logs")

        def alone():
            self.sql(f"purge binary logs to '{self.binlog_end()[0]}'")
            return len(self.binlogs()) == 1
        until("the purge", alone)

    def executed(self):
        """The transactions it has, as text: a set, or the list of MariaDB."""
        return self.value("select @@gtid_binlog_pos" if self.mariadb else "select @@global.gtid_executed").replace("\n", "")

    def dumps(self):
        """The connections that read the log."""
        return self.sessions(lambda user, command: command.startswith("Binlog Dump"))

    def sessions(self, which):
        """Their numbers; which(user, command). information_schema.processlist fails in MySQL 9.7 beside statements with an
        emoji, and SHOW PROCESSLIST cuts them inside of a character: Latin-1 reads all that."""
        con = pymysql.connect(unix_socket=str(self.base / "my.sock"), user="root", charset="latin1", connect_timeout=10)
        try:
            with con.cursor() as cur:
                cur.execute("show processlist")
                return [r[0] for r in cur.fetchall() if which(r[1] or "", r[4] or "")]
        finally:
            con.close()

    def kill_dumps(self):
        for number in self.dumps():
            try:
                self.sql(f"kill {number}")
            except pymysql.err.MySQLError:
                pass  # gone by itself
        return self

    # ---- one behind the other ----

    def replica_of(self, primary):
        """Follows the primary from its log's beginning, by GTID; both just started."""
        if self.mariadb:
            self.each(f"change master to master_host='127.0.0.1', master_port={primary.port}, master_user='repl', "
                      f"master_password='{PASSWORD}', master_use_gtid=slave_pos, master_connect_retry=1", "start slave")
        elif self.version() < (8, 0, 23):
            self.each(f"change master to master_host='127.0.0.1', master_port={primary.port}, master_user='repl', "
                      f"master_password='{PASSWORD}', master_auto_position=1, get_master_public_key=1, master_connect_retry=1", "start slave")
        else:
            self.each(f"change replication source to source_host='127.0.0.1', source_port={primary.port}, source_user='repl', "
                      f"source_password='{PASSWORD}', source_auto_position=1, get_source_public_key=1, source_connect_retry=1",
                      "start replica")
        return self

    def follows(self, primary, timeout=60):
        """Until it has everything that the primary has now."""
        want = primary.executed()
        if self.mariadb:
            assert self.value(f"select master_gtid_wait('{want}', {timeout})") == 0, f"not replicated: {self.log()[-1500:]}"
        else:
            got = self.value(f"select wait_for_executed_gtid_set('{want}', {timeout})")
            assert got == 0, f"not replicated: {self.log()[-1500:]}"
        return self

    def promote(self):
        self.each(*(("stop slave", "reset slave all") if self.mariadb or self.version() < (8, 0, 22) else ("stop replica", "reset replica all")))
        return self

    # ---- for compare.py ----

    def key_columns(self, table):
        schema, name = table.split(".", 1)
        rows = self.sql("select column_name from information_schema.key_column_usage where table_schema = %s and table_name = %s "
                        "and constraint_name = 'PRIMARY' order by ordinal_position", [schema, name])
        return [r[0] for r in rows]

    def simple_table(self, table):
        """Names of columns, and the rows as tuples of texts."""
        con = self.connect()
        try:
            with con.cursor() as cur:
                schema, name = table.split(".", 1)
                cur.execute("select column_name from information_schema.columns where table_schema = %s and table_name = %s "
                            "order by ordinal_position", [schema, name])
                columns = [r[0] for r in cur.fetchall()]
                cur.execute(f"select {', '.join(quoted(c) for c in columns)} from {quoted(schema)}.{quoted(name)}")
                return columns, [tuple(compare.text(v) for v in row) for row in cur.fetchall()]
        finally:
            con.close()


def quoted(name):
    return "`" + name.replace("`", "``") + "`"
