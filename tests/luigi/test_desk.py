"""luigid's calls at the real host, without sockets: what a call brings about, and what a repetition or a restart does not."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from levada._model.status import Status
from levada._server.guests import opened
from levada._server.host import Host, Rules
from levada._server.http.port import Call
from levada._server.http.tokens import Identity
from levada._wire import operators as o
from levada._wire.forms import read_form
from levada._wire.problems import Refusal
from levada.luigi.guests.ending import ending
from levada.luigi.guests.identity import canonical, id_of, key_of
from levada.luigi.guests.requests import ROUTES
from tests.faults.command import soon
from tests.server.hosting import KINDS, Place, Served

VERBS = {route.path[5:]: route for route in ROUTES if route.method == "POST"}


class Luigi(Served):
    """A host that lets workers of Luigi in. ``later``: seconds by which its clock is ahead."""

    def _start(self) -> None:
        self.later = getattr(self, "later", 0.0)
        self.host = Host(self.place.store(), Rules(**self.rules), version="9.9", clock=self._clock)
        self.host.guests = opened("levada.luigi.guests", self.host)
        self.host.start("test")

    def _clock(self) -> float:
        from levada._server.host import boottime

        return boottime() + self.later

    def rpc(self, verb: str, *, token: str = "t1", **data: Any) -> Any:
        """What luigid's client is answered."""
        from urllib.parse import urlencode

        route = VERBS[verb]
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        request = read_form(route, urlencode({"data": json.dumps(data)}).encode())
        identity = Identity("worker", token, "", "127.0.0.1")
        self.host.submit(Call(route, request, identity, size=0, deliver=lambda _, result: answers.put(result)))
        found = answers.get(timeout=10)
        if isinstance(found, Exception):
            raise found
        return json.loads(found)["response"]

    def tell(self, task: str, *deps: str, worker: str = "w1", status: str = "PENDING", **more: Any) -> str:
        """Register a task of family A as a worker does; its id."""
        name = name_of(task)
        said = {"family": "A", "module": "m", "params": {"x": task}, "resources": {}, "priority": 0, "runnable": status == "PENDING"}
        said |= {"task_id": name, "deps": [name_of(one) for one in deps]}
        self.rpc("add_task", worker=worker, status=status, **{**said, **more})
        return name

    def work(self, worker: str = "w1", running: tuple[str, ...] = (), **more: Any) -> Any:  # type: ignore[override]
        return self.rpc("get_work", worker=worker, host="h", current_tasks=list(running), **more)

    def given(self, worker: str = "w1", *running: str) -> str | None:
        """The name of the task that a worker is granted."""
        task = self.work(worker, tuple(name_of(one) for one in running))["task_id"]
        return None if task is None else NAMES[task]

    def end(self, task: str, status: str = "DONE", worker: str = "w1", **more: Any) -> None:
        said = {"family": "A", "module": "m", "params": {"x": task}, "runnable": None, "new_deps": [], "expl": '"why"', "resources": {}}
        self.rpc("add_task", worker=worker, task_id=name_of(task), status=status, **{**said, **more})

    def soon_lost(self) -> None:
        """From now on a lease lasts half a second. (A clock that leaps is no silence of workers: the server forgives it.)"""
        self.rules["lease"] = 0.5
        self.again()

    def wait_for(self, condition: Callable[[], object]) -> None:
        assert soon(condition, 5)

    def status(self, task: str) -> str:
        key = key_of("A", canonical({"x": task})).hex()
        return str(self.ask(o.Task(key)).task.status)


NAMES: dict[str, str] = {}


def name_of(task: str) -> str:
    name = id_of("A", {"x": task})
    NAMES[name] = task
    return name


@pytest.fixture(params=KINDS)
def luigi(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Luigi]:
    made = Luigi(Place(request.param, tmp_path), lease=30)
    yield made
    made.host.stop()


def test_a_task_waits_for_requirements_that_are_told_after_it(luigi: Luigi) -> None:
    luigi.tell("top", "left", "right")
    assert luigi.given() is None
    luigi.tell("left")
    luigi.tell("right", status="DONE")
    assert luigi.given() == "left"
    luigi.end("left")
    assert luigi.given() == "top"
    luigi.end("top")
    assert luigi.given() is None
    assert [luigi.status(one) for one in ("top", "left", "right")] == ["done"] * 3


def test_a_restart_forgets_no_requirement_that_is_still_to_be_told(luigi: Luigi) -> None:
    luigi.tell("top", "left", "right")
    luigi.tell("left")
    luigi.again()
    assert luigi.given() == "left"
    luigi.again()
    luigi.end("left")
    assert luigi.given() is None
    luigi.tell("right")
    luigi.again()
    assert luigi.given() == "right"
    luigi.end("right")
    assert luigi.given() == "top"


