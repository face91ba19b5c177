"""The history of runs without a server: what is packed reads as if each attempt had a row of its own."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from levada._model.ports import Attempt
from levada._store import history as module
from levada._store.history import FamilyEstimate, History, attempts_of
from levada.errors import StateFolderError

VERSION_1 = Path(__file__).with_name("history-1.db")
"""Made by the code of version 1: one run, six attempts of two families, the second and the fifth failed."""


def attempt(number: int, *, family: str = "Made", exit_class: str = "ok", seconds: float = 0.5, task: int | None = None) -> Attempt:
    """One attempt; ``number`` tells it from others."""
    at = number if task is None else task
    failed = exit_class != "ok"
    return Attempt(
        at.to_bytes(16, "big"), family, f'{{"at":"{at}"}}', 1, 1e9 + number, seconds, exit_class,
        f"ValueError: {number}\n" if failed else "", "0123456789abcdef" if failed else "", 0.25, number << 20, "pid 4711",
    )  # fmt: skip


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with closing(History(str(tmp_path))) as made:
        yield made


def written(history: History, *writes: Sequence[Attempt]) -> list[Attempt]:
    """Write so many times; all attempts, the newest first."""
    history.begin("Wanted()")
    for some in writes:
        history.add(some)
    return [one for some in reversed(writes) for one in reversed(some)]


# -- the same answers as from a list ---------------------------------------------------------------

ATTEMPTS = st.builds(
    attempt,
    st.integers(0, 1 << 31),
    family=st.sampled_from(["Made", "space.Other", "Größe", "Mad"]),
    exit_class=st.sampled_from(["ok", "ok", "ok", "user", "oom"]),
    seconds=st.floats(0, 1e6),
    task=st.integers(0, 9),
)


@given(writes=st.lists(st.lists(ATTEMPTS, max_size=12), max_size=5), pack=st.integers(1, 5), limit=st.integers(1, 30))
def test_packs_answer_as_a_list_would(writes: list[list[Attempt]], pack: int, limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder, closing(History(folder)) as history:
        patch.setattr(module, "PACK", pack)
        newest = written(history, *writes)
        assert history.recent(limit) == newest[:limit]
        assert history.recent(limit, failed=True) == [one for one in newest if one.exit != "ok"][:limit]
        assert list(attempts_of(history.path)) == newest[::-1]
        for family in ("Made", "Größe", "Absent"):
            assert history.recent(limit, family=family) == [one for one in newest if one.family == family][:limit]
        for key in {one.key for one in newest}:
            assert history.of(key, limit) == [one for one in newest if one.key == key][:limit]
        well = [one for one in newest if one.exit == "ok"]
        assert {family: known.attempts for family, known in history.estimates().items()} == {
            family: sum(one.family == family for one in well) for family in {one.family for one in well}
        }


def test_estimates_are_made_of_the_newest_successes(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ESTIMATED_FROM", 4)
    old = [attempt(n, seconds=100.0) for n in range(5)]
    new = [
        attempt(5, seconds=1.0),
        attempt(6, exit_class="user", seconds=50.0),
        attempt(7, seconds=2.0),
        attempt(8, family="Other", seconds=9.0),
    ]
    written(history, old, [*new, attempt(9, seconds=3.0)])
    assert history.estimates() == {"Made": FamilyEstimate(3, 2.0, 3.0), "Other": FamilyEstimate(1, 9.0, 9.0)}


def test_successes_of_a_task_are_found_among_the_newest_and_failures_among_all(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKED_AT", 5)
    first = [attempt(0, task=7), attempt(1, task=7, exit_class="user"), attempt(2, task=7), attempt(3, task=7)]
    written(history, first, [attempt(n) for n in range(10, 14)])
    assert history.of(first[0].key) == [first[3], first[1]]


def test_a_key_is_not_found_across_two_others(history: History) -> None:
    written(history, [attempt(1), attempt(2)])
    keys = attempt(1).key + attempt(2).key
    assert history.of(keys[3:19]) == []


def test_many_successes_share_a_row(history: History) -> None:
    written(history, [attempt(n) for n in range(2 * module.PACK)])
    with closing(sqlite3.connect(history.path)) as db:
        assert db.execute("select id, count from packs").fetchall() == [(module.PACK, module.PACK), (2 * module.PACK, module.PACK)]
        assert db.execute("select count(*) from attempts").fetchone() == (0,)


def test_writers_of_several_processes_number_on(history: History) -> None:
    with closing(History(str(Path(history.path).parent))) as other:
        written(history, [attempt(1), attempt(2, exit_class="user")])
        written(other, [attempt(3, exit_class="user"), attempt(4)])
        history.add([attempt(5)])
    assert [one.started - 1e9 for one in history.recent()] == [5, 4, 3, 2, 1]


# -- letting go --------------------------------------------------------------------------------------


def test_the_oldest_go_when_there_are_too_many(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_ATTEMPTS", 3)
    written(history, [attempt(1), attempt(2)], [attempt(3, exit_class="user")], [attempt(4), attempt(5)], [attempt(6)])
    history.end("ok", 5, 1, 1.0)
    assert [one.started - 1e9 for one in history.recent()] == [6, 5, 4]


def test_the_old_go_at_each_fiftieth_run(history: History) -> None:
    for _ in range(49):
        history.begin("Wanted()")
    history.add([attempt(1), attempt(2, exit_class="user"), attempt(3)])
    with closing(sqlite3.connect(history.path)) as db, db:
        db.execute("update packs set at = at - ? where id = 1", (module.KEPT_SECONDS + 60,))
    history.end("ok", 1, 1, 1.0)
    assert len(history.recent()) == 3
    history.begin("Wanted()")
    history.end("ok", 0, 0, 1.0)
    assert [one.started - 1e9 for one in history.recent()] == [3]


# -- files of before -----------------------------------------------------------------------------------


def test_a_file_of_version_1_is_read_and_added_to(tmp_path: Path) -> None:
    shutil.copyfile(VERSION_1, tmp_path / "history.db")
    old = [attempt(n, family="Made" if n < 4 else "Other", exit_class="user" if n in (2, 5) else "ok") for n in range(1, 7)]
    with closing(History(str(tmp_path))) as history:
        assert history.recent() == old[::-1]
        assert history.of(old[1].key) == [old[1]]
        assert history.of(old[2].key) == [old[2]]
        assert history.runs()[0].wanted == "Wanted()"
        assert {family: known.attempts for family, known in history.estimates().items()} == {"Made": 2, "Other": 2}

        new = [attempt(7), attempt(8, exit_class="oom"), attempt(3)]
        history.begin("Wanted again()")
        history.add(new)
        history.end("failed", 2, 1, 1.0)
        assert history.recent() == [*new[::-1], *old[::-1]]
        assert history.recent(failed=True) == [new[1], old[4], old[1]]
        assert history.of(old[2].key) == [new[2], old[2]]
        assert list(attempts_of(history.path)) == [*old, *new]
        assert [run.wanted for run in history.runs()] == ["Wanted again()", "Wanted()"]


def test_two_may_upgrade_a_file_at_once(tmp_path: Path) -> None:
    """Both have read the old version before the first of them writes."""
    shutil.copyfile(VERSION_1, tmp_path / "history.db")
    with closing(sqlite3.connect(tmp_path / "history.db")) as one, closing(sqlite3.connect(tmp_path / "history.db")) as other:
        module._upgrade(one, 1)
        module._upgrade(other, 1)
        assert other.execute("pragma user_version").fetchone() == (module.VERSION,)


def test_a_damaged_pack_is_told(history: History) -> None:
    written(history, [attempt(1)])
    with closing(sqlite3.connect(history.path)) as db, db:
        db.execute("update packs set data = substr(data, 1, 40)")
    with pytest.raises(StateFolderError, match=r"history\.db is damaged"):
        history.recent()
