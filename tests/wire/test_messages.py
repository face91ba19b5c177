"""Messages against the words of the model, their limits, and what an older or newer side makes of them."""

from __future__ import annotations

import json
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from levada._model.ports import Attempt
from levada._model.spec import Policy, Retry
from levada._model.status import ExitClass, Status
from levada._wire import limits
from levada._wire import messages as m
from levada._wire import operators as o
from levada._wire import triggers as t
from levada._wire.check import assemble, check, decode, deepest
from levada._wire.kinds import Answer, Item, Request, Row, StatusName
from levada._wire.openapi import description
from levada._wire.problems import KINDS, Problem, Refusal, error_of, problem_of
from levada._wire.routes import ANYBODY, BY_REQUEST, PAGES, ROLES, ROUTES, Lane, Table
from levada._wire.versions import choose_version, limits_told
from levada.errors import InvalidCommand, LeaseLost, StoreBroken, StoreFull

KEY = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32
TABLE = Table()


def read(request: type[Request], **fields: Any) -> Any:
    return decode(BY_REQUEST[request], json.dumps(fields).encode())


def refused(function: Any, *given: Any) -> str | None:
    try:
        function(*given)
    except Refusal as refusal:
        return refusal.code
    return None


def code(request: type[Request], **fields: Any) -> str:
    with pytest.raises(Refusal) as caught:
        read(request, **fields)
    return str(caught.value.code)


# -- one list of words ------------------------------------------------------------------------------


def test_statuses_and_exits_are_the_models_own() -> None:
    assert get_args(StatusName) == tuple(str(status) for status in Status)
    assert m.FailedItem.__annotations__["exit"] in ("ExitClass", ExitClass)


def test_policies_retries_and_attempts_have_the_models_fields() -> None:
    assert m.RetrySpec.__struct_fields__ == Retry._fields
    assert {*m.PolicySpec.__struct_fields__} == {*Policy._fields} - {"module"}  # which stands beside each task
    assert m.AttemptItem.__struct_fields__ == ("key", "family", "params", *Attempt._fields[3:])
    defaults = Retry()
    assert all(getattr(m.RetrySpec(), name) == getattr(defaults, name) for name in Retry._fields if name != "exceptions")


def test_messages_of_workers_are_those_that_are_promised() -> None:
    """PROTOCOL: Hello, AddTasks, Sync, Renew, Confirm, Bye; and three that ask or stream; and those of agents."""
    workers = {route.request for route in ROUTES if route.roles == frozenset({"worker", "admin"})}
    agents = {t.Offer, t.Take, t.ReportGoal, t.Arrivals, t.LeaveAgent}
    assert workers == {m.Hello, m.AddTasks, m.Sync, m.Renew, m.Confirm, m.Bye, m.Logs, m.Specs, m.Standing} | agents
    assert {route.request for route in ROUTES if route.lane is Lane.URGENT} == {m.Renew, m.Confirm}
    assert {request for request in workers if "seq" in request.__struct_fields__} == {m.AddTasks, m.Sync, m.Bye}


# -- strict one way, lenient the other ---------------------------------------------------------------


def kinds_below(kind: Any) -> set[type]:
    found: set[type] = set()
    left = [inspect.type_info(kind)]
    while left:
        info: Any = left.pop()
        if isinstance(info, inspect.StructType) and info.cls not in found:
            found.add(info.cls)
            left += [field.type for field in info.fields]
        elif isinstance(info, (inspect.Metadata, inspect.UnionType)):
            left += info.types if isinstance(info, inspect.UnionType) else [info.type]
        elif isinstance(info, inspect.ListType):
            left.append(info.item_type)
    return found


@pytest.mark.parametrize("route", ROUTES, ids=repr)
def test_requests_refuse_what_they_do_not_know_and_answers_may_grow(route: Any) -> None:
    assert all(issubclass(kind, (Request, Item)) and kind.__struct_config__.forbid_unknown_fields for kind in kinds_below(route.request))
    assert all(issubclass(kind, (Answer, Row)) and not kind.__struct_config__.forbid_unknown_fields for kind in kinds_below(route.answer))


@pytest.mark.parametrize("route", ROUTES, ids=repr)
def test_every_text_list_and_number_of_a_request_has_a_limit(route: Any) -> None:
    left: list[tuple[str, Any, bool]] = [(kind.__name__, inspect.type_info(kind), False) for kind in kinds_below(route.request)]
    while left:
        where, info, _ = left.pop()
        if isinstance(info, inspect.StructType):
            left += [(f"{info.cls.__name__}.{field.name}", field.type, False) for field in info.fields]
        elif isinstance(info, inspect.UnionType):
            left += [(where, each, False) for each in info.types]
        elif isinstance(info, inspect.Metadata):
            left.append((where, info.type, False))
        elif isinstance(info, inspect.ListType):
            assert info.max_length is not None, where
            if not isinstance(info.item_type, inspect.StructType):
                left.append((where, info.item_type, False))
        elif isinstance(info, inspect.StrType):
            assert info.max_length is not None, where
        elif isinstance(info, (inspect.IntType, inspect.FloatType)):
            assert {info.ge, info.gt} != {None}, where
            assert {info.le, info.lt} != {None}, where


