"""Brokers, and an independent reader of topics: confluent-kafka, fastavro, json; none of the project's code.

The reader trusts nothing: keys must be those of their values, partitions those of Java's murmur2, `__seq` must not fall
inside a partition, a range delete must be in every partition, a tombstone behind its delete. What is left is what a
read_committed consumer sees, in the order of `__seq`.
"""
import collections
import io
import json
import os
import pathlib
import signal
import subprocess
import time

import fastavro
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import admin as kafka_admin

from . import ROOT, lake
from .ports import free_port
from .proxy import Proxy
from .wait import until

SERVERS = ROOT / "tests/servers"
COMMITTED, UNCOMMITTED = "read_committed", "read_uncommitted"
OWN = ("owner", "kafka/")  # keys of the control topic that are the sink's own


class Damaged(lake.Damaged):
    pass


def must(ok, text):
    if not ok:
        raise Damaged(text)


# ---- brokers -----------------------------------------------------------------------------------------

class Node:
    def __init__(self, base, number, port, cport):
        self.base, self.number, self.port, self.cport = pathlib.Path(base), number, port, cport

    def pid(self):
        try:
            return int((self.base / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return None


class Kafka:
    """One broker, or several. `conf` are lines of server.properties; a proxy stands before a single one's PROXY listener."""

    def __init__(self, base, nodes=1, conf=(), proxied=False, env=None):
        self.base, self.conf, self.env = pathlib.Path(base), list(conf), {**os.environ, **(env or {})}
        ports = [free_port() for _ in range(2 * nodes + 1)]
        self.nodes = [Node(self.base.with_name(f"{self.base.name}-{i + 1}"), i + 1, ports[2 * i], ports[2 * i + 1])
                      for i in range(nodes)]
        self.net = self._admin = None
        if proxied:
            self.net = Proxy(ports[-1])
            n = self.nodes[0]
            self.conf += [f"listeners=PLAINTEXT://127.0.0.1:{n.port},PROXY://127.0.0.1:{ports[-1]},CONTROLLER://127.0.0.1:{n.cport}",
                          f"advertised.listeners=PLAINTEXT://127.0.0.1:{n.port},PROXY://127.0.0.1:{self.net.port}",
                          "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXY:PLAINTEXT,CONTROLLER:PLAINTEXT"]
        self.lib = self._bash("kafka_fetch", timeout=600)

    def _bash(self, *words, timeout=120):
        with open(self.base.with_suffix(".ctl"), "a+") as err:
            got = subprocess.run(["bash", "-c", f'. {SERVERS}/postgres.sh && . {SERVERS}/kafka.sh && "$@"', "kafka", *map(str, words)],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, text=True, timeout=timeout, env=self.env)
            if got.returncode:
                err.seek(0)
                raise RuntimeError(f"{words[0]} failed: {got.stdout}{err.read()[-2000:]}")
        return got.stdout.strip()

    def start(self, *numbers):
        """All nodes, or those; waits until they answer."""
        voters = ",".join(f"{n.number}@127.0.0.1:{n.cport}" for n in self.nodes)
        mine = [n for n in self.nodes if not numbers or n.number in numbers]
        for n in mine:
            self._bash("kafka_up", self.lib, n.base, n.number, n.port, n.cport, voters, *self.conf)
        for n in mine:
            self._bash("kafka_wait", n.base, n.port)
        if not numbers:
            self._ready()
        return self

    def _ready(self):
        def brokers():
            try:
                return len(self.admin().list_topics(timeout=5).brokers) == len(self.nodes)
            except KafkaException:
                return False
        until("the brokers to know each other", brokers, 60, 0.1)

    def stop(self):
        """At once and for good: SIGKILL. What a test wants to see written has been read before."""
        if self.net:
            self.net.close()
        self.signal(signal.SIGCONT)
        self._bash("kafka_crash", *(n.base for n in self.nodes))

    def kill9(self, *numbers):
        self._bash("kafka_crash", *(n.base for n in self.nodes if not numbers or n.number in numbers))

    def down(self):
        self._bash("kafka_down", *(n.base for n in self.nodes))

    def signal(self, which, *numbers):
        for n in self.nodes:
            if n.pid() and (not numbers or n.number in numbers):
                try:
                    os.kill(n.pid(), which)
                except ProcessLookupError:
                    pass

    def pause(self, *numbers):
        self.signal(signal.SIGSTOP, *numbers)

    def go_on(self, *numbers):
        self.signal(signal.SIGCONT, *numbers)

    def running(self):
        return any((pathlib.Path("/proc") / str(n.pid())).exists() for n in self.nodes if n.pid())

    def address(self, proxied=None):
        """The bootstrap list; through the proxy where there is one, unless said otherwise."""
        if self.net and proxied is not False:
            return f"127.0.0.1:{self.net.port}"
        return ",".join(f"127.0.0.1:{n.port}" for n in self.nodes)

    def client(self, **more):
        return {"bootstrap.servers": self.address(False), "log_level": 2, "error_cb": lambda e: None,
                **{k.replace("_", "."): v for k, v in more.items()}}

    def admin(self):
        """One for all: its requests end when it does."""
        if self._admin is None:
            self._admin = kafka_admin.AdminClient(self.client(reconnect_backoff_max_ms=200))
        return self._admin

    # ---- topics, from aside ----

    def topics(self, prefix=""):
        """Name to number of partitions."""
        got = self.admin().list_topics(timeout=20).topics
        return {n: len(t.partitions) for n, t in got.items() if n.startswith(prefix) and not n.startswith("__")}

    def leader(self, topic, partition=0):
        return self.admin().list_topics(topic, timeout=20).topics[topic].partitions[partition].leader

    def create(self, topic, partitions=1, **config):
        new = kafka_admin.NewTopic(topic, partitions, config={k.replace("_", "."): str(v) for k, v in config.items()})
        for f in self.admin().create_topics([new]).values():
            f.result(30)
        until(f"topic {topic}", lambda: self.topics(topic).get(topic) == partitions, 20)

    def delete(self, topic):
        for f in self.admin().delete_topics([topic]).values():
            f.result(30)
        until(f"{topic} to be gone", lambda: topic not in self.topics(topic), 20)

    def config(self, topic):
        """The topic's own settings, those that were given to it."""
        resource = kafka_admin.ConfigResource("topic", topic)
        got = self.admin().describe_configs([resource])[resource].result(20)
        return {k: e.value for k, e in got.items() if e.source == kafka_admin.ConfigSource.DYNAMIC_TOPIC_CONFIG.value}

    def set_config(self, topic, **config):
        entries = [kafka_admin.ConfigEntry(k.replace("_", "."), str(v), incremental_operation=kafka_admin.AlterConfigOpType.SET)
                   for k, v in config.items()]
        for f in self.admin().incremental_alter_configs(
                [kafka_admin.ConfigResource("topic", topic, incremental_configs=entries)]).values():
            f.result(20)

    def produce(self, topic, pairs, **conf):
        """Records of the test's own: (key, value) or (key, value, partition); those delivered, as (partition, offset)."""
        producer, got = Producer(self.client(linger_ms=5, **conf)), {}
        for i, (key, value, *partition) in enumerate(pairs):
            where = {"partition": partition[0]} if partition else {}
            producer.produce(topic, value, key, **where,
                             on_delivery=lambda e, m, i=i: got.update({i: e or (m.partition(), m.offset())}))
            producer.poll(0)
        producer.flush(30)
        bad = [e for e in got.values() if isinstance(e, KafkaError)]
        must(not bad and len(got) == len(pairs), f"{topic}: {bad[:1] or 'not delivered'}")
        return [got[i] for i in range(len(pairs))]

    def log(self):
        return "".join((n.base / "log").read_text(errors="replace") for n in self.nodes if (n.base / "log").exists())


# ---- reading -------------------------------------------------------------------------------------------

Record = collections.namedtuple("Record", "topic partition offset key value at_ms")


def read(broker, places, isolation=COMMITTED, timeout=60):
    """{(topic, partition): [Record]} from the offsets in `places` ({(topic, partition): offset}) to what is stable now;
    and {(topic, partition): the offset behind that}."""
    consumer = Consumer(broker.client(group_id="sst", enable_auto_commit=False, enable_partition_eof=True,
                                      isolation_level=isolation, auto_offset_reset="error", fetch_wait_max_ms=10,
                                      fetch_error_backoff_ms=5, queued_max_messages_kbytes=65536))
    try:
        ends = {p: _watermarks(consumer, *p) for p in places}
        found = {p: [] for p in places}
        todo = {p for p, (low, high) in ends.items() if max(low, places[p]) < high}
        consumer.assign([TopicPartition(t, p, max(ends[t, p][0], places[t, p])) for t, p in sorted(todo)])
        last = time.monotonic()
        while todo:
            for m in consumer.consume(5000, 0.2):
                place, last = (m.topic(), m.partition()), time.monotonic()
                if m.error() is None:
                    if m.offset() < ends[place][1]:
                        found[place].append(Record(*place, m.offset(), m.key(), m.value(), m.timestamp()[1]))
                elif m.error().code() == KafkaError._PARTITION_EOF:
                    if m.offset() >= ends[place][1]:
                        todo.discard(place)
                else:
                    raise Damaged(f"{place}: {m.error()}")
                if m.error() is None and m.offset() + 1 >= ends[place][1]:
                    todo.discard(place)
            must(time.monotonic() - last < timeout, f"{sorted(todo)[:3]}: no end within {timeout} s")
        return found, {p: high for p, (_, high) in ends.items()}
    finally:
        consumer.close()


def _watermarks(consumer, topic, partition, timeout=60):
    """(low, high); a leader that has just gone is waited for."""
    end = time.monotonic() + timeout
    while True:
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=5)
        except KafkaException as e:
            if time.monotonic() > end:
                raise Damaged(f"{topic}[{partition}]: {e}")
            time.sleep(0.2)
            _refresh(consumer, topic)


def _refresh(consumer, topic):
    """The client keeps a leader that has died until it asks again."""
    try:
        consumer.list_topics(topic, timeout=5)
    except KafkaException:
        pass


def stable_end(broker, topic, partition=0):
    """The last stable offset: it grows with every commit."""
    consumer = Consumer(broker.client(group_id="sst", isolation_level=COMMITTED))
    try:
        return _watermarks(consumer, topic, partition)[1]
    finally:
        consumer.close()


def murmur2(data):
    """Java's Utils.murmur2, after its text (seed 0x9747b28c, m 0x5bd1e995)."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i:i + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ (k >> 24)) * m & mask)
    if len(data) & 3:
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ (h >> 13)) * m & mask
    return h ^ (h >> 15)


def partition_of(key, partitions, skip=0):
    return (murmur2(key[skip:]) & 0x7FFFFFFF) % partitions


class Row(lake.Row):
    """As a row of the lake; `commit` says where it lies."""
    __slots__ = ("record",)

    def __init__(self, record, table, cells, schema):
        super().__init__(f"{record.topic}[{record.partition}]@{record.offset}", table, cells, schema)
        self.record = record


class Control:
    """The control topic: every committed record, the map they amount to. Transaction numbers never fall, a transaction is one
    instance's and ends with kafka/end."""

    def __init__(self):
        self.records, self.map = [], {}
        self.txn, self.instance, self.ended = 0, None, True

    def add(self, records):
        for r in records:
            key = r.key.decode()
            body = None if r.value is None else json.loads(r.value)
            self.records.append((key, body, r))
            if body is None:
                self.map.pop(key, None)
                continue
            must(set(body) == {"instance", "txn", "v"}, f"{key}: a control record of {sorted(body)}")
            self.map[key] = body["v"]
            self._order(key, body, f"control record {r.offset} ({key}, transaction {body['txn']})")
        must(self.ended, f"transaction {self.txn} did not end with kafka/end")
        return self

    def _order(self, key, body, where):
        must(body["txn"] >= self.txn, f"{where}: the one before was of transaction {self.txn}")
        if body["txn"] > self.txn:
            must(self.ended, f"{where}: transaction {self.txn} did not end with kafka/end")
            self.txn, self.instance = body["txn"], body["instance"]
        must(body["instance"] == self.instance, f"{where}: two instances in one transaction")
        self.ended = key == "kafka/end"

    def values(self, key):
        """Every value that the key had."""
        return [body and body["v"] for k, body, _ in self.records if k == key]


class Topics:
    """What a pipeline has written. partition_by: as in its configuration."""

    def __init__(self, broker, name, partition_by="key_bytes", hard=()):
        self.broker, self.name, self.skip = broker, name, 0 if partition_by == "key_bytes" else 5
        self.hard = set(hard)  # tables whose deletes are followed by a tombstone
        self.schemas, self.next = {}, {}
        self.tombstones, self._control, self._control_next, self._counts = 0, Control(), 0, {}

    @property
    def control_topic(self):
        return f"_sidestream.{self.name}"

    def control(self):
        """As it is now; only what is new is read."""
        place = (self.control_topic, 0)
        found, ends = read(self.broker, {place: self._control_next})
        self._control_next = ends[place]
        return self._control.add(found[place])

    def topics(self):
        """Topic to number of partitions, as the control topic has it; the broker must agree."""
        said = {k[len("kafka/topic/"):]: v["partitions"] for k, v in self.control().map.items() if k.startswith("kafka/topic/")}
        there = self.broker.topics()
        for topic, n in said.items():
            must(there.get(topic) == n, f"{topic}: {there.get(topic)} partitions, {self.control_topic} says {n}")
        return said

    def records(self, topic=None, isolation=COMMITTED, since=None):
        """{(topic, partition): [Record]} of one topic or of all."""
        topics = self.topics() if topic is None else {topic: self.broker.topics(topic)[topic]}
        places = {(t, p): (since or {}).get((t, p), 0) for t, n in topics.items() for p in range(n)}
        found, ends = read(self.broker, places, isolation)
        if since is not None:
            since.update(ends)
        return found

    def aborted(self):
        """How many records a read_uncommitted consumer sees and a read_committed one does not."""
        count = [sum(len(r) for r in self.records(isolation=i).values()) for i in (UNCOMMITTED, COMMITTED)]
        return count[0] - count[1]

    # ---- rows ----

    def rows(self, table=None):
        """All committed rows of the pipeline by `__seq`, verified."""
        return [r for r in self._rows(self.records()) if not table or r.table == table]

    def new(self):
        """Those that came since the last call."""
        return self._rows(self.records(since=self.next))

    def commits(self, since=0):
        return [b["v"] for k, b, _ in self.control().records if k == "kafka/end"][since:]

    def count(self, table=None):
        return len(self.rows(table))

    def _rows(self, found):
        self._learn()
        rows, ranges = [], collections.defaultdict(list)
        for (topic, partition), records in sorted(found.items()):
            for row in self._partition(topic, partition, records):
                if row.op == "t":
                    ranges[topic, row.table, row.seq, row.cells["__delete_reason"]].append(row)
                else:
                    rows.append(row)
        counts = collections.Counter(t for t, _ in found)
        for (topic, *_), same in ranges.items():
            where = sorted(r.record.partition for r in same)
            must(where == list(range(counts[topic])), f"{same[0]!r}: in partitions {where} of {counts[topic]}")
            rows.append(same[0])
        rows.sort(key=lambda r: (r.seq, {"d": 0, "m": 2}.get(r.op, 1)))  # a message has the number of the row before it
        return rows

    def _learn(self):
        for key, value in self.control().map.items():
            if key.startswith("schema/") and int(key[len("schema/"):]) not in self.schemas:
                text = value["schema"]
                parsed = fastavro.parse_schema(json.loads(text) if isinstance(text, str) else text)
                self.schemas[int(key[len("schema/"):])] = parsed

    def decode(self, data):
        """(value, schema) of Confluent's framing."""
        must(data[:1] == b"\0" and len(data) > 5, f"not framed: {data[:8]!r}")
        number = int.from_bytes(data[1:5], "big")
        must(number in self.schemas, f"schema {number} is not in {self.control_topic}")
        stream = io.BytesIO(data[5:])
        value = fastavro.schemaless_reader(stream, self.schemas[number])
        must(not stream.read(1), f"schema {number}: bytes behind the value")
        return value, self.schemas[number]

    def _partition(self, topic, partition, records):
        """The partition's rows. A tombstone directly follows its delete, and no delete of a `hard` table lacks it."""
        before, owed = None, None
        count = self.broker_count(topic)
        for r in records:
            where = f"{topic}[{partition}]@{r.offset}"
            if r.value is None:
                must(owed == r.key, f"{where}: a tombstone that follows no delete of its key")
                owed, self.tombstones = None, self.tombstones + 1
                continue
            must(owed is None, f"{where}: the delete before it has no tombstone")
            cells, schema = self.decode(r.value)
            row = Row(r, f"{schema['cdc.schema']}.{schema['cdc.table']}", cells, schema)
            must(lake.SEQ.fullmatch(row.seq), f"{where}: odd __seq {row.seq!r}")
            rank = (row.seq, row.op != "d")
            must(before is None or before <= rank or row.op == "t", f"{where}: {row!r} after {before}")
            before = rank if row.op != "t" else before
            self._key(row, r, count, where)
            owed = r.key if row.op == "d" and row.table in self.hard and r.key is not None else None
            yield row
        must(owed is None, f"{topic}[{partition}]: the last delete has no tombstone")

    def broker_count(self, topic):
        if topic not in self._counts:
            self._counts = self.broker.topics()
        return self._counts[topic]

    def _key(self, row, r, count, where):
        if r.key is None:
            return
        key, schema = self.decode(r.key)
        for column, value in key.items():
            must(row.cells[column] == value, f"{where}: the key's {column} is not the row's")
        if row.op == "t":
            must(set(key.values()) == {None}, f"{where}: a range delete with a key")
            return
        must(None not in key.values(), f"{where}: a NULL in the key")
        want = partition_of(r.key, count, self.skip)
        must(r.partition == want, f"{where}: Java would put this key into partition {want}")


__all__ = ["Kafka", "Topics", "Control", "Record", "Row", "read", "stable_end", "murmur2", "partition_of", "Damaged"]
