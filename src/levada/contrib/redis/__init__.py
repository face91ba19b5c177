"""Redis: `RedisTarget`, a marker under a key, set in one step with what it tells of (extra ``levada[redis]``)."""

from __future__ import annotations

from .target import RedisTarget

__all__ = ["RedisTarget"]