def test_a_newer_answer_is_understood() -> None:
    newer = b'{"epoch":3,"granted":[["%s",3,1,1,60.0,[],"more"]],"more":{"x":1}}' % KEY.encode()
    answer = msgspec.json.decode(newer, type=m.SyncAnswer)
    assert answer.granted == [m.GrantRow(KEY, 3, 1, 1, 60.0)]


def test_an_older_answer_is_understood() -> None:
    assert msgspec.json.decode(b'{"epoch":3,"granted":[["%s",3,1,1,60]]}' % KEY.encode(), type=m.SyncAnswer).granted[0].batch == []


@pytest.mark.parametrize(("offered", "spoken", "chosen"), [([1], (1,), 1), ([1, 2, 3], (2, 3), 3), ([2], (1, 2), 2)])
def test_the_newest_common_version_is_spoken(offered: list[int], spoken: tuple[int, ...], chosen: int) -> None:
    assert choose_version(offered, spoken) == chosen


@pytest.mark.parametrize(("offered", "who"), [([9], "server"), ([0], "client"), ([3, 4], "server")])
def test_sides_without_a_common_version_are_told_who_is_old(offered: list[int], who: str) -> None:
    with pytest.raises(Refusal, match=f"Upgrade the {who}") as caught:
        choose_version(offered, (1, 2))
    assert (caught.value.code, caught.value.status) == ("wire-version", 409)


# -- what the decoder cannot see -----------------------------------------------------------------


@pytest.mark.parametrize("bad", ["", KEY[:-1], KEY + "0", KEY.upper(), "g" * 32, " " * 32, "\u0661" * 32, KEY[:-1] + "\n"])
def test_a_key_is_32_lower_case_hex_digits_wherever_it_stands(bad: str) -> None:
    fenced = {"key": bad, "epoch": 1, "number": 1}
    assert code(m.Renew, session=bad, held=[]) == "invalid-message"
    for fields in (
        {"done": [[bad, 1, 1]]},
        {"failed": [{**fenced, "exit": "user"}]},
        {"handed_back": [fenced]},
        {"suspended": [{**fenced, "requires": KEY}]},
        {"found": [KEY, bad, KEY]},
        {"attempts": [[bad, "A", "{}", 1, 0, 0, "ok"]]},
    ):
        assert code(m.Sync, session=KEY, seq=1, **fields) == "invalid-message"
    if bad:
        assert code(m.AddTasks, session=KEY, seq=1, growth=[[KEY, bad, True]]) == "invalid-message"


@pytest.mark.parametrize("char", ["\0", "\n", "\x1b", "\x7f", "\x85", "\u2028"])
def test_names_hold_no_control_characters_wherever_they_stand(char: str) -> None:
    bad = f"a{char}b"
    task = [KEY, 0, "{}"]
    for fields in (
        {"policies": [{"family": bad}]},
        {"policies": [{"family": "A", "resources": [[bad, 1]]}]},
        {"policies": [{"family": "A", "retry": {"exceptions": [[bad, 1]]}}]},
        {"policies": [{"family": "A"}], "tasks": [[*task, bad]]},
        {"policies": [{"family": "A"}], "tasks": [[*task, None, 0, bad]]},
    ):
        assert code(m.AddTasks, session=KEY, seq=1, **fields) == "invalid-message"
    assert code(m.Hello, session=KEY, wire=[1], levada="1", modules=["ok", bad]) == "invalid-message"
    assert (
        code(m.Sync, session=KEY, seq=1, failed=[{"key": KEY, "epoch": 1, "number": 1, "exit": "user", "errors": [bad]}])
        == "invalid-message"
    )


def test_names_hold_any_letters_else() -> None:
    for name in ("flights.Aggregate", "наука", "数据", "عربي", "e\u0301", "🌊 with blanks", "zero\u200dwidth"):
        assert read(m.AddTasks, session=KEY, seq=1, policies=[{"family": name}]).policies[0].family == name


def test_nul_is_refused_in_every_text_and_its_spelling_is_not() -> None:
    attempt = [KEY, "A", "{}", 1, 0, 0, "user", "a\0b"]
    assert code(m.Sync, session=KEY, seq=1, attempts=[attempt]) == "invalid-message"
    assert read(m.Sync, session=KEY, seq=1, attempts=[[*attempt[:-1], "a\\u0000b"]]).attempts[0].error == "a\\u0000b"