def test_a_grant_whose_answer_was_lost_is_told_again(luigi: Luigi) -> None:
    luigi.tell("one")
    luigi.tell("two")
    assert luigi.given() == "one"
    assert luigi.given() == "one"
    luigi.again()
    assert luigi.given() == "one"
    assert luigi.given("w1", "one") == "two"
    assert luigi.given("w1", "one", "two") is None


def test_a_report_that_comes_twice_counts_once(luigi: Luigi) -> None:
    luigi.tell("one", retry_policy_dict={"retry_count": 2})
    assert luigi.given() == "one"
    luigi.end("one", "FAILED")
    luigi.end("one", "FAILED")
    assert luigi.status("one") == "retrying"


def test_two_workers_are_never_granted_one_task(luigi: Luigi) -> None:
    luigi.tell("one")
    luigi.tell("one", worker="w2")
    assert luigi.given() == "one"
    assert luigi.given("w2") is None
    told = luigi.work("w2")
    assert told["running_tasks"][0]["worker"] == "w1"
    assert told["n_pending_tasks"] == 0


def test_a_lost_lease_goes_to_another_and_the_late_report_is_passed_over(luigi: Luigi) -> None:
    luigi.soon_lost()
    luigi.tell("one")
    luigi.tell("one", worker="w2")
    assert luigi.given() == "one"
    luigi.wait_for(lambda: luigi.status("one") != "running")
    assert luigi.given("w2") == "one"
    luigi.end("one", "FAILED")
    assert luigi.status("one") == "running"
    luigi.end("one", worker="w2")
    assert luigi.status("one") == "done"


def test_a_late_success_counts_while_nobody_else_has_the_task(luigi: Luigi) -> None:
    luigi.soon_lost()
    luigi.tell("one")
    assert luigi.given() == "one"
    luigi.wait_for(lambda: luigi.status("one") != "running")
    luigi.end("one")
    assert luigi.status("one") == "done"


def test_ping_renews(luigi: Luigi) -> None:
    luigi.soon_lost()
    luigi.tell("one")
    assert luigi.given() == "one"
    for _ in range(8):
        time.sleep(0.1)
        assert luigi.rpc("ping", worker="w1") == {"rpc_messages": []}
    assert luigi.status("one") == "running"


def test_a_worker_that_was_silent_for_long_is_gone_and_may_come_back(luigi: Luigi) -> None:
    luigi.tell("one")
    assert luigi.given() == "one"
    luigi.later += 700
    luigi.wait_for(lambda: not luigi.host.members)
    luigi.end("one")  # it slept, and has finished
    assert luigi.status("one") == "done"


def test_dynamic_requirements_are_waited_for_and_the_task_goes_to_whoever_asks(luigi: Luigi) -> None:
    luigi.tell("top")
    luigi.tell("top", worker="w2")
    assert luigi.given() == "top"
    luigi.tell("late")
    luigi.end("top", "PENDING", new_deps=[name_of("late")])
    assert luigi.given("w2") is None
    assert luigi.given() == "late"
    luigi.again()
    luigi.end("late")
    assert luigi.given("w2") == "top"


def test_what_was_done_before_a_worker_came_starts_over_where_it_finds_nothing(luigi: Luigi) -> None:
    luigi.tell("one")
    assert luigi.given() == "one"
    luigi.end("one")
    luigi.tell("one", worker="w2")
    assert luigi.given("w2") is None, "it may have looked before the task was done"
    luigi.later += 100
    luigi.tell("one", worker="w3")
    assert luigi.given("w3") == "one"


def test_an_external_task_is_granted_to_nobody(luigi: Luigi) -> None:
    luigi.tell("top", "data")
    luigi.tell("data", runnable=False, deps=None)
    told = luigi.work()
    assert told["task_id"] is None
    assert told["n_pending_tasks"] == 2
    luigi.tell("data", status="DONE", worker="w2")
    assert luigi.given() == "top"


def test_data_that_vanished_is_waited_for_again(luigi: Luigi) -> None:
    luigi.tell("data", status="DONE")
    luigi.later += 100
    luigi.tell("top", "data", worker="w2")
    luigi.tell("data", worker="w2", runnable=False, deps=None)
    assert luigi.given("w2") is None
    luigi.tell("data", status="DONE", worker="w3")
    assert luigi.given("w2") == "top"


def test_who_cannot_run_a_task_is_not_granted_it(luigi: Luigi) -> None:
    luigi.tell("one")
    for status in ("UNKNOWN", "DISABLED"):
        luigi.tell("one", worker="w2", status=status)
    luigi.tell("one", worker="w2", runnable=False, deps=None)
    assert luigi.given("w2") is None
    assert luigi.given() == "one"


