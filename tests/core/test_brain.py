"""What the brain does, beyond the table of statuses and events."""

from __future__ import annotations

import math

import pytest

from levada._core import Brain, laws
from levada._core import changes as ch
from levada._core.ready import SLACK as QUEUE_SLACK
from levada._core.timers import SLACK, Timers
from levada._model import messages as m
from levada._model.messages import Fence, SessionId
from levada._model.spec import Growth, Policy, Retry, TaskSpec
from levada._model.status import ExitClass, Status
from levada.errors import InvalidCommand
from tests.core.house import PLAIN, House

DB = Policy("Db", resources=(("db", 1),))
BOTH = Policy("Both", resources=(("db", 1), ("disk", 2)))


def specs(*policies: Policy, **fields: object) -> dict[int, TaskSpec]:
    return {index: TaskSpec(index, policy, **fields) for index, policy in enumerate(policies)}  # type: ignore[arg-type]


# -- the graph ---------------------------------------------------------------------------------


def test_a_task_runs_after_all_it_requires() -> None:
    house = House({0: [1, 2], 1: [2], 2: []})
    order = []
    while granted := house.claim(room=9):
        order += granted
        house.done(*granted)
    assert order == [2, 1, 0]
    assert house.brain.progress().counts[Status.DONE] == 3


def test_an_open_task_waits_though_all_known_requirements_are_done() -> None:
    house = House()
    house.do(m.AddTasks(SessionId("w1"), [TaskSpec(0, house.policy), TaskSpec(1, house.policy)], [Growth(1, ())]))
    house.claim()
    house.done(1)
    assert house.view(0).reason.startswith("its requirements are still being discovered")
    house.do(m.AddTasks(SessionId("w1"), [], [Growth(0, (1,), closed=False)]))
    assert house.status(0) is Status.WAITING
    house.do(m.AddTasks(SessionId("w1"), [], [Growth(0, ())]))
    assert house.claim() == [0]


def test_an_edge_that_was_given_twice_counts_once_in_effect() -> None:
    house = House({0: [1, 1], 1: []})
    house.claim()
    house.done(1)
    assert house.claim() == [0]
    assert house.view(0).unmet == ()


def test_a_second_plan_that_says_the_same_adds_no_edges() -> None:
    house = House({0: [1], 1: []})
    house.add({0: [1], 1: []}, "w2")
    assert list(house.brain.state.edges.requirements(0)) == [1]


def test_a_second_plan_may_add_a_requirement_to_a_ready_task() -> None:
    house = House({0: []})
    house.add({1: []})
    house.do(m.AddTasks(SessionId("w2"), [house.specs[0]], [Growth(0, (1,))]))
    assert house.status(0) is Status.WAITING
    assert house.claim(room=5) == [1]


def test_what_needs_a_failed_task_waits_and_says_so() -> None:
    house = House({0: [1], 1: [], 2: []}, policy=Policy("Once", retry=Retry(attempts=1)))
    house.claim(room=2)
    house.fail(1)
    reply = house.done(2)
    assert (house.status(0), house.view(0).reason) == (Status.WAITING, "waits for 1 of its requirements")
    assert (reply.unfinished, reply.active, reply.ask_again_after) == (1, 0, None)


def test_an_invalidated_requirement_makes_a_ready_task_wait() -> None:
    house = House({0: [1], 1: []})
    house.sync(found_complete=[1])
    assert house.do(m.Invalidate(1)) is Status.READY
    assert (house.status(0), house.view(1).generation) == (Status.WAITING, 2)
    assert house.claim(room=5) == [1]


def test_a_retry_that_comes_due_waits_for_a_requirement_that_was_invalidated() -> None:
    house = House({0: [1], 1: []})
    house.sync(found_complete=[1])
    house.claim()
    house.back(0, after=5.0, reason="runs elsewhere")
    assert (house.view(0).reason, house.view(0).retry_in) == ("runs elsewhere", 5.0)
    house.do(m.Invalidate(1))
    house.pass_time(6)
    assert house.status(0) is Status.WAITING


# -- who gets what -----------------------------------------------------------------------------


