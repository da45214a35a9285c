"""What is not throughput, with a broker: idle, start, the commit's length, the way to a read_committed consumer."""
import struct
import time

from confluent_kafka import Consumer, TopicPartition

from bare import PACE_MS, PARTITIONS, TOOLS, Aside, Bare, Reader, Writer, forget, new_car, paced_procedure, wait_rows
from bars import mib, ms, streaming_after
from measure import cpu_of, median, memory_of, quantile, row_sql
from sidestream_test import http, kafka

WARM_S = 1  # of each paced run is not counted


def idle(l, pg, broker, options, bars):
    seconds = 3 if options.quick else 30
    car = new_car(l, pg, broker).start().wait_streaming(pg)
    pg.sql(row_sql(500, 1, 1000))
    wait_rows(car, 1000)
    time.sleep(2)
    before, began = cpu_of(car.process.pid), time.monotonic()
    time.sleep(seconds)
    used = (cpu_of(car.process.pid) - before) / (time.monotonic() - began) * 100
    resident = memory_of(car.process.pid, "VmRSS") / 2**20
    l.step(f"idle: {used:.3f} % of a core, {resident:.0f} MiB")
    bars.at_most(f"idle, {seconds} s, behind 1,000 rows: CPU", used, 0.2, lambda x: f"{x:.3f} % of a core")
    bars.at_most("idle: resident", resident, 32, mib)
    forget(pg, broker, car)


# ---- start ----

def open_partitions(broker, topic):
    """Of how many partitions is the last stable offset behind the end: a transaction is open there."""
    ends = []
    for isolation in (kafka.UNCOMMITTED, kafka.COMMITTED):
        consumer = Consumer(broker.client(group_id="bench", isolation_level=isolation))
        ends.append([consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in range(PARTITIONS)])
        consumer.close()
    return sum(a > b for a, b in zip(*ends))


def ended(pg, car):
    assert car.process.wait(30) is not None
    pg.wait_slot_free(car.slot)


def start(l, pg, broker, options, bars):
    """Clean, and after a kill while a transaction is open: commit_pace keeps it open for as long as that takes."""
    car = new_car(l, pg, broker, sink={"commit_pace": "8s", "commit_interval": "8s"})
    topic = f"{car.name}.bench.rows"
    clean, killed = [], []
    car.catch_up()
    for _ in range(3 if options.quick else 11):
        clean.append(streaming_after(car) * 1000)
        car.process.terminate()
        ended(pg, car)
    for i in range(2 if options.quick else 7):
        streaming_after(car)
        pg.sql(row_sql(500, i * 20000 + 1, i * 20000 + 20000))
        time.sleep(0.4)
        car.process.kill()
        car.process.wait()
        assert open_partitions(broker, topic), "no transaction was open when it was killed"
        pg.wait_slot_free(car.slot)
        killed.append(streaming_after(car) * 1000)
        car.process.terminate()
        ended(pg, car)
    l.step(f"start {median(clean):.0f} ms, behind an open transaction {median(killed):.0f} ms")
    bars.at_most(f"start, exec to streaming (median of {len(clean)}, slowest {max(clean):.0f} ms)", median(clean), 100, ms)
    bars.at_most(f"start after kill -9 with an open transaction (median of {len(killed)}, slowest {max(killed):.0f} ms; 500 ms of it "
                 "is librdkafka's wait)", median(killed), 650, ms)
    forget(pg, broker, car)


# ---- how long a commit takes ----

def rounds(options):
    return range(1 if options.quick else options.runs)


def seconds(options):
    return 3 if options.quick else 10


def steady(stamped, began, took):
    """Those of the time that counts: [(wall clock in s, x)] to [x]."""
    kept = [x for at, x in stamped if began + WARM_S <= at <= began + took]
    assert len(kept) > 10, f"{len(kept)} of {len(stamped)} measured"
    return kept


def our_commits(l, pg, broker, options):
    """(milliseconds of each, their mean by /metrics)"""
    face = http.Face()
    car = new_car(l, pg, broker, http=face.settings)
    told = car.folder / "commits"
    car.start(env={"LD_PRELOAD": str(TOOLS / "commits.so"), "COMMITS_FILE": str(told)}).wait_streaming(pg)
    writer = Writer(pg, 20_000, 100, seconds(options))
    took = writer.end()
    wait_rows(car, writer.rows)
    m = face.metrics()
    mean = m[("sidestream_commit_seconds_sum",)] / m[("sidestream_commit_seconds_count",)] * 1000
    lines = [tuple(map(int, line.split())) for line in told.read_text().splitlines()]
    forget(pg, broker, car)
    return steady([(at / 1e6, us / 1000) for at, us in lines], writer.began, took), mean


def bare_commits(l, pg, broker, options, sizes, rate):
    aside = Aside(pg)
    bare = Bare(broker, rate * seconds(options), sizes, "bench-bare", PACE_MS, rate)
    writer = Writer(pg, rate, 100 if rate > 1000 else 1, seconds(options))
    bare.go()
    bare.end()
    took = writer.end()
    aside.end()
    return steady([(at / 1e6, us / 1000) for at, us in bare.commits], writer.began, took)


