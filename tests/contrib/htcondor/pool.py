"""A real HTCondor on loopback: a pool of one machine, its daemons in the root that tools/condor_root.sh makes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

from tests.contrib.ports import free_port

ROOT = Path(__file__).parents[3] / ".venvs" / "condor"
NOBODY = 65534  # no daemon and no job of HTCondor runs as root here

CONFIGURATION = """\
RELEASE_DIR=/usr
LIBEXEC=/usr/libexec/condor
LOCAL_DIR={folder}
LOCAL_CONFIG_FILE=
LOCAL_CONFIG_DIR=
LOG=$(LOCAL_DIR)/log
SPOOL=$(LOCAL_DIR)/spool
EXECUTE=$(LOCAL_DIR)/execute
LOCK=$(LOCAL_DIR)/lock
RUN=$(LOCAL_DIR)/run
SCHEDD_ADDRESS_FILE=$(SPOOL)/.schedd_address
SCHEDD_NAME=levada@
CONDOR_HOST=127.0.0.1
COLLECTOR_HOST=127.0.0.1:{port}
NETWORK_INTERFACE=127.0.0.1
BIND_ALL_INTERFACES=false
SHARED_PORT_PORT={port}
DAEMON_LIST=MASTER, SHARED_PORT, COLLECTOR, NEGOTIATOR, SCHEDD, STARTD
UID_DOMAIN=levada
FILESYSTEM_DOMAIN=levada
SEC_DEFAULT_AUTHENTICATION=OPTIONAL
SEC_DEFAULT_AUTHENTICATION_METHODS=FS, CLAIMTOBE
SEC_DEFAULT_ENCRYPTION=OPTIONAL
SEC_DEFAULT_INTEGRITY=OPTIONAL
ALLOW_READ=*
ALLOW_WRITE=*
ALLOW_DAEMON=*
ALLOW_NEGOTIATOR=*
ALLOW_ADMINISTRATOR=*
MOUNT_UNDER_SCRATCH=
START=True
SUSPEND=False
PREEMPT=False
RunBenchmarks=False
NUM_CPUS=16
MEMORY=8000
STARTD_ENFORCE_DISK_LIMITS=false
JOB_DEFAULT_REQUESTDISK=1000
JOB_DEFAULT_REQUESTMEMORY=64
NEGOTIATOR_INTERVAL=1
NEGOTIATOR_CYCLE_DELAY=1
NEGOTIATOR_MIN_INTERVAL=1
SCHEDD_INTERVAL=1
PERIODIC_EXPR_INTERVAL=1
MAX_PERIODIC_EXPR_INTERVAL=2
UPDATE_INTERVAL=2
USE_PROCD=false
BASE_CGROUP=
"""
START = """\
set -eu
root=$1 folder=$2
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind /tmp "$root/tmp"
exec chroot "$root" setpriv --reuid=65534 --regid=65534 --clear-groups --pdeathsig=SIGKILL \
    env CONDOR_CONFIG="$folder/config" HOME="$folder" condor_master -f
"""


class Pool:
    """A new, empty pool in a folder of its own, which belongs to nobody; jobs run as nobody."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="levada-condor-", dir="/tmp"))
        self.folder.chmod(0o755)
        for name in ("log", "spool", "execute", "lock", "run", "jobs"):
            (self.folder / name).mkdir()
        (self.folder / "config").write_text(CONFIGURATION.format(folder=self.folder, port=free_port()))
        for path in (self.folder, *self.folder.iterdir()):
            os.chown(path, NOBODY, NOBODY)
        self._master: subprocess.Popen[bytes] | None = None

    @property
    def environ(self) -> dict[str, str]:
        """By which the client finds it."""
        return {"CONDOR_CONFIG": f"{self.folder}/config"}

    def start(self) -> None:
        with open(self.folder / "out", "ab") as out:
            self._master = subprocess.Popen(
                ["unshare", "-m", "sh", "-c", START, "sh", str(ROOT), str(self.folder)],
                cwd="/", stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip

    def stop_daemons(self) -> None:
        """All at once, without a word; what they have in files stays."""
        assert self._master is not None
        started = psutil.Process(self._master.pid).children(recursive=True)
        self._master.send_signal(signal.SIGKILL)
        self._master.wait()
        for process in started:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(started, 10)

    def stop(self) -> None:
        self.stop_daemons()
        shutil.rmtree(self.folder, ignore_errors=True)
