"""Triggers as plain data, and the templates of their parameters."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from levada._model.templates import FIELDS, FIRE, check, fire_facts, parse, quote
from levada._model.triggers import (
    MISSED,
    ON_DEADLINE,
    OUTCOMES,
    OVERLAP,
    After,
    Arrival,
    Cron,
    Event,
    Every,
    Rule,
    Trigger,
    arrived,
    fields_of,
    trigger_from_json,
    trigger_to_json,
)
from levada.errors import ConfigError

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), min_size=1, max_size=20)
ZONES = st.sampled_from(["UTC", "Europe/Lisbon", "Australia/Lord_Howe", "Asia/Kathmandu"])
SECONDS = st.floats(1, 1e9)
WHENS = st.one_of(
    st.builds(Cron, WORDS, ZONES),
    st.builds(Every, SECONDS, ZONES, st.sampled_from(["", "2024-01-01T06:00", "2024-01-01T06:00+02:00"])),
    st.builds(Rule, WORDS, ZONES),
    st.builds(Arrival, st.sampled_from(["s3://in/{day}.csv", "in/{shop}/*.csv", "file:///x?"]), SECONDS),
    st.builds(Event, WORDS, st.dictionaries(WORDS, WORDS).map(lambda pairs: tuple(pairs.items()))),
    st.builds(After, st.lists(WORDS, min_size=1, max_size=3).map(tuple), st.sampled_from(OUTCOMES), st.booleans()),
)
TRIGGERS = st.builds(
    Trigger,
    name=st.from_regex(r"[A-Za-z0-9._-]{1,200}", fullmatch=True),
    family=NAMES,
    params=st.dictionaries(WORDS, WORDS.map(quote)).map(lambda pairs: tuple(pairs.items())),
    when=WHENS,
    module=st.none() | NAMES,
    jitter=SECONDS,
    start=st.sampled_from(["", "2024-01-01", "2024-01-01T00:00Z"]),
    end=st.sampled_from(["", "2030-01-01"]),
    overlap=st.sampled_from(OVERLAP),
    missed=st.sampled_from(MISSED),
    most=st.just(0),
    per=st.just(0.0),
    deadline=st.none() | SECONDS,
    on_deadline=st.sampled_from(ON_DEADLINE),
    paused=st.booleans(),
)


@given(TRIGGERS)
def test_a_trigger_reads_back_from_its_json_as_it_was(trigger: Trigger) -> None:
    text = json.dumps(trigger_to_json(trigger))
    assert trigger_from_json(json.loads(text), "here") == trigger
    assert type(trigger_from_json(json.loads(text), "here").when) is type(trigger.when)


GOOD: dict[str, object] = {
    "name": "daily",
    "family": "Report",
    "params": {"day": "{fire.day - 1}"},
    "when": {"kind": "cron", "line": "0 6 * * *", "zone": "Europe/Lisbon"},
}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "two words"}, r"name is 'two words'; expected letters, digits"),
        ({"name": "x" * 201}, "at most 200"),
        ({"name": None}, "name is None; expected text"),
        ({"famly": "x"}, r"there is no field 'famly'\n  Did you mean family"),
        ({"overlap": "skp"}, r"overlap is 'skp'; expected skip, queue_one, queue_all, cancel_old, allow\n  Did you mean skip"),
        ({"missed": 3}, "missed is 3; expected skip, last, each, merge"),
        ({"jitter": -1}, "jitter is -1; expected seconds, 0 or more"),
        ({"jitter": float("nan")}, "jitter is nan"),
        ({"jitter": True}, "jitter is True"),
        ({"most": 10}, "most is 10, and per 0; expected both or neither"),
        ({"paused": "no"}, "paused is 'no'; expected true or false"),
        ({"start": "tomorrow"}, "start is 'tomorrow'; expected a moment in ISO 8601"),
        ({"start": "2025-01-01", "end": "2025-01-01T00:00Z"}, "expected an end after the start"),
        ({"params": {"day": 3}}, "params is .*; expected a JSON object of texts"),
        ({"params": {"day": "{path.day}"}}, r"\{path.day\} is of an arrival, .* and this trigger has 'fire'"),
        ({"params": {"day": "{fire.dya}"}}, r"'fire' has no 'dya'\n  Did you mean \{fire.day\}"),
        ({"when": "daily"}, "when is 'daily'; expected a JSON object"),
        ({"when": {"kind": "corn"}}, "Did you mean cron"),
        ({"when": {"kind": "cron", "line": "0 6 * * *"}}, "when has no zone"),
        ({"when": {"kind": "cron", "line": "0 6 * * *", "zone": "Europe/Lisboa"}}, r"no time zone.*\n  Did you mean .*Europe/Lisbon"),
        ({"when": {"kind": "cron", "line": "0 6 * * *", "zone": "../etc/passwd"}}, "no time zone"),
        ({"when": {"kind": "every", "seconds": 0.5, "zone": "UTC"}}, "seconds is 0.5; expected seconds, 1 or more"),
        ({"when": {"kind": "arrival", "pattern": "s3://in/{day"}}, "pattern is .*; expected a URL or a path, with groups"),
        ({"when": {"kind": "arrival", "pattern": "in/{url}"}}, "no group called url or name"),
        ({"when": {"kind": "after", "of": []}}, "at least one"),
        ({"when": {"kind": "after", "of": ["A"], "outcome": "fine"}}, "expected done, failed, ended"),
    ],
)
def test_what_is_wrong_in_json_is_told_with_its_name_and_what_was_expected(change: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        trigger_from_json({**GOOD, **change}, "daily.json")


def test_a_day_is_the_zones_own() -> None:
    """At 22:00 in London it is the next day in Tokyo."""
    at = datetime(2024, 2, 29, 22, 30, tzinfo=UTC).timestamp()
    facts = {"fire": fire_facts(at, "Asia/Tokyo", at - 86400)}
    said = {name: parse(f"{{fire.{name}}}").fill(facts) for name in FIELDS}
    assert said == {
        "day": "2024-03-01",
        "hour": "2024-03-01T07",
        "minute": "2024-03-01T0730",
        "second": "2024-03-01T073000",
        "week": "2024-W09",
        "month": "2024-03",
        "year": "2024",
        "time": "2024-02-29T22:30:00+00:00",
    }
    assert {name: value for name, value in facts["fire"].items() if isinstance(value, str)} == {
        n: t for n, t in said.items() if n != "time"
    }
    assert parse("{fire.previous.day}").fill(facts) == "2024-02-29"
    assert parse("{fire.previous}").fill(facts) == "2024-02-28T22:30:00+00:00"
    assert parse("{fire.month - 14} {fire.year + 1} {fire.week - 9}{{}}").fill(facts) == "2023-01 2025 2023-W52{}"


def test_hours_are_those_that_passed() -> None:
    """An hourly schedule that makes the hour before: each hour that there was, and none that clocks skipped."""
    zone, template = "Europe/Berlin", parse("{fire.hour - 1}")
    start = datetime(2024, 3, 30, 23, tzinfo=UTC).timestamp()
    made = [template.fill({"fire": fire_facts(start + 3600 * n, zone, None)})[-5:] for n in range(4)]
    assert made == ["30T23", "31T00", "31T01", "31T03"]


def test_the_first_fire_is_its_own_previous_one() -> None:
    facts = {"fire": fire_facts(0.0, "UTC", None)}
    assert parse("{fire.previous.day}..{fire.day}").fill(facts) == "1970-01-01..1970-01-01"


@pytest.mark.parametrize(
    ("value", "expression", "text"),
    [
        ("2024-03-01", "{path.v - 1}", "2024-02-29"),
        ("2024-01", "{path.v-1}", "2023-12"),
        ("2024-01-01T00", "{ path.v - 1 }", "2023-12-31T23"),
        ("2024-01-01T0000", "{path.v + 61}", "2024-01-01T0101"),
        ("007", "{path.v + 3}", "010"),
        ("-7", "{path.v + 3}", "-4"),
        (7, "{path.v + 3}", "10"),
        ("anything", "{path.v}", "anything"),
    ],
)
def test_texts_of_paths_and_events_are_counted_on_by_their_form(value: object, expression: str, text: str) -> None:
    assert parse(expression).fill({"path": {"v": value}}) == text


def test_fields_of_events_may_lie_within_each_other() -> None:
    facts = {"event": {"detail": {"object-key": "a"}, "x.y": "b"}}
    assert parse("{event.detail.object-key}{event.x.y}").fill(facts) == "ab"


@pytest.mark.parametrize(
    ("text", "facts", "told"),
    [
        ("{path.day}", {"path": {"dya": "1"}}, "there is no 'day'\n  Did you mean dya"),
        ("{path.day}", {"fire": {}}, "nothing of 'path' here, only of fire"),
        ("{path.day - 1}", {"path": {"day": "x"}}, "'x' is nothing to count on from"),
        ("{path.day + 1}", {"path": {"day": "9999-12-31"}}, "nothing to count on from"),
        ("{event.a}", {"event": {"a": None}}, "is None; expected text or a number"),
        ("{event.a}", {"event": {"a": {"b": 1}}}, "expected text or a number"),
        ("{fire.day - 999999999}", {"fire": fire_facts(0.0, "UTC", None)}, "beyond the calendar"),
        ("{fire.month - 999999}", {"fire": fire_facts(0.0, "UTC", None)}, "beyond the calendar"),
    ],
)
def test_what_cannot_be_filled_in_says_why(text: str, facts: dict[str, dict[str, object]], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text).fill(facts)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "text", ["{", "}", "a{b", "{fire}", "{fire.}", "{fire.day -}", "{fire.day - x}", "{fire.day * 2}", "{}", "{0}", "{fire.day!r}"]
)
def test_what_is_no_template_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"other end|cannot be read"):
        parse(text)


def test_a_root_that_nobody_knows_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"speaks of 'fier'; expected fire, path, event, ended\n  Did you mean fire"):
        parse("{fier.day}")


@given(st.text())
def test_any_text_is_a_template_once_it_is_quoted(text: str) -> None:
    assert parse(quote(text)).fill({}) == text


@given(
    st.lists(st.one_of(WORDS.map(quote), st.sampled_from([f"{{fire.{name} - 3}}" for name in FIRE] + ["{path.a}", "{event.b.c-d + 7}"])))
)
def test_a_template_reads_back_from_its_text(parts: list[str]) -> None:
    template = parse("".join(parts))
    assert parse(str(template)) == template


@given(st.text(st.sampled_from("{}fire.day -+1path"), max_size=30))
def test_no_text_does_more_than_fail_in_words(text: str) -> None:
    try:
        parse(text).fill({"fire": fire_facts(0.0, "UTC", None), "path": {"day": "2024-01-01"}})
    except ConfigError:
        pass


@given(st.integers(-400, 400), st.dates(date(1980, 1, 1), date(2090, 1, 1)))
def test_days_count_on_the_calendar(shift: int, day: date) -> None:
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()
    filled = parse(f"{{fire.day {'-' if shift < 0 else '+'} {abs(shift)}}}").fill({"fire": fire_facts(at, "UTC", None)})
    assert filled == (day + timedelta(shift)).isoformat()


KINDS = {"day": ("date", False), "window": ("int", True), "shop": ("text", True), "maybe": ("int?", True), "odd": ("", True)}


@pytest.mark.parametrize(
    "params",
    [
        {"day": "{fire.day - 1}"},
        {"day": "2024-01-31", "window": "7", "shop": "north {fire.month}", "maybe": "None", "odd": "{fire.week}"},
        {"day": "{fire.previous.day}", "maybe": ""},
    ],
)
def test_parameters_that_fit_pass(params: dict[str, str]) -> None:
    check(params.items(), KINDS, {"fire"})


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({}, "day has no default and no value here\n  Say what it is to be at each fire, as in day={fire.day}."),
        ({"dya": "{fire.day}"}, "there is no parameter 'dya'; the parameters are day, window, shop, maybe, odd\n  Did you mean day"),
        ({"day": "{fire.day}", "window": "{fire.day}"}, "parameter window is a whole number, and {fire.day} is a day\n  Write window=7."),
        ({"day": "{fire.hour}"}, "parameter day is a day, and {fire.hour} is an hour\n  Write day={fire.day}."),
        ({"day": "{fire.previous}"}, "{fire.previous} is a moment"),
        ({"day": "x-{fire.day}"}, "'x-{fire.day}' is text with a fire time in it"),
        ({"day": "31.1.2024"}, "parameter day is a day, and '31.1.2024' is none\n  Write day={fire.day}."),
        ({"day": "{fire.day}", "maybe": "{fire.day}"}, "parameter maybe is a whole number"),
        ({"day": "{path.day}"}, "{path.day} is of an arrival"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_when_the_trigger_is_defined(params: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(params.items(), KINDS, {"fire"})
    assert told in str(caught.value)


def test_what_arrives_fits_a_pattern_or_not() -> None:
    assert arrived("in/{day}/{shop}-{day}.csv", "in/5/a-5.csv") == {"day": "5", "shop": "a", "url": "in/5/a-5.csv", "name": "a-5.csv"}
    assert arrived("in/{day}/{shop}-{day}.csv", "in/5/a-6.csv") is None
    assert arrived("in/*.{{x}}?", "in/a.{x}1") == {"url": "in/a.{x}1", "name": "a.{x}1"}
    assert arrived("in/*", "in/a/b") is None
    assert arrived("in/{day}", "in/") is None


def test_the_fields_that_a_trigger_has() -> None:
    assert fields_of(Arrival("in/{shop}/{day}.csv")) == {"path": {"shop", "day", "url", "name"}}
    assert set(fields_of(Cron("* * * * *", "UTC"))) == {"fire"}
    assert fields_of(Event("x")) == {"event": None}
    assert fields_of(After(("A",))) == {"ended": None}