def test_texts_of_logs_and_errors_keep_their_lines() -> None:
    text = "Traceback\n\tline\r\n\x1b[31mred"
    assert read(m.Logs, session=KEY, chunks=[{"key": KEY, "epoch": 1, "number": 1, "offset": 0, "text": text}]).chunks[0].text == text


def test_a_plan_that_contradicts_itself_is_refused() -> None:
    policies = [{"family": "A"}]
    assert code(m.AddTasks, session=KEY, seq=1, policies=policies, tasks=[[KEY, 1, "{}"]]) == "invalid-message"
    assert code(m.AddTasks, session=KEY, seq=1, tasks=[[KEY, 0, "{}"]]) == "invalid-message"
    assert code(m.AddTasks, session=KEY, seq=1, policies=policies, tasks=[[KEY, 0, "{}"]] * 2) == "invalid-message"
    for resources in ([["b", 1], ["a", 1]], [["a", 1], ["a", 1]]):
        assert code(m.AddTasks, session=KEY, seq=1, policies=[{"family": "A", "resources": resources}]) == "invalid-message"


@pytest.mark.parametrize(
    ("request_type", "body", "said"),
    [
        (m.Sync, '{"session": "K", "seq": 1, "room": "x"}', "room: expected a whole number, got a text"),
        (m.Sync, '{"session": "K", "seq": 1, "room": -1}', "room: expected a whole number, 0 or more"),
        (m.Sync, '{"session": "K"}', "the field 'seq' is missing"),
        (m.Sync, '{"session": "short", "seq": 1}', "session: expected 32 lower-case hex digits"),
        (m.Sync, '{"session": "K", "seq": 1, "done": [["K", 1, "x"]]}', "done[0][2]: expected a whole number, got a text"),
        (m.Sync, '{"session": "K", "seq": 1, "rom": 1}', "there is no field 'rom'"),
        (m.Sync, "[]", "expected an object, got a list"),
        (m.Sync, "{", "the body is no JSON: "),
        (o.CreateToken, '{"role": "boss"}', "role: got 'boss', expected one of admin, operator, viewer, worker"),
        (o.CreateToken, '{"role": "viewer", "days": 0}', "days: expected a number, more than 0"),
        (o.CreateToken, '{"role": "viewer", "label": "%s"}' % ("x" * 600), "label: expected a text of at most 512 characters"),
    ],
)
def test_a_refusal_says_in_words_which_field_is_wrong_and_what_was_expected(request_type: Any, body: str, said: str) -> None:
    with pytest.raises(Refusal) as raised:
        decode(BY_REQUEST[request_type], body.replace('"K"', f'"{KEY}"').encode())
    assert raised.value.message.startswith(said)
    assert "`" not in raised.value.message
    assert raised.value.hint


