"""HTCondor as an engine: ``engine = "htcondor"`` for the schedd of this host, ``htcondor://NAME`` for another of the pool.

Spoken to by HTCondor's own client (extra ``levada[htcondor]``).
"""

from __future__ import annotations

from .engine import HTCondorEngine

__all__ = ["HTCondorEngine"]
