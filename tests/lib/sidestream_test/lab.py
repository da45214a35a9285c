"""What a scenario runs in: a folder, servers and sidecars that end with it, steps that are printed."""
import atexit
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

from . import ROOT
from .postgres import Postgres
from .sidecar import BINARY, Sidecar

SKIP = 77  # a scenario's exit code for "cannot be tried here", as automake has it


class Skip(Exception):
    pass


class Fault:
    def __init__(self, library, car):
        self.file = car.folder / "fault"
        self.env = {"LD_PRELOAD": str(library), "FAULT_FILE": str(self.file), "FAULT_ROOT": str(car.lake)}

    def arm(self, op, where, nth, error, mode="once"):
        new = self.file.with_suffix(".new")
        new.write_text(f"{op} {where} {nth} {error} {mode}\n")
        new.rename(self.file)

    def fired(self):
        return not self.file.exists()

    def clear(self):
        self.file.unlink(missing_ok=True)


class Lab:
    keep_lakes = False  # a failure keeps the lake and the replica, not only the logs

    def __init__(self, name):
        self.name = name
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"sst-{name}-", dir="/tmp"))
        self.folder.chmod(0o755)  # user postgres must get in
        self.servers, self.sidecars, self.brokers, self.mounts, self.undo = [], [], [], [], []
        self.seed = os.environ.get("SIDESTREAM_SEED") or str(int(time.time()))
        self.rounds = int(os.environ.get("SIDESTREAM_ROUNDS", "0"))
        self.began = time.monotonic()

    def step(self, text):
        print(f"[{time.monotonic() - self.began:6.1f}] {text}", flush=True)

    def postgres(self, version=None, name=None, conf=(), start=True):
        pg = Postgres(self.folder / (name or f"pg{len(self.servers)}"), version, conf)
        self.servers.append(pg)
        return pg.start() if start else pg

    def mysql(self, kind, name=None, conf=(), start=True, **more):
        """A MariaDB or MySQL server."""
        from .mysql import Mysql
        server = Mysql(self.folder / (name or f"{kind}{len(self.servers)}"), kind, conf, **more)
        self.servers.append(server)
        return server.start() if start else server

    def kafka(self, nodes=1, name=None, start=True, **more):
        """One broker or three; needs the jars, which Maven fetches once."""
        from .kafka import Kafka
        broker = Kafka(self.folder / (name or f"kafka{len(self.brokers)}"), nodes, **more)
        self.brokers.append(broker)
        return broker.start() if start else broker

    def sidecar(self, pg, folder=None, url=None, **settings):
        """url: PostgreSQL's unix socket, MySQL's port, unless said otherwise."""
        url = url or pg.url(socket=isinstance(pg, Postgres))
        car = Sidecar(self.folder / (folder or f"car{len(self.sidecars)}"), url, **settings)
        self.sidecars.append(car)
        return car

    def tmpfs(self, size, name="small"):
        """A folder that holds no more than `size` bytes."""
        if os.getuid() != 0:
            raise Skip("a small tmpfs needs root")
        path = self.folder / name
        path.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path]).returncode:
            raise Skip("mount of a tmpfs is not allowed here")
        self.mounts.append(path)
        return path

    def stall(self):
        """(environment, file): a sidecar with it hangs in its next fsync or link while the file is there."""
        library, flag = self.folder / "stall.so", self.folder / "stall"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, ROOT / "tests/lib/stall.c"], check=True)
        self.undo.append(lambda: flag.unlink(missing_ok=True))
        return {"LD_PRELOAD": str(library), "STALL_FILE": str(flag)}, flag

    def copy_owned(self, data, to):
        """A copy of a stopped server's data folder that its user may use."""
        shutil.copytree(data, to, symlinks=True)
        if os.getuid() == 0:
            subprocess.run(["chown", "-R", "postgres", to], check=True)
        to.chmod(0o700)

    def fault(self, car):
        """A disk that fails when told to, for that sidecar's lake: tests/lib/fault.c."""
        library = self.folder / "fault.so"
        if not library.exists():
            subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, ROOT / "tests/lib/fault.c", "-ldl"], check=True)
        return Fault(library, car)

    def close(self):
        while self.undo:
            self.undo.pop()()
        for car in self.sidecars:
            car.kill9()
        for pg in reversed(self.servers):  # a standby before its primary, which would wait for it
            if pg.running():
                try:
                    pg.stop("immediate", 20)
                except Exception:
                    pg.crash()
        for broker in self.brokers:
            if broker.running():
                broker.stop()
        while self.mounts:
            subprocess.run(["umount", "-l", self.mounts.pop()])

    def keep_logs(self):
        """The logs of a failure go where the driver wants them."""
        into = os.environ.get("SIDESTREAM_KEEP")
        if not into:
            print(f"everything is left in {self.folder}")
            return
        into = pathlib.Path(into)
        into.mkdir(parents=True, exist_ok=True)
        for path in [*self.folder.glob("*/*.log"), *self.folder.glob("*/log"), *self.folder.glob("*/my.err"), *self.folder.glob("*/config.yaml")]:
            shutil.copy(path, into / str(path.relative_to(self.folder)).replace("/", "-"))
        for car in self.sidecars:
            if self.keep_lakes and car is self.sidecars[-1]:
                shutil.copytree(car.folder, into / car.folder.name, dirs_exist_ok=True)
                continue
            commits = car.lake / "_cdc/commits"
            if commits.exists() and len(list(commits.iterdir())) < 5000:
                shutil.copytree(commits, into / f"{car.folder.name}-commits", dirs_exist_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def run(main):
    """The last line of a scenario's run.py."""
    name = pathlib.Path(sys.argv[0]).resolve().parent.name
    if not BINARY.exists():
        sys.exit(f"{BINARY} is not there; run make")
    lab = Lab(name)
    atexit.register(lab.close)
    try:
        main(lab)
    except Skip as e:
        print(f"SKIP: {e}")
        lab.close()
        shutil.rmtree(lab.folder, ignore_errors=True)
        sys.exit(SKIP)
    except BaseException:
        traceback.print_exc()
        print(f"seed {lab.seed}")
        lab.close()
        for car in lab.sidecars[-2:]:
            print(f"---- end of {car.log_path}\n{car.log()[-3000:]}")
        lab.keep_logs()
        sys.exit(1)
    lab.step("passed")
    lab.close()
    shutil.rmtree(lab.folder, ignore_errors=True)