def test_the_most_urgent_goes_first_and_takes_what_it_needs_along() -> None:
    house = House({0: [2], 1: [], 2: [], 3: []}, specs={0: TaskSpec(0, DB._replace(resources=()), priority=5)})
    assert house.claim() == [2]
    house.do(m.SetPriority(3, 9))
    assert house.claim() == [3]
    house.do(m.SetPriority(3, 9))
    house.done(2)
    assert house.claim() == [0]


def test_a_priority_that_is_lowered_is_lowered_upstream() -> None:
    house = House({0: [1], 1: [2], 2: [], 3: []})
    house.do(m.SetPriority(0, 5))
    house.do(m.SetPriority(3, 4))
    house.do(m.SetPriority(0, 3))
    assert house.brain.state.priority == {0: 3, 1: 3, 2: 3, 3: 4}
    house.do(m.SetPriority(0, 0))
    assert house.claim(room=2) == [3, 2]
    house.do(m.SetPriority(1, -4))
    house.do(m.SetPriority(0, -2))
    assert house.brain.state.priority == {0: -2, 1: -2, 3: 4}


def test_a_task_is_granted_only_to_sessions_that_added_it() -> None:
    house = House({0: []}, session="w1")
    assert house.claim("stranger", room=5) == []
    house.do(m.Bye(SessionId("w1")))
    assert house.view(0).reason == "no worker that may run it is here"
    house.add({0: []}, "w2")
    assert house.claim("w2") == [0]


def test_a_session_that_said_goodbye_gets_tasks_that_it_adds_again() -> None:
    house = House({0: []})
    house.do(m.Bye(SessionId("w1")))
    assert house.do(m.Hello(SessionId("w1"), ("etl",))) == m.HelloReply(1, math.inf)
    house.do(m.Hello(SessionId("w1"), ("etl",)))
    assert house.claim() == []
    house.add({0: []})
    assert house.claim() == [0]


ETL = PLAIN._replace(module="etl.daily")


def test_an_assistant_gets_tasks_of_the_modules_it_offers_and_no_others() -> None:
    house = House(specs={0: TaskSpec(0, ETL), 1: TaskSpec(1, PLAIN)})
    house.add({0: [], 1: []})
    house.do(m.Hello(SessionId("helper"), ("etl.daily", "etl.other")))
    house.do(m.Hello(SessionId("stranger"), ("etl",)))
    assert house.claim("stranger", room=5) == []
    assert house.claim("helper", room=5) == [0]
    assert house.claim(room=5) == [1]


def test_an_assistant_hears_of_modules_whose_tasks_come_later() -> None:
    house = House()
    house.do(m.Hello(SessionId("helper"), ("etl.daily",)))
    house.specs[0] = TaskSpec(0, ETL)
    house.add({0: []}, "w1")
    house.specs[1] = TaskSpec(1, ETL)
    house.add({1: []}, "w2")
    assert house.claim("helper") + house.claim("helper") == [0, 1]


def test_an_assistant_that_changes_what_it_offers_loses_the_rest() -> None:
    house = House(specs={0: TaskSpec(0, ETL)})
    house.add({0: []})
    house.do(m.Hello(SessionId("helper"), ("etl.daily",)))
    house.do(m.Hello(SessionId("helper"), ()))
    assert house.claim("helper") == []


def test_who_is_gone_gives_nobody_else_its_tasks() -> None:
    house = House({0: []})
    house.add({1: []}, "w2")
    house.do(m.Bye(SessionId("w1")))
    assert house.claim("w2", room=5) == [1]
    house.add({0: []}, "w2")
    assert house.claim("w2", room=5) == [0]


def test_the_outlook_is_that_of_the_sessions_own_tasks() -> None:
    house = House({0: [], 1: [0]})
    house.add({2: []}, "w2")
    assert house.sync("w2")[-2:] == (1, 1)
    assert house.sync("w1")[-2:] == (2, 1)
    house.claim("w2")
    house.done(2, session="w2")
    assert house.sync("w2")[-2:] == (0, 0)
    assert house.sync("w1")[-2:] == (2, 1)


def cron(house: House, session: str, goal: str = "daily") -> None:
    """The same program is started once more."""
    house.do(m.Hello(SessionId(session), (), goal))
    house.add({0: []}, session)