def test_limits_are_where_they_are_said_to_be() -> None:
    policies = [{"family": "A"}]
    keys = [f"{n:032x}" for n in range(limits.TASKS + 1)]
    tasks = [[key, 0, "{}"] for key in keys]
    assert len(read(m.AddTasks, session=KEY, seq=1, policies=policies, tasks=tasks[:-1]).tasks) == limits.TASKS
    assert code(m.AddTasks, session=KEY, seq=1, policies=policies, tasks=tasks) == "invalid-message"
    assert read(m.AddTasks, session=KEY, seq=1, growth=[[KEY, OTHER * limits.EDGES, True]])
    assert code(m.AddTasks, session=KEY, seq=1, growth=[[KEY, OTHER * (limits.EDGES + 1), True]]) == "invalid-message"
    assert code(m.AddTasks, session=KEY, seq=1, policies=policies, tasks=[[KEY, 0, "x" * (limits.SPEC + 1)]]) == "invalid-message"
    assert code(m.AddTasks, session=KEY, seq=1, policies=policies, tasks=[[KEY, 0, "é" * (limits.SPEC // 2 + 1)]]) == "invalid-message"
    assert code(m.AddTasks, session=KEY, seq=1, policies=policies, tasks=[[KEY, 0, "[" * 33 + "]" * 33]]) == "invalid-message"
    assert read(m.AddTasks, session=KEY, seq=1, policies=policies, tasks=[[KEY, 0, "[" * 32 + "]" * 32]])
    assert limits_told().tasks == limits.TASKS


@given(st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_depth_is_counted_as_json_nests(value: Any) -> None:
    def depth(at: Any) -> int:
        below = at.values() if isinstance(at, dict) else at if isinstance(at, list) else None
        return 0 if below is None else 1 + max(map(depth, below), default=0)

    assert deepest(json.dumps(value)) == depth(value)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_decoder(data: bytes) -> None:
    for route in (BY_REQUEST[m.Sync], BY_REQUEST[m.AddTasks], BY_REQUEST[o.CreateToken]):
        assert refused(decode, route, b"\x00" + data) == "malformed"
        assert refused(decode, route, data) in ("malformed", "invalid-message")


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_path_or_query_breaks_the_reader(part: str, query: str) -> None:
    from urllib.parse import quote

    route = BY_REQUEST[o.SetResource]
    assert refused(assemble, route, f"/v1/resources/{quote(part, safe='')}", b"", b'{"total": 1}') in (None, "invalid-message")
    assert refused(assemble, BY_REQUEST[o.Tasks], "/v1/tasks", query.encode(), b"") in (None, "malformed", "invalid-message")


def test_a_request_comes_back_from_its_bytes_as_it_was() -> None:
    request = m.Sync(
        session=KEY,  # every field filled
        seq=4,
        done=[],
        failed=[m.FailedItem(KEY, 1, 2, ExitClass.OOM, ["MemoryError"], 0.25, True)],
        handed_back=[m.HandedBackItem(KEY, 1, 2, 1.5, "elsewhere")],
        suspended=[m.SuspendedItem(KEY, 1, 2, OTHER)],
        found=[OTHER],
        room=3,
        wait=1.5,
        attempts=[m.AttemptItem(KEY, "A", "{}", 1, 1.5, 2.5, ExitClass.USER, "Traceback", "ab", 0.5, 7, "w")],
    )
    assert decode(BY_REQUEST[m.Sync], msgspec.json.encode(request)) == request
    check(request, may_hold_nul=True)


# -- the table ------------------------------------------------------------------------------------


def test_each_route_has_its_own_name_request_and_place() -> None:
    assert len({route.name for route in ROUTES}) == len({route.request for route in ROUTES}) == len(ROUTES)
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
    assert all(set(route.fields) <= set(route.request.__struct_fields__) for route in ROUTES)
    assert all(route.roles <= set(ROLES) for route in ROUTES)


def test_what_changes_is_never_a_get_and_what_is_read_is_no_command() -> None:
    for route in ROUTES:
        assert route.changes == (route.method != "GET" and route.lane is not Lane.READ)
        assert not (route.audited and route.method == "GET")
        assert "admin" in route.roles or route.roles is ANYBODY


@pytest.mark.parametrize("route", ROUTES, ids=repr)
def test_each_route_is_found_by_its_path_and_no_other(route: Any) -> None:
    path = "/" + "/".join("x" if part.startswith("{") else part for part in route.parts)
    assert TABLE.find(path)[0][route.method] is route
    assert route not in TABLE.find(path + "/")[0].values()
    assert route not in TABLE.find("/x" + path)[0].values()


@pytest.mark.parametrize(
    "path", ["", "/", "/v1", "/v1/tasks/", "/v1/tasks//why", "v1/tasks", "/v1/tasks/a/b/c", "/v2/tasks", "//v1/tasks", "/" * 5000]
)
def test_other_paths_lead_nowhere(path: str) -> None:
    assert TABLE.find(path)[0] == {}


# -- refusals --------------------------------------------------------------------------------------


def test_a_refusal_comes_back_as_it_was_sent() -> None:
    sent = Refusal("out-of-step", "number 7 is not 5", hint="Say hello again.", retry_after=2)
    document = msgspec.json.decode(msgspec.json.encode(problem_of(sent)), type=Problem)
    assert (document.status, document.type) == (409, "urn:levada:error:out-of-step")
    back = error_of(document, retry_after=2)
    assert (back.code, back.message, back.hint, back.retry_after) == (sent.code, sent.message, sent.hint, 2)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidCommand("task 7 is not known"), 422),
        (LeaseLost("task", held="1.1", newest="1.2"), 409),
        (StoreFull("/var/lib/x is full"), 507),
        (StoreBroken("/dev/sda1: EIO"), 503),
    ],
)
def test_errors_of_the_house_have_a_status_and_those_of_the_store_no_places(error: Any, status: int) -> None:
    document = problem_of(error)
    assert document.status == status
    assert "/" not in document.detail + document.hint


def test_statuses_of_refusals_are_refusals() -> None:
    assert all(400 <= kind.status < 600 and kind.title for kind in KINDS.values())


# -- the page of the interface -------------------------------------------------------------------------


def test_the_interface_is_described_whole() -> None:
    page = description("1.2")
    text = json.dumps(page)
    assert set(page["paths"]) == {route.path for route in ROUTES} | {*PAGES}
    for route in ROUTES:
        operation = page["paths"][route.path][route.method.lower()]
        named = {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "path"}
        assert named == set(route.fields)
        assert ("requestBody" in operation) == (route.method != "GET")
    for reference in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert reference in page["components"]["schemas"]
