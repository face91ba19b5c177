"""Other hosts by SSH (extra ``levada[ssh]``): ``sftp://`` targets, `RemoteTarget`, commands, and the engine ``ssh://``."""

from __future__ import annotations

from levada.targets.sweeping import sweep_store as sweep

from .commands import check_output
from .target import RemoteTarget

__all__ = ["RemoteTarget", "check_output", "sweep"]
