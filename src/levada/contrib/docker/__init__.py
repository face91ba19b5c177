"""Jobs in containers of a Docker engine, or of what speaks like one (Podman): ``docker``, ``docker://host``, ``docker:///path/of/socket``."""

from __future__ import annotations

from .engine import DockerEngine, open_engine
from .tasks import DockerTask

__all__ = ["DockerEngine", "DockerTask", "open_engine"]
