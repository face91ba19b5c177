"""What is told, and when: over memory, local folders that are polled, and a store that counts its questions."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import levada as lv
from levada.targets import stores, watching
from levada.targets.watching import Seen, Wanted

from .conftest import Counting, Watch, urls


def write(path: str | Path, text: str = "x") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    lv.FileTarget(str(path), mode="replace").write_text(text)


# -- what is told --------------------------------------------------------------------------------


def test_what_is_there_is_told_once_and_what_comes_later_is_told_then(watch: Watch) -> None:
    lv.FileTarget("memory:///in/a.csv").write_text("1")
    watch.want("memory:///in/a.csv", "memory:///in/b.csv", "memory:///other/c.csv")
    assert urls(watch.look()) == ["memory:///in/a.csv"]
    assert watch.look_until(100) == []
    lv.FileTarget("memory:///other/c.csv").write_text("1")
    assert urls(watch.look_until(30)) == ["memory:///other/c.csv"]


def test_what_went_and_came_again_is_told_again(watch: Watch) -> None:
    target = lv.FileTarget("memory:///in/a.csv")
    watch.want("memory:///in/a.csv", "memory:///in/b.csv")
    for _ in range(3):
        target.write_text("1")
        assert urls(watch.look_until(40)) == [target.url]
        target.remove()
        assert watch.look_until(40) == []


def test_a_fresh_wish_for_what_is_there_is_told_though_others_were(watch: Watch) -> None:
    lv.FileTarget("memory:///in/a.csv").write_text("1")
    watch.want("memory:///in/a.csv")
    assert len(watch.look_until(5)) == 1
    watch.want()
    assert watch.look_until(5) == []
    watch.want("memory:///in/a.csv")
    assert len(watch.look_until(5)) == 1


def test_two_spellings_of_a_place_are_one_place_and_both_are_told(watch: Watch, tmp_path: Path) -> None:
    write(tmp_path / "a.csv")
    watch.want(f"{tmp_path}/a.csv", f"file://{tmp_path}/a.csv")
    assert urls(watch.look()) == sorted([f"{tmp_path}/a.csv", f"file://{tmp_path}/a.csv"])
    assert len(watch.watching._places) == 1


def test_a_pattern_tells_groups_and_tells_a_changed_object_again(watch: Watch, counting: Counting) -> None:
    watch.want("count://b/in/{shop}-{day}.csv", pattern=True)
    counting.add("/in/north-2024.csv", "e1")
    counting.add("/in/readme.txt")
    wanted = Wanted("count://b/in/{shop}-{day}.csv", pattern=True)
    assert watch.look() == [Seen("count://b/in/north-2024.csv", "e1", (("shop", "north"), ("day", "2024")), wanted)]
    assert watch.look_until(60) == []
    counting.add("/in/north-2024.csv", "e2")
    assert [one.etag for one in watch.look_until(30)] == ["e2"]
    counting.drop("/in/north-2024.csv")
    assert watch.look_until(30) == []
    counting.add("/in/north-2024.csv", "e2")
    assert [one.etag for one in watch.look_until(30)] == ["e2"]


def test_a_pattern_walks_into_folders_as_they_come_and_forgets_those_that_went(watch: Watch, counting: Counting) -> None:
    watch.want("count://b/in/{day}/x/{hour}-{day}.csv", pattern=True)
    counting.add("/in/1/x/07-1.csv")
    counting.add("/in/1/x/07-2.csv")  # the group is another text there
    counting.add("/in/2/y/08-2.csv")
    counting.add("/in/3")  # a file, no folder
    wanted = Wanted("count://b/in/{day}/x/{hour}-{day}.csv", pattern=True)
    assert watch.look_until(1) == [Seen("count://b/in/1/x/07-1.csv", "e1", (("day", "1"), ("hour", "07")), wanted)]
    counting.add("/in/2/x/08-2.csv")
    assert urls(watch.look_until(31)) == ["count://b/in/2/x/08-2.csv"]
    del counting.folders["/in"]["1"]
    watch.look_until(31)
    assert {place.folder for place in watch.watching._places.values()} == {"/in", "/in/2/x"}
    watch.want()
    assert not watch.watching._places
    assert watch.watching.next_look() == float("inf")


def test_a_pattern_that_ends_with_a_slash_waits_for_folders(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "day=1").mkdir()
    write(tmp_path / "day=2")
    watch.want(f"{tmp_path}/day={{day}}/", pattern=True)
    assert [(one.url, one.groups) for one in watch.look()] == [(f"{tmp_path}/day=1/", (("day", "1"),))]


def test_an_exact_target_may_be_a_folder_where_folders_exist(watch: Watch, counting: Counting, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    counting.add("/in/day/part-0")
    watch.want(f"{tmp_path}/out", f"{tmp_path}/out/", "count://b/in/day", "count://b/in/other")
    assert urls(watch.look_until(5)) == [f"{tmp_path}/out", f"{tmp_path}/out/"]


def test_what_is_being_written_does_not_count(watch: Watch, tmp_path: Path) -> None:
    watch.want(f"{tmp_path}/*", pattern=True)
    pending = lv.FileTarget(f"{tmp_path}/a.csv").open("w")
    with pending as out:
        out.write("x")
        out.flush()
        assert any(name.endswith(".part") for name in os.listdir(tmp_path))
        for name in ("b.tmp", "c.part", "d._COPYING_", ".e"):
            (tmp_path / name).touch()
        assert watch.look_until(40) == []
    assert urls(watch.look_until(30)) == [f"{tmp_path}/a.csv"]


def test_a_file_that_settles_is_told_when_it_has_stood_still(watch: Watch, tmp_path: Path) -> None:
    watch.want(f"{tmp_path}/{{day}}.csv", pattern=True, settle=10)
    for size in range(1, 4):
        (tmp_path / "1.csv").write_text("x" * size)
        assert watch.look_until(6) == []
    assert urls(watch.look_until(13)) == [f"{tmp_path}/1.csv"]
    assert watch.look_until(60) == []


def test_a_file_that_changes_is_told_again_only_at_rest(watch: Watch, tmp_path: Path) -> None:
    watch.want(f"{tmp_path}/{{day}}.csv", pattern=True)
    (tmp_path / "1.csv").write_text("x")
    assert len(watch.look()) == 1
    for size in range(2, 6):
        (tmp_path / "1.csv").write_text("x" * size)
        assert watch.look(1.6) == []
    assert len(watch.look_until(5)) == 1


def test_links_count_by_what_they_lead_to(watch: Watch, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.csv").symlink_to(tmp_path / "there")
    (folder / "circle.csv").symlink_to(folder / "circle.csv")
    exact = [f"{folder}/a.csv", f"{folder}/circle.csv", *(f"{folder}/{number}" for number in range(40))]  # enough for a listing
    watch.watching.want([Wanted(f"{folder}/*.csv", True), *map(Wanted, exact)])
    assert watch.look_until(31) == []
    write(tmp_path / "there")
    assert urls(watch.look_until(31)) == [f"{folder}/a.csv", f"{folder}/a.csv"]
    os.remove(tmp_path / "there")
    assert watch.look_until(31) == []
    write(tmp_path / "there", "again")
    assert len(watch.look_until(31)) == 2


def test_names_of_all_languages_are_told_and_bytes_that_are_none_are_left_out(watch: Watch, tmp_path: Path) -> None:
    write(tmp_path / "größe ✓ 日.csv")
    with open(os.fsencode(tmp_path) + b"/\xff.csv", "w"):
        pass
    (tmp_path / "line\nend.csv").touch()
    watch.want(f"{tmp_path}/{{x}}.csv", pattern=True)
    assert [one.groups for one in watch.look()] == [(("x", "größe ✓ 日"),)]
    assert watch.watching.troubles() == {}


def test_five_thousand_files_in_a_folder_are_told_each_once(watch: Watch, tmp_path: Path) -> None:
    names = [f"{number:04}.csv" for number in range(5000)]
    watch.watching.want([Wanted(f"{tmp_path}/{{n}}.csv", True), *(Wanted(f"{tmp_path}/{name}") for name in names[:2500])])
    assert watch.look() == []
    for name in names:
        (tmp_path / name).touch()
    seen = watch.look_until(31)
    assert len(seen) == 7500
    assert {dict(one.groups).get("n") for one in seen} == {None, *(name[:4] for name in names)}
    assert watch.look_until(31) == []


def test_paths_without_a_root_are_taken_from_the_current_folder(watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("a.csv")
    write("in/1.csv")
    watch.watching.want([Wanted("a.csv"), Wanted("{x}.csv", True), Wanted("in/{x}.csv", True), Wanted("in/none.csv")])
    assert urls(watch.look()) == ["a.csv", "a.csv", "in/1.csv"]


def test_a_scheme_that_is_kept_in_a_folder_is_watched_there(watch: Watch, tmp_path: Path) -> None:
    stores.set_root("hdfs", str(tmp_path))
    try:
        watch.watching.want([Wanted("hdfs://any/in/{x}.csv", True), Wanted("hdfs://any/in/7.csv")])
        assert watch.look() == []
        write(tmp_path / "in" / "7.csv")
        assert urls(watch.look_until(31)) == ["hdfs://any/in/7.csv"] * 2
    finally:
        stores.set_root("hdfs", None)


# -- how often -----------------------------------------------------------------------------------


def test_a_quiet_place_is_asked_more_and_more_rarely_up_to_its_interval(watch: Watch, counting: Counting) -> None:
    watch.want("count://b/in/a", "count://b/in/b", interval=60)
    watch.look_until(200)
    counting.listed.clear()
    watch.look_until(6000)
    assert counting.listed == {"/in": 100}
    counting.add("/in/a")
    while not watch.look_until(0.5):
        pass
    counting.listed.clear()
    watch.look_until(8)
    assert 2 <= counting.listed["/in"] <= 4, "quickly again after an arrival"


def test_the_shortest_wish_of_those_who_wait_counts_and_goes_with_them(watch: Watch, counting: Counting) -> None:
    slow = [Wanted("count://b/in/a", interval=100), Wanted("count://b/in/c", interval=100)]
    watch.watching.want([*slow, Wanted("count://b/in/b", interval=10)])
    watch.look_until(100)
    counting.listed.clear()
    watch.look_until(1000)
    assert counting.listed["/in"] == 100
    watch.watching.want(slow)
    watch.look_until(100)
    counting.listed.clear()
    watch.look_until(1000)
    assert counting.listed["/in"] in (10, 11)


def test_a_wish_that_is_said_again_costs_nothing(watch: Watch, counting: Counting) -> None:
    watch.want("count://b/in/a", "count://b/in/b")
    watch.look_until(300)
    before = sum(counting.listed.values())
    for _ in range(100):
        watch.want("count://b/in/a", "count://b/in/b")
        watch.look()
    assert sum(counting.listed.values()) <= before + 1


def test_places_that_were_wished_together_part(watch: Watch, counting: Counting) -> None:
    watch.want(*(f"count://b/{folder}/{name}" for folder in range(200) for name in "ab"))
    watch.look_until(300)
    assert len({round(place.due % 30) for place in watch.watching._places.values()}) > 15


@pytest.mark.slow
def test_a_hundred_thousand_targets_cost_one_listing_a_place_and_interval(watch: Watch, counting: Counting) -> None:
    wanted = [Wanted(f"count://b/f{number % 300:03}/{number}.csv") for number in range(100_000)]
    watch.watching.want(wanted)
    assert len(watch.watching._places) == 300
    watch.look_until(120)
    counting.listed.clear()
    watch.look_until(300)
    assert set(counting.listed.values()) == {10}
    assert len(counting.listed) == 300
    assert not counting.asked
    for number in range(0, 100_000, 1000):
        counting.add(f"/f{number % 300:03}/{number}.csv")
    assert len(watch.look_until(31)) == 100


def test_a_single_target_of_a_place_is_asked_by_itself_and_so_is_all_where_nothing_is_listed(watch: Watch, counting: Counting) -> None:
    watch.want("count://b/in/a")
    watch.look_until(10)
    assert counting.asked["/in/a"]
    assert not counting.listed
    counting.promise = counting.promise._replace(listing=False)
    watch.want(*(f"count://b/in/{name}" for name in "abc"))
    counting.add("/in/c")
    assert urls(watch.look_until(2)) == ["count://b/in/c"]
    assert not counting.listed


def test_a_pattern_in_a_store_that_does_not_list_is_a_trouble(watch: Watch, counting: Counting) -> None:
    counting.promise = counting.promise._replace(listing=False)
    watch.want("count://b/in/{x}", pattern=True)
    assert watch.look() == []
    assert "does not list" in watch.watching.troubles()["count://b/in"]


def test_a_huge_folder_is_not_listed_for_a_few_names(watch: Watch, counting: Counting) -> None:
    for number in range(10_100):
        counting.add(f"/in/{number}")
    watch.want("count://b/in/7", "count://b/in/none")
    assert urls(watch.look()) == ["count://b/in/7"]
    assert counting.asked["/in/none"]


def test_asking_one_by_one_goes_on_where_it_stopped(watch: Watch, counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("levada.targets.arrivals.AT_A_TIME", -1.0)
    counting.promise = counting.promise._replace(listing=False)
    for name in "abcd":
        counting.add(f"/in/{name}")
    watch.want(*(f"count://b/in/{name}" for name in "abcd"))
    assert len(watch.look()) == 1
    assert len(watch.look_until(10)) == 3


# -- nudges, clocks, and what cannot be asked ----------------------------------------------------


def test_a_nudge_asks_the_place_at_once(watch: Watch, counting: Counting) -> None:
    watch.watching.want([Wanted("count://b/in/a"), Wanted("count://b/in/b"), Wanted("count://b/days/{day}/x.csv", True)])
    watch.look_until(300)
    counting.add("/in/b")
    counting.add("/days/7/x.csv")
    assert watch.watching.next_look() > watch.now
    watch.watching.nudge(["count://b/in/b", "count://b/days/7/x.csv", "count://b/elsewhere/y", "other://c/d", "nonsense"])
    assert watch.watching.next_look() <= watch.now
    assert urls(watch.look_until(1)) == ["count://b/days/7/x.csv", "count://b/in/b"]


def test_many_nudges_are_one_question(watch: Watch, counting: Counting) -> None:
    watch.want("count://b/in/{x}", pattern=True)
    watch.look_until(300)
    counting.listed.clear()
    watch.watching.nudge(f"count://b/in/{number}" for number in range(1000))
    watch.look()
    assert counting.listed["/in"] == 1


def test_a_nudge_while_a_question_is_under_way_is_followed_by_another(
    watch: Watch, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer may be older than what the nudge is about."""
    monkeypatch.setattr(watching, "PATIENCE", 0.0)
    watch.want("count://b/in/{x}", pattern=True)
    counting.gate.clear()
    assert watch.look() == []
    watch.watching.nudge(["count://b/in/7"])
    assert watch.look() == []
    counting.gate.set()
    watch.watching.wait(30)
    asked = counting.listed["/in"]
    monkeypatch.setattr("levada.targets.watching.RESTS", 0)
    watch.look()
    watch.watching.wait(0.2)
    watch.look()
    assert counting.listed["/in"] == asked + 1


