"""A bare producer of librdkafka (produce.c), a paced writer, a read_committed consumer, and cars into a broker."""
import collections
import itertools
import subprocess
import threading
import time

from confluent_kafka import Consumer, TopicPartition

from measure import ROW, NOTES
from sidestream_test import kafka, wait
from sidestream_test.sidecar import BINARY

PARTITIONS = 12
TOOLS = BINARY.parent / "bench"  # where make puts produce and commits.so
PACE_MS = 10  # the sidecar's commit_pace
INTERVAL_MS = 100  # ... and commit_interval
# Nothing is read twice: the disk need not hold what was measured. Only safety; each run's topics are deleted behind it.
TOPIC = {"retention_bytes": 64 << 20, "segment_bytes": 32 << 20}

names = (f"bench{i}" for i in itertools.count(1))
Sizes = collections.namedtuple("Sizes", "key value")


class Bare:
    """produce.c: connected once it is made, begins at go()."""

    def __init__(self, broker, rows, sizes, name=None, interval=INTERVAL_MS, rate=0):
        """name: of its transactions; None: idempotent only."""
        self.broker, self.topics = broker, [next(names)]
        broker.create(self.topics[0], PARTITIONS, **TOPIC)
        words = [TOOLS / "produce", broker.address(), self.topics[0], PARTITIONS, rows, sizes.key, sizes.value]
        if name:
            self.topics.append(f"_{self.topics[0]}")
            broker.create(self.topics[1])
            words += [name, self.topics[1], interval, rate]
        self.process = subprocess.Popen([str(w) for w in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self.process.stdout.readline().removeprefix("ready").strip()
        assert self.version, f"bench/produce ended with {self.process.wait()}"

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self):
        out = self.process.communicate()[0].splitlines()
        assert self.process.returncode == 0, f"bench/produce ended with {self.process.returncode}"
        self.commits = [tuple(map(int, line.split()[1:])) for line in out if line.startswith("commit")]
        self.seconds, self.cpu, resident = map(float, out[-1].split()[1:])
        self.resident = int(resident) << 10
        for topic in self.topics:
            self.broker.delete(topic)
        return self


# ---- the sidecar ----

def new_car(l, pg, broker, source=None, sink=None, **settings):
    """A pipeline of its own name whose topic is there, as it is in a stream that has run for a while."""
    name = next(names)
    broker.create(f"{name}.bench.rows", PARTITIONS, **TOPIC)
    return l.sidecar(pg, folder=name, name=name, kafka=broker, capture=[{"tables": "bench.rows", "snapshot": "never"}],
                     source=source or {}, sink={"partitions": PARTITIONS, **(sink or {})}, **settings)


def rows_committed(log):
    """By the control topic; the topics must hold as many."""
    if log.control_topic not in log.broker.topics(log.control_topic):
        return 0
    rows = sum(end["rows"] for end in log.commits())
    there = sum(kafka.stable_end(log.broker, f"{log.name}.bench.rows", p) for p in range(PARTITIONS))
    assert there >= rows, f"{rows} rows by {log.control_topic}, {there} offsets"
    return rows


def wait_rows(car, rows, timeout=120):
    log = car.output()
    wait.until(f"{rows} rows committed", lambda: rows_committed(log) >= rows, timeout, 0.1)


def forget_topics(broker, name):
    for topic in [t for t in broker.topics() if t.startswith(f"{name}.") or t == f"_sidestream.{name}"]:
        broker.delete(topic)


def forget(pg, broker, car):
    car.kill9()
    pg.wait_slot_free(car.slot)
    pg.sql(f"select pg_drop_replication_slot('{car.slot}')")
    pg.sql(f"drop publication {car.slot}")
    forget_topics(broker, car.name)
    pg.sql("truncate bench.rows")


def sizes_of(l, pg, broker):
    """What a row is in the topic, on the average."""
    car = new_car(l, pg, broker)
    car.catch_up()
    pg.sql("insert into bench.rows " + row(500, "1", "1000"))
    car.catch_up()
    records = [r for part in car.output().records(f"{car.name}.bench.rows").values() for r in part]
    assert len(records) == 1000, len(records)
    forget(pg, broker, car)
    return Sizes(*(round(sum(len(getattr(r, f)) for r in records) / 1000) for f in Sizes._fields))


# ---- rows at a pace ----

def row(size, first, last):
    return ROW.replace("NOTE", NOTES[size]).replace("FIRST", first).replace("LAST", last)


def paced_procedure(pg):
    """bench.paced(rate, per, seconds): transactions of `per` rows; `placed` is the clock."""
    rows = row(500, "i * per + 1", "(i + 1) * per")
    before = rows
    rows = rows.replace("timestamptz '2026-01-01 00:00:00.123456+00' + g * interval '1 ms'", "clock_timestamp()")
    assert rows != before, "measure.ROW has changed"
    pg.sql("create or replace procedure bench.paced(rate int, per int, seconds int) language plpgsql as $$ "
           "declare began timestamptz := clock_timestamp(); begin for i in 0..rate * seconds / per - 1 loop "
           "perform pg_sleep(extract(epoch from began + i * per * interval '1 second' / rate - clock_timestamp())); "
           f"insert into bench.rows {rows}; commit; end loop; end $$")


class Writer(threading.Thread):
    """Rows at a pace, by the server itself."""

    def __init__(self, pg, rate, per, seconds):
        super().__init__(daemon=True)
        self.con = pg.connect()
        self.call = f"call bench.paced({rate}, {per}, {seconds})"
        self.rows, self.failed = rate * seconds // per * per, None
        self.began = time.time()
        self.start()

    def run(self):
        try:
            self.con.cursor().execute(self.call)
        except Exception as e:
            self.failed = e
        self.con.close()

    def end(self):
        self.join()
        assert self.failed is None, self.failed
        return time.time() - self.began


class Aside:
    """pg_recvlogical on a slot of its own: a walsender's work, beside the bare producer."""

    def __init__(self, pg):
        self.pg = pg
        pg.sql("select pg_create_logical_replication_slot('aside', 'pgoutput')")
        self.process = subprocess.Popen(recvlogical(pg, "aside"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait.until("pg_recvlogical", lambda: pg.slot("aside")["active"])

    def end(self):
        self.process.terminate()
        self.process.wait()
        self.pg.wait_slot_free("aside")
        self.pg.sql("select pg_drop_replication_slot('aside')")
        self.pg.sql("truncate bench.rows")


def recvlogical(pg, slot, *more):
    return [f"{pg.bin}/pg_recvlogical", "-h", pg.base, "-p", str(pg.port), "-U", "postgres", "-d", "postgres", "-v", "-S", slot,
            "--start", "-o", "proto_version=1", "-o", "publication_names=bench", "-f", "/dev/null", *more]


# ---- reading ----

class Reader(threading.Thread):
    """A read_committed consumer of a topic: (wall clock, its message) of every record, in the order it got them."""

    def __init__(self, broker, topic):
        super().__init__(daemon=True)
        self.got, self.stop = [], False
        self.consumer = Consumer(broker.client(group_id="bench", enable_auto_commit=False, isolation_level=kafka.COMMITTED))
        self.consumer.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
        self.start()

    def run(self):
        while not self.stop:
            m = self.consumer.poll(0.1)
            if m is not None and m.error() is None:
                self.got.append((time.time(), m))
        self.consumer.close()

    def end(self, rows):
        wait.until(f"{rows} records read", lambda: len(self.got) >= rows, 60, 0.1)
        self.stop = True
        self.join()
        assert len(self.got) == rows, f"{len(self.got)} records, {rows} were written"
        return self.got
