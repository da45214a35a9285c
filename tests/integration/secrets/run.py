#!/usr/bin/env python3
"""Without this passwords or customers' data would end up in logs and error messages: a pipeline goes through
all its troubles at debug level, and neither is in anything it printed.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import time  # noqa: E402

from sidestream_test import lab, lake, wait  # noqa: E402

PASSWORD = "Pa55-w0rd-of-the-test"
VALUE = "zebra-4711-value"


def main(l):
    pg = l.postgres()
    pg.sql(f"create schema shop; create table shop.t (k text primary key, v text, d date); "
           f"create role cdc login superuser password '{PASSWORD}'")
    hba = pg.base / "data/pg_hba.conf"
    hba.write_text("local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    pg.reload()
    url = f"postgresql://cdc:${{env:SHOP_PASSWORD}}@127.0.0.1:{pg.port}/postgres"
    car = l.sidecar(pg, url=url, log={"level": "debug"})
    env = {"SHOP_PASSWORD": PASSWORD}
    told = [car.call("check", "CONFIG", env=env)]
    assert told[0].code in (0, 1), told[0]
    car.start(env=env).wait_streaming(pg)
    pg.each(f"insert into shop.t values ('{VALUE}k', '{VALUE}', '2024-01-01')",
            f"update shop.t set k = '{VALUE}k2'", f"update shop.t set v = '{VALUE}2'", "alter table shop.t add w text",
            f"update shop.t set w = '{VALUE}3'", "truncate shop.t")
    pg.restart("immediate")
    pg.sql(f"insert into shop.t values ('{VALUE}4', 'x', '2024-01-01')")
    wait.until("the row after the restart", lambda: lake.Lake(car.lake).count() >= 6, 60)
    car.kill9()
    car.start(env=env).wait_streaming(pg)
    assert car.terminate() == 0
    l.step("a value that the type cannot hold")
    pg.sql(f"insert into shop.t values ('{VALUE}5', '{VALUE}', 'infinity')")
    told.append(car.call("run", "CONFIG", "--until-caught-up", env=env))
    assert told[-1].code in (1, 3) and "shop.t" in told[-1].err, told[-1]
    l.step("wrong password, unreachable, bad configuration")
    told.append(car.call("run", "CONFIG", "--until-caught-up", env={"SHOP_PASSWORD": PASSWORD + "x"}))
    assert told[-1].code in (2, 3), told[-1]
    told.append(car.call("check", "CONFIG", env={"SHOP_PASSWORD": PASSWORD + "x"}))
    assert told[-1].code in (1, 2, 3), told[-1]
    car.settings["source"]["url"] = url.replace(str(pg.port), "1")
    car.write_config()
    car.start(env=env)
    time.sleep(1.5)
    assert car.alive(), "network errors are retried"
    car.kill9()
    car.settings["source"]["url"] = f"postgresql://cdc:{PASSWORD}@127.0.0.1:{pg.port}/postgres?nonsense=1"
    car.write_config()
    told.append(car.call("run", "CONFIG", "--until-caught-up"))
    assert told[-1].code in (2, 3), told[-1]
    car.settings["source"]["url"] = {"not": PASSWORD}
    car.write_config()
    told.append(car.call("run", "CONFIG"))
    assert told[-1].code == 2, told[-1]
    printed = car.log() + "".join(t.out + t.err for t in told)
    assert len(printed) > 1000, "something was logged"
    for secret in (PASSWORD, VALUE):
        at = printed.find(secret)
        assert at < 0, f"{secret} was printed: ...{printed[max(0, at - 300):at + 100]}"
    l.step(f"{len(printed)} characters of log, neither the password nor a value in them")


lab.run(main)