def test_a_nudge_for_what_cannot_be_seen_yet_is_followed_by_quick_looks(watch: Watch, counting: Counting) -> None:
    watch.want("count://b/in/{x}", pattern=True)
    watch.look_until(300)
    watch.watching.nudge(["count://b/in/7"])
    assert watch.look() == []
    counting.add("/in/7")
    assert len(watch.look_until(2)) == 1


@pytest.mark.parametrize("leap", [-3600.0, -1e9])
def test_a_clock_that_goes_back_delays_nothing(watch: Watch, counting: Counting, leap: float) -> None:
    watch.want("count://b/in/{x}", pattern=True)
    watch.look_until(300)
    counting.add("/in/7")
    assert len(watch.look(leap)) == 1
    counting.add("/in/8")
    assert len(watch.look_until(31)) == 1


def test_a_place_that_cannot_be_asked_is_a_trouble_and_asked_more_rarely(watch: Watch, counting: Counting) -> None:
    counting.add("/in/a")
    watch.want("count://b/in/a", "count://b/in/b")
    assert len(watch.look()) == 1
    counting.away = "no route"
    assert watch.look_until(30) == []
    assert "no route" in watch.watching.troubles()["count://b/in"]
    watch.look_until(600)
    counting.listed.clear()
    watch.look_until(3000)
    assert 9 <= counting.listed["/in"] <= 21
    counting.away = None
    assert watch.look_until(301) == [], "it was away, not absent: what was told is not told again"
    assert watch.watching.troubles() == {}


