"""Where the roof gets the memory of runs without a server; the rooms of the hall are opened by their hosts alone."""

from __future__ import annotations

from .._store.history import FamilyEstimate as FamilyEstimate
from .._store.history import History as History
from .._store.history import RunRow as RunRow