def test_a_goal_that_saw_a_task_fail_does_not_start_it_over_before_the_pause_is_over() -> None:
    house = House(policy=PLAIN._replace(retry=Retry(attempts=1)), failed_pause=900.0)
    cron(house, "w1")
    house.claim("w1")
    house.fail(0, session="w1")
    house.do(m.Bye(SessionId("w1")))
    cron(house, "w2")
    assert house.status(0) is Status.FAILED
    house.pass_time(899)
    cron(house, "w2")
    assert house.status(0) is Status.FAILED
    house.pass_time(2)
    cron(house, "w3")
    assert house.status(0) is Status.READY


def test_another_goal_starts_a_failed_task_over_at_once() -> None:
    house = House(policy=PLAIN._replace(retry=Retry(attempts=1)), failed_pause=900.0)
    cron(house, "w1")
    house.claim("w1")
    house.fail(0, session="w1")
    cron(house, "w2", "by hand")
    assert house.status(0) is Status.READY


def test_a_cancelled_task_stays_so_for_the_goals_that_wanted_it() -> None:
    house = House(failed_pause=900.0)
    cron(house, "w1")
    house.do(m.Cancel(0))
    house.pass_time(5000)
    cron(house, "w2")
    assert house.status(0) is Status.CANCELLED
    cron(house, "w3", "by hand")
    assert house.status(0) is Status.READY


def test_urgent_work_of_another_group_comes_first() -> None:
    house = House({0: [], 1: []})
    house.add({1: []}, "w2")
    house.do(m.SetPriority(1, 1))
    assert house.claim() + house.claim() == [1, 0]


def test_a_draining_session_gets_nothing_more() -> None:
    house = House({0: []})
    house.do(m.Drain(SessionId("w1")))
    house.do(m.Hello(SessionId("w1"), ("other label",)))
    assert house.claim() == []
    house.do(m.Bye(SessionId("w1")))
    house.do(m.Bye(SessionId("w1")))


def test_a_paused_scheduler_grants_nothing_and_says_why() -> None:
    house = House({0: []})
    house.do(m.Pause(True))
    house.do(m.Pause(True))
    assert house.claim() == []
    assert house.view(0).reason == "the scheduler is paused"
    house.do(m.Pause(False))
    assert house.view(0).reason == "waits for a worker with room"
    assert house.claim() == [0]


def test_bye_hands_back_what_the_session_runs() -> None:
    house = House({0: [], 1: []}, lease=10.0)
    house.add({0: [], 1: []}, "w2")
    assert house.claim() + house.claim() == [0, 1]
    house.do(m.Cancel(1))
    house.do(m.Bye(SessionId("w1")))
    assert (house.status(0), house.status(1)) == (Status.READY, Status.CANCELLED)
    assert house.sync("w2", room=1).granted[0].attempt == 1


# -- resources ---------------------------------------------------------------------------------


def test_a_resource_that_nobody_set_is_one() -> None:
    house = House({0: [], 1: []}, policy=DB)
    assert house.claim(room=2) == [0]
    assert (house.view(1).short_of, house.view(1).reason) == ("db", "short of db: 1 of 1 in use")
    house.done(0)
    assert house.claim(room=2) == [1]


def test_what_needs_more_than_there_is_stays_ready_until_there_is_more() -> None:
    house = House({0: [], 1: []}, specs=specs(BOTH, DB))
    assert house.claim(room=2) == [1]
    assert house.view(0).short_of == "db"
    house.done(1)
    assert house.claim(room=2) == []
    assert house.view(0).short_of == "disk"
    house.do(m.SetResource("disk", 2))
    house.do(m.SetResource("disk", 2))
    assert house.claim(room=2) == [0]


def test_a_total_lowered_below_its_use_stops_grants_only() -> None:
    house = House({index: [] for index in range(4)}, policy=DB)
    house.do(m.SetResource("db", 2))
    assert house.claim(room=4) == [0, 1]
    house.do(m.SetResource("db", 1))
    house.done(0)
    assert house.claim(room=4) == []
    house.done(1)
    assert house.claim(room=4) == [2]


def test_a_line_goes_on_when_its_head_was_cancelled() -> None:
    house = House({0: [], 1: [], 2: []}, policy=DB)
    house.claim()
    house.claim()
    house.do(m.Cancel(1))
    house.done(0)
    assert house.claim() == [2]


def test_a_line_may_empty_while_it_is_parked() -> None:
    house = House({0: [], 1: []}, policy=DB)
    house.claim(room=2)
    house.do(m.Cancel(1))
    house.done(0)
    assert house.claim() == []
    house.do(m.RetryTask(1))
    assert house.claim() == [1]


