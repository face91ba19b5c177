"""People at a real server over HTTP: what they ask reaches the host, and what it answers reaches them."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from levada._server.host import Host, Rules
from levada._server.http.serve import WebServer
from levada._server.http.settings import Bind, Settings
from levada._server.http.tokens import new_token
from levada._store.opening import open_store
from levada._store.ports import TokenRow
from tests.server.hosting import S1, key


class People:
    """A server, and a token for each role."""

    def __init__(self, folder: Path) -> None:
        self.host = Host(open_store(str(folder / "levada.db"), synchronous="normal"), Rules(), version="9.9")
        made = {role: new_token() for role in ("viewer", "operator", "worker", "admin")}
        rows = [TokenRow(f"id-{role}", one.digest, role, "", "", 1.0, None, None, None) for role, one in made.items()]
        self.tokens = {role: one.text for role, one in made.items()}
        self.host.tokens.replace(rows)
        self.web = WebServer(self.host, Settings(binds=(Bind("127.0.0.1", 0),)), version="9.9")
        self.web.start()
        self.host.start("test", own_token=rows[0], loop=self.web.loop)
        for row in rows:
            self.host.store.put_token(row)
        self.host.tokens.replace(rows)

    def ask(self, method: str, path: str, role: str = "admin", body: Any = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.web.port, timeout=20)
        given = {"Authorization": f"Bearer {self.tokens[role]}", "Content-Type": "application/json", **headers}
        try:
            connection.request(method, path, None if method == "GET" else json.dumps(body or {}), given)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def work(self, path: str, **body: Any) -> Any:
        status, answer = self.ask("POST", path, "worker", {"session": S1, **body})
        assert status == 200, answer
        return answer

    def stop(self) -> None:
        self.host.stop()
        self.web.stop()


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    made = People(tmp_path)
    made.work("/v1/hello", wire=[1], levada="9.9")
    made.work("/v1/tasks", seq=1, policies=[{"family": "A/b c"}], tasks=[[key(0), 0, "{}"], [key(1), 0, "{}"]], growth=[[key(0)], [key(1)]])
    yield made
    made.stop()


def test_an_operator_commands_and_a_viewer_reads(people: People) -> None:
    status, answer = people.ask("POST", f"/v1/tasks/{key(0)}/cancel", "operator", {"reason": "late"}, **{"Idempotency-Key": "k"})
    assert (status, answer["status"]) == (200, "cancelled")
    assert people.ask("POST", f"/v1/tasks/{key(0)}/cancel", "operator", {"reason": "late"}, **{"Idempotency-Key": "k"})[1] == answer
    assert people.ask("POST", f"/v1/tasks/{key(0)}/cancel", "operator", {}, **{"Idempotency-Key": "k"})[0] == 409
    assert people.ask("POST", f"/v1/tasks/{key(0)}/cancel", "viewer")[0] == 403
    assert people.ask("GET", f"/v1/tasks/{key(0)}", "viewer")[1]["task"]["status"] == "cancelled"
    assert people.ask("GET", "/v1/audit", "operator")[0] == 403
    lines = people.ask("GET", "/v1/audit")[1]["lines"]
    assert [(line["action"], line["token"], line["address"], line["reason"]) for line in lines if line["action"] == "cancel"] == [
        ("cancel", "id-operator", "127.0.0.1", "late")
    ]


def test_names_of_families_travel_in_paths(people: People) -> None:
    status, answer = people.ask("POST", "/v1/families/A%2Fb%20c/cancel")
    assert (status, answer["changed"]) == (200, 2)
    assert [row["family"] for row in people.ask("GET", "/v1/tasks?family=A/b+c&status=cancelled&limit=1")[1]["tasks"]] == ["A/b c"]
    assert people.ask("POST", "/v1/families/A/cancel")[0] == 404
    assert people.ask("PUT", "/v1/resources/disk%0a", body={"total": 3})[0] == 422


def test_a_new_token_is_let_in_and_a_revoked_one_is_not(people: People) -> None:
    made = people.ask("POST", "/v1/tokens", body={"role": "viewer", "label": "wall"})[1]
    people.tokens["new"] = made["token"]
    assert people.ask("GET", "/v1/status", "new")[0] == 200
    assert people.ask("DELETE", f"/v1/tokens/{made['id']}")[1]["after"] == "revoked"
    assert people.ask("GET", "/v1/status", "new")[0] == 401
    assert people.ask("POST", "/v1/tokens", "operator", {"role": "admin"})[0] == 403


def test_a_log_is_followed_to_the_end_of_its_attempt(people: People) -> None:
    from threading import Thread

    people.work("/v1/sync", seq=2, room=1)
    seen: list[Any] = []

    def follow() -> None:
        offset = 0
        while not seen or not seen[-1]["ended"]:
            seen.append(people.ask("GET", f"/v1/log/{key(0)}?offset={offset}&wait=20", "viewer")[1])
            offset = seen[-1]["next"]

    follower = Thread(target=follow)
    follower.start()
    for at, text in ((0, "one\n"), (4, "two\n")):
        time.sleep(0.1)
        people.work("/v1/logs", chunks=[{"key": key(0), "epoch": 1, "number": 1, "offset": at, "text": text}])
    people.work("/v1/sync", seq=3, done=[[key(0), 1, 1]])
    follower.join(10)
    assert "".join(piece["text"] for piece in seen) == "one\ntwo\n"
    assert seen[-1]["ended"]


def test_changes_are_heard_as_they_happen(people: People) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", people.web.port, timeout=10)
    connection.request("GET", "/v1/events", headers={"Authorization": f"Bearer {people.tokens['viewer']}"})
    response = connection.getresponse()
    while b"open" not in response.readline():
        pass
    people.ask("POST", f"/v1/tasks/{key(1)}/cancel")
    seen = ""
    while "cancelled" not in seen:
        seen = response.readline().decode()
    event = json.loads(seen.removeprefix("data: "))
    assert (event["kind"], event["key"], event["family"]) == ("task", key(1), "A/b c")
    connection.close()


def test_who_reads_changes_hears_none_after_the_token_is_revoked(people: People) -> None:
    made = people.ask("POST", "/v1/tokens", body={"role": "viewer"})[1]
    connection = http.client.HTTPConnection("127.0.0.1", people.web.port, timeout=10)
    connection.request("GET", "/v1/events", headers={"Authorization": f"Bearer {made['token']}"})
    response = connection.getresponse()
    while b"open" not in response.readline():
        pass
    time.sleep(0.1)  # it waits for the next change
    people.ask("DELETE", f"/v1/tokens/{made['id']}")
    people.ask("POST", f"/v1/tasks/{key(1)}/cancel")
    assert b"cancelled" not in response.read()
    connection.close()


def test_a_place_in_a_list_that_nobody_was_told_is_refused(people: People) -> None:
    for after in ("9" * 30, "9" * 500, "%C2%B2", "%D9%A3", "-1"):
        assert people.ask("GET", f"/v1/goals?after={after}")[0] == 422, after


def test_a_backup_is_taken_over_http(people: People, tmp_path: Path) -> None:
    status, answer = people.ask("POST", "/v1/backup")
    assert status == 200
    assert (tmp_path / "backups" / answer["name"]).stat().st_size == answer["bytes"]
