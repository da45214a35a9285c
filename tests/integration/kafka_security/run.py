#!/usr/bin/env python3
"""Without this a broker behind TLS and passwords could not be used, or its password would end up in a log: TLS with SASL PLAIN
works end to end, a wrong certificate or password is named as the cause.
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
    kafka_login.works(l, pg, broker, address, "plain", kafka_login.properties(tls))
    l.step("TLS and SASL PLAIN: check, run, cat; the password is in no log")
    right = kafka_login.PASSWORD
    for what, given, word, password in (
            ("a wrong password", kafka_login.properties(tls), "uthentication", right + "x"),
            ("an unknown authority", kafka_login.properties(tls, ssl_ca_location=str(tls / "other.pem")), "certificate", right)):
        car = l.sidecar(pg, name="wrong", kafka=broker, sink={"brokers": address, "properties": given}, log={"level": "debug"})
        for command, code in ((("run", "CONFIG", "--until-caught-up"), 3), (("check", "CONFIG"), 1)):
            got = car.call(*command, env={"BROKER_PASSWORD": password}, timeout=60)
            assert got.code == code and word in got.err + got.out, f"{what}, {command[0]}: {got!r}"
            kafka_login.silent(got.out + got.err + car.log())
        l.step(f"{what}: refused with the cause, {got.seconds:.1f} s")


lab.run(main)