def test_a_more_urgent_head_steps_before_the_old_one() -> None:
    house = House({0: [], 1: []}, policy=DB)
    house.do(m.SetPriority(1, 1))
    assert house.claim() == [1]
    house.done(1)
    assert house.claim() == [0]


# -- batches -----------------------------------------------------------------------------------

BATCH = Policy("Batch", resources=(("db", 1),), batch_limit=3)


def batch_house(count: int = 5) -> House:
    return House({index: [] for index in range(count)}, specs=specs(*[BATCH] * count, batch="b"))


def test_a_batch_is_one_unit_of_room_and_holds_its_resources_once() -> None:
    house = batch_house()
    (grant,) = house.sync(room=5).granted
    assert (grant.index, [one.index for one in grant.batch]) == (0, [1, 2])
    house.done(0, 1)
    assert house.claim() == []
    house.done(2)
    (grant,) = house.sync(room=5).granted
    assert (grant.index, [one.index for one in grant.batch]) == (3, [4])


def test_a_batch_leaves_out_what_is_not_ready_any_more() -> None:
    house = batch_house(4)
    house.do(m.Cancel(1))
    (grant,) = house.sync(room=5).granted
    assert [one.index for one in grant.batch] == [2, 3]


def test_other_groups_and_other_policies_form_other_batches() -> None:
    other = BATCH._replace(family="Other", resources=())
    house = House({0: [], 1: [], 2: [], 3: []}, specs={**specs(BATCH, other, BATCH, other, batch="b")})
    grants = house.sync(room=5).granted
    assert [(grant.index, [one.index for one in grant.batch]) for grant in grants] == [(0, [2]), (1, [3])]


def test_without_a_group_or_a_limit_there_is_no_batch() -> None:
    house = House({0: [], 1: []}, specs={0: TaskSpec(0, BATCH._replace(resources=())), 1: TaskSpec(1, Policy("One"), batch="b")})
    assert [grant.batch for grant in house.sync(room=5).granted] == [(), ()]


# -- suspension --------------------------------------------------------------------------------


def test_a_suspended_task_gives_room_and_resources_back_and_resumes_with_its_fence() -> None:
    house = House({0: []}, policy=DB)
    house.claim()
    house.add({1: []})
    reply = house.suspend(0, 1, room=1)
    assert [grant.index for grant in reply.granted] == [1]
    assert house.view(0).reason == "suspended until what it yielded is done"
    reply = house.sync(done=[(1, house.fence(1))], room=1)
    assert (reply.resumed, house.fence(0), house.view(0).attempts) == ([0], Fence(1, 1), 1)
    house.done(0)
    assert house.status(0) is Status.DONE


def test_a_suspended_task_waits_for_room_and_for_resources() -> None:
    house = House({0: [], 1: [], 2: []}, policy=DB)
    house.claim()
    house.suspend(0, 2)
    assert house.claim(room=1) == [1]
    assert house.sync(found_complete=[2], room=1).resumed == []
    assert house.view(0).reason == "suspended: short of db: 1 of 1 in use"
    assert house.done(1).resumed == []
    assert house.sync(room=1).resumed == [0]


def test_a_sleeper_whose_lease_lapses_is_run_again() -> None:
    house = House({0: []}, lease=10.0)
    house.claim()
    house.suspend(0)
    house.pass_time(11)
    assert house.sync(room=1).granted[0].attempt == 2


def test_a_sleeper_that_woke_sleeps_on_when_a_requirement_is_invalidated() -> None:
    house = House({0: []})
    house.claim()
    house.add({1: []})
    house.suspend(0, 1)
    house.sync(found_complete=[1])
    house.do(m.Invalidate(1))
    assert house.sync(room=2).resumed == []
    assert house.sync(done=[(1, house.fence(1))], room=2).resumed == [0]


# -- leases ------------------------------------------------------------------------------------


def test_a_late_success_is_accepted_while_nobody_else_has_the_task() -> None:
    house = House({0: []}, lease=10.0)
    house.claim()
    house.pass_time(11)
    house.done(0)
    assert house.status(0) is Status.DONE


