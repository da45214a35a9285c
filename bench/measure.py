"""What a process costs, read from /proc; and the rows that all measurements read."""
import os
import statistics
import subprocess
import sys
import threading
import time

TABLE = """create schema if not exists bench;
create table bench.rows (id bigint primary key, customer int not null, product int not null, quantity smallint not null,
  price numeric(12,2) not null, paid boolean not null, placed timestamptz not null, day date not null,
  status text not null, email text not null, address text not null, note text);
create publication bench for table bench.rows;
"""
ROW = """select g, g % 50000, g * 7 % 900, (g % 20)::smallint, (g % 99999) / 100.0, g % 2 = 0,
  timestamptz '2026-01-01 00:00:00.123456+00' + g * interval '1 ms', date '2026-01-01' + (g % 365)::int,
  (array['new','paid','shipped','returned'])[1 + g % 4], 'customer' || g % 50000 || '@example.com',
  (g % 200) || ' ' || left(md5(g::text), 24) || ' Street, Town ' || g % 1000, NOTE
  from generate_series(FIRST, LAST) g"""
# What the walsender sends for a row, framing included, is about that many bytes.
NOTES = {
    250: "case when g % 3 > 0 then md5((g * 3)::text) || left(md5((g * 5)::text), 18) end",
    500: "md5((g * 3)::text) || ' ' || md5((g * 5)::text) || repeat(' some more words to read', 9) || left(md5((g * 7)::text), 9)",
}


def row_sql(size, first, last):
    return "insert into bench.rows " + ROW.replace("NOTE", NOTES[size]).replace("FIRST", str(first)).replace("LAST", str(last))


def write_rows(pg, size, rows, per_transaction):
    """Rows 1 to `rows`, in transactions of that many."""
    con = pg.connect()
    cur = con.cursor()
    cur.execute("set synchronous_commit = off")
    if per_transaction >= 1000:
        for first in range(1, rows + 1, per_transaction):
            cur.execute(row_sql(size, first, min(rows, first + per_transaction - 1)))
    else:
        cur.execute("create or replace procedure bench.fill(n int, size int) language plpgsql as $$ begin for i in 0..(n - 1) / size loop "
                    + row_sql(size, "i * size + 1", "least(n, (i + 1) * size)") + "; commit; end loop; end $$")
        cur.execute(f"call bench.fill({rows}, {per_transaction})")
    con.close()
    pg.sql("checkpoint")


def cpu_of(pid):
    """CPU seconds of all threads that still live, in nanoseconds' resolution."""
    total = 0
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            total += int(open(f"/proc/{pid}/task/{task}/schedstat").read().split()[0])
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return None
    return total / 1e9


def threads_of(pid):
    """CPU seconds of each thread that lives, by its number and name."""
    found = {}
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            name = open(f"/proc/{pid}/task/{task}/comm").read().strip()
            found[int(task), name] = int(open(f"/proc/{pid}/task/{task}/schedstat").read().split()[0]) / 1e9
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return {}
    return found


def memory_of(pid, field="VmHWM"):
    try:
        for line in open(f"/proc/{pid}/status"):
            if line.startswith(field + ":"):
                return int(line.split()[1]) << 10
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


class Run:
    """One finished process: its seconds, CPU, memory, and the walsender's CPU beside it."""

    def __init__(self, seconds, cpu, sender_cpu, memory, resident, threads):
        self.seconds, self.cpu, self.sender_cpu, self.memory = seconds, cpu, sender_cpu, memory
        self.resident = resident  # (second, bytes) while it ran
        self.threads = threads  # as threads_of, shortly before the end
        self.busy = 0.0  # processors that did anything, on the average; of `measured`


STREAMS = b"streaming from slot", b"streaming initiated"  # the sidecar's line, and that of pg_recvlogical -v


def measure(pg, slot, words, every=0.03, at_stream=lambda: None):
    """
    Runs the command; samples its memory and the walsender's CPU until it ends. Seconds count from when it streams, which is
    when at_stream is called.
    """
    sender = [None, 0.0]
    peak = [0]
    threads = {}
    resident = []
    done = threading.Event()
    began = time.monotonic()
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def watch():
        while not done.wait(every):
            peak[0] = max(peak[0], memory_of(process.pid))
            resident.append((time.monotonic() - began, memory_of(process.pid, "VmRSS")))
            if len(resident) % 5 == 0:
                threads.update(threads_of(process.pid))
            if sender[0] is None:
                sender[0] = (pg.slot(slot) or {}).get("active_pid")
            sender[1] = max(sender[1], (sender[0] and cpu_of(sender[0])) or 0.0)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    err, streams = b"", began
    for line in process.stderr:
        if any(mark in line for mark in STREAMS):
            streams = time.monotonic()
            at_stream()
        err += line
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - streams
    process.returncode = os.waitstatus_to_exitcode(status)
    done.set()
    watcher.join()
    if process.returncode:
        sys.exit(f"{words[0]} ended with {process.returncode}: {err[-2000:].decode(errors='replace')}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, sender[1], peak[0], resident, threads)


def machine_cpu():
    """Seconds that the machine's processors did anything, all together."""
    words = open("/proc/stat").readline().split()[1:]
    user, nice, system, _, _, irq, softirq = map(int, words[:7])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def measured(words, begins=None, at_begin=lambda: None):
    """Runs the command; seconds from the line that holds `begins` (from the start, if None) to its end."""
    peak, done, began = [0], threading.Event(), time.monotonic()
    machine = machine_cpu()
    with open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=nowhere, stderr=subprocess.PIPE)

    def watch():
        while not done.wait(0.02):
            peak[0] = max(peak[0], memory_of(process.pid))
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    err, start, skip = b"", began, 0.0
    for line in process.stderr:
        if begins and begins in line:
            start, skip, machine = time.monotonic(), cpu_of(process.pid) or 0.0, machine_cpu()
            at_begin()
        err += line
    _, status, usage = os.wait4(process.pid, 0)
    seconds, machine = time.monotonic() - start, machine_cpu() - machine
    process.returncode = os.waitstatus_to_exitcode(status)
    done.set()
    watcher.join()
    if process.returncode or (begins and begins not in err):
        sys.exit(f"{words[0]} ended with {process.returncode}: {err[-2000:].decode(errors='replace')}")
    run = Run(seconds, usage.ru_utime + usage.ru_stime - skip, 0.0, peak[0], [], {})
    run.busy = machine / seconds
    return run


def median(values):
    return statistics.median(values)


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


class Bars:
    """The bars of the design, each with what was measured: the table at the head of the document."""

    def __init__(self):
        self.lines = []

    def at_most(self, measure, got, bar, show):
        self.add(measure, f"at most {show(bar)}", show(got), got / bar, got <= bar)

    def at_least(self, measure, got, bar, show):
        self.add(measure, f"at least {show(bar)}", show(got), got / bar, got >= bar)

    def add(self, measure, bar, got, ratio, holds):
        verdict = "holds" if holds else f"**misses by {abs(ratio - 1) * 100:.0f} %**"
        self.lines.append(f"| {measure} | {bar} | {got} | {ratio:.2f} | {verdict} |")

    def table(self):
        return ["| measure | bar | measured | of the bar | |", "|---|---|---:|---:|---|", *self.lines]
