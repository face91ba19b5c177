"""Unmodified workers of Luigi at our server, beside our own: what they may rely on."""

from __future__ import annotations

import os
import random
import signal
import time
import urllib.error
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.faults.command import ended
from tests.luigi.conftest import Mixed


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_thousand_tasks_are_shared_with_workers_of_ours_and_none_runs_twice(mix: Callable[..., Mixed]) -> None:
    mixed = mix("--lease", "20")
    words = ("Top", "--groups", "100", "--width", "9", "--pause", "0.01")
    guest = mixed.start_luigi(*words, worker_keep_alive="true")
    mixed.until(mixed.notes, 60)  # it tells its graph task by task, so it needs a start
    ours = [mixed.start_levada(*words) for _ in range(2)]
    for one in ours:
        done = ended(one, 120)
        assert done.returncode == 0, done.stdout + done.stderr
    assert guest.wait(60) == 0  # of what others ran it says that it "was not granted run permission"
    times = mixed.times()
    assert len(times) == 1001
    assert set(times.values()) == {1}, [one for one, count in times.items() if count > 1]
    kinds = Counter((kind, pid if kind == "luigi" else 0) for _, pid, kind in mixed.notes())
    assert min(kinds.values()) > 50, kinds


@pytest.mark.slow
def test_a_run_goes_on_after_kill_9_of_the_server_and_nothing_runs_twice(mix: Callable[..., Mixed]) -> None:
    mixed = mix("--lease", "20")
    guest = mixed.start_luigi("Top", "--groups", "8", "--width", "4", "--pause", "0.03")
    mixed.until(lambda: len(mixed.notes()) > 5)
    mixed.kill_server()
    mixed.start_server()
    assert guest.wait(40) == 0
    assert "This progress looks :)" in mixed.said()
    assert len(mixed.times()) == 8 * 4 + 8 + 1
    assert set(mixed.times().values()) == {1}


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", range(3))
def test_a_server_that_is_killed_five_times_lets_no_task_run_twice(seed: int, mix: Callable[..., Mixed]) -> None:
    dice, mixed = random.Random(seed), mix("--lease", "30")
    words = ("Top", "--groups", "40", "--width", "9", "--pause", "0.02")
    guests = [mixed.start_luigi(*words, "--workers", number, worker_keep_alive="true") for number in "12"]
    ours = mixed.start_levada(*words, "--workers", "2")
    for _ in range(5):
        time.sleep(dice.uniform(0.3, 2.0))
        mixed.kill_server()
        mixed.start_server()
    done = ended(ours, 120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [guest.wait(60) for guest in guests] == [0, 0]
    assert len(mixed.times()) == 40 * 9 + 40 + 1
    assert set(mixed.times().values()) == {1}


@pytest.mark.slow
def test_kill_9_of_the_server_while_a_graph_is_told_loses_none_of_it(mix: Callable[..., Mixed]) -> None:
    mixed = mix("--lease", "20")
    guest = mixed.start_luigi("Top", "--groups", "30", "--width", "9")
    mixed.until(lambda: mixed.said().count("has status   PENDING") > 60)
    mixed.kill_server()
    assert not mixed.notes(), "too late: it runs already"
    mixed.start_server()
    assert guest.wait(40) == 0
    assert "This progress looks :)" in mixed.said()
    assert len(mixed.times()) == 30 * 9 + 30 + 1
    assert set(mixed.times().values()) == {1}


@pytest.mark.slow
def test_what_a_dead_worker_of_luigi_ran_is_granted_to_another_after_the_lease(mix: Callable[..., Mixed]) -> None:
    mixed = mix("--lease", "2")
    guest = mixed.start_luigi("AfterSlow")
    mixed.until(mixed.notes)
    guest.kill()
    guest.wait()
    mixed.go()
    done = mixed.run_levada("AfterSlow")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(name, kind) for name, _, kind in mixed.notes()] == [("slow-one", "luigi"), ("slow-one", "levada"), ("afterslow", "levada")]


@pytest.mark.slow
def test_what_a_dead_worker_of_ours_ran_is_granted_to_one_of_luigi(mix: Callable[..., Mixed]) -> None:
    mixed = mix("--lease", "2")
    ours = mixed.start_levada("AfterSlow")
    mixed.until(mixed.notes)
    for pid in (ours.pid, mixed.notes()[0][1]):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    ended(ours)
    mixed.go()
    assert "This progress looks :)" in mixed.run_luigi("AfterSlow", worker_keep_alive="true")
    assert [(name, kind) for name, _, kind in mixed.notes()] == [("slow-one", "levada"), ("slow-one", "luigi"), ("afterslow", "luigi")]