def test_late_and_timely_successes_count_in_one_message() -> None:
    house = House({0: [], 1: []}, lease=10.0)
    house.claim()
    house.pass_time(11)
    house.do(m.SetPriority(1, 1))
    assert house.claim() == [1]
    assert house.done(0, 1).unfinished == 0


def test_a_report_over_a_successor_is_lost() -> None:
    house = House({0: []}, lease=10.0)
    house.add({0: []}, "w2")
    house.claim("w1")
    old = house.fence(0)
    house.pass_time(11)
    assert house.claim("w2") == [0]
    assert house.sync("w1", done=[(0, old)]).lost == [0]
    assert house.do(m.Confirm(SessionId("w1"), 0, old)) is False
    assert house.do(m.Confirm(SessionId("w2"), 0, house.fence(0))) is True


def test_renewals_extend_and_the_servers_absence_is_forgiven() -> None:
    house = House({0: [], 1: []}, lease=10.0)
    house.claim(room=2)
    house.now += 8
    assert house.renew(0) == m.RenewReply((), ())
    house.pass_time(3)
    assert (house.status(0), house.status(1)) == (Status.RUNNING, Status.READY)
    house.pass_time(60, lag=60)
    assert house.status(0) is Status.RUNNING


def test_a_lapsed_lease_is_taken_up_again_only_while_its_resources_are_free() -> None:
    house = House({0: [], 1: []}, lease=10.0, policy=DB)
    house.claim()
    house.pass_time(11)
    assert house.renew(0).lost == ()
    assert house.status(0) is Status.RUNNING
    house.pass_time(11)
    house.do(m.SetPriority(1, 1))
    assert house.claim() == [1]
    assert house.renew(0).lost == (0,)


def test_a_cancelled_task_is_told_and_not_renewed_past_the_grace() -> None:
    house = House({0: []}, lease=10.0, cancel_grace=12.0)
    house.claim()
    assert house.do(m.Cancel(0)) is Status.RUNNING
    house.do(m.Cancel(0))
    assert house.view(0).reason == "asked to stop"
    assert house.sync().cancel == [0]
    house.now += 9
    assert house.renew(0).cancel == (0,)
    house.pass_time(4)
    assert house.status(0) is Status.CANCELLED


@pytest.mark.parametrize(("exit_class", "after"), [(ExitClass.CANCELLED, Status.CANCELLED), (ExitClass.USER, Status.CANCELLED)])
def test_a_wish_decides_what_a_failure_becomes(exit_class: ExitClass, after: Status) -> None:
    house = House({0: []})
    house.claim()
    house.do(m.Cancel(0))
    house.fail(0, exit_class)
    assert house.status(0) is after


def test_a_wish_decides_what_a_handed_back_task_becomes() -> None:
    house = House({0: []})
    house.claim()
    house.do(m.Cancel(0))
    house.back(0)
    assert house.status(0) is Status.CANCELLED


def test_a_disabled_task_added_after_its_window_starts_over() -> None:
    house = House({0: []}, policy=Policy("Touchy", retry=Retry(disable_after=1, window=50.0)))
    house.claim()
    house.fail(0)
    house.add({0: []})
    assert (house.status(0), house.view(0).retry_in) == (Status.DISABLED, 50.0)
    house.now += 51
    house.add({0: []})
    assert house.sync(room=1).granted[0].attempt == 1


def test_a_task_disabled_by_definition_runs_only_when_told() -> None:
    house = House({0: []}, policy=Policy("Off", disabled=True))
    house.add({0: []}, "w2")
    assert (house.status(0), house.view(0).reason) == (Status.DISABLED, "disabled where it is defined")
    house.do(m.RetryTask(0))
    assert house.claim() == [0]


def test_adding_again_raises_a_priority_and_never_lowers_it() -> None:
    house = House({0: []})
    for priority in (3, 1):
        house.do(m.AddTasks(SessionId("w2"), [TaskSpec(0, house.policy, priority)], []))
    assert house.brain.state.priority == {0: 3}


def test_asking_again_is_due_when_the_first_timer_is() -> None:
    house = House({0: [], 1: []}, lease=30.0)
    house.claim(room=2)
    assert house.sync().ask_again_after == 30.0
    house.back(0, after=5.0)
    assert house.sync().ask_again_after == 5.0
    house.now += 6
    assert house.claim() == [0]


# -- the whole ---------------------------------------------------------------------------------


