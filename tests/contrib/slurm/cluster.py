"""A real Slurm on loopback: munged, slurmctld and slurmd of one host, and with accounting slurmdbd over MariaDB."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from tests.contrib.ports import free_ports

PROGRAMS = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

CONTROLLER = """\
ClusterName=levada
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge/socket
SlurmctldPort={controller_port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
DefMemPerCPU=64
KillWait=1
MinJobAge={remembers}
MessageTimeout=5
ReturnToService=2
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 CPUs=64 RealMemory=16000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=UNLIMITED State=UP PreemptMode=off
PartitionName=closed Nodes=ALL State=DOWN
{accounting}
"""
WITH_ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={database_port}
AccountingStoragePass={folder}/munge/socket
"""
DATABASE = """\
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={database_port}
SlurmUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={store_port}
StorageUser=slurm
StoragePass=levada
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
"""


class Cluster:
    """A new Slurm in a folder of its own. remembers: seconds for which the controller keeps ended jobs (Slurm's least is 2)."""

    def __init__(self, *, accounting: bool = False, remembers: int = 300) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="levada-slurm-", dir="/tmp"))  # sockets' names are short
        self.folder.chmod(0o755)
        self.accounting = accounting
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        names = ("controller_port", "node_port", "database_port", "store_port")
        values = dict(zip(names, free_ports(4), strict=True)) | {
            "host": socket.gethostname().partition(".")[0], "user": getpass.getuser(), "folder": self.folder, "remembers": remembers,
        }  # fmt: skip
        self.store_port = values["store_port"]
        values["accounting"] = WITH_ACCOUNTING.format(**values) if accounting else "AccountingStorageType=accounting_storage/none"
        for name in ("munge", "state", "spool", "shared"):
            (self.folder / name).mkdir()
        (self.folder / "slurm.conf").write_text(CONTROLLER.format(**values))
        (self.folder / "slurmdbd.conf").write_text(DATABASE.format(**values))
        (self.folder / "slurmdbd.conf").chmod(0o600)
        (self.folder / "cgroup.conf").write_text("CgroupAutomount=no\n")

    @property
    def environ(self) -> dict[str, str]:
        """By which Slurm's commands find it."""
        return {"SLURM_CONF": f"{self.folder}/slurm.conf"}

    def start(self) -> None:
        """Returns when jobs are started."""
        self._start_munge()
        if self.accounting:
            self._start_store()
            self.start_accounting()
            self.run("sacctmgr", "-i", "add", "cluster", "levada")
        self.start_controller()
        self._start("slurmd", "slurmd", "-D", "-N", "node1")
        wait_for(lambda: self.run("sinfo", "--noheader", "--partition=main", "--format=%t").strip() == "idle")

    def start_controller(self) -> None:
        self._start("slurmctld", "slurmctld", "-D")
        wait_for(lambda: subprocess.run(["scontrol", "ping"], env=self._environ(), capture_output=True).returncode == 0)

    def stop_controller(self) -> None:
        """In order: its state is kept."""
        self._end("slurmctld", signal.SIGTERM)

    def start_accounting(self) -> None:
        self._start("slurmdbd", "slurmdbd", "-D")
        wait_for(lambda: subprocess.run(["sacctmgr", "-n", "show", "cluster"], env=self._environ(), capture_output=True).returncode == 0)

    def stop_accounting(self) -> None:
        self._end("slurmdbd", signal.SIGTERM)

    def stop(self) -> None:
        """Jobs first, or what watches them would live on."""
        if {"slurmctld", "slurmd"} <= self._running.keys():
            with suppress(AssertionError, subprocess.TimeoutExpired):
                self.run("scancel", f"--user={getpass.getuser()}")
                wait_for(lambda: not self.run("squeue", "--noheader"), 20)
        for name in reversed(list(self._running)):
            self._end(name)
        for process in psutil.process_iter():  # what jobs left
            with suppress(psutil.Error):
                if process.environ().get("SLURM_CONF") == self.environ["SLURM_CONF"]:
                    process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *words: str) -> str:
        """One of Slurm's commands to its end; what it says is shown when it fails."""
        done = subprocess.run(
            words, env=self._environ(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def jobs(self, name: str) -> list[str]:
        """States of the jobs of a name, as the controller tells."""
        return self.run("squeue", "--noheader", "--states=all", f"--name={name}", "--format=%T").split()

    def _start_munge(self) -> None:
        munge = self.folder / "munge"
        (munge / "key").write_bytes(os.urandom(128))
        (munge / "key").chmod(0o400)
        words = [f"--key-file={munge}/key", f"--socket={munge}/socket", f"--pid-file={munge}/pid", f"--log-file={munge}/log"]
        user = []
        if os.getuid() == 0:
            for path in (munge, munge / "key"):
                shutil.chown(path, "munge", "munge")
            user = ["--reuid=munge", "--regid=munge", "--clear-groups"]
        self._start("munged", "munged", "--foreground", *words, f"--seed-file={munge}/seed", user=user)
        wait_for((munge / "socket").exists)

    def _start_store(self) -> None:
        data, port = self.folder / "mariadb", self.store_port
        data.mkdir()
        basic = ["--no-defaults", f"--user={getpass.getuser()}", f"--datadir={data}"]
        self.run("mariadb-install-db", *basic, "--auth-root-authentication-method=normal", "--skip-test-db")
        where = [f"--socket={data}/socket", f"--port={port}", "--bind-address=127.0.0.1"]
        small = ["--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0", "--innodb-lock-wait-timeout=900"]
        self._start("mariadbd", "mariadbd", *basic, *where, f"--pid-file={data}/pid", *small)
        wait_for((data / "socket").exists)
        for line in ("create user slurm@localhost identified by 'levada'", "grant all on slurm_acct_db.* to slurm@localhost"):
            self.run("mariadb", "--no-defaults", f"--socket={data}/socket", "--user=root", f"--execute={line}")

    def _start(self, name: str, *words: str, user: list[str] | None = None) -> None:
        """A daemon that ends with this process, however that ends."""
        with open(self.folder / f"{name}.out", "ab") as out:
            self._running[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "SIGKILL", *(user or []), "--", shutil.which(words[0], path=PROGRAMS) or words[0], *words[1:]],
                env=self._environ(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip

    def _end(self, name: str, number: int = signal.SIGKILL) -> None:
        process = self._running.pop(name, None)
        if process is not None:
            process.send_signal(number)
            process.wait(30)

    def _environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH", "LEVADA"))}
        return {**kept, **self.environ, "PATH": PROGRAMS}


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.1)
