"""``luigi.contrib.docker_runner``: containers, handed over as `levada.contrib.docker` does: run once, and named by their submission."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from levada._model.engines import JobSpec, JobStatus
from levada.contrib import docker as house
from levada.task import repr_of

logger = logging.getLogger("luigi-interface")


class DockerTask(house.DockerTask):
    """Runs ``command`` in a container of ``image``.

    container_tmp_dir: where a new folder of this machine is mounted (mount_tmp), which goes when the job has ended. binds: further volumes,
    as "/here:/there". container_options: user, entrypoint, labels, as Docker's client has them. auto_remove, name: not used.
    """

    image: ClassVar[Any] = "alpine"
    command: ClassVar[Any] = "echo hello world"
    name: ClassVar[Any] = None
    host_config_options: ClassVar[Any] = {}
    container_options: ClassVar[Any] = {}
    environment: ClassVar[Any] = {}
    container_tmp_dir: ClassVar[Any] = "/tmp/luigi"  # noqa: S108 - of the container
    binds: ClassVar[Any] = None
    network_mode: ClassVar[Any] = ""
    docker_url: ClassVar[Any] = None
    auto_remove: ClassVar[Any] = True
    force_pull: ClassVar[Any] = False
    mount_tmp: ClassVar[Any] = True

    def engine_address(self) -> str:
        """The engine at ``docker_url``, else the usual one."""
        if not self.docker_url:
            return "docker"
        return f"docker://{str(self.docker_url).removeprefix('tcp://').removeprefix('unix://')}"

    def job(self, submission: str) -> JobSpec:
        """What Docker is to run."""
        image = self.image if ":" in self.image.rpartition("/")[2] else f"{self.image}:latest"
        volumes = self._volumes(submission)
        options = {
            "image": image,
            "volumes": volumes,
            "network": str(self.network_mode or ""),
            "pull": "always" if self.force_pull else "missing",
            "host_config": dict(self.host_config_options),
            **dict(self.container_options),
        }
        env = {**self._own_environment(), **_texts(self.environment), "LUIGI_TMP_DIR": self.container_tmp_dir}
        return JobSpec(submission, repr_of(self), tuple(_words(self.command)), env, options=options)

    def finished(self, status: JobStatus) -> None:
        """Remove the mounted folder."""
        shutil.rmtree(self._mounted(self.submission), ignore_errors=True)

    def give_up(self, status: JobStatus) -> None:
        """The same."""
        super().give_up(status)
        self.finished(status)

    def _volumes(self, submission: str) -> list[str]:
        own: list[str] = [self.binds] if isinstance(self.binds, str) else list(self.binds or ())
        if not self.mount_tmp:
            return own
        os.makedirs(self._mounted(submission), exist_ok=True)
        return [f"{self._mounted(submission)}:{self.container_tmp_dir}", *own]

    def _mounted(self, submission: str) -> str:
        return os.path.join(tempfile.gettempdir(), f"luigi-docker-tmp-dir-{submission}")


def _words(command: Any) -> Sequence[str]:
    return shlex.split(command) if isinstance(command, str) else [str(word) for word in command or ()]


def _texts(variables: Any) -> Mapping[str, str]:
    """Variables as a mapping, or as Docker's list of ``name=value``."""
    pairs = variables.items() if hasattr(variables, "items") else (one.split("=", 1) for one in variables or ())
    return {name: str(value) for name, value in pairs}