def test_counters_are_kept_by_family() -> None:
    house = House({0: [], 1: [], 2: []}, specs=specs(Policy("A"), Policy("B"), Policy("B", disabled=True)))
    house.add({}, complete=7)
    house.claim()
    progress = house.brain.progress()
    assert progress.complete == 7
    assert progress.by_family == {"A": (0, 0, 1, 0, 0, 0, 0, 0), "B": (0, 1, 0, 0, 0, 0, 1, 0)}
    assert list(house.brain.having(Status.READY, Status.DISABLED)) == [1, 2]


def test_equal_policies_are_one() -> None:
    house = House({0: [], 1: []}, specs={0: TaskSpec(0, Policy("A", timeout=5.0)), 1: TaskSpec(1, Policy("A", timeout=5.0))})
    assert len(house.brain.state.policies) == 1


def test_a_replay_of_the_changes_is_the_same_brain() -> None:
    house = House({0: [1], 1: [], 2: []}, policy=DB, lease=10.0)
    house.claim(room=3)
    house.fail(1)
    house.pass_time(10)
    house.claim(room=3)
    again = house.replayed()
    assert again.state.dump() == house.brain.state.dump()
    assert [change.until for change in again.restart(2, house.now) if isinstance(change, ch.LeasesExtended)]
    assert again.view(1, house.now).fence == house.fence(1)
    with pytest.raises(InvalidCommand, match="does not follow"):
        again.restart(2, house.now)


def test_a_restart_with_nothing_running_only_begins_an_epoch() -> None:
    assert Brain().restart(2, 0.0) == [ch.EpochBegan(2)]


def test_queues_hold_no_more_than_twice_what_is_ready() -> None:
    """Cancelling and retrying enters a task anew each time; the old entries do not pile up."""
    for policy in (Policy("Plain"), Policy("Ranked", batch_limit=2), DB):
        house = House({0: [], 1: []}, specs=specs(policy, policy, batch="b" if policy.batch_limit > 1 else None))
        brain, rounds = house.brain, QUEUE_SLACK + 50
        for _ in range(rounds):
            brain.handle(m.Cancel(1), 0.0)
            brain.handle(m.RetryTask(1), 0.0)
            brain.handle(m.SetPriority(0, 1), 0.0) if policy is DB else None
            brain.handle(m.SetPriority(0, 0), 0.0) if policy is DB else None
        group = brain.state.groups[0]
        for heap in (group.front, *group.lines.values(), *group.batches.values()):
            assert len(heap) <= QUEUE_SLACK + 2 * 2 + 1
        assert house.claim(room=1) == [0]


def test_timers_hold_no_more_than_twice_what_is_set() -> None:
    timers = Timers()
    for moment in range(SLACK * 3):
        timers.set(7, float(moment))
    assert len(timers) <= SLACK + 3
    assert timers.earliest() == SLACK * 3 - 1
    assert timers.pop_due(1e9) == [7]
    assert timers.earliest() is None


def test_the_tail_is_not_hoarded_by_whoever_asks_first() -> None:
    house = House({index: [] for index in range(40)})
    house.add({index: [] for index in range(40)}, "w2")
    assert len(house.claim("w1", room=100)) == 10
    assert len(house.claim("w2", room=100)) == 8
    while house.claim("w1", room=100):
        pass
    assert house.brain.progress().counts[Status.READY] == 0


def test_a_session_alone_gets_all_that_it_has_room_for() -> None:
    house = House({index: [] for index in range(40)})
    house.add({40: []}, "w2")
    assert len(house.claim("w1", room=100)) == 40


def test_a_task_that_asks_for_more_than_there_is_does_not_keep_a_run_waiting() -> None:
    house = House(specs={0: TaskSpec(0, DB._replace(resources=(("db", 2),))), 1: TaskSpec(1, DB)})
    house.add({0: [], 1: []})
    assert house.claim(room=5) == [1]
    house.done(1)
    assert house.sync(room=5)[-2:] == (1, 0)
    house.do(m.SetResource("db", 2))
    assert house.claim() == [0]


def test_a_task_that_was_invalidated_is_found_complete_by_nobody() -> None:
    """Who says so may have looked before; who is granted it looks again."""
    house = House({0: []})
    house.claim()
    house.done(0)
    house.do(m.Invalidate(0))
    house.sync(found_complete=[0])
    assert house.status(0) is Status.READY


