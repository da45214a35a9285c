#!/usr/bin/env python3
"""Without this a server whose machine vanished would be waited for until the kernel gives up, a quarter of an hour later: no
answer and no reset comes any more, as after a power cut or a firewall's restart, and within a minute it connects anew.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lib"))
import os  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402

from sidestream_test import lab, lake, proxy, wait  # noqa: E402


def ip(*words, check=True):
    if subprocess.run(["ip", *words], stderr=subprocess.DEVNULL).returncode and check:
        raise lab.Skip(f"ip {' '.join(words)} is not allowed here")


def other_machine(l):
    """A network namespace with one link to us: (its name, our address, its address)."""
    if os.getuid() != 0:
        raise lab.Skip("a network namespace needs root")
    n = os.getpid() % 60000
    name, link, net = f"sst{n}", f"sst{n}v", f"10.{77 + n // 16384}.{n // 64 % 256}.{n % 64 * 4}".rsplit(".", 1)
    ours, theirs = f"{net[0]}.{int(net[1]) + 1}", f"{net[0]}.{int(net[1]) + 2}"
    ip("netns", "add", name)
    l.undo.append(lambda: ip("netns", "del", name, check=False))
    ip("link", "add", link, "type", "veth", "peer", "name", "there", "netns", name)
    ip("addr", "add", f"{ours}/30", "dev", link)
    ip("link", "set", link, "up")
    ip("-n", name, "addr", "add", f"{theirs}/30", "dev", "there")
    ip("-n", name, "link", "set", "there", "up")
    return name, ours, theirs


def main(l):
    name, ours, theirs = other_machine(l)
    pg = l.postgres()
    pg.sql("create schema shop; create table shop.t (id int primary key)")
    net = proxy.Proxy(pg.port, host=ours)
    l.undo.append(net.close)
    url = f"postgresql://postgres@{ours}:{net.port}/postgres?options=-c%20wal_sender_timeout%3D6s"
    car = l.sidecar(pg, url=url)
    car.prefix = ["ip", "netns", "exec", name]
    car.start().wait_streaming(pg)
    folder = lake.Lake(car.lake)
    pg.sql("insert into shop.t values (1)")
    wait.until("a row", lambda: folder.count() == 1)
    before = len(car.log())
    ip("route", "add", "blackhole", f"{theirs}/32")  # what we send to it is gone, acknowledgements too
    pg.sql("insert into shop.t values (2)")
    began = time.monotonic()
    wait.until("the dead connection to be noticed", lambda: "it is tried again" in car.log()[before:], 60, 0.2)
    l.step(f"noticed after {time.monotonic() - began:.0f} s")
    time.sleep(2)
    assert car.alive(), car.log()[-2000:]
    ip("route", "del", "blackhole", f"{theirs}/32")
    wait.until("the row of meanwhile", lambda: folder.count() == 2, 60, 0.2)
    assert car.terminate() == 0
    l.step("went on")


lab.run(main)
