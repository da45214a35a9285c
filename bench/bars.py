"""What is not throughput: idle, start, commit to durable, a sink that stands still, a backlog."""
import ctypes
import os
import shutil
import struct
import subprocess
import threading
import time

from measure import cpu_of, measure, median, memory_of, quantile, row_sql, write_rows
from sidestream_test import lake, wait
from sidestream_test.sidecar import BINARY

MIB = 2**20
FLAT = 4 * MIB  # what may come on top in the second half of a long measurement


def mib(x):
    return f"{x:.0f} MiB"


def ms(x):
    return f"{x:.1f} ms"


def car_of(l, pg, name, **sink):
    car = l.sidecar(pg, folder=name, name=name, capture=[{"tables": "bench.rows", "snapshot": "never"}])
    car.settings["sink"].update({"commit_interval": "10s", **sink})
    car.write_config()
    return car


def done(pg, car):
    car.kill9()
    pg.wait_slot_free(car.slot)
    pg.sql(f"select pg_drop_replication_slot('{car.slot}')")
    pg.sql(f"drop publication {car.slot}")
    shutil.rmtree(car.folder)


# ---- idle ----

def idle(l, pg, options, bars):
    seconds = 5 if options.quick else 30
    car = car_of(l, pg, "idle").start().wait_streaming(pg)
    time.sleep(3)
    before, began = cpu_of(car.process.pid), time.monotonic()
    time.sleep(seconds)
    used = (cpu_of(car.process.pid) - before) / (time.monotonic() - began) * 100
    resident = memory_of(car.process.pid, "VmRSS") / MIB
    l.step(f"idle: {used:.3f} % of a core, {resident:.0f} MiB")
    bars.at_most(f"idle, {seconds} s: CPU", used, 0.2, lambda x: f"{x:.3f} % of a core")
    bars.at_most("idle: resident", resident, 32, mib)
    done(pg, car)


# ---- start ----

