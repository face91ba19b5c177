"""Spans of time that were lived through: a short list of (after, upto], in order, none of which touch."""

from __future__ import annotations

MOST = 64  # of more the earliest is forgotten

Spans = list[list[float]]


def add(spans: Spans, after: float, upto: float) -> None:
    """Take in what lies later than ``after``, up to and with ``upto``.

    >>> spans = [[0.0, 10.0], [20.0, 30.0]]
    >>> add(spans, 10.0, 12.0)
    >>> spans
    [[0.0, 12.0], [20.0, 30.0]]
    >>> add(spans, 11.0, 25.0)
    >>> spans
    [[0.0, 30.0]]
    """
    if spans and spans[-1][0] <= after <= spans[-1][1] <= upto:  # time goes on
        spans[-1][1] = upto
        return
    touched = [span for span in spans if span[0] <= upto and after <= span[1]]
    new = [min([after, *(span[0] for span in touched)]), max([upto, *(span[1] for span in touched)])]
    spans[:] = sorted([*(span for span in spans if span not in touched), new])[-MOST:]


def holds(spans: Spans, at: float) -> bool:
    """Whether a moment lies in one of them.

    >>> holds([[0.0, 10.0]], 10.0), holds([[0.0, 10.0]], 0.0)
    (True, False)
    """
    return any(after < at <= upto for after, upto in spans)