def sleeper_whose_requirement_is_cancelled() -> House:
    house = House({0: [], 1: [0]}, lease=10.0)
    house.claim()
    house.add({2: []})
    house.suspend(0, 2)
    house.do(m.Cancel(2))
    return house


@pytest.mark.parametrize("end", ["failed", "lapsed"])
def test_what_an_attempt_yielded_is_void_with_it(end: str) -> None:
    """Else the task could never run again: nobody but its own run() knows what it had asked for."""
    house = sleeper_whose_requirement_is_cancelled()
    if end == "failed":
        house.fail(0)
        house.pass_time(100)
    else:
        house.pass_time(11)
    assert house.view(0).unmet == ()
    assert house.claim() == [0]
    house.done(0)
    assert house.claim() == [1]
    assert house.replayed().state.dump() == house.brain.state.dump()


@pytest.mark.parametrize("bye", [False, True])
def test_a_sleeper_that_is_handed_back_waits_until_another_plan_names_it(bye: bool) -> None:
    """The run that hands it back has what it yielded in its plan; whoever comes later has not."""
    house = sleeper_whose_requirement_is_cancelled()
    house.do(m.Bye(SessionId("w1"))) if bye else house.back(0)
    assert house.claim() == []
    assert house.status(0) is Status.WAITING
    house.add({0: []}, "w2")
    assert house.claim("w2") == [0]
    house.done(0, session="w2")
    assert house.replayed().state.dump() == house.brain.state.dump()


def test_an_operator_sets_a_sleeper_that_was_cancelled_going_without_what_it_had_yielded() -> None:
    house = sleeper_whose_requirement_is_cancelled()
    house.back(0)
    house.do(m.Cancel(0))
    house.do(m.RetryTask(0))
    assert house.claim() == [0]


def test_what_a_finished_attempt_had_yielded_stays_a_requirement() -> None:
    house = House({0: []})
    house.claim()
    house.add({1: []})
    house.suspend(0, 1)
    assert house.claim() == [1]
    house.done(1)
    assert house.sync(room=1).resumed == [0]
    house.done(0)
    assert list(house.brain.state.edges.requirements(0)) == [1]


def test_a_requirement_that_is_named_twice_is_counted_twice_and_met_twice() -> None:
    """It wastes a few bytes and hangs nothing: met, invalidated, yielded, taken back and forgotten (the laws are checked each time)."""
    house = House({0: [], 1: [0, 0], 2: []})
    assert house.claim() == [0]
    house.done(0)
    assert house.status(1) is Status.READY
    house.do(m.Invalidate(0))
    assert house.status(1) is Status.WAITING
    assert house.claim(room=2) == [0, 2]
    house.suspend(2, 0, 0)
    house.fail(2)
    house.done(0)
    assert house.status(1) is Status.READY
    house.pass_time(100.0)
    assert sorted(house.claim(room=2)) == [1, 2]
    house.done(1, 2)
    assert house.do(m.Forget([0, 1, 2])) == [0, 1, 2]


def test_an_invalidation_of_what_changed_meanwhile_changes_nothing() -> None:
    """Who moves outputs aside first must not make void what another attempt has made since."""
    house = House({0: []}, specs={0: TaskSpec(0, Policy("A", retry=Retry(attempts=1)))})
    assert house.do(m.Invalidate(0, generation=1, number=0)) is Status.READY  # nothing has come to an end
    house.claim()
    house.done(0)
    assert house.do(m.Invalidate(0, generation=2, number=1)) is Status.DONE
    assert house.do(m.Invalidate(0, generation=1, number=0)) is Status.DONE
    assert house.do(m.Invalidate(0, generation=1, number=1)) is Status.READY
    assert house.view(0).generation == 2
    assert house.do(m.Invalidate(0, generation=1, number=1)) is Status.READY
    for _ in range(2):
        house.claim()
        house.fail(0)
        if house.view(0).fence == Fence(1, 2):
            house.do(m.RetryTask(0))
    assert house.do(m.Invalidate(0, generation=2, number=2)) is Status.FAILED  # of the same generation, and yet another attempt
    assert house.do(m.Invalidate(0, generation=2, number=3)) is Status.READY


