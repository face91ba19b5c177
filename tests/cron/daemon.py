"""Debian's cron as a test has it: a daemon of its own, which sees a crontab of its own and leaves the machine's alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

CRON = "/usr/sbin/cron"

# In a mount namespace of its own: whatever cron reads or writes is in its folder. /usr/sbin is no more than cron and what takes mails.
SCRIPT = """
set -e
cd "$1"
mount --make-rprivate /
mount --bind crontab /etc/crontab
mount --bind cron.d /etc/cron.d
mount --bind spool /var/spool/cron
mount --bind sbin /usr/sbin
mount --bind run /run
exec /usr/sbin/cron -f
"""
SENDMAIL = """#!/bin/sh
exec cat > "$(mktemp {folder}/mails/XXXXXXXX)"
"""


def can_fire() -> bool:
    """Whether cron is installed, and this process may give it a world of its own."""
    if os.geteuid() != 0 or not os.access(CRON, os.X_OK) or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-m", "mount", "--make-rprivate", "/"], check=False, capture_output=True).returncode == 0


class Cron:
    """One host's cron. lines: the jobs, each to be run by root; environ: what the crontab sets. wrap: words that lead to the host."""

    def __init__(self, folder: Path, environ: Mapping[str, str], lines: list[str], wrap: tuple[str, ...] = ()) -> None:
        self.folder = folder
        for name in ("cron.d", "spool/crontabs", "run", "sbin", "mails"):
            (folder / name).mkdir(parents=True)
        shutil.copy2(CRON, folder / "sbin" / "cron")
        (folder / "sbin" / "sendmail").write_text(SENDMAIL.format(folder=folder))
        (folder / "sbin" / "sendmail").chmod(0o755)
        settings = [f"{name}={value}" for name, value in environ.items()]
        (folder / "crontab").write_text("\n".join([*settings, *lines]) + "\n")
        (folder / "crontab").chmod(0o644)
        self._log = open(folder / "log", "wb")  # noqa: SIM115
        self._process = subprocess.Popen(
            [*wrap, "unshare", "-m", "sh", "-c", SCRIPT, "sh", str(folder)],
            env={"PATH": os.environ["PATH"], **environ}, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip

    def mails(self) -> list[str]:
        """What it sent, in no order."""
        return [path.read_text() for path in (self.folder / "mails").iterdir()]

    def said(self) -> str:
        """What cron itself printed."""
        return (self.folder / "log").read_text()

    def close(self) -> None:
        """End the daemon; jobs that run go on."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