@pytest.mark.slow
def test_a_worker_that_slept_through_its_lease_cannot_report_over_its_successor(mix: Callable[..., Mixed]) -> None:
    mixed = mix("--lease", "2")
    guest = mixed.start_luigi("Slow", "--label", "one")
    mixed.until(mixed.notes)
    guest.send_signal(signal.SIGSTOP)
    ours = mixed.start_levada("Slow", "--label", "one")
    mixed.until(lambda: len(mixed.notes()) == 2)
    guest.send_signal(signal.SIGCONT)
    mixed.go()
    assert ended(ours).returncode == 0
    guest.wait(20)
    shown = mixed.run("history", "--scheduler", mixed.url, "--json").stdout
    assert shown.count('"ok"') == 1, shown


@pytest.mark.slow
def test_ping_keeps_a_lease_for_as_long_as_a_task_runs(mix: Callable[..., Mixed]) -> None:
    mixed = mix("--lease", "1")
    guest = mixed.start_luigi("Slow", "--label", "one", worker_ping_interval="0.2")
    mixed.until(mixed.notes)
    ours = mixed.start_levada("Slow", "--label", "one")
    time.sleep(3)
    mixed.go()
    assert guest.wait(20) == 0
    assert ended(ours).returncode == 0
    assert mixed.times() == {"slow-one": 1}


@pytest.mark.slow
def test_a_failed_task_is_tried_again(mixed: Mixed) -> None:
    said = mixed.run_luigi("Flaky", worker_keep_alive="true")
    assert mixed.times() == {"flaky": 2}, said
    shown = mixed.run("history", "--scheduler", mixed.url, "--json").stdout
    assert "no rows yet" in shown
    assert "ValueError: no rows yet" in mixed.run("history", "--scheduler", mixed.url).stdout
    assert '"ok"' in shown


@pytest.mark.slow
def test_what_needs_a_failed_task_waits_and_the_rest_runs(mixed: Mixed) -> None:
    said = mixed.run_luigi("Behind", worker_keep_alive="true")
    assert "had failed dependencies" in said
    assert mixed.times() == {"broken": 1, "leaf-1": 1}


def test_run_may_ask_for_more(mixed: Mixed) -> None:
    assert "This progress looks :)" in mixed.run_luigi("Asks")
    times = mixed.times()
    assert times.pop("asks") == 3  # Luigi starts run() again, from its first line
    assert times == {"leaf-100": 1, "leaf-101": 1, "leaf-102": 1}


@pytest.mark.slow
def test_what_run_asks_for_may_be_made_by_a_worker_of_ours(mixed: Mixed) -> None:
    assert mixed.run_levada("Leaf", "--number", "101").returncode == 0
    assert "This progress looks :)" in mixed.run_luigi("Asks")
    assert [kind for name, _, kind in mixed.notes() if name == "leaf-101"] == ["levada"]


@pytest.mark.slow
def test_external_data_that_arrived_lets_the_next_run_go_on(mixed: Mixed) -> None:
    assert "missing external dependencies" in mixed.run_luigi("Fed")
    (mixed.folder / "drop.txt").write_text("here")
    assert "This progress looks :)" in mixed.run_luigi("Fed")
    assert mixed.times() == {"leaf-1": 1, "fed": 1}


def test_the_most_urgent_task_runs_first(mixed: Mixed) -> None:
    mixed.run_luigi("ByPriority")
    assert [name for name, _, _ in mixed.notes()] == ["urgent-5", "urgent-4", "urgent-3", "urgent-2", "urgent-1"]


@pytest.mark.slow
def test_a_resource_is_shared_with_workers_of_ours(mixed: Mixed) -> None:
    guest = mixed.start_luigi("AllLicensed", "--workers", "3", worker_keep_alive="true")
    ours = mixed.run_levada("AllLicensed", "--workers", "3")
    assert ours.returncode == 0, ours.stdout + ours.stderr  # a second holder of the licence would have failed
    assert guest.wait(30) == 0
    assert set(mixed.times().values()) == {1}


