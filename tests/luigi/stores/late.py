"""An attempt that has lost its lease, and writes all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from levada.errors import LeaseLost
from levada.targets import atomic


@contextmanager
def refused_as_late() -> Iterator[None]:
    """What the block commits is refused, as its lease is another's; that it is, is asserted."""

    def lost() -> None:
        raise LeaseLost("the task", held="1.1", newest="1.2")

    atomic.set_tag("0badcafe", "1.1", lost)
    try:
        with pytest.raises(LeaseLost):
            yield
    finally:
        atomic.clear_tag()
