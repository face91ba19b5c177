"""Who may call luigid's paths: the rules of the server's own table hold for them, too."""

from __future__ import annotations

import json
import random
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from levada._core.laws import check as check_laws
from levada._model.status import Status
from levada._server.http.serve import WebServer
from levada._server.http.settings import Bind, Settings
from levada._wire.routes import ANYBODY, ROLES, Lane, Route
from levada._wire.routes import ROUTES as OURS
from levada.errors import LevadaError
from levada.luigi.guests.requests import ROUTES
from tests.luigi.test_desk import VERBS, Luigi, name_of
from tests.server.fake_host import TOKENS, FakeHost
from tests.server.hosting import Place
from tests.server.raw import Got, Raw

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def host() -> Iterator[FakeHost]:
    host = FakeHost()
    yield host
    host.close()


@pytest.fixture
def raw(host: FakeHost) -> Iterator[Raw]:
    web = WebServer(host, Settings(binds=(Bind("127.0.0.1", 0),)), version="9.9", guests=ROUTES)
    web.start()
    yield Raw(web.port)
    web.stop()


def send(raw: Raw, route: Route, role: str | None, **headers: str) -> Got:
    fields = {"worker": "w", "task_id": "A_1", "task_family": "A", "batched_args": [], "task_str": "", "resource": "r", "amount": 1, "n": 1}
    form = urlencode({"data": json.dumps({**fields, "message_id": "m", "task": "A_1"})})
    basic = {} if role is None else {"Authorization": "Basic " + b64encode(f"luigi:{TOKENS.get(role, role)}".encode()).decode()}
    if route.method == "GET":
        return raw.call("GET", f"{route.path}?{form}", token=None, headers={**basic, **headers})
    return raw.call("POST", route.path, form.encode(), token=None, headers={**FORM, **basic, **headers})


@pytest.mark.parametrize("route", ROUTES, ids=repr)
@pytest.mark.parametrize("role", [None, *ROLES, "lvd_wrong"], ids=str)
def test_each_path_is_open_to_its_roles_and_to_nobody_else(route: Route, role: str | None, host: FakeHost, raw: Raw) -> None:
    got = send(raw, route, role)
    if role in route.roles:
        assert got.status == 200, got
        assert [type(call.request) for call in host.calls] == [route.request]
    else:
        assert got.status == (403 if role in ROLES else 401), got
        assert host.calls == []


@pytest.mark.parametrize("route", ROUTES, ids=repr)
def test_no_page_of_another_site_may_call(route: Route, host: FakeHost, raw: Raw) -> None:
    assert send(raw, route, "admin", Origin="http://evil.example").code == "cross-site"
    assert send(raw, route, "admin", **{"Sec-Fetch-Site": "cross-site"}).code == "cross-site"
    assert send(raw, route, "admin", Host="evil.example").code == "wrong-host"
    assert host.calls == []


def test_a_cookie_opens_nothing(host: FakeHost, raw: Raw) -> None:
    path = raw.call("POST", "/v1/login-link", {}, token="admin").json["path"]
    cookie = raw.call("GET", path, token=None).headers["set-cookie"].partition(";")[0]
    got = send(raw, VERBS["task_list"], None, Cookie=cookie, Origin="http://localhost")
    assert got.code == "unauthenticated"
    assert host.calls == []


def test_the_table_says_what_ours_says() -> None:
    assert all(route.form and route.roles is not ANYBODY for route in ROUTES)
    assert len({(route.method, route.path) for route in (*OURS, *ROUTES)}) == len(OURS) + len(ROUTES)
    assert {route.path for route in ROUTES if route.lane is Lane.URGENT} == {"/api/ping"}
    assert all(route.lane is Lane.READ for route in ROUTES if route.method == "GET")
    assert not {route.name for route in ROUTES} & {route.name for route in OURS}