@pytest.mark.slow  # batches as such are told of in test_desk
def test_tasks_of_a_batch_run_as_one(mixed: Mixed) -> None:
    assert "This progress looks :)" in mixed.run_luigi("AllMany")
    assert mixed.times() == {"many-2024-03-05": 1}
    assert mixed.run_levada("AllMany").returncode == 0
    assert len(mixed.notes()) == 1


@pytest.mark.slow
def test_what_is_done_is_not_run_by_the_other_kind(mixed: Mixed) -> None:
    mixed.run_luigi("Top", "--groups", "2", "--width", "2")
    assert mixed.run_levada("Top", "--groups", "2", "--width", "2").returncode == 0
    assert set(mixed.times().values()) == {1}


@pytest.mark.slow
def test_several_processes_of_one_worker_share_its_session(mixed: Mixed) -> None:
    said = mixed.run_luigi("Top", "--groups", "4", "--width", "4", "--pause", "0.02", "--workers", "4")
    assert "This progress looks :)" in said
    assert set(mixed.times().values()) == {1}
    assert len(mixed.times()) == 4 * 4 + 4 + 1


@pytest.mark.slow
def test_an_assistant_runs_what_others_registered(mixed: Mixed) -> None:
    guest = mixed.start_luigi("AfterSlow")
    mixed.until(mixed.notes)
    guest.kill()
    guest.wait()
    helper = mixed.start_luigi("Leaf", "--number", "7", "--assistant", worker_keep_alive="true")
    mixed.go()
    mixed.until(lambda: mixed.times()["afterslow"] == 1)
    helper.terminate()
    helper.wait(20)
    assert mixed.times()["slow-one"] == 2


@pytest.mark.slow
def test_tools_read_what_stands_there(mixed: Mixed) -> None:
    guest = mixed.start_luigi("AfterSlow")
    mixed.until(mixed.notes)
    running = mixed.ask("task_list", status="RUNNING", upstream_status="")
    assert [row["name"] for row in running.values()] == ["Slow"]
    graph = mixed.ask("graph")
    (top,) = [row for row in graph.values() if row["name"] == "AfterSlow"]
    assert top["deps"] == list(running)
    (worker,) = mixed.ask("worker_list")
    assert worker["num_running"] == 1
    assert worker["name"].startswith("Worker(")
    mixed.go()
    assert guest.wait(20) == 0
    assert mixed.ask("task_list", status="PENDING", upstream_status="") == {}
    assert len(mixed.ask("task_list", status="DONE", upstream_status="")) == 2


@pytest.mark.slow
def test_levadas_door_may_go_the_same_way_with_luigis_options(mixed: Mixed) -> None:
    url = f"http://luigi:{mixed.token}@127.0.0.1:{mixed.port}"
    environ = {"PYTHONPATH": mixed._path()}
    done = ended(mixed.start("luigi", "--module", "graph", "Asks", "--scheduler-url", url, environ=environ))
    assert done.returncode == 0, done.stdout + done.stderr
    assert {row["status"] for row in mixed.ask("graph").values()} == {"DONE"}


@pytest.mark.slow
def test_the_token_may_stand_in_scheduler_host(mixed: Mixed) -> None:
    assert "This progress looks :)" in mixed.run_luigi("Leaf", "--number", "1", by_url=False)


def test_a_wrong_token_is_refused(mixed: Mixed) -> None:
    for token in ("", "lvd_wrong"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            mixed.ask("ping", token=token, worker="w")
    said = mixed.run_luigi("Leaf", "--number", "1", token="lvd_wrong", rpc_retry_attempts="1")
    assert "401" in said
    assert not mixed.notes()


@pytest.mark.slow  # who may do what on each path is in test_guards
def test_a_reader_may_read_and_not_work(mixed: Mixed) -> None:
    viewer = mixed.run("token", "create", "--role", "viewer", "--scheduler", mixed.url).stdout.split()[-1]
    assert mixed.ask("graph", token=viewer) == {}
    with pytest.raises(urllib.error.HTTPError, match="403"):
        mixed.ask("get_work", token=viewer, worker="w")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        mixed.ask("pause")


@pytest.mark.slow
def test_without_luigi_the_paths_are_not_there(mix: Callable[..., Mixed], monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = mix("--lease", "5")
    mixed._options = ()
    mixed.kill_server()
    mixed.start_server()
    with pytest.raises(urllib.error.HTTPError, match="404") as refused:
        mixed.ask("ping", worker="w")
    assert "levada server --luigi" in refused.value.read().decode()
