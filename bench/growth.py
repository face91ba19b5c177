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

    The curve a*n + b*n*n (a scan of all tasks for each of them) that is nearest in proportion, or a power of n where
    a or b would be negative.

    >>> round(fitted({250: 250 + 250**2, 500: 500 + 500**2}, 10_000))
    100010000
    """
    if len(costs) < 2 or max(costs) < 500:
        return None
    # cost/n = a + b*n, each point weighted by (n/cost)**2: least squares of relative errors
    rows = [(float(n), cost / n, (n / cost) ** 2) for n, cost in costs.items()]
    weight = sum(w for _, _, w in rows)
    middle_n = sum(w * n for n, _, w in rows) / weight
    middle_c = sum(w * c for _, c, w in rows) / weight
    square = sum(w * (n - middle_n) * (c - middle_c) for n, c, w in rows) / sum(w * (n - middle_n) ** 2 for n, _, w in rows)
    line = middle_c - square * middle_n
    if square >= 0 and line >= 0:
        return line * size + square * size * size
    slope, largest = exponent(costs), max(costs)
    return None if slope is None else costs[largest] * float((size / largest) ** slope)


def of_a_line(costs: Mapping[int, float]) -> float | None:
    """Cost of one more task between the smallest and the largest size: fixed costs fall out.

    >>> of_a_line({10: 30.0, 110: 130.0})
    1.0
    """
    low, high = min(costs, default=0), max(costs, default=0)
    return (costs[high] - costs[low]) / (high - low) if high > low else None
