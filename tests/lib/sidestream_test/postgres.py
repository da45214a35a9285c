"""A throw-away PostgreSQL server, by tests/servers/postgres.sh."""
import os
import pathlib
import re
import subprocess

import psycopg2
import psycopg2.extensions
import psycopg2.extras

from . import ROOT
from .ports import free_port
from .wait import until

SERVERS = ROOT / "tests/servers"
# As the sidecar pins them: what a text form looks like must not depend on the machine.
PINNED = ("-c DateStyle=ISO -c IntervalStyle=postgres -c TimeZone=UTC -c extra_float_digits=3"
          " -c bytea_output=hex -c lc_monetary=C")


def fetch(version):
    """The folder of that version's programs; downloads it the first time."""
    got = subprocess.run([SERVERS / "fetch.sh", str(version)], stdout=subprocess.PIPE, text=True)
    if got.returncode:
        raise RuntimeError(f"PostgreSQL {version} could not be fetched")
    return got.stdout.strip()


class Postgres:
    """One server. `base` is its folder; conf are lines of postgresql.conf."""

    def __init__(self, base, version=None, conf=()):
        self.version = int(version or os.environ.get("SIDESTREAM_PG", 15))
        self.bin = fetch(self.version)
        self.base = pathlib.Path(base)
        self.conf = list(conf)
        self.port = free_port()

    def _shell(self, *words, check=True, timeout=120):
        got = subprocess.run(
            ["bash", "-c", f'. {SERVERS}/postgres.sh && "$@"', "pg", *map(str, words)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)
        if check and got.returncode:
            raise RuntimeError(f"{words[0]} failed: {got.stdout}")
        return got.stdout.strip()

    def start(self):
        self._shell_detached("pg_up", self.bin, self.base, self.port, *self.conf)
        return self

    def _shell_detached(self, *words):
        """The server keeps what it inherits: it must get a file, not our pipe."""
        with open(self.base.parent / f"{self.base.name}.ctl", "a+") as out:
            rc = subprocess.run(["bash", "-c", f'. {SERVERS}/postgres.sh && "$@"', "pg", *map(str, words)],
                                stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=120).returncode
            if rc:
                out.seek(0)
                raise RuntimeError(f"{words[0]} failed: {out.read()[-2000:]}")

    def stop(self, mode="fast", timeout=60):
        os.environ["PG_STOP_TIMEOUT"] = str(int(timeout))
        self._shell("pg_down", self.bin, self.base, mode, timeout=timeout + 30)

    def reload(self):
        """Its files are read again, pg_hba.conf too, before this returns."""
        before = self.value("select pg_conf_load_time()")
        self.sql("select pg_reload_conf()")
        until("the configuration to be read again", lambda: self.value("select pg_conf_load_time()") != before)

    def crash(self):
        """SIGKILL to every process of it."""
        self._shell("pg_crash", self.base)

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def running(self):
        pidfile = self.base / "data/postmaster.pid"
        try:
            os.kill(int(pidfile.read_text().split("\n")[0]), 0)
        except (FileNotFoundError, ValueError, ProcessLookupError):
            return False
        return True

    def url(self, user="postgres", db="postgres", port=None, password=None, socket=False):
        auth = user if password is None else f"{user}:{password}"
        if socket:
            return f"postgresql://{auth}@/{db}?host={self.base}&port={self.port}"
        return f"postgresql://{auth}@127.0.0.1:{port or self.port}/{db}"

    def connect(self, db="postgres", autocommit=True):
        con = psycopg2.connect(host=str(self.base), port=self.port, user="postgres", dbname=db,
                               options=PINNED, connect_timeout=10)
        con.autocommit = autocommit
        psycopg2.extras.register_default_json(con, loads=lambda text: text)
        psycopg2.extras.register_default_jsonb(con, loads=lambda text: text)
        return con

    def standby_of(self, primary, slot):
        """Becomes a copy of the primary that streams from its physical slot; not started yet."""
        self.base.mkdir(parents=True)
        if os.getuid() == 0:
            self._shell("chown", "postgres", self.base)
        self._shell("pg_as", f"{self.bin}/pg_basebackup", "-D", self.base / "data", "-R", "-X", "stream", "-S", slot,
                    "-c", "fast", "-d", f"host=127.0.0.1 port={primary.port} user=postgres dbname=postgres")
        with open(self.base / "data/postgresql.conf", "a") as f:
            f.write("\n".join(["", f"port = {self.port}", f"unix_socket_directories = '{self.base}'", *self.conf, ""]))
        return self

    def promote(self):
        self.sql("select pg_promote()")
        until("promotion", lambda: not self.value("select pg_is_in_recovery()"))

    def sql(self, text, args=None, db="postgres"):
        """Runs one or more statements; the rows of the last one, or [] where it has none."""
        con = self.connect(db)
        try:
            with con.cursor() as cur:
                cur.execute(text, args)
                return cur.fetchall() if cur.description else []
        finally:
            con.close()

    def each(self, *statements, db="postgres"):
        """Runs statements one by one, each its own transaction."""
        for text in statements:
            self.sql(text, db=db)

    def value(self, text, args=None, db="postgres"):
        rows = self.sql(text, args, db)
        return rows[0][0] if rows else None

    def slot(self, name):
        """The slot's row as a dict, LSNs as numbers; None where there is no such slot."""
        rows = self.sql("select row_to_json(s) from pg_replication_slots s where slot_name = %s", [name])
        if not rows:
            return None
        import json
        got = json.loads(rows[0][0])
        for key in ("restart_lsn", "confirmed_flush_lsn"):
            got[key] = lsn(got[key]) if got[key] else None
        return got

    def wal_end(self):
        return lsn(self.value("select pg_current_wal_flush_lsn()"))

    def log(self):
        path = self.base / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_slot_free(self, name, timeout=30):
        until(f"slot {name} free", lambda: not (self.slot(name) or {}).get("active"), timeout)


def lsn(text):
    high, low = re.fullmatch(r"([0-9A-F]+)/([0-9A-F]+)", text, re.I).groups()
    return int(high, 16) << 32 | int(low, 16)
