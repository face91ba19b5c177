"""Containers as tasks, in Luigi's spelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from levada.handover.task import JobTask


class DockerTask(JobTask):
    """Runs a container of ``image`` by the engine ``docker`` (or the one that ``engine`` names), once.

    binds: volumes, as "/here:/there:ro". network_mode: "" for the engine's own. `command` says what follows the image's entrypoint; none
    is the image's own.
    """

    engine: ClassVar[Any] = "docker"
    image: ClassVar[Any] = ""
    binds: ClassVar[Any] = ()
    network_mode: ClassVar[Any] = ""

    def command(self) -> Sequence[str]:
        """None: what the image itself runs."""
        return ()

    def options(self) -> Mapping[str, object]:
        """Image, volumes and network."""
        return {"image": str(self.image), "volumes": list(self.binds), "network": str(self.network_mode)}
