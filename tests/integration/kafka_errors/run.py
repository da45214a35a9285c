#!/usr/bin/env python3
"""Without this an operator whose broker says no would see a time-out: every refusal names the place and what to do, with the exit
code that says whether a person is needed.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import time  # noqa: E402

from confluent_kafka import admin  # noqa: E402

from sidestream_test import lab, wait  # noqa: E402
from sidestream_test.ports import free_port  # noqa: E402

JAAS = "org.apache.kafka.common.security.plain.PlainLoginModule required"
TOPIC, ID = admin.ResourceType.TOPIC, admin.ResourceType.TRANSACTIONAL_ID
W, R, C, D = admin.AclOperation.WRITE, admin.AclOperation.READ, admin.AclOperation.CREATE, admin.AclOperation.DESCRIBE
DC = admin.AclOperation.DESCRIBE_CONFIGS


def guarded(l):
    """A broker with rights: everything for who comes without a name, for `cdc` what is granted."""
    broker = l.kafka(start=False)
    n = broker.nodes[0]
    port = free_port()
    broker.conf += [
        f"listeners=PLAINTEXT://127.0.0.1:{n.port},LOGIN://127.0.0.1:{port},CONTROLLER://127.0.0.1:{n.cport}",
        f"advertised.listeners=PLAINTEXT://127.0.0.1:{n.port},LOGIN://127.0.0.1:{port}",
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,LOGIN:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms=PLAIN", f"listener.name.login.plain.sasl.jaas.config={JAAS} user_cdc=\"pw\";",
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:ANONYMOUS"]
    return broker.start(), f"127.0.0.1:{port}"


def grant(broker, kind, name, *operations):
    """A name that ends with a dot is a prefix."""
    pattern = admin.ResourcePatternType.PREFIXED if name.endswith(".") else admin.ResourcePatternType.LITERAL
    acls = [admin.AclBinding(kind, name, pattern, "User:cdc", "*", o, admin.AclPermissionType.ALLOW) for o in operations]
    for f in broker.admin().create_acls(acls).values():
        f.result(20)
    mine = admin.AclBindingFilter(kind, name, pattern, "User:cdc", "*", admin.AclOperation.ANY, admin.AclPermissionType.ANY)
    wait.until("the broker to know the rights", lambda: len(broker.admin().describe_acls(mine).result(20)) == len(operations))
    time.sleep(0.3)


def main(l):
    broker, address = guarded(l)
    pg = l.postgres()
    pg.sql("create schema shop; create table shop.t (id int primary key); create table shop.\"a b\" (id int primary key); "
           "create table shop.a_b (id int primary key)")
    rights(l, pg, broker, address)
    configuration(l, pg, broker)
    unreachable(l, pg, broker)


def rights(l, pg, broker, address):
    login = {"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN", "sasl.username": "cdc", "sasl.password": "pw"}
    car = l.sidecar(pg, kafka=broker, capture=[{"tables": "shop.t", "snapshot": "never"}],
                    sink={"brokers": address, "properties": login, "partitions": 1})

    def refused(words, command=("run", "CONFIG", "--until-caught-up")):
        got = car.call(*command, timeout=60)
        assert got.code == (3 if command[0] == "run" else 1), f"{words}: {got!r}"
        for w in words:
            assert w in got.err + got.out, f"{w} is not said: {got!r}"
        return got

    refused(["shop"], ("check", "CONFIG"))
    control = "_sidestream.shop"
    steps = (((control,), TOPIC, control, (W, R, D, C, DC)), (("transactional id",), ID, "shop", (W, D)),
             (("shop.shop.t",), TOPIC, "shop.", (W, D, C, DC)))
    for words, kind, name, operations in steps:
        pg.sql("insert into shop.t select coalesce(max(id), 0) + 1 from shop.t")
        if words[0] == "shop.shop.t":
            car.call("run", "CONFIG", "--until-caught-up")  # the start is noticed before there is anything to write
            pg.sql("insert into shop.t select coalesce(max(id), 0) + 1 from shop.t")
        got = refused(words)
        l.step(f"no right on {words[0]}: exit {got.code} after {got.seconds:.1f} s")
        grant(broker, kind, name, *operations)
    car.catch_up()
    pg.sql("insert into shop.t select coalesce(max(id), 0) + 1 from shop.t")
    car.catch_up()
    assert car.output().count("shop.t") >= 1
    got = car.call("check", "CONFIG")
    assert got.code == 0, got
    l.step("with the rights of the README: works, check passes")


def configuration(l, pg, broker):
    def usage(words, capture=None, name="conf", **sink):
        car = l.sidecar(pg, name=name, kafka=broker, sink=sink, capture=capture)
        got = car.call("run", "CONFIG", "--until-caught-up", timeout=60)
        assert got.code == 2, f"{words}: {got!r}"
        for w in words:
            assert w in got.err, f"{w} is not said: {got!r}"

    usage(["transactional.id"], properties={"transactional.id": "mine"})
    usage(["acks"], properties={"acks": "1"})
    usage(["nonsense.at.all"], properties={"nonsense.at.all": "1"})
    usage(["brokers"], brokers="")
    usage(["{nme}"], topic="{nme}.{table}")
    usage(["commit_pace", "commit_pase"], commit_pase="1ms")
    car = l.sidecar(pg, name="conf", kafka=broker)
    del car.settings["capture"][0]["envelope"]
    car.write_config()
    got = car.call("run", "CONFIG", "--until-caught-up")
    assert got.code == 2 and "envelope" in got.err and "row" in got.err, got
    l.step("bad properties and rules: exit 2, with their names")
    # What a table's topic would be called is known with its first change.
    cases = ((["shop.t", "249", "topic"], "x" * 250), (["shop.a b", "shop.a_b", "topic"], "{name}.{schema}.{table}"))
    for n, (words, topic) in enumerate(cases):
        car = l.sidecar(pg, name=f"names{n}", kafka=broker, sink={"topic": topic})
        car.catch_up()
        if n:
            pg.sql(f"insert into shop.\"a b\" values ({n})")
            car.catch_up()
        pg.each("insert into shop.t select max(id) + 1 from shop.t", f"insert into shop.a_b values ({n})")
        got = car.call("run", "CONFIG", "--until-caught-up", timeout=60)
        assert got.code == 2 and all(w in got.err for w in words), f"{words}: {got!r}"
    l.step("names of topics that cannot be: exit 2, with the table")


def unreachable(l, pg, broker):
    car = l.sidecar(pg, name="away", kafka=broker, sink={"brokers": "127.0.0.1:1"},
                    capture=[{"tables": "shop.t", "snapshot": "never"}])
    got = car.call("check", "CONFIG", timeout=60)
    assert got.code == 1 and "127.0.0.1:1" in got.out + got.err, got
    car.start()
    time.sleep(5)
    assert car.alive(), "a broker that is not there is waited for"
    wait.until("a word about it", lambda: "127.0.0.1:1" in car.log(), 30)
    assert car.terminate(20) == 0
    l.step(f"no broker: waited for; check says so after {got.seconds:.1f} s")


lab.run(main)
