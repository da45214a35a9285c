"""The same torture (soak.py) with a real broker as the sink.

Besides what befalls sidecar and source: faults of the network to the broker, a broker killed or standing still, transactions
that outlast their time, a second instance. Every round ends with what a read_committed consumer sees, compared with what
was committed.
"""
import signal
import time

from . import kafka, soak, wait
from .sidecar import Sidecar

POINTS = ["engine.recovered", "engine.before_commit", "engine.after_commit", "kafka.begun", "kafka.produced",
          "kafka.before_commit", "kafka.after_commit", "kafka.fenced", "kafka.owner"]


class Judge(soak.Judge):
    def __init__(self, car, events):
        super().__init__(car, events)
        self.seen = 0

    def read(self):
        rows, ends = self.log.new(), sum(k == "kafka/end" for k, _, _ in self.log.control().records)
        commits, self.seen = ends - self.seen, ends
        return rows, commits


class Soak(soak.Soak):
    """`network` and `kills` are what a torture counts."""
    Judge = Judge

    def __init__(self, l, version=None, kinds=None, faults=0):
        self.wanted = faults
        self.broker = l.kafka(proxied=True)
        super().__init__(l, version, kinds)

    @staticmethod
    def table():
        return FAULTS

    def pipeline(self, url, capture):
        self.env = {}
        return self.l.sidecar(self.pg, url=url, capture=capture, kafka=self.broker)

    def tune(self, r):
        sink = {"commit_interval": r.choice(["10ms", "100ms"]), "commit_pace": r.choice(["0", "10ms"]),
                "transaction_bytes": r.choice(["1MiB", "64MiB"]), "queue_bytes": r.choice(["1MiB", "8MiB"]),
                "compression": r.choice(["none", "lz4"]), "partitions": 6, "transaction_timeout": r.choice(["10s", "60s"])}
        self.car.settings["sink"].update(sink)
        return f"commits every {sink['commit_interval']}, {sink['transaction_bytes']}, timeout {sink['transaction_timeout']}"

    def committed(self):
        return kafka.stable_end(self.broker, f"_sidestream.{self.car.name}")

    def calm(self):
        for net in (self.net, self.broker.net):
            net.calm()
            net.cut()

    def enough(self, kills):
        return self.kills >= kills and self.tally["network faults"] >= self.wanted

    def end(self):
        """What shows that the torture was one."""
        aborted = self.judge.log.aborted()
        self.l.step(f"{aborted} aborted records that no read_committed consumer saw; {dict(self.tally)}; "
                    f"{self.judge.log.tombstones} tombstones")
        if self.kills >= 50:
            assert aborted, "no transaction was ever aborted: nothing was tried"


FAULTS = {name: soak.FAULTS[name] for name in ("kills", "freeze", "server", "terminate", "replica_kills", "network")}


def fault(weight):
    def add(fn):
        FAULTS[fn.__name__] = (weight, fn)
        return fn
    return add


@fault(8)
def points(s, r):
    said = []
    for _ in range(r.randint(1, 4)):
        name, n = r.choice(POINTS), r.choice([1, 1, 2, 3, 10])
        s.car.kill9()
        s.start(SIDESTREAM_CRASH=f"{name}:{n}")
        end = time.monotonic() + 2
        while s.car.alive() and time.monotonic() < end:
            time.sleep(0.01)
        if not s.car.alive():
            assert s.car.process.returncode == -signal.SIGKILL, f"{name}: ended with {s.car.process.returncode}\n{s.car.log()[-2000:]}"
            said.append(f"{name}:{n}")
        s.again()
    return ", ".join(said)


@fault(24)
def broker_network(s, r):
    said = []
    for _ in range(r.randint(1, 4)):
        how = r.choice(list(soak.NETWORK))
        soak.NETWORK[how](s.broker.net, r)
        if r.random() < 0.2:
            s.again()
            time.sleep(r.random())
        s.broker.net.calm()
        if how.startswith("swallow"):
            s.broker.net.cut()
        s.goes_on(how)
        s.tally["network faults"] += 1
        said.append(how)
    return ", ".join(said)


@fault(4)
def broker_kill(s, r):
    for _ in range(r.randint(1, 2)):
        time.sleep(0.4 * r.random())
        s.broker.kill9()
        if r.random() < 0.4:
            s.again()
        time.sleep(r.choice([0, 0.5, 3]) * r.random())
        s.alive("the broker's end")
        s.broker.start()
        s.tally["broker kills"] += 1
        s.goes_on("the broker's kill -9", 60)


@fault(3)
def broker_pause(s, r):
    """Also for longer than a transaction lives."""
    seconds = r.choice([0.5, 4, 14])
    s.broker.pause()
    time.sleep(seconds)
    s.alive("a broker that stands still")
    if r.random() < 0.3:
        s.again()
    s.broker.go_on()
    s.tally["broker pauses"] += 1
    s.goes_on(f"a broker that stood still for {seconds} s", 60)
    return f"{seconds} s"


@fault(3)
def outlasted(s, r):
    """The process stands still inside a transaction until the broker gives that up: it fences itself, and goes on."""
    s.car.process.send_signal(signal.SIGSTOP)
    time.sleep(r.choice([3, 22]))
    s.car.process.send_signal(signal.SIGCONT)
    s.tally["pauses"] += 1
    s.goes_on("a pause in a transaction", 60)


@fault(3)
def second(s, r):
    """Another instance with the same configuration: one of the two ends with 3 and names the other."""
    said = fenced(s.l, s.car, s.env)
    s.tally["second instances"] += 1
    s.goes_on("a second instance")
    return said


def fenced(l, car, env=None, timeout=60):
    """Starts a second one; afterwards `car` is the one that lives. Says which."""
    other = Sidecar.__new__(Sidecar)
    other.__dict__.update(car.__dict__, process=None)
    other.log_path = car.folder / f"instance{len(list(car.folder.glob('*.log'))) + 1}.log"
    before = len(car.log())
    l.sidecars.append(other)
    other.start(env=env)
    wait.until("one of two instances to end", lambda: not (car.alive() and other.alive()), timeout)
    time.sleep(0.5)
    assert car.alive() or other.alive(), f"both ended: {car.process.returncode}, {other.process.returncode}\n" \
        f"{car.log()[-1500:]}\n{other.log()[-1500:]}"
    lost, won = (other, car) if car.alive() else (car, other)
    text = lost.log()[before if lost is car else 0:]
    assert lost.process.returncode == 3, f"the one that gave up ended with {lost.process.returncode}\n{text[-2000:]}"
    assert str(won.process.pid) in text, f"it does not name the other, pid {won.process.pid}\n{text[-2000:]}"
    first = won is car
    car.process, car.log_path = won.process, won.log_path
    l.sidecars.remove(other)
    return "the first went on" if first else "the second went on"


__all__ = ["Soak", "FAULTS", "fenced"]
