"""``luigi.contrib.simulate``: a target that makes its task run in each run."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import time
from multiprocessing import Value
from typing import Any, ClassVar

from levada.luigi.target import Target

logger = logging.getLogger("luigi-interface")


class RunAnywayTarget(Target):
    """Is there once ``done`` was called in this run: a file in the temporary folder, under the number of the run's first process."""

    temp_dir: ClassVar[str] = os.path.join(tempfile.gettempdir(), "luigi-simulate")
    temp_time: ClassVar[float] = 24 * 3600  # seconds after which what other runs left is removed
    unique: ClassVar[Any] = Value("i", 0)

    def __init__(self, task_obj: Any) -> None:
        self.task_id = task_obj.task_id
        with self.unique.get_lock():
            if self.unique.value == 0:
                self.unique.value = os.getpid()
        self._sweep()

    def __str__(self) -> str:
        return str(self.task_id)

    def get_path(self) -> str:
        """The file."""
        name = hashlib.md5(self.task_id.encode(), usedforsecurity=False).hexdigest()
        return os.path.join(self.temp_dir, str(self.unique.value), name)

    def exists(self) -> bool:
        """Whether it is done."""
        return os.path.isfile(self.get_path())

    def done(self) -> None:
        """Say so."""
        path = self.get_path()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").close()

    def _sweep(self) -> None:
        if not os.path.isdir(self.temp_dir):
            return
        for entry in os.scandir(self.temp_dir):
            if entry.is_dir() and entry.stat().st_mtime < time.time() - self.temp_time:
                shutil.rmtree(entry.path, ignore_errors=True)
