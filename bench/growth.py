"""How a cost grows with the number of tasks, and what a fitted curve says beyond what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping


def exponent(costs: Mapping[int, float]) -> float | None:
    """The slope of log(cost) over log(size), least squares; 1 is linear. None with fewer than two sizes.

    >>> round(exponent({100: 2.0, 200: 8.0, 400: 32.0}), 6)
    2.0
    """
    points = [(math.log(size), math.log(cost)) for size, cost in costs.items() if size > 0 and cost > 0]
    if len(points) < 2:
        return None
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread


def fitted(costs: Mapping[int, float], size: int) -> float | None:
    """The cost at a size beyond the measured ones; None with fewer than two sizes, or none of 500 and more.

    The curve a*n + b*n*n through the largest two (a scan of all tasks for each of them), or a power of n where that does not fit.

    >>> round(fitted({250: 250 + 250**2, 500: 500 + 500**2}, 10_000))
    100010000
    """
    if len(costs) < 2 or max(costs) < 500:
        return None
    low, high = sorted(costs)[-2:]
    square = (costs[high] / high - costs[low] / low) / (high - low)
    line = costs[high] / high - square * high
    if square >= 0 and line >= 0:
        return line * size + square * size * size
    slope = exponent({low: costs[low], high: costs[high]})
    return None if slope is None else costs[high] * float((size / high) ** slope)


def of_a_line(costs: Mapping[int, float]) -> float | None:
    """Cost of one more task between the smallest and the largest size: fixed costs fall out.

    >>> of_a_line({10: 30.0, 110: 130.0})
    1.0
    """
    low, high = min(costs, default=0), max(costs, default=0)
    return (costs[high] - costs[low]) / (high - low) if high > low else None