def test_what_cannot_be_watched_is_told_and_the_rest_is_watched(watch: Watch, tmp_path: Path) -> None:
    write(tmp_path / "a")
    watch.watching.want(
        [Wanted("/data/{x", True), Wanted("nobody://knows/this"), Wanted("file://host/x"), Wanted("/data/\0"), Wanted(f"{tmp_path}/a")]
    )
    assert urls(watch.look()) == [f"{tmp_path}/a"]
    troubles = watch.watching.troubles()
    assert "stands alone" in troubles["/data/{x"]
    assert "nobody" in troubles["nobody://knows/this"]
    watch.want(f"{tmp_path}/a")
    assert watch.watching.troubles() == {}


def test_a_trouble_is_a_line_of_text_whatever_the_store_said(watch: Watch, counting: Counting) -> None:
    counting.away = "two\nlines \udcff\x00" + "and more" * 1000
    watch.watching.want([Wanted("count://b/a\udcff/x"), Wanted("/data/\0/x")])
    watch.look()
    said = list(watch.watching.troubles().items())
    assert len(said) == 2
    for text in (text for pair in said for text in pair):
        assert text.encode().decode().isprintable()
        assert len(text) <= 1000


def test_a_folder_that_may_not_be_read_is_a_trouble(watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> object:  # root may read all, so it is played
        raise PermissionError(13, "Permission denied", path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        watch.want(f"{tmp_path}/{{x}}.csv", pattern=True)
        assert watch.look() == []
    assert "Permission denied" in watch.watching.troubles()[str(tmp_path)]
    write(tmp_path / "1.csv")
    assert len(watch.look_until(5)) == 1


def test_exact_targets_are_asked_for_one_by_one_where_listing_is_forbidden(
    watch: Watch, counting: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> object:
        raise PermissionError(13, "Permission denied")

    counting.add("/in/a")
    names = [f"{tmp_path}/{number}" for number in range(40)]
    write(names[7])
    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(counting, "list", refuse)
    watch.want("count://b/in/a", "count://b/in/b", *names)
    assert urls(watch.look()) == [names[7], "count://b/in/a"]
    assert watch.watching.troubles() == {}


def test_one_name_that_cannot_be_looked_at_spoils_no_other(
    watch: Watch, counting: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.stat

    def stat(path: str, **more: object) -> os.stat_result:
        if str(path).endswith("/locked.csv"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, **more)  # type: ignore[arg-type]

    write(tmp_path / "1.csv")
    write(tmp_path / "locked.csv")
    watch.watching.want([Wanted(f"{tmp_path}/{{x}}.csv", True), Wanted(f"{tmp_path}/1.csv"), Wanted(f"{tmp_path}/\0")])
    assert len(watch.look()) == 3
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stat)
        assert watch.look_until(40) == []
        assert "Permission" in watch.watching.troubles()[str(tmp_path)]
        write(tmp_path / "2.csv")
        assert urls(watch.look_until(40)) == [f"{tmp_path}/2.csv"]
    assert watch.look_until(40) == [], "what could not be looked at had not gone"
    assert watch.watching.troubles() == {}


def test_an_absent_folder_and_a_file_in_its_place_are_no_trouble(watch: Watch, tmp_path: Path) -> None:
    write(tmp_path / "file")
    watch.watching.want([Wanted(f"{tmp_path}/none/{{x}}.csv", True), Wanted(f"{tmp_path}/file/x"), Wanted(f"{tmp_path}/file/{{x}}", True)])
    assert watch.look_until(40) == []
    assert watch.watching.troubles() == {}


def test_a_store_that_hangs_delays_no_other(watch: Watch, counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PATIENCE", 0.05)
    other = Counting()
    stores.register_scheme("quick", lambda authority: other)
    try:
        counting.gate.clear()
        other.add("/in/a")
        watch.want(*(f"count://b/{folder}/{name}" for folder in range(20) for name in "ab"), "quick://b/in/a", "quick://b/in/b")
        assert urls(watch.look()) == ["quick://b/in/a"]
        other.add("/in/b")
        assert urls(watch.look_until(60)) == ["quick://b/in/b"]
        counting.add("/3/a")
        counting.gate.set()
        assert urls(_within(10, watch.look)) == ["count://b/3/a"]
    finally:
        stores._factories.pop("quick")
        stores._drop("quick")


def test_a_question_without_an_answer_is_given_up_and_its_late_answer_is_not_taken(
    watch: Watch, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "PATIENCE", 0.02)
    monkeypatch.setattr(watching, "NO_ANSWER", 0.1)
    counting.gate.clear()
    watch.want("count://b/in/{x}", pattern=True)
    assert watch.look() == []
    time.sleep(0.15)
    assert watch.look() == []
    assert "no answer" in watch.watching.troubles()["count://b/in"]
    watch.look(400)  # another thread hangs
    time.sleep(0.15)
    watch.look()
    watch.look(400)  # and then none is tried any more
    assert "still not answered" in watch.watching.troubles()["count://b/in"]
    assert sum("levada-watch" in thread.name for thread in threading.enumerate()) <= 2
    counting.add("/in/7")
    counting.gate.set()
    monkeypatch.setattr(watching, "NO_ANSWER", 60.0)
    assert len(_within(10, lambda: watch.look(400))) == 1
    assert watch.watching.troubles() == {}


def test_waiting_ends_when_a_far_place_answers_or_somebody_nudges(
    watch: Watch, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "PATIENCE", 0.0)
    counting.gate.clear()
    counting.add("/in/a")
    watch.want("count://b/in/{x}", pattern=True)
    assert watch.look() == []
    threading.Timer(0.05, counting.gate.set).start()
    watch.watching.wait(30)
    assert len(watch.look()) == 1
    threading.Timer(0.05, watch.watching.nudge, (["count://b/in/b"],)).start()
    watch.watching.wait(30)
    assert watch.watching.next_look() <= watch.now


def test_a_pattern_with_very_many_folders_is_bounded_and_says_so(watch: Watch, counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "FOLDERS", 10)
    for number in range(12):
        counting.add(f"/in/{number}/x")
    watch.want("count://b/in/{day}/x", pattern=True)
    assert len(watch.look()) == 10
    assert "more than 10 folders" in watch.watching.troubles()["count://b/in/{day}/x"]


def test_a_folder_of_too_many_names_for_a_pattern_is_a_trouble(watch: Watch, counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("levada.targets.arrivals.MOST_ENTRIES", 10)
    for number in range(12):
        counting.add(f"/in/{number}")
    watch.want("count://b/in/{x}", pattern=True)
    assert watch.look() == []
    assert "more than 10 names" in watch.watching.troubles()["count://b/in"]


def _within(seconds: float, look: Callable[[], list[Seen]]) -> list[Seen]:
    """What is seen at last, by real time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seen = look()
        if seen:
            return seen
        time.sleep(0.01)
    return []
