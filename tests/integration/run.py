#!/usr/bin/env python3
"""Runs the scenarios: run.py [PATTERN...] [--versions 15,17] [--jobs 2] [--rounds N] [--seed S] [--sanitizer S] [--list].

A scenario is a folder with a run.py, whose first sentence says what would be lost or doubled without
it. It ends with 0 (passed), 77 (skipped: cannot be tried here) or anything else (failed). The logs of a
failure stay in build/test-logs/. The last line is `N passed, N failed, N skipped`.
"""
import argparse
import ast
import concurrent.futures
import fnmatch
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LOGS = ROOT / "build/test-logs"
SKIP = 77
# Long ones first, so that two at a time end together.
FIRST = ["crash_points", "crash_random", "versions", "mysql_versions", "bad_input", "big_transaction", "server_crash", "connection_cut",
         "mysql_snapshot", "mysql_faults", "mysql_crash", "mysql_basic", "mysql_failover", "mysql_modes", "mysql_features", "kafka_broker",
         "kafka_network", "kafka_topics", "torture", "network_faults"]
SEED = "20261122"  # the same workloads each time, as far as threads allow; `make torture` and `--seed random` have others
MEASURES = {"big_transaction", "http_hostile", "memory"}  # run alone at the end: others would disturb what they measure

# --sanitizer NAME: the binary of `make SANITIZE=NAME all`, by default; anything that it reports fails the scenario.
SANITIZERS = {"address,undefined": "build/address-undefined/sidestream", "thread": "build/thread/sidestream"}

running, lock = set(), threading.Lock()


def purpose(folder):
    text = ast.get_docstring(ast.parse((folder / "run.py").read_text())) or ""
    return " ".join(text.split("\n\n")[0].split())


def sanitized(options, keep):
    """The environment in which a sanitizer writes its reports into `keep`."""
    log = f"log_path={keep}/sanitizer:"
    return {"SIDESTREAM": os.environ.get("SIDESTREAM", str(ROOT / SANITIZERS[options.sanitizer])),
            "ASAN_OPTIONS": log + "verify_asan_link_order=0:detect_leaks=1",  # 0: LD_PRELOAD of tests/lib/*.c
            "UBSAN_OPTIONS": log + "print_stacktrace=1",
            "TSAN_OPTIONS": log + "second_deadlock_stack=1"}


def run_one(job):
    """(verdict, seconds) of one scenario on one server version; its output lies in LOGS."""
    folder, version, options = job
    label = folder.name if len(options.versions) == 1 else f"{folder.name}@{version}"
    if options.sanitizer:
        label += "+" + options.sanitizer.split(",")[0]
    keep = LOGS / label
    shutil.rmtree(keep, ignore_errors=True)
    keep.mkdir(parents=True)
    env = {**os.environ, "SIDESTREAM_PG": version, "SIDESTREAM_KEEP": str(keep),
           "PYTHONPATH": str(ROOT / "tests/lib"), "PYTHONDONTWRITEBYTECODE": "1"}
    env["SIDESTREAM_SEED"] = str(int(time.time())) if options.seed == "random" else options.seed
    if options.rounds:
        env["SIDESTREAM_ROUNDS"] = str(options.rounds)
    if options.sanitizer:
        env.update(sanitized(options, keep))
    began = time.monotonic()
    with open(keep / "output.txt", "w") as out:
        process = subprocess.Popen([sys.executable, folder / "run.py"], stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=out, env=env, start_new_session=True)
        with lock:
            running.add(process)
        try:
            code = process.wait(options.limit)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # it stops its servers
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
            code = f"no end within {options.limit} s"
        with lock:
            running.discard(process)
    reports = sorted(keep.glob("sanitizer*"))
    if reports:
        code = f"{len(reports)} reports of the sanitizer, exit {code}; the first: " + summary(reports[0])
    verdict = "PASS" if code == 0 else "SKIP" if code == SKIP else "FAIL"
    report(verdict, label, time.monotonic() - began, keep / "output.txt", code)
    if verdict == "PASS":
        shutil.rmtree(keep)
    return verdict


def summary(path):
    text = path.read_text(errors="replace").splitlines()
    return next((t for t in text if t.startswith("SUMMARY")), text[0] if text else "empty")


def report(verdict, label, seconds, output, code):
    lines = [f"{verdict} {label} ({seconds:.1f} s)"]
    text = output.read_text(errors="replace").splitlines()
    if verdict == "SKIP":
        lines[0] += next((t[4:] for t in reversed(text) if t.startswith("SKIP:")), "")
    elif verdict == "FAIL":
        lines[0] += f": {code if isinstance(code, str) else f'exit {code}'}; logs in {output.parent.relative_to(ROOT)}/"
        seed = next((i for i, t in enumerate(text) if t.startswith("seed ")), len(text))
        lines += ["    | " + t[:1000] for t in text[max(0, seed - 40):seed + 1] + text[seed + 1:][-20:]]
    with lock:
        print("\n".join(lines), flush=True)


def options_of(argv):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("patterns", nargs="*", default=["*"])
    parser.add_argument("--versions", type=lambda s: s.split(","), default=["15"])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=0, help="of the crash scenarios (default: their short form)")
    parser.add_argument("--seed", default=os.environ.get("SIDESTREAM_SEED") or SEED,
                        help="of the workloads; `random`: another one each time; printed by a failure")
    parser.add_argument("--limit", type=int, default=None, help="seconds for one scenario")
    parser.add_argument("--sanitizer", choices=list(SANITIZERS), help="with the binary of make SANITIZE=...")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args(argv)
    options.limit = options.limit or (900 if not options.rounds else 7200) * (3 if options.sanitizer else 1)
    return options


def main(argv):
    options = options_of(argv)
    folders = sorted(p.parent for p in HERE.glob("*/run.py"))
    folders = [f for f in folders if any(fnmatch.fnmatch(f.name, p) for p in options.patterns)
               and not (options.sanitizer and f.name in MEASURES)]
    if options.list:
        for f in folders:
            print(f"{f.name:16} {purpose(f)}")
        return 0
    if not folders:
        sys.exit(f"no scenario matches {' '.join(options.patterns)}")
    folders.sort(key=lambda f: (FIRST.index(f.name) if f.name in FIRST else len(FIRST), f.name))
    jobs = [(f, v, options) for v in options.versions for f in folders]
    together = [j for j in jobs if j[0].name not in MEASURES]
    alone = [j for j in jobs if j[0].name in MEASURES]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        verdicts = list(pool.map(run_one, together))
    verdicts += map(run_one, alone)
    passed, failed, skipped = (verdicts.count(v) for v in ("PASS", "FAIL", "SKIP"))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


def stop(*_):
    """Interrupted: the scenarios stop their own servers."""
    for process in list(running):
        process.send_signal(signal.SIGINT)
    for process in list(running):
        process.wait()
    os._exit(130)


signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGTERM, stop)
sys.exit(main(sys.argv[1:]))