def test_a_task_that_was_never_granted_has_the_number_0_for_those_who_look() -> None:
    house = House({0: []})
    house.do(m.MarkDone(0))
    assert house.do(m.Invalidate(0, generation=1, number=0)) is Status.READY
    with pytest.raises(InvalidCommand, match="is a count"):
        house.do(m.Invalidate(0, generation="1"))  # type: ignore[arg-type]


@pytest.mark.parametrize("end", ["taken back", "forgotten"])
def test_a_priority_below_0_comes_back_with_the_end_of_what_kept_it_at_0(end: str) -> None:
    """Then no task has an effective priority, and one has an own one (seed 162 of the worlds)."""
    house = House({0: [], 1: []}, session="a")
    if end == "taken back":
        house.do(m.SetPriority(1, -2))
        assert house.claim("a") == [0]
        house.suspend(0, 1, session="a")
        assert house.brain.state.priority == {}
        house.fail(0, session="a")
    else:
        house.add({2: [1]}, "b")
        house.do(m.SetPriority(1, -2))
        assert house.brain.state.priority == {}
        house.do(m.Bye(SessionId("b")))
        assert house.do(m.Forget([2])) == [2]
    assert house.brain.state.priority == {1: -2}


def test_the_place_of_a_forgotten_task_brings_nobody_into_its_batch() -> None:
    """Its entry in the queue is stale; the next task in its place may have another policy, in the same group."""
    batched, plain = Policy("Batched", batch_limit=5, module="app"), Policy("Plain", resources=(("gpu", 1),), module="app")
    brain = Brain(lease=10.0)
    brain.handle(m.AddTasks("a", [TaskSpec(index, batched, 0, "g") for index in range(4)], [Growth(index, []) for index in range(4)]), 1.0)
    brain.handle(m.Bye("a"), 2.0)
    brain.handle(m.Forget([0]), 3.0)
    brain.handle(m.AddTasks("b", [TaskSpec(0, plain)], [Growth(0, [])]), 4.0)
    brain.handle(m.Bye("b"), 4.5)
    brain.handle(m.SetResource("gpu", 0), 4.7)
    brain.handle(m.Hello("w", ("app",)), 5.0)
    (grant,) = brain.handle(m.Sync("w", room=5), 6.0)[1].granted
    assert (grant.index, [one.index for one in grant.batch]) == (1, [2, 3])


def test_a_line_whose_head_was_forgotten_moves_on() -> None:
    held, plain = Policy("Held", resources=(("db", 1),), module="app"), Policy("Plain", module="lib")
    brain = Brain(lease=10.0)
    brain.handle(m.AddTasks("a", [TaskSpec(0, held), TaskSpec(1, held)], [Growth(0, []), Growth(1, [])]), 1.0)
    brain.handle(m.Bye("a"), 2.0)
    brain.handle(m.Forget([0]), 3.0)
    brain.handle(m.AddTasks("b", [TaskSpec(0, plain)], []), 4.0)
    brain.handle(m.Hello("w", ("app",)), 5.0)
    assert [grant.index for grant in brain.handle(m.Sync("w", room=5), 6.0)[1].granted] == [1]
    assert list(laws.check(brain)) == []


def test_attempts_that_sleep_for_what_failed_move_nothing_and_for_what_runs_elsewhere_they_do() -> None:
    """Each of two workers would take the other's sleeper for somebody at work."""
    policy, brain = Policy("Task", retry=Retry(attempts=1)), Brain(lease=60.0)
    for name in ("one", "two"):
        brain.handle(m.AddTasks(name, [TaskSpec(index, policy) for index in range(4)], [Growth(index, []) for index in range(4)]), 0.0)
    held = {name: brain.handle(m.Sync(name, room=1), 0.0)[1].granted[0] for name in ("one", "two")}
    for grant, need in ((held["one"], 2), (held["two"], 3)):
        name = next(name for name, one in held.items() if one is grant)
        brain.handle(m.Sync(name, suspended=[m.Suspended(grant.index, grant.fence, [need])]), 0.0)
    for _ in range(2):
        grant = brain.handle(m.Sync("one", room=1), 0.0)[1].granted[0]
        assert brain.outlook("two")[1] > 1
        brain.handle(m.Sync("one", failed=[m.Failed(grant.index, grant.fence, ExitClass.USER, ("ValueError",))]), 0.0)
    assert brain.outlook("one") == brain.outlook("two") == (2, 0)
