"""A real MariaDB for tests, started on loopback in a folder of its own and ended with the session."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pymysql
import pytest

from tests.contrib.ports import free_port

PATIENCE = 60  # seconds until a server must answer


class MariaDB:
    """A server whose ``root`` has no password; reached by loopback alone."""

    def __init__(self) -> None:
        self.program = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")
        self.install = shutil.which("mariadb-install-db")
        if self.program is None or self.install is None:
            pytest.skip("there is no MariaDB (Debian: apt-get install mariadb-server)")
        self.port = free_port()
        self.folder = tempfile.mkdtemp(prefix="levada-mariadb-", dir="/tmp")
        self.data = f"{self.folder}/data"

    def start(self) -> None:
        as_root = ["--user=root"] if os.getuid() == 0 else []
        made = subprocess.run(
            [self.install, "--no-defaults", *as_root, f"--datadir={self.data}",
             "--auth-root-authentication-method=normal", "--skip-test-db"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout
        with open(f"{self.folder}/log", "wb") as log:
            self.process = subprocess.Popen(
                [
                    self.program, "--no-defaults", *as_root, f"--datadir={self.data}", f"--port={self.port}", "--bind-address=127.0.0.1",
                    f"--socket={self.folder}/socket", f"--pid-file={self.folder}/pid", "--innodb-flush-log-at-trx-commit=0",
                    "--innodb-buffer-pool-size=32M", "--innodb-lock-wait-timeout=20",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"MariaDB did not start:\n{Path(self.folder, 'log').read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            pymysql.connect(host="127.0.0.1", port=self.port, user="root").close()
        except pymysql.err.OperationalError:
            return False
        return True

    def url(self, database: str, user: str = "root") -> str:
        return f"mariadb://{user}@127.0.0.1:{self.port}/{database}"

    def stop(self) -> None:
        try:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