def test_parameters_that_are_too_long_are_refused(luigi: Luigi) -> None:
    with pytest.raises(Refusal, match="262,144 bytes"):
        luigi.tell("one", params={"x": "one", "more": "x" * 300_000})


@pytest.mark.parametrize("said", [{"task_id": "a\nb"}, {"module": "m\x1b[2J"}, {"family": "A\n"}, {"resources": {"r\x7f": 1}}])
def test_control_characters_are_refused(said: dict[str, Any], luigi: Luigi) -> None:
    with pytest.raises(Refusal, match="control characters"):
        luigi.tell("one", **said)
    with pytest.raises(Refusal, match="control characters"):
        luigi.rpc("add_worker", worker="w\n", info={})


def test_nobody_waits_for_what_a_failure_blocks(luigi: Luigi) -> None:
    luigi.tell("top", "bad")
    luigi.tell("bad", retry_policy_dict={"retry_count": 1})
    assert luigi.given() == "bad"
    luigi.end("bad", "FAILED")
    assert luigi.rpc("count_pending", worker="w1")["n_pending_tasks"] == 0


def test_a_batch_that_was_never_taken_up_goes_back(luigi: Luigi) -> None:
    batch(luigi)
    told = luigi.work()
    assert told["task_id"] is None
    assert sorted(told["batch_task_ids"]) == sorted(map(name_of, "123"))
    assert sorted(told["task_params"]["x"]) == ["1", "2", "3"]
    luigi.again()
    again = luigi.work()
    assert sorted(again["batch_task_ids"]) == sorted(map(name_of, "123"))


def test_a_batch_ends_as_one_also_after_a_restart(luigi: Luigi) -> None:
    batch(luigi)
    told = luigi.work()
    luigi.rpc("add_task", worker="w1", task_id=name_of("3"), status="RUNNING", batch_id=told["batch_id"], family="A", params={"x": "3"})
    assert luigi.work(running=(name_of("3"),))["task_id"] is None
    luigi.again()
    luigi.end("3")
    assert {luigi.status(one) for one in "123"} == {"done"}


def batch(luigi: Luigi) -> None:
    luigi.rpc("add_task_batcher", worker="w1", task_family="A", batched_args=["x"], max_batch_size=float("inf"))
    for one in "123":
        luigi.tell(one, batchable=True)


def test_a_worker_speaks_for_its_own_token_alone(luigi: Luigi) -> None:
    luigi.tell("one")
    assert luigi.given() == "one"
    luigi.rpc("ping", worker="w1", token="stranger")
    luigi.rpc("get_work", worker="w1", token="stranger", current_tasks=[])
    assert luigi.status("one") == "running"
    assert len(luigi.host.members) == 2


def test_a_drained_worker_is_told_to_stop_asking(luigi: Luigi) -> None:
    luigi.tell("one")
    luigi.rpc("disable_worker", worker="w1")
    told = luigi.work()
    assert (told["task_id"], told["worker_state"]) == (None, "disabled")


def test_a_pause_grants_nothing(luigi: Luigi) -> None:
    luigi.tell("one")
    luigi.rpc("pause")
    assert luigi.given() is None
    assert luigi.rpc("is_paused") == {"paused": True}
    luigi.rpc("unpause")
    assert luigi.given() == "one"


def test_messages_reach_a_worker_with_its_heartbeat(luigi: Luigi) -> None:
    luigi.tell("one")
    luigi.rpc("set_worker_processes", worker="w1", n=4)
    (message,) = luigi.rpc("ping", worker="w1")["rpc_messages"]
    assert message == {"name": "set_worker_processes", "kwargs": {"n": 4}}
    assert luigi.rpc("ping", worker="w1") == {"rpc_messages": []}


def test_a_running_task_answers_a_message(luigi: Luigi) -> None:
    luigi.tell("one")
    assert luigi.given() == "one"
    message = luigi.rpc("send_scheduler_message", worker="w1", task=name_of("one"), content="how far?")["message_id"]
    (told,) = luigi.rpc("ping", worker="w1")["rpc_messages"]
    assert told["kwargs"] == {"task_id": name_of("one"), "message_id": message, "content": "how far?"}
    luigi.rpc("add_scheduler_message_response", task_id=name_of("one"), message_id=message, response="half")
    assert luigi.rpc("get_scheduler_message_response", task_id=name_of("one"), message_id=message) == {"response": "half"}


