"""The program under test, as a user runs it: a configuration file, a process, its output, its exit code."""
import json
import os
import pathlib
import signal
import subprocess
import time

from . import ROOT, lake
from .wait import until

BINARY = pathlib.Path(os.environ.get("SIDESTREAM", ROOT / "build/release/sidestream"))


class Result:
    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    def __repr__(self):
        return f"exit {self.code} after {self.seconds:.1f} s\n{self.out[-2000:]}\n{self.err[-4000:]}"


def with_envelope(rule):
    """A Kafka sink wants to be told."""
    return {"envelope": "row", **rule} if "tables" in rule and not rule.get("skip") else rule


class Sidecar:
    """One pipeline. YAML holds JSON, so the configuration is a dict written as JSON."""

    def __init__(self, folder, url, name="shop", capture=None, source=None, sink=None, kafka=None, **top):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.lake = self.folder / "lake"
        self.config = self.folder / "config.yaml"
        self.log_path = self.folder / "sidecar.log"
        self.kafka = kafka
        if kafka:
            where = {"type": "kafka", "brokers": kafka.address()}
        else:
            where = {"type": "lake", "path": str(self.lake), "commit_interval": "200ms"}
        capture = capture or [{"tables": "shop.*", "snapshot": "never"}]
        self.settings = {
            "name": name,
            "source": {"type": "postgres" if not url or url.startswith("postgres") else "mysql", "url": url, **(source or {})},
            "capture": [with_envelope(rule) for rule in capture] if kafka else capture,
            "sink": {**where, **(sink or {})},
            **top,
        }
        self.lake = pathlib.Path(self.settings["sink"].get("path", self.lake))
        self.process = None
        self.prefix = []  # of the background process's command line: ip netns exec NAME
        self.write_config()

    @property
    def slot(self):
        return f"sidestream_{self.name}"

    def output(self):
        """What it has written, by a reader that is not ours: a Lake, or Topics."""
        if not self.kafka:
            return lake.Lake(self.lake)
        from .kafka import Topics
        hard = {r["tables"] for r in self.settings["capture"] if r.get("deletes") == "hard"}
        return Topics(self.kafka, self.name, self.settings["sink"].get("partition_by", "key_bytes"), hard)

    def write_config(self, text=None):
        self.config.write_text(text if text is not None else json.dumps(self.settings, indent=1) + "\n")

    def start(self, *args, env=None):
        """`run` in the background; its log is appended to sidecar.log."""
        assert not self.alive(), "already running"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*self.prefix, BINARY, "run", self.config, *args], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env={**os.environ, **(env or {})})
        return self

    def call(self, *args, timeout=120, env=None, stdin=None):
        """Any command line, waited for. `CONFIG` among the arguments stands for the file."""
        words = [str(self.config) if a == "CONFIG" else str(a) for a in args]
        began = time.monotonic()
        try:
            got = subprocess.run([BINARY, *words], stdin=stdin or subprocess.DEVNULL, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                                 env={**os.environ, **(env or {})})
        except subprocess.TimeoutExpired as e:
            tail = (e.stderr or b"")[-3000:].decode(errors="replace")
            raise AssertionError(f"sidestream {' '.join(words)}: still running after {timeout} s\n{tail}")
        with open(self.log_path, "a") as log:
            log.write(f"--- {' '.join(words)}: exit {got.returncode}\n{got.stderr}")
        return Result(got.returncode, got.stdout, got.stderr, time.monotonic() - began)

    def catch_up(self, timeout=120, env=None):
        got = self.call("run", "CONFIG", "--until-caught-up", timeout=timeout, env=env)
        assert got.code == 0, f"run --until-caught-up: {got!r}"
        return got

    def replica(self, path=None, timeout=120):
        """Brings the SQLite replica up to the lake's end; its path."""
        path = path or self.folder / "replica.db"
        got = self.call("replica", "CONFIG", "--to", path, "--until-caught-up", timeout=timeout)
        assert got.code == 0, f"replica: {got!r}"
        return path

    def wait_streaming(self, pg, timeout=30):
        """Until the slot exists and somebody reads it; of MySQL, until there is a position and somebody reads the log."""
        def streaming():
            assert self.alive(), f"died with {self.process.returncode}\n{self.log()[-3000:]}"
            if self.settings["source"]["type"] == "mysql":
                return self.position() and pg.dumps()
            slot = pg.slot(self.slot)
            return slot and slot["active"] and slot["confirmed_flush_lsn"]
        until("sidecar streaming", streaming, timeout)
        return self

    def position(self):
        """As the sink has it; None: there is none yet."""
        if not self.kafka:
            return lake.Lake(self.lake).position()
        there = f"_sidestream.{self.name}" in self.kafka.topics()
        return self.output().control().map.get("position") if there else None

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill9(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def terminate(self, timeout=30):
        """SIGTERM and wait; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout=60):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"sidecar did not end within {timeout} s\n{self.log()[-3000:]}")

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def memory(self, field="VmHWM"):
        """A line of /proc/PID/status in bytes (VmHWM: the most that was ever resident)."""
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"no {field}: the process has ended")

    def cpu(self):
        """Seconds of user and system time so far."""
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