def told(values):
    return f"p50 {quantile(values, 0.5):.1f}, p99 {quantile(values, 0.99):.1f} ms"


def both(found):
    """The median of the rounds' own quantiles: (p50, p99)."""
    return tuple(median(quantile(v, share) for v in found) for share in (0.5, 0.99))


def commit(l, pg, broker, options, bars):
    paced_procedure(pg)
    ours, bare = [], []
    for _ in rounds(options):
        got, mean = our_commits(l, pg, broker, options)
        ours.append(got)
        bare.append(bare_commits(l, pg, broker, options, options.sizes, 20_000))
        l.step(f"commits at 20,000 rows/s: {len(got)}, {told(got)} (mean by /metrics {mean:.1f}); bare {len(bare[-1])}, {told(bare[-1])}")
    (p50, p99), (bare50, bare99) = both(ours), both(bare)
    beside = f"beside the bare producer's {bare50:.1f} and {bare99:.1f} ms"
    bars.at_most(f"commit at 20,000 rows/s: p50 ({beside})", p50, 5, ms)
    bars.at_most(f"commit at 20,000 rows/s: p99 ({beside})", p99, 15, ms)
    return ["## How long a commit takes\n",
            f"20,000 rows/s of 500 B in transactions of 100, {seconds(options)} s of which the first does not count, by turns, rounds: {len(ours)}. From the "
            f"transaction's last record to the end of the commit, which is the flush of what is in flight and the broker's answer. The bare "
            f"producer sends the same bytes at the same pace, commits {PACE_MS} ms after the commit before as the sidecar does, while "
            "pg_recvlogical reads the same rows.\n",
            "| | commits/s | p50 | p90 | p99 |", "|---|---:|---:|---:|---:|",
            *(f"| {name} | {sum(map(len, found)) / len(found) / (seconds(options) - WARM_S):.0f} | {cells(found)} |"
              for name, found in (("sidecar", ours), ("bare producer", bare))), ""]


def cells(found):
    """p50, p90 and p99, the medians of the rounds."""
    return " | ".join(f"{median(quantile(v, share) for v in found):.1f} ms" for share in (0.5, 0.9, 0.99))


# ---- to a consumer ----

def our_way(l, pg, broker, options):
    car = new_car(l, pg, broker).start().wait_streaming(pg)
    reader = Reader(broker, f"{car.name}.bench.rows")
    time.sleep(1)
    writer = Writer(pg, 1000, 1, seconds(options))
    took = writer.end()
    got = reader.end(writer.rows)
    placed = {(r.record.partition, r.record.offset): r.cells["placed"].timestamp() for r in car.output().rows()}
    made = [(placed[m.partition(), m.offset()], at) for at, m in got]
    forget(pg, broker, car)
    return steady([(before, (at - before) * 1000) for before, at in made], writer.began, took)


def bare_way(l, pg, broker, options, sizes):
    aside = Aside(pg)
    bare = Bare(broker, 1000 * seconds(options), sizes, "bench-bare", PACE_MS, 1000)
    reader = Reader(broker, bare.topics[0])
    time.sleep(1)
    writer = Writer(pg, 1000, 1, seconds(options))
    bare.go()
    took = writer.end()
    got = reader.end(writer.rows)
    bare.end()
    aside.end()
    made = [(struct.unpack("<q", m.value()[:8])[0] / 1e6, at) for at, m in got]
    return steady([(before, (at - before) * 1000) for before, at in made], writer.began, took)


def reader(l, pg, broker, options, bars):
    paced_procedure(pg)
    ours, bare = [], []
    for _ in rounds(options):
        ours.append(our_way(l, pg, broker, options))
        bare.append(bare_way(l, pg, broker, options, options.sizes))
        l.step(f"change to consumer at 1,000 rows/s: {told(ours[-1])}; bare {told(bare[-1])}")
    (p50, p99), (bare50, bare99) = both(ours), both(bare)
    beside = f"beside the bare producer's {bare50:.1f} and {bare99:.1f} ms"
    bars.at_most(f"change to read_committed consumer, 1,000 rows/s: p50 ({beside})", p50, 15, ms)
    bars.at_most(f"change to read_committed consumer, 1,000 rows/s: p99 ({beside})", p99, 40, ms)
    return ["## From the change to a read_committed consumer\n",
            f"1,000 transactions/s of one row, {seconds(options)} s, by turns, rounds: {len(ours)}; from the clock in the INSERT to the clock at which a Python "
            f"consumer (confluent-kafka, its defaults) has the record. The bare producer's records are its own, each from the instant it is due: one that is due while a commit runs waits for it, as a row does.\n",
            "| | p50 | p90 | p99 |", "|---|---:|---:|---:|",
            *(f"| {name} | {cells(found)} |" for name, found in (("sidecar", ours), ("bare producer", bare))), ""]


ALL = {"idle": idle, "start": start, "commit": commit, "reader": reader}