def test_why_a_task_failed_is_kept(luigi: Luigi) -> None:
    luigi.tell("one", retry_policy_dict={"retry_count": 1})
    assert luigi.given() == "one"
    luigi.end("one", "FAILED", expl=json.dumps("Runtime error:\nTraceback (most recent call last):\nValueError: no rows\n"))
    assert luigi.rpc("fetch_error", task_id=name_of("one"))["error"].endswith("ValueError: no rows\n")


def test_what_running_tasks_say_is_told(luigi: Luigi) -> None:
    luigi.tell("one")
    assert luigi.given() == "one"
    luigi.rpc("set_task_status_message", task_id=name_of("one"), status_message="half of it")
    luigi.rpc("set_task_progress_percentage", task_id=name_of("one"), progress_percentage=50)
    (shown,) = luigi.rpc("task_list", status="RUNNING").values()
    assert (shown["status_message"], shown["progress_percentage"]) == ("half of it", 50)


@pytest.mark.parametrize(
    "data",
    [
        b"data=%7B",
        b"data=%5B%5D",
        b"data=" + b"%5B" * 100_000,
        b"data=%7B%22worker%22%3A1%7D",
        b"data=%7B%22worker%22%3A%22w%5Cu0000%22%7D",
        b"data=%ff",
        b"data=1&data=2",
        b"&".join([b"a=1"] * 100),
        b"data=%7B%22worker%22%3A%22%5Cud800%22%7D",
        b"data=%7B%22worker%22%3A%22%5Cud800%22%2C%22z%22%3AInfinity%7D",
        b"data=%7B%22worker%22%3A%22w%22%2C%22z%22%3ANaN%2C%22y%22%3AInfinity%7D",
        b"",
    ],
)
def test_what_is_no_call_is_refused(data: bytes) -> None:
    with pytest.raises(Refusal):
        read_form(VERBS["get_work"], data)


def test_what_json_inside_of_json_hides_reaches_no_store() -> None:
    told = ending(json.dumps("Traceback (most recent call last):\n\ud800\0\nValueError: x"))
    assert told.error == "Traceback (most recent call last):\n?\nValueError: x"


def test_one_cause_has_one_fingerprint() -> None:
    def told(line: int, value: str) -> str:
        return f'Runtime error:\nTraceback (most recent call last):\n  File "/a/b.py", line {line}, in run\n    x()\nValueError: {value}\n'

    assert ending(told(3, "a")).fingerprint == ending(told(4, "b")).fingerprint != ""
    assert ending(told(3, "a").replace("in run", "in walk")).fingerprint != ending(told(3, "a")).fingerprint


def test_fields_of_a_newer_luigi_are_passed_over() -> None:
    request = read_form(VERBS["ping"], b"data=%7B%22worker%22%3A%22w%22%2C%22later%22%3A1%7D")
    assert getattr(request, "worker") == "w"  # noqa: B009


def test_messages_that_the_server_keeps_in_memory_are_small(luigi: Luigi) -> None:
    """A thousand responses are kept: of a megabyte each they took a gigabyte."""
    for verb, data in (
        ("add_scheduler_message_response", {"task_id": "a", "message_id": "m", "response": "x" * 900_000}),
        ("send_scheduler_message", {"worker": "w1", "task": "a", "content": "x" * 900_000}),
    ):
        with pytest.raises(Refusal, match="more than"):
            luigi.rpc(verb, **data)


@pytest.mark.parametrize(("name", "amount"), [("disk\n\x1b[2J", 3), ("disk", 2**70)])
def test_a_resource_of_luigis_tools_is_named_and_counted_as_one_of_ours(name: str, amount: int, luigi: Luigi) -> None:
    with pytest.raises(Refusal):
        luigi.rpc("update_resource", resource=name, amount=amount)
    assert luigi.rpc("resource_list") == []


def test_a_report_is_of_the_task_that_the_worker_holds_though_another_has_its_id_by_now(luigi: Luigi) -> None:
    """Hidden parameters are no part of Luigi's id, and of our key they are: two workers, one id, two tasks."""
    hidden = {"param_visibilities": {"x": 0, "user": 1}}
    luigi.tell("one", params={"x": "one", "user": "ann"}, worker="w1", **hidden)
    assert luigi.given("w1") == "one"
    luigi.tell("one", params={"x": "one", "user": "bob"}, worker="w2", **hidden)
    assert luigi.work("w1", (name_of("one"),))["task_id"] is None  # it runs what it holds: nothing to be told again
    luigi.rpc("set_task_status_message", task_id=name_of("one"), status_message="half")
    luigi.end("one", worker="w1", params={"x": "one", "user": "ann"})
    counts = [luigi.host.brain.state.status[index] for index in range(2)]
    assert counts == [Status.DONE, Status.READY]
    assert luigi.given("w1") is None
    assert luigi.given("w2") == "one"