def streaming_after(car):
    """Starts it; seconds from exec to the line that says it streams."""
    began = time.monotonic()
    car.process = subprocess.Popen([BINARY, "run", car.config], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
    for line in car.process.stderr:
        if "streaming from slot" in line:
            took = time.monotonic() - began
            threading.Thread(target=car.process.stderr.read, daemon=True).start()
            return took
    raise AssertionError(f"ended with {car.process.wait()} and did not stream")


def start(l, pg, options, bars):
    car = car_of(l, pg, "start", commit_interval="100ms")
    streaming_after(car)
    pg.sql(row_sql(250, 1, 1000))
    wait.until("a commit", lambda: lake.Lake(car.lake).count() == 1000)
    car.process.terminate()
    car.process.wait()
    clean, killed = [], []
    for _ in range(3 if options.quick else 11):
        pg.wait_slot_free(car.slot)
        clean.append(streaming_after(car) * 1000)
        car.process.terminate()
        car.process.wait()
    for i in range(2 if options.quick else 7):
        pg.wait_slot_free(car.slot)
        streaming_after(car)
        pg.sql(row_sql(250, i * 20000 + 2000, i * 20000 + 21999))
        time.sleep(0.05)  # in the middle of them
        car.process.kill()
        car.process.wait()
        killed.append(streaming_after(car) * 1000)
        car.process.terminate()
        car.process.wait()
    l.step(f"start {median(clean):.0f} ms, after kill -9 {median(killed):.0f} ms")
    bars.at_most(f"start, exec to streaming (median of {len(clean)}, slowest {max(clean):.0f} ms)", median(clean), 100, ms)
    bars.at_most(f"restart after kill -9 under load (slowest of {len(killed)}, median {median(killed):.0f} ms)", max(killed), 2000, ms)
    done(pg, car)
    pg.sql("truncate bench.rows")


# ---- commit to durable ----

IN_CREATE, IN_MOVED_TO = 0x100, 0x80


class Watch(threading.Thread):
    """When a name appears in a folder, by inotify: (monotonic second, name)."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_CLOEXEC)
        if self.fd < 0 or libc.inotify_add_watch(self.fd, str(folder).encode(), IN_CREATE | IN_MOVED_TO) < 0:
            raise OSError(ctypes.get_errno(), f"inotify on {folder}")
        self.seen = []
        self.start()

    def run(self):
        while True:
            data, now, at = os.read(self.fd, 65536), time.monotonic(), 0
            while at < len(data):
                _, _, _, n = struct.unpack_from("iIII", data, at)
                self.seen.append((now, data[at + 16:at + 16 + n].rstrip(b"\0").decode()))
                at += 16 + n


def latency(l, pg, options, bars):
    """
    A transaction of one row every 50 ms; the lake commits whenever nothing more is there. Its own commit is from the
    first row in hand (the data file appears under its temporary name) to the commit record's name.
    """
    car = car_of(l, pg, "latency", commit_interval="0s").start().wait_streaming(pg)
    pg.sql(row_sql(250, 1, 1))
    wait.until("a commit", lambda: lake.Lake(car.lake).count() == 1)
    records = Watch(car.lake / "_cdc/commits")
    data = Watch(next(car.lake.glob("log/*/dt=*")))
    con = pg.connect()
    cur = con.cursor()
    whole, ahead = [], []
    for i in range(40 if options.quick else 300):
        had = len(records.seen), len(data.seen)
        cur.execute(row_sql(250, i + 2, i + 2))
        committed = time.monotonic()
        time.sleep(0.05)
        wait.until("the commit record", lambda: len(records.seen) > had[0], every=0.002)
        ahead.append((data.seen[had[1]][0] - committed) * 1000)
        whole.append((records.seen[had[0]][0] - committed) * 1000)
    con.close()
    own = [w - a for w, a in zip(whole, ahead)]
    l.step(f"commit to durable: p50 {median(whole):.1f} ms, of that the lake's own commit {median(own):.1f}")
    bars.at_most(f"commit to durable, lake, commit_interval 0: p50 over its own commit (whole: p50 {median(whole):.1f}, "
                 f"p99 {quantile(whole, 0.99):.1f} ms; own: p50 {median(own):.1f} ms)", median(ahead), 5, ms)
    done(pg, car)
    pg.sql("truncate bench.rows")


# ---- memory that must be flat ----

def growth(samples, after):
    """The most in the second half of what lies behind `after` over the most in its first half."""
    kept = [s for s in samples if s[0] >= after]
    half = len(kept) // 2
    return max(m for _, m in kept[half:]) - max(m for _, m in kept[:half])


def flat(bars, what, samples, after, peak):
    grown = max(0, growth(samples, after)) / MIB
    bars.at_most(f"{what}: growth in the second half", grown, FLAT / MIB, lambda x: f"{x:.1f} MiB")
    bars.at_most(f"{what}: peak resident", peak / MIB, 96, mib)


def stall(l, pg, options, bars):
    """The lake's disk stands still (tests/lib/stall.c) while rows go on coming."""
    seconds = 600 if options.long else 5 if options.quick else 20
    env, flag = l.stall()
    car = car_of(l, pg, "stalled", commit_interval="100ms").start(env=env).wait_streaming(pg)
    pg.sql(row_sql(250, 1, 100))
    wait.until("a commit", lambda: lake.Lake(car.lake).count() == 100)
    flag.touch()
    pg.sql(row_sql(500, 1000, 300_000))
    time.sleep(3)
    samples, began, n = [], time.monotonic(), 300_000
    while time.monotonic() - began < seconds:
        pg.sql(row_sql(500, n + 1, n + 200))
        n += 200
        samples.append((time.monotonic() - began, car.memory("VmRSS")))
        time.sleep(0.2)
    assert pg.slot(car.slot)["active"], "the connection was not served"
    peak = car.memory()
    l.step(f"stalled for {seconds} s: {peak / MIB:.0f} MiB at most, {growth(samples, 0) / MIB:+.1f} MiB")
    flat(bars, f"sink stalled for {seconds} s", samples, 0, peak)
    flag.unlink()
    done(pg, car)
    pg.sql("truncate bench.rows")


def backlog(l, pg, options, bars):
    """So much waits behind the slot; then the lake as it is by default reads it all."""
    size = (10 << 30) if options.long else (100 << 20) if options.quick else 1 << 30
    car = car_of(l, pg, "backlog").start().wait_streaming(pg)
    assert car.terminate() == 0
    before = pg.wal_end()
    chunk, n = min(200_000, size // 600), 0
    while pg.wal_end() - before < size:
        pg.sql("truncate bench.rows")
        write_rows(pg, 500, chunk, 1000)
        n += chunk
    got = measure(pg, car.slot, [BINARY, "run", car.config, "--until-caught-up"], every=0.2)
    behind = (pg.wal_end() - before) / 2**30
    l.step(f"{behind:.1f} GiB of log: {n / got.seconds / 1000:.0f} k rows/s, {got.memory / MIB:.0f} MiB at most")
    flat(bars, f"backlog of {behind:.1f} GiB of log ({n / got.seconds / 1000:.0f} k rows/s)", got.resident, got.seconds / 10, got.memory)
    done(pg, car)
    pg.sql("truncate bench.rows")


ALL = {"idle": idle, "start": start, "latency": latency, "stall": stall, "backlog": backlog}