def test_a_body_over_the_limit_is_refused(host: FakeHost, raw: Raw) -> None:
    form = b"data=" + b"%20" * (6 << 20)
    basic = {"Authorization": "Basic " + b64encode(f"luigi:{TOKENS['worker']}".encode()).decode()}
    assert raw.call("POST", "/api/ping", form, token=None, headers={**FORM, **basic}).code == "too-large"
    assert host.calls == []


def test_only_a_guest_may_show_its_token_as_a_password(raw: Raw) -> None:
    basic = {"Authorization": "Basic " + b64encode(f"luigi:{TOKENS['admin']}".encode()).decode()}
    assert raw.call("GET", "/v1/status", token=None, headers=basic).code == "unauthenticated"


VALUES = (
    None, "", "w1", "x" * 600, "\ud7ff\U0010ffff", 0, 1, -1, 3.5, 1e18, True, [], ["a"], [1], {}, {"a": 1}, {"a": [1]}, {"a": None},
    "DONE", "FAILED", "PENDING", "RUNNING", "UNKNOWN", "DISABLED", "SUSPENDED", '"why"', {"retry_count": 0}, {"retry_count": 1e18, "x": -1},
)  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_no_call_of_whatever_kind_is_a_mistake_of_the_servers(seed: int, tmp_path: Path) -> None:
    """Workers that say anything in any order: each call is answered or refused, and the brain's laws hold."""
    dice = random.Random(seed)
    luigi = Luigi(Place("memory", tmp_path), lease=30)
    names = [name_of(one) for one in "abcdef"]
    try:
        for step in range(400):
            verb = dice.choice([*VERBS, "add_task", "add_task", "get_work", "get_work"])
            if verb == "add_task" and dice.random() < 0.8:
                data = sensible(dice, names)
            else:
                data = {name: dice.choice(VALUES) for name in VERBS[verb].request.__struct_fields__ if dice.random() < 0.7}
            data["worker"] = dice.choice(["w1", "w2"])
            if "task_id" in data or dice.random() < 0.5:
                data.setdefault("task_id", dice.choice(names))
            if verb == "get_work":
                data["current_tasks"] = dice.sample(names, dice.randrange(4))
            assert said(luigi, verb, data) != "internal", (step, verb, data)
            if step % 100 == 99:
                luigi.again()
        assert check_laws(luigi.host.brain) == []
        held = {guest.id: set(guest.held) for guest in luigi.host.guests.guests.values()}  # type: ignore[union-attr]
        state = luigi.host.brain.state
        running = [index for index, status in enumerate(state.status) if status == Status.RUNNING]
        assert all(index in held[state.holder[index]] for index in running), "nobody would ever report these"
    finally:
        luigi.host.stop()


def said(luigi: Luigi, verb: str, data: dict[str, object]) -> str:
    """The code of a refusal, "" for an answer."""
    try:
        luigi.rpc(verb, **data)
    except LevadaError as no:
        return no.code
    return ""


def sensible(dice: random.Random, names: list[str]) -> dict[str, object]:
    """What a worker might say of one of six tasks, not always in order."""
    at = dice.randrange(6)
    status = dice.choice(["PENDING", "PENDING", "DONE", "FAILED", "RUNNING", "UNKNOWN", "DISABLED"])
    return {
        "task_id": names[at],
        "family": "A",
        "module": dice.choice([None, "m", "__main__"]),
        "params": {"x": "abcdef"[at]},
        "status": status,
        "runnable": dice.choice([True, False, None]),
        "deps": dice.choice([None, names[at + 1 : at + 3]]),
        "new_deps": dice.choice([None, [], names[at + 1 : at + 2]]),
        "resources": dice.choice([{}, {"r": 1}, {"r": 0.5, "s": -1}]),
        "priority": dice.choice([0, 5, -1e18, 2.5]),
        "batchable": dice.choice([True, False]),
        "batch_id": dice.choice([None, None, "b"]),
        "expl": dice.choice([None, '"why"', "{", ["x"]]),
        "owners": dice.choice([None, ["ana", "a,b", "\n"]]),
    }
