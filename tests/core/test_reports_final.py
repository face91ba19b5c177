"""A failure that no further attempt could mend."""

from __future__ import annotations

from levada._model import messages as m
from levada._model.status import ExitClass, Status

from .house import House


def test_a_final_failure_is_not_tried_again() -> None:
    house = House({0: []})
    house.claim()
    house.sync(failed=[m.Failed(0, house.fence(0), ExitClass.USER, (), 0.5, True)])
    assert house.brain.view(0, house.now).status is Status.FAILED
