"""No cyclic garbage collection while the graph grows."""

from __future__ import annotations

import gc


class Growing:
    """While it is open the collector rests; afterwards it leaves alone what is there by then.

    Each collection would walk all tasks of the graph again, which has no cycles that must go before the
    run ends. User code runs outside, with the collector on as it found it. ``settle`` at the end of a run
    gives everything back to the collector.
    """

    __slots__ = ("_was_on",)

    def __enter__(self) -> None:
        self._was_on = gc.isenabled()
        gc.disable()

    def __exit__(self, *exc: object) -> None:
        if self._was_on:
            gc.freeze()
            gc.enable()


def settle() -> None:
    """The collector may look at everything again."""
    gc.unfreeze()
