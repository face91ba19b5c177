"""Tasks that wait for each other in a circle, found without recursion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence


def find_cycle(nodes: Iterable[int], unmet: Callable[[int], Sequence[int]]) -> list[int]:
    """One circle among ``nodes`` as a list of indices in order of need; empty when there is none.

    unmet: what a node still waits for. Takes time and room in proportion to nodes and edges.

    >>> find_cycle([0, 1, 2], {0: [1], 1: [2], 2: [1]}.__getitem__)
    [1, 2]
    """
    among = set(nodes)
    state: dict[int, bool] = {}  # True: on the current way; False: leads to no circle
    for start in sorted(among):
        if start in state:
            continue
        way = [start]
        rest = [iter(unmet(start))]
        state[start] = True
        while way:
            for following in rest[-1]:
                if following not in among or state.get(following) is False:
                    continue
                if state.get(following):
                    return way[way.index(following) :]
                state[following] = True
                way.append(following)
                rest.append(iter(unmet(following)))
                break
            else:
                state[way.pop()] = False
                rest.pop()
    return []
