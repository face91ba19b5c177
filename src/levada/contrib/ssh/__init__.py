"""Other hosts by SSH (extra ``levada[ssh]``): ``sftp://`` targets, `RemoteTarget`, commands, and the engine ``ssh://``."""

from __future__ import annotations

from levada.targets.leftovers import sweep

from .commands import check_output
from .target import RemoteTarget

__all__ = ["RemoteTarget", "check_output", "sweep"]
