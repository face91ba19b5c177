"""What fits to a pattern, what its groups say, and which patterns are refused."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from levada.errors import ConfigError, LevadaError
from levada.targets.patterns import Part, joined, read_pattern


@pytest.mark.parametrize(
    ("part", "name", "groups"),
    [
        ("{day}.csv", "2024-01-02.csv", {"day": "2024-01-02"}),
        ("{day}.csv", ".csv", None),
        ("{shop}-{day}.csv", "north-2024-01-02.csv", {"shop": "north", "day": "2024-01-02"}),
        ("part-*.csv", "part-.csv", {}),
        ("part-?.csv", "part-.csv", None),
        ("part-?.csv", "part-7.csv", {}),
        ("{a}?.csv", "xy.csv", {"a": "x"}),
        ("a*b*c", "aXbYbZc", {}),
        ("a*b*c", "acb", None),
        ("[x].csv", "x.csv", None),
        ("[x]*.csv", "[x]1.csv", {}),
        ("{{{day}}}", "{7}", {"day": "7"}),
        ("{day}", "größe ✓", {"day": "größe ✓"}),
        ("a.b", "axb", None),
        ("*", "", {}),
    ],
)
def test_a_name_fits_or_it_does_not(part: str, name: str, groups: dict[str, str] | None) -> None:
    found = Part(part).fits(name)
    assert (None if found is None else dict(found)) == groups


@pytest.mark.parametrize(
    "name",
    [
        "a.csv.part",
        "a.csv._COPYING_",
        "a.filepart",
        "a.crdownload",
        "a.tmp",
        "a.csv.partial",
        ".a.csv.Xy3z",
        ".a.csv.0123abcd.1.2.part",
        "_temporary",
        "a\nb",
        "a\x00",
        "a\udcff.csv",
        "a\u2028",
    ],
)
def test_what_is_not_whole_or_cannot_be_told_never_fits_to_a_wildcard(name: str) -> None:
    assert Part("*").fits(name) is None
    assert Part("{x}").fits(name) is None


def test_a_pattern_that_is_spelled_so_finds_what_is_left_out_else() -> None:
    assert Part("*.tmp").fits("a.tmp") == ()
    assert Part(".*").fits(".hidden") == ()
    assert Part(".*").fits(".a.csv.0123abcd.1.2.part") is None  # ours, whatever the pattern


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("/data/{day", "stands alone"),
        ("/data/day}", "stands alone"),
        ("/data/{}.csv", "no name"),
        ("/data/{2}.csv", "no name"),
        ("/data/{a b}.csv", "no name"),
        ("/data/{url}.csv", "already"),
        ("/data/{a}{b}.csv", "between two wildcards"),
        ("/data/{a}*.csv", "between two wildcards"),
        ("/data/{a}-{a}.csv", "twice"),
        ("/data/**/x.csv", "not walked"),
        ("s3://{bucket}/x.csv", "wildcard"),
        ("s3://bucket/", "names nothing"),
        ("", "names nothing"),
        ("/data/" + "*-" * 9, "wildcards"),
        ("/data/\n{a}", "control"),
    ],
)
def test_a_pattern_that_means_nothing_is_refused_with_what_to_write(pattern: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        read_pattern(pattern)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("pattern", "folder", "parts"),
    [
        ("s3://bucket/in/{day}/part-*.csv", "/in", 2),
        ("/data/in/{day}.csv", "/data/in", 1),
        ("/{day}.csv", "/", 1),
        ("s3://bucket/{day}.csv", "/", 1),
        ("{day}.csv", "", 1),
        ("in/{day}/x/y.csv", "in", 3),
        ("/data/in/today.csv", "/data/in", 1),
        ("file:///data/{x}/", "/data", 1),
    ],
)
def test_the_place_is_the_deepest_folder_without_a_wildcard(pattern: str, folder: str, parts: int) -> None:
    found = read_pattern(pattern)
    assert (found.folder, len(found.parts)) == (folder, parts)
    assert found.folders is pattern.endswith("/")


def test_a_group_in_several_parts_is_one_text() -> None:
    assert joined((("a", "1"),), (("a", "1"), ("b", "2"))) == (("a", "1"), ("b", "2"))
    assert joined((("a", "1"),), (("a", "2"),)) is None


@given(st.lists(st.sampled_from(["{a}", "{b}", "*", "?", "-", "x", ".csv", "{{", "}}"]), max_size=8), st.text("-x.csv{}ab", max_size=30))
def test_reading_raises_nothing_but_what_is_said_and_groups_are_never_empty(pieces: list[str], name: str) -> None:
    try:
        pattern = read_pattern("/in/" + "".join(pieces))
    except LevadaError:
        return
    groups = pattern.parts[-1].fits(name)
    assert groups is None or all(text for _, text in groups)


@given(st.lists(st.text("abc", min_size=1, max_size=4), min_size=2, max_size=4))
def test_what_a_pattern_was_filled_with_is_found_where_nothing_is_ambiguous(texts: list[str]) -> None:
    part = Part("-".join(f"{{g{at}}}" for at in range(len(texts))))
    assert part.fits("-".join(texts)) == tuple((f"g{at}", text) for at, text in enumerate(texts))


def test_no_name_makes_a_pattern_slow() -> None:
    part, began = Part("*a*a*a*a*a*a*b"), time.process_time()
    assert part.fits("a" * 1000) is None
    assert time.process_time() - began < 5  # with a search that goes back it would be hours
