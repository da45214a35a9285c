#!/usr/bin/env python3
"""Without this a broker that wants SCRAM could not be used: it works with a librdkafka that can (2.6.1), and `check` warns
of one that cannot log in to Kafka 4 (Debian 12's 2.0.2: then the same binary is tried with a newer one, if the tests' Python
packages bring it, else skipped).
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
from sidestream_test import kafka_login, lab  # noqa: E402


def main(l):
    tls = kafka_login.certificates(l.folder / "tls")
    broker, address = kafka_login.secured(l, tls)
    pg = l.postgres()
    pg.sql("create schema shop; create table shop.t (id int primary key)")
    given = kafka_login.properties(tls, sasl_mechanism="SCRAM-SHA-256")
    version = kafka_login.librdkafka()
    if version >= 0x020601FF:
        kafka_login.works(l, pg, broker, address, "scram", given)
        l.step("SCRAM-SHA-256: check, run, cat")
        return
    car = l.sidecar(pg, name="scram", kafka=broker, sink={"brokers": address, "properties": given})
    got = car.call("check", "CONFIG", env=kafka_login.ENV, timeout=60)
    assert "SCRAM" in got.out + got.err and "2.6.1" in got.out + got.err, f"check does not warn: {got!r}"
    text = f"{version >> 24}.{version >> 16 & 255}.{version >> 8 & 255}"
    l.step(f"check warns of librdkafka {text}")
    env = kafka_login.newer(l.folder / "lib")
    if env:
        kafka_login.works(l, pg, broker, address, "newer", given, env)
        l.step("SCRAM-SHA-256 with a newer one: check, run, cat")
        return
    raise lab.Skip(f"librdkafka {text} cannot log in to Kafka 4 by SCRAM (2.6.1 can); check warns of it")


lab.run(main)
