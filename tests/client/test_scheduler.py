"""A session with a server: what is said reaches it once, in order, whatever the network does."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from levada._client.scheduler import BEHIND
from levada._client.session import Link
from levada._model.messages import AddTasks, Cancel, Confirm, Failed, HandedBack, Renew, Suspended, Sync
from levada._model.spec import Growth, Policy, Retry, TaskSpec
from levada._model.status import ExitClass, Status
from levada.errors import Refused, ServerUnreachable

from .conftest import Client, describe
from .server import Problem, Server


def finish(client: Client, most: float = 5.0) -> None:
    """Play a worker that does everything at once, until nothing moves."""
    end = time.monotonic() + most
    done: list[object] = []
    while time.monotonic() < end:
        reply = client.sync(done=done, room=4)
        done = [(one.index, one.fence) for one in reply.granted]
        if not done and reply.ask_again_after is None:
            return
    raise AssertionError("it did not come to an end")


def test_a_chain_is_done_in_its_order(server: Server, client: Client) -> None:
    client.add(0, 1, 2, requires={0: [1], 1: [2]})
    finish(client)
    assert [server.status(number) for number in range(3)] == [Status.DONE] * 3
    order = [one[0] for body in server.requests("/v1/sync") for one in body.get("done", [])]
    assert order == [describe(index).key.hex() for index in (2, 1, 0)]


def test_what_others_open_again_when_all_had_ended_stays_done(server: Server, client: Client, make_client: Callable[..., Client]) -> None:
    """A group that each run wants to see done, say: the first runs to end are not to find it open again, and call it blocked."""
    client.add(0, 1, requires={0: [1]})
    finish(client)
    client.served.conclude(lambda index: index == 0)
    other = make_client()
    other.served.add(AddTasks(other.session, [TaskSpec(0, Policy("Family"))], [Growth(0, [])], reopen=True))
    assert other.served.settle(5)
    assert server.status(0) is Status.READY
    counts = client.served.progress().counts
    assert (counts[Status.DONE], sum(counts)) == (2, 2)
    assert list(client.served.having(Status.WAITING, Status.READY)) == []
    client.served.conclude(lambda index: False)
    assert list(client.served.having(Status.WAITING, Status.READY)) == [0]
    assert client.served.progress().counts[Status.DONE] == 1


def test_a_plan_is_sent_in_slices_with_each_policy_once(server: Server, client: Client) -> None:
    client.add(*range(2500), requires={0: [2499], 5: list(range(6, 1500))})
    assert client.served.settle(5)
    sent = server.requests("/v1/tasks")
    assert [len(body.get("tasks", [])) for body in sent] == [1000, 1000, 500]
    assert all(len(body["policies"]) == 1 for body in sent)
    assert len(sent[2]["growth"]) == 2500
    assert len(sent[2]["growth"][5][1]) == 32 * 1494
    assert [body["seq"] for body in sent] == [1, 2, 3]


def test_a_task_with_more_edges_than_a_message_takes_is_sent_in_pieces(server: Server, client: Client) -> None:
    client.add(*range(600), requires={0: [1 + number % 599 for number in range(120_000)]})
    assert client.served.settle(10)
    pieces = [one for body in server.requests("/v1/tasks") for one in body.get("growth", []) if one[0] == describe(0).key.hex()]
    assert [len(piece[1]) // 32 for piece in pieces] == [25_000, 25_000, 25_000, 25_000, 20_000]
    assert [(piece[2:] or [True])[0] for piece in pieces] == [False, False, False, False, True]


def test_every_kind_of_report_arrives(server: Server, client: Client) -> None:
    client.add(0, 1, 2, 3, 4, policy=Policy("Family", retry=Retry(attempts=2, first=0.01)))
    held = dict(client.grants(room=4))
    client.sync(
        done=[(0, held[0])],
        failed=[Failed(1, held[1], ExitClass.USER, ("ValueError", "Exception"))],
        handed_back=[HandedBack(2, held[2], 60.0, "not now")],
        suspended=[Suspended(3, held[3], [4])],
    )
    assert client.served.settle(5)
    assert [server.status(number) for number in (0, 2, 3)] == [Status.DONE, Status.RETRYING, Status.RUNNING]
    assert server.status(1) in (Status.RETRYING, Status.READY)  # its time comes soon
    waits = client.until(room=1)
    assert [one.index for one in waits.granted] in ([4], [1])


def test_a_lost_answer_is_asked_for_again_with_the_same_number_and_body(server: Server, client: Client) -> None:
    server.mute_paths, server.mute = ("/v1/tasks", "/v1/sync"), 4
    client.add(0, 1)
    (index, fence), *_ = client.grants(room=2)
    client.sync(done=[(index, fence)])
    assert client.served.settle(5)
    bodies: dict[int, set[bytes]] = {}
    for path, body in server.raw:
        if path in ("/v1/tasks", "/v1/sync"):
            bodies.setdefault(json.loads(body)["seq"], set()).add(body)
    assert max(len(versions) for versions in bodies.values()) == 1
    assert len([1 for path, _ in server.raw if path == "/v1/tasks"]) >= 2
    assert server.brain.state.number[index] == 1, "it was granted once"
    assert server.status(index) is Status.DONE


def test_reports_wait_while_the_server_is_away_and_arrive_in_order(server: Server, client: Client) -> None:
    client.add(*range(5))
    held = client.grants(room=5)
    assert len(held) == 5
    server.stop()
    for one in held:
        before = time.monotonic()
        reply = client.sync(done=[one])
        assert time.monotonic() - before < 1.5
        assert not reply.lost
        assert reply.ask_again_after is not None, "the run must not end now"
    server.start()
    assert client.served.settle(10)
    assert [server.status(number) for number in range(5)] == [Status.DONE] * 5
    numbers = [body["seq"] for body in server.requests("/v1/sync")]
    assert sorted(set(numbers)) == list(range(min(numbers), max(numbers) + 1))


def test_long_errors_go_to_a_file_while_the_server_is_away(server: Server, make_client: Callable[..., Client]) -> None:
    client = make_client()
    client.add(*range(40))
    held = client.grants(room=40)
    server.stop()
    for index, _ in held:
        key = describe(index).key
        row = (key, "Family", "{}", 1, time.time(), 1.0, "user", "x" * 60_000, "", 0.0, 0, "w")
        client.served.remember([row])
        client.sync(failed=[Failed(index, dict(held)[index], ExitClass.USER, final=True)])
    assert client.served._outbox.spilled > 500_000
    assert client.served.behind is (client.served._outbox.size > BEHIND)
    server.start()
    assert client.served.settle(10)
    assert len(server.attempts) == 40
    assert all(len(error) == 60_000 for _, _, error in server.attempts)
    assert {server.status(number) for number in range(40)} == {Status.FAILED}


def test_an_idle_worker_leaves_one_question_with_the_server(server: Server, make_client: Callable[..., Client]) -> None:
    first, second = make_client(), make_client()
    first.add(0)
    (held,) = first.grants()
    second.add(0, 1, requires={1: [0]})
    assert not second.grants(seconds=0.5)
    asked = len(server.requests("/v1/sync"))
    assert not second.grants(seconds=0.7)
    assert len(server.requests("/v1/sync")) == asked
    first.sync(done=[held])
    before = time.monotonic()
    assert [index for index, _ in second.grants()] == [1]
    assert time.monotonic() - before < 0.5


def test_a_held_answer_does_not_hold_up_a_report(server: Server, client: Client) -> None:
    client.add(0, 1)
    first, second = client.grants(room=2)
    for _ in range(3):
        client.sync(room=0)  # the second of these stays with the server
    before = time.monotonic()
    client.sync(done=[first, second])
    assert client.served.settle(5)
    assert time.monotonic() - before < 1.0
    assert server.status(0) is server.status(1) is Status.DONE


def test_a_question_that_is_recalled_from_a_server_that_dies_is_recalled_from_the_next(
    server: Server, make_client: Callable[..., Client]
) -> None:
    """That one sees it for the first time and would hold it: what ran meanwhile would be reported when the answer is overdue."""
    client = make_client(answer_timeout=20.0)
    client.add(0, 1)
    first, second = client.grants(room=2)
    for _ in range(3):
        client.sync(room=0)  # the second of these stays with the server
    server.say_no = Problem(503, "not-ready", "the server starts")
    server.stop()
    server.start()
    server.sessions[str(client.session)].seq -= 1  # nothing had come of it, so nobody wrote it down
    before = time.monotonic()
    client.sync(done=[first, second])
    assert client.served._link.failed_at, "nobody took it"
    server.say_no = None
    assert client.served.settle(30)
    assert time.monotonic() - before < 5.0
    assert server.status(0) is server.status(1) is Status.DONE


def test_what_was_told_lost_is_not_reported(server: Server, client: Client) -> None:
    client.add(0, 1)
    held = client.grants(room=2)
    index, fence = held[0]
    server.steal(index)
    server.stop()
    server.start()
    reply = client.until(done=[held[1]], suspended=[Suspended(index, fence, [held[1][0]])])
    assert reply.lost == [index]
    client.sync(done=[(index, fence)])
    assert client.served.settle(5)
    assert client.served.refused() == [index]  # whoever counted it as made must hear so
    reported = [one[0] for body in server.requests("/v1/sync") for one in body.get("done", [])]
    assert describe(index).key.hex() not in reported


def test_a_task_that_is_granted_anew_before_its_lost_attempt_has_ended_goes_back(server: Server, client: Client) -> None:
    """The worker was stopped past its lease, and the question that it had left with the server got the task once more."""
    client.add(0, 1)
    ((index, fence),) = client.grants()
    with server.lock:  # the server takes it back, as when its lease lapses
        server.brain.handle(Sync(client.session, handed_back=[HandedBack(index, fence, 0.0)]), time.monotonic())
    reply = client.until(room=2)
    assert reply.lost == [index]
    assert index not in [one.index for one in reply.granted]
    client.sync(done=[(index, fence)])
    assert client.served.settle(5)
    (back,) = [one for body in server.requests("/v1/sync") for one in body.get("handed_back", [])]
    assert (back["key"], back["number"]) == (describe(index).key.hex(), fence.number + 1)
    assert not any(body.get("done") for body in server.requests("/v1/sync"))
    assert server.status(index) is Status.RETRYING
    assert [one for one, _ in client.grants()] == [index], "and is begun when nothing of the old attempt is left"


def test_a_wish_to_cancel_comes_with_the_answer_that_is_held(server: Server, client: Client) -> None:
    client.add(0)
    client.grants()
    for _ in range(3):
        client.sync(room=0)
    with server.lock:
        server.brain.handle(Cancel(0), time.monotonic())
        server._wake()
    # This brain tells wishes with renewals, and with reports of what was asked to stop.
    reply = client.served.renew(Renew(client.session, ((0, client.served._held[0].fence),)))
    assert reply.cancel == (0,)


def test_a_server_that_forgot_the_session_is_greeted_again(server: Server, client: Client) -> None:
    client.add(0)
    (held,) = client.grants()
    server.sessions[str(client.session)].seq = 77
    client.sync(done=[held])
    assert client.served.settle(5)
    assert server.status(0) is Status.DONE
    assert server.sessions[str(client.session)].seq > 77


def test_leases_that_the_worker_never_had_are_handed_back(server: Server, client: Client) -> None:
    client.add(0, 1)
    (held,) = client.grants()
    other = 1 - held[0]
    with server.lock:  # the server has granted more than the worker ever heard of
        server.brain.handle(Sync(client.session, room=1), time.monotonic())
        server.sessions[str(client.session)].seq += 2
    assert server.status(other) is Status.RUNNING
    client.sync(done=[held])
    assert [index for index, _ in client.grants()] == [other]
    backs = [one for body in server.requests("/v1/sync") for one in body.get("handed_back", [])]
    assert [one["reason"] for one in backs] == ["its worker never had it"]


def test_a_second_address_is_tried_when_the_first_is_gone(server: Server) -> None:
    standby = Server(brain=server.brain, epoch=1)
    try:
        standby.sessions, standby.keys, standby.index = server.sessions, server.keys, server.index
        client = Client(f"{server.url},{standby.url}")
        client.add(0)
        (held,) = client.grants()
        server.stop()
        client.sync(done=[held])
        assert client.served.settle(5)
        assert server.status(0) is Status.DONE
        assert standby.requests("/v1/sync")
        client.served.close(0.2)
    finally:
        standby.close()


def test_a_confirmation_by_a_server_of_an_older_epoch_is_not_believed(server: Server, client: Client) -> None:
    client.add(0)
    ((index, fence),) = client.grants()
    client.served._link.epoch = 5
    with pytest.raises(ServerUnreachable, match="epoch 1"):
        client.served.confirm(Confirm(client.session, index, fence))
    server.epoch = 5
    assert client.served.confirm(Confirm(client.session, index, fence))


def test_a_flapping_server_loses_nothing(server: Server, client: Client) -> None:
    client.add(*range(60))
    done: list[object] = []
    began = time.monotonic()
    flips = 0
    while time.monotonic() - began < 20:
        if flips < 6 and time.monotonic() - began > flips * 0.4:
            server.stop() if flips % 2 == 0 else server.start()
            flips += 1
        reply = client.sync(done=done, room=5)
        done = [(one.index, one.fence) for one in reply.granted]
        if not done and reply.ask_again_after is None:
            break
    assert client.served.settle(10)
    assert {server.status(number) for number in range(60)} == {Status.DONE}
    assert max(server.brain.state.number) == 1, "no task was granted twice"


def test_a_worker_with_nothing_to_do_gives_up_on_a_server_that_is_away(server: Server, make_client: Callable[..., Client]) -> None:
    client = make_client(patience=0.8)
    client.add(0)
    client.sync()
    server.stop()
    with pytest.raises(ServerUnreachable, match="nothing runs here"):
        for _ in range(200):
            client.sync(room=1)
            time.sleep(0.02)


def test_a_worker_that_runs_something_never_gives_up(server: Server, make_client: Callable[..., Client]) -> None:
    client = make_client(patience=0.3)
    client.add(0)
    (held,) = client.grants()
    server.stop()
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        client.sync(room=1)
        time.sleep(0.05)
    server.start()
    client.sync(done=[held])
    assert client.served.settle(10)
    assert server.status(0) is Status.DONE


def test_a_wrong_token_is_told_at_once(server: Server) -> None:
    from levada._client.address import parse_addresses
    from levada._client.scheduler import Served

    with pytest.raises(Refused, match="no token") as caught:
        Served(Link(parse_addresses(server.url), lambda: "wrong"), Client.__init__.__name__ and "0" * 32, describe)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.status) == ("no-token", 401)
    assert "LEVADA_TOKEN" in str(caught.value)


def test_what_the_server_will_not_have_is_told_and_takes_no_number(server: Server, client: Client) -> None:
    server.say_no = Problem(413, "too-large", "a task of 300 KiB", hint="The limit is 256 KiB.")
    with pytest.raises(Refused, match="300 KiB"):
        client.add(0)
        client.until(seconds=2)
    server.say_no = None
    client.add(0)
    assert client.grants()
    assert [body["seq"] for body in server.requests("/v1/tasks")] == [1, 1]


def test_a_busy_server_is_asked_again_later(server: Server, client: Client) -> None:
    client.add(0)
    server.say_no = Problem(503, "busy", "the mailbox is full")
    assert not client.grants(seconds=0.3)
    server.say_no = None
    assert client.grants()


def test_tasks_that_are_done_on_the_server_and_gone_in_the_world_are_reopened(server: Server, make_client: Callable[..., Client]) -> None:
    first = make_client()
    first.add(0, 1)
    finish(first)
    gone = {1}
    second = make_client(still_done=lambda index: index not in gone)
    second.add(0, 1)
    assert [index for index, _ in second.grants(room=2)] == [1]
    reopened = [body for body in server.requests("/v1/tasks") if body.get("reopen")]
    assert [[one[0] for one in body["tasks"]] for body in reopened] == [[describe(1).key.hex()]]


def test_how_things_stand_is_asked_a_page_at_a_time(server: Server, client: Client) -> None:
    client.add(*range(2200), requires={number: [0] for number in range(1, 2200)})
    (held,) = client.grants()
    client.sync(failed=[Failed(0, held[1], ExitClass.USER, final=True)])
    assert client.served.settle(5)
    waiting = list(client.served.having(Status.WAITING))
    assert sorted(waiting) == list(range(1, 2200))
    assert client.served.view(7).unmet == (0,)
    assert client.served.view(0).status is Status.FAILED
    progress = client.served.progress()
    assert progress.counts[Status.WAITING] == 2199
    assert progress.by_family["Family"][Status.FAILED] == 1
    assert len(server.requests("/v1/standing")) < 8


def test_eight_workers_share_a_plan_and_each_task_is_granted_once(server: Server, make_client: Callable[..., Client]) -> None:
    clients = [make_client() for _ in range(8)]
    for client in clients:
        client.add(*range(60), requires={number: [number - 1] for number in range(40, 60)})
    with ThreadPoolExecutor(8) as threads:
        for each in threads.map(lambda client: finish(client, 20), clients):
            assert each is None
    assert {server.status(number) for number in range(60)} == {Status.DONE}
    assert max(server.brain.state.number) == 1


def test_a_standby_costs_a_worker_no_time(server: Server) -> None:
    """The next address is asked at once, for numbered requests and for others."""
    standby = Server()
    standby.say_no = Problem(503, "not-ready", "the server stands by", retry_after=1.0)
    client = Client(f"{standby.url},{server.url}")
    try:
        client.add(0, 1)
        before = time.monotonic()
        held = client.grants(room=2)
        assert time.monotonic() - before < 0.4
        client.served._link._aside.turn()  # to the standby
        before = time.monotonic()
        assert client.served.confirm(Confirm(client.session, *held[0]))
        assert time.monotonic() - before < 0.4
        client.sync(done=held)
        assert client.served.settle(5)
        assert client.served.away == 0.0
    finally:
        client.served.close(0.5)
        standby.close()


def test_a_question_without_which_a_run_cannot_end_waits_for_a_server_that_is_away(server: Server, client: Client) -> None:
    client.add(0)
    assert client.grants()
    server.stop()
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(lambda: list(client.served.having(Status.RUNNING)))
        time.sleep(0.3)
        server.start()
        assert found.result(10) == [0]


def test_an_answer_that_went_to_an_older_copy_of_the_request_is_asked_for_again(server: Server, client: Client) -> None:
    """After a cut the copies arrive in any order, and the server refuses the one that came first when the second comes."""
    server.say_no = Problem(409, "conflict", "the same request came once more; that one is answered")
    client.add(0)
    client.sync(room=1)
    server.say_no = None
    assert [index for index, _ in client.grants()] == [0]
    assert client.served.away == 0.0


def test_what_was_just_granted_to_us_does_not_count_as_running_elsewhere(server: Server, client: Client) -> None:
    """A question that the server may hold was answered at once, and nobody has read the answer yet."""
    client.add(0, 1)
    assert len(client.grants(room=1)) == 1
    with server.lock:  # it cannot answer before we have left the question with it
        assert not client.sync(room=1).granted
    until = time.monotonic() + 5
    while server.brain.progress().counts[Status.RUNNING] < 2 and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.05)  # the answer is on its way
    assert client.served.progress().counts[Status.RUNNING] == 2
    assert client.served.elsewhere == 0
