"""Seeded worlds: objects come, change and go, wishes change, stores fail, clocks leap; what is told is held against what was."""

from __future__ import annotations

import random

import pytest

from levada.targets.watching import Seen, Wanted

from .conftest import Counting, Watch

NAMES = [f"{folder}/{name}" for folder in ("a", "b", "b/1", "b/2", "b/1/x") for name in ("p.csv", "q.csv", "r.txt")]
WISHES = [
    *(Wanted(f"count://h/{name}") for name in NAMES),
    Wanted("count://h/a/{n}.csv", True),
    Wanted("count://h/b/{d}/{n}.csv", True, 5.0),
    Wanted("count://h/b/{d}/x/*.csv", True, 60.0),
    Wanted("count://h/{f}/?.txt", True, 10.0),
    Wanted("count://h/a/{n}.csv", True, 30.0, 4.0),
]
LONGEST = 61.0 + 300.0 + 8.0  # seconds until all is told: an interval, a penance, a settling


class World:
    """What is there, and what was told of it."""

    def __init__(self, seed: int, watch: Watch, store: Counting, *, remote: bool) -> None:
        self.dice, self.watch, self.store = random.Random(seed), watch, store
        store.promise = store.promise._replace(remote=remote)
        self.versions: dict[str, str] = {}
        self.told: dict[Wanted, dict[str, str]] = {}
        self.wanted: set[Wanted] = set()
        self.writes = 0

    def step(self) -> None:
        kind = self.dice.random()
        name = self.dice.choice(NAMES)
        if kind < 0.35:
            self.writes += 1
            self.versions[name] = f"e{self.writes}"
            self.store.add(f"/{name}", self.versions[name])
        elif kind < 0.45 and name in self.versions:
            del self.versions[name]
            self.store.drop(f"/{name}")
        elif kind < 0.55:
            self.wanted = set(self.dice.sample(WISHES, self.dice.randrange(len(WISHES))))
            self.watch.watching.want(self.wanted)
            self.told = {wish: told for wish, told in self.told.items() if wish in self.wanted}
        elif kind < 0.6:
            self.store.away = None if self.store.away else "away"
        elif kind < 0.65:
            self.watch.now += self.dice.choice([-7200.0, -100.0, 40000.0])
        elif kind < 0.75:
            self.watch.watching.nudge([f"count://h/{name}"])
        else:
            self.take(self.watch.look_until(self.dice.choice([0.1, 1, 5, 40])))

    def take(self, seen: list[Seen]) -> None:
        """Each thing that is told is there, as it is told: the store does not change while it is looked at."""
        for one in seen:
            name = one.url.removeprefix("count://h/")
            assert name in self.versions, "told of what is not there"
            assert one.etag in ("", self.versions[name])
            found = [wish for wish in self.wanted if self.fits(wish, name, one)]
            assert found, "told of what nobody wants"
            for wish in found:
                self.told.setdefault(wish, {})[name] = one.etag

    def fits(self, wish: Wanted, name: str, seen: Seen | None = None) -> bool:
        """Whether a name fits to a wish, by an understanding of patterns of its own."""
        wished, parts = wish.url.removeprefix("count://h/").split("/"), name.split("/")
        if not wish.pattern:
            return wished == parts and (seen is None or seen.groups == ())
        if len(wished) != len(parts):
            return False
        groups: list[tuple[str, str]] = []
        for want, part in zip(wished, parts, strict=True):
            before, brace, rest = want.partition("{")
            group, _, behind = rest.partition("}")
            if brace:
                if not (part.startswith(before) and part.endswith(behind) and len(part) > len(before + behind)):
                    return False
                groups.append((group, part[len(before) : len(part) - len(behind)]))
            elif not (part.endswith(want[1:]) if want[0] in "*?" else part == want):
                return False
        return seen is None or seen.groups == tuple(groups)

    def all_is_told(self) -> None:
        self.store.away = None
        self.take(self.watch.look_until(LONGEST))
        for wish in self.wanted:
            for name, version in self.versions.items():
                if self.fits(wish, name):
                    told = self.told.get(wish, {}).get(name)
                    assert told == version if wish.pattern else told is not None, (wish, name, told, version)
        assert self.watch.watching.troubles() == {}
        assert self.watch.look_until(LONGEST) == [], "told once"


@pytest.mark.parametrize("seed", range(40))
def test_no_world_loses_an_arrival_or_tells_of_what_is_not_there(seed: int, watch: Watch, counting: Counting) -> None:
    world = World(seed, watch, counting, remote=seed % 10 == 0)
    for _ in range(60):
        world.step()
    world.all_is_told()
    world.watch.want()
    assert not world.watch.watching._places
    assert not +world.watch.watching._folders
