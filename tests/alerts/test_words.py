from __future__ import annotations

import pytest

from levada._server.alerts.grouping import Part, Told
from levada._server.alerts.words import PARTS, headline_of, message, summary

TRACE = "Traceback (most recent call last):\n" + "".join(f"  frame {n}\n" for n in range(40)) + "ValueError: no flights for 2013-01-05\n"
KEY = "0" * 31 + "7"


def part(kind: str = "failed", state: str = "new", times: int = 1, **more: object) -> Part:
    base = Part(kind, state, "Load", TRACE, 1_000_000.0, times, times, times, (("task:" + KEY, "Load(day=2013-01-05)"),))
    return base._replace(**more)  # type: ignore[arg-type]  # fields by name


def test_one_failure_is_told_by_name_with_the_error_and_the_next_step() -> None:
    made = message(Told("", (part(),)), "https://levada.example.org/")
    assert made.title == "[levada] Load(day=2013-01-05) failed: ValueError: no flights for 2013-01-05"
    assert made.mood == "failure"
    for words in ("A task of Load failed, at 1970-01-12 13:46:40 UTC.", "It is:\n  Load(day=2013-01-05)", f"levada log {KEY}"):
        assert words in made.body
    assert made.body.endswith("https://levada.example.org/")
    assert "frame 39" in made.body
    assert "frame 3\n" not in made.body


def test_many_failures_are_told_with_their_number() -> None:
    made = message(Told("", (part(times=1000),)))
    assert made.title == "[levada] Load failed (1,000 times): ValueError: no flights for 2013-01-05"
    assert "1,000 tasks of Load failed for one cause, the first at" in made.body
    assert "For example:\n" in made.body


def test_one_that_failed_twice_is_not_two_tasks() -> None:
    assert "2 times a task of Load failed for one cause" in message(Told("", (part(times=2, open=1),))).body


def test_a_reminder_says_that_it_lasts_and_what_is_new() -> None:
    made = message(Told("", (part(state="still", times=5, since=2, open=4),)))
    assert made.title.startswith("[levada] still: Load failed (5 times)")
    assert "It lasts: 2 more since the last message, 5 times in all of Load" in made.body
    assert "4 not made by now" in made.body
    assert "nothing new since" in message(Told("", (part(state="still", since=0, examples=()),))).body


def test_that_it_is_over_is_good_news() -> None:
    made = message(Told("", (part(state="over", times=3),)))
    assert made.title == "[levada] recovered: Load (3 times)"
    assert made.mood == "success"
    assert "Well again" in made.body
    assert "ValueError" not in made.body


@pytest.mark.parametrize(
    ("kind", "words", "mood"), [("disabled", "was disabled", "failure"), ("deadline", "missed its deadline", "warning")]
)
def test_other_kinds_have_words_of_their_own(kind: str, words: str, mood: str) -> None:
    made = message(Told("", (part(kind),)))
    assert words in made.title
    assert made.mood == mood


def test_what_is_no_task_has_no_log() -> None:
    assert "levada log" not in message(Told("", (part("deadline", examples=(("goal 1", "nightly"),)),))).body


def test_several_causes_are_one_message() -> None:
    made = message(Told("", (part(), part("disabled", times=2), part(state="over"))))
    assert made.title == "[levada] 3 alerts: Load failed; Load was disabled (2); Load recovered"
    assert made.body.count("Load(day=2013-01-05)") == 2


def test_a_message_is_bounded() -> None:
    made = message(Told("", tuple(part(family="F" * 300) for _ in range(PARTS + 5))))
    assert "and 5 more causes" in made.body
    assert len(made.title) <= 200


def test_a_cause_without_words_is_told_all_the_same() -> None:
    made = message(Told("", (part(family="", text="", examples=(), times=2),)))
    assert made.title == "[levada] several families failed (2 times)"


def test_a_summary_names_the_first_of_what_was_held_back() -> None:
    made = summary(["a", "b"], 5, "https://x")
    assert made.title == "[levada] 5 more alerts"
    assert "- a\n- b\n- ... and 3 more\n\nhttps://x" in made.body
    assert "more\n" not in summary(["a"], 1).body


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        ("\n lost-worker: gone \n", "lost-worker: gone"),
        (TRACE, "ValueError: no flights for 2013-01-05"),
        (
            TRACE + "\nDuring handling of it, another came:\n\n" + TRACE.replace("ValueError", "KeyError"),
            "KeyError: no flights for 2013-01-05",
        ),
        ("x" * 500, "x" * 117 + "..."),
    ],
)
def test_the_headline_of_an_error(text: str, line: str) -> None:
    assert headline_of(text) == line
