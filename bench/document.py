"""The documents that benchmarks write: the machine, and what is kept by hand."""
import datetime
import os
import platform
import subprocess

from sidestream_test import ROOT

BY_HAND = "## What the profile says"


def machine(pg, *beside):
    """One sentence; `beside` names what else runs on it."""
    return setting(f"PostgreSQL {pg.value('show server_version').split()[0]}", *beside, how="fsync off")


def setting(*servers, how):
    """The machine and the servers on it, and how these are set up."""
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown CPU")
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    changed = subprocess.run(["git", "-C", ROOT, "status", "--porcelain", "-uno", "core", "connectors", "include"],
                             capture_output=True, text=True).stdout.strip()
    return (f"{model}, {os.cpu_count()} cores, {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 30} GiB, Linux "
            f"{platform.release()}; {', '.join(servers)} on the same machine, {how}; commit "
            f"{commit or 'none yet'}{' with changes' if changed else ''}; load average {os.getloadavg()[0]:.1f} before the start; "
            f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}")


def write(path, text):
    before = path.read_text() if path.exists() else ""
    kept = before[before.index(BY_HAND):] if BY_HAND in before else f"{BY_HAND}\n\nNothing yet.\n"
    path.write_text(text + "\n" + kept)
