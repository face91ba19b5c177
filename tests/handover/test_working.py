"""Handing over: the job runs once, whatever is lost on the way."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

import levada as lv
from levada._model.control import Control, here
from levada.errors import EngineError, JobFailed, JobRefused, TargetExists
from levada.handover import JobState, JobStatus, engines, register_engine, working
from levada.handover.book import Book, Entry, use_state
from levada.handover.working import HandOver
from tests.handover.fake import FakeEngine


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    engine = FakeEngine()
    register_engine("fake", lambda rest: engine)
    monkeypatch.setattr("levada.handover.book._state", None)
    monkeypatch.setattr(working, "PATIENCE", (0.01, 0.02))
    monkeypatch.setattr(working, "ENDING", 1.0)
    Made.folder_of_outputs = tmp_path
    engine.on_submit = lambda job: (tmp_path / job.argv[-1]).touch()
    use_state(str(tmp_path / "state"))
    yield engine
    engines._factories.pop("fake")


class Made(lv.JobTask):
    name: str
    engine: ClassVar[str] = "fake"
    folder_of_outputs: ClassVar[Path]
    retry = lv.Retry(attempts=1)

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(self.folder_of_outputs / self.name)

    def command(self) -> list[str]:
        return ["make", self.name]


def book() -> dict[str, Entry]:
    return dict(Book().entries())


def enter(task: lv.JobTask, *, handle: str, submission: str = "lv-0-0-1") -> None:
    Book().write(task.key.hex(), Entry(submission, "fake", handle, "1.1", str(task), time.time()))


def test_a_job_is_submitted_followed_and_struck_off_the_book(fake: FakeEngine) -> None:
    task = Made(name="a")
    assert HandOver(task).go().state is JobState.SUCCEEDED
    assert fake.verbs() == ["submit", "logs", "forget"]
    assert book() == {}
    spec = next(iter(fake.specs.values()))
    assert spec.argv == ("make", "a")
    assert spec.env["LEVADA_SUBMISSION"] == spec.submission == task.submission
    assert spec.title == "Made(name=a)"


def test_the_intent_is_on_disk_before_the_job_is_submitted_and_the_handle_after(fake: FakeEngine) -> None:
    seen: list[Entry] = []
    fake.at_once = None
    fake.on_submit = lambda job: seen.extend(book().values())
    thread = threading.Thread(target=HandOver(Made(name="a")).go)
    thread.start()
    while not (entries := book()) or not next(iter(entries.values())).handle:
        time.sleep(0.01)
    handle = next(iter(entries.values())).handle
    assert [(entry.handle, f"#{entry.submission}") for entry in seen] == [("", handle)]
    (Made.folder_of_outputs / "a").touch()
    fake.jobs[handle] = JobStatus(JobState.SUCCEEDED, 0)
    thread.join(10)
    assert book() == {}


def test_an_answer_that_was_lost_is_looked_for_and_no_second_job_is_submitted(fake: FakeEngine) -> None:
    fake.lose = 1
    fake.faults["find"] = 3
    assert HandOver(Made(name="a")).go().state is JobState.SUCCEEDED
    assert fake.verbs() == ["submit", "find", "find", "find", "find", "logs", "forget"]


def test_a_submission_that_did_not_arrive_is_repeated(fake: FakeEngine) -> None:
    fake.faults["submit"] = 2
    HandOver(Made(name="a")).go()
    assert fake.verbs() == ["submit", "find", "submit", "find", "submit", "logs", "forget"]


def test_a_job_of_a_dead_worker_is_gone_on_with(fake: FakeEngine) -> None:
    """By its handle, or where the worker died before it learnt the handle, by its name."""
    for name, handle in (("a", "#lv-1"), ("b", "")):
        task = Made(name=name)
        task.output().path and (Made.folder_of_outputs / name).touch()
        fake.jobs["#lv-1"] = JobStatus(JobState.SUCCEEDED, 0)
        enter(task, handle=handle, submission="lv-1")
        fake.calls.clear()
        assert HandOver(task).go().state is JobState.SUCCEEDED
        assert "submit" not in fake.verbs()
        assert book() == {}


def test_an_intent_that_the_engine_never_saw_is_replaced(fake: FakeEngine) -> None:
    enter(Made(name="a"), handle="", submission="lv-never")
    HandOver(Made(name="a")).go()
    assert fake.verbs() == ["find", "submit", "logs", "forget"]


def test_a_job_that_ended_well_and_whose_output_was_removed_since_is_run_again(fake: FakeEngine) -> None:
    task = Made(name="a")
    fake.jobs["#lv-1"] = JobStatus(JobState.SUCCEEDED, 0)
    enter(task, handle="#lv-1", submission="lv-1")
    HandOver(task).go()
    assert fake.verbs().count("submit") == 1
    assert task.complete()


def test_a_forgotten_job_of_a_dead_worker_is_submitted_anew(fake: FakeEngine) -> None:
    enter(Made(name="a"), handle="#gone", submission="gone")
    HandOver(Made(name="a")).go()
    assert fake.verbs().count("submit") == 1


def test_a_failure_says_how_it_ended_and_what_the_job_said_last(fake: FakeEngine) -> None:
    fake.at_once = JobStatus(JobState.FAILED, 3, "by itself", "http://engine/job")
    with pytest.raises(JobFailed) as caught:
        HandOver(Made(name="a")).go()
    assert "ended with exit status 3: by itself; see http://engine/job" in str(caught.value)
    assert "what it said" in str(caught.value)
    assert (caught.value.state, caught.value.exit) == ("failed", 3)
    assert book() == {}


def test_an_engine_that_is_away_is_waited_for_and_ends_nothing(fake: FakeEngine) -> None:
    fake.faults["poll"] = 3
    assert HandOver(Made(name="a")).go().state is JobState.SUCCEEDED


def test_a_job_that_is_refused_is_not_in_the_book(fake: FakeEngine) -> None:
    fake.refuse = "no such queue"
    with pytest.raises(JobRefused, match="no such queue"):
        HandOver(Made(name="a")).go()
    assert book() == {}


def test_an_engine_that_breaks_leaves_the_job_for_the_next_attempt(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "poll", lambda handles: 1 / 0)
    with pytest.raises(EngineError, match="fault of the engine's adapter"):
        HandOver(Made(name="a")).go()
    assert len(book()) == 1


@pytest.mark.parametrize(
    ("command", "words"), [("sort x", "expected program and arguments"), (["a", "b\0"], "zero byte"), ([1], r"\[1\]|\(1,\)")]
)
def test_a_command_that_is_none_is_told(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch, command: object, words: str) -> None:
    monkeypatch.setattr(Made, "command", lambda self: command)
    with pytest.raises((EngineError, TypeError), match=words):
        HandOver(Made(name="a")).go()
    assert fake.verbs() == []


def run_in_thread(hand_over: HandOver, control: Control) -> tuple[threading.Thread, list[BaseException]]:
    raised: list[BaseException] = []

    def go() -> None:
        here.set(control)
        hand_over._control = control
        try:
            hand_over.go()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=go)
    thread.start()
    return thread, raised


class Stop(BaseException):
    pass


def follow(fake: FakeEngine, control: Control) -> tuple[threading.Thread, list[BaseException]]:
    fake.at_once = None
    thread, raised = run_in_thread(HandOver(Made(name="a")), control)
    while ("poll" not in [verb for verb, _ in fake.calls]) or not all(entry.handle for entry in book().values()):
        time.sleep(0.01)
    return thread, raised


def test_an_attempt_that_is_stopped_cancels_its_job(fake: FakeEngine) -> None:
    control = Control()
    thread, raised = follow(fake, control)
    control.stop(Stop())
    thread.join(10)
    assert [type(error) for error in raised] == [Stop]
    assert "cancel" in fake.verbs()
    assert book() == {}


def test_an_attempt_that_is_left_leaves_its_job(fake: FakeEngine) -> None:
    control = Control()
    thread, raised = follow(fake, control)
    control.stop(Stop(), leave=True)
    thread.join(10)
    assert [type(error) for error in raised] == [Stop]
    assert "cancel" not in fake.verbs()
    assert len(book()) == 1


def test_a_job_that_another_attempt_follows_by_now_is_not_cancelled(fake: FakeEngine) -> None:
    control = Control()
    thread, _ = follow(fake, control)
    [(key, entry)] = book().items()
    Book().write(key, entry._replace(fence="9.9"))
    control.stop(Stop())
    thread.join(10)
    assert "cancel" not in fake.verbs()
    assert book()[key].fence == "9.9"


def test_a_job_that_cannot_be_cancelled_now_stays_in_the_book(fake: FakeEngine) -> None:
    control = Control()
    thread, _ = follow(fake, control)
    fake.faults["cancel"] = 100
    control.stop(Stop())
    thread.join(10)
    assert len(book()) == 1


def test_a_deadline_ends_the_job(fake: FakeEngine) -> None:
    thread, raised = follow(fake, Control(time.monotonic() + 0.3, Stop("late")))
    thread.join(10)
    assert [type(error) for error in raised] == [Stop]
    assert "cancel" in fake.verbs()


def test_many_jobs_are_asked_for_with_one_question(fake: FakeEngine, tmp_path: Path) -> None:
    fake.at_once = None
    made = fake.on_submit

    def submitted(job: object) -> None:
        made(job)
        if len(fake.jobs) == 60:
            threading.Timer(0.5, lambda: fake.jobs.update(dict.fromkeys(fake.jobs, JobStatus(JobState.SUCCEEDED, 0)))).start()

    fake.on_submit = submitted
    result = lv.run([Made(name=f"{number}") for number in range(60)], state=str(tmp_path / "state"), history=False)
    assert (result.status, result.done) == ("ok", 60)
    polls = [handles for verb, handles in fake.calls if verb == "poll"]
    assert max(map(len, polls)) == 60
    assert len(polls) < 200, "one question for all, not one for each"


def test_no_more_jobs_are_waited_for_than_there_are_slots(fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("levada._run.JOB_SLOTS", 3)
    running: list[int] = []

    def submitted(job: object) -> None:
        running.append(sum(status.state is JobState.RUNNING for status in fake.jobs.values()))
        handle = f"#{job.submission}"
        threading.Timer(0.05, lambda: (made(job), fake.jobs.update({handle: JobStatus(JobState.SUCCEEDED, 0)}))).start()

    def made(job: object) -> None:
        (tmp_path / job.argv[-1]).touch()

    fake.at_once = None
    fake.on_submit = submitted
    result = lv.run([Made(name=f"{number}") for number in range(12)], state=str(tmp_path / "state"), history=False)
    assert result.done == 12
    assert max(running) <= 3


@pytest.mark.slow
def test_a_forgotten_job_does_not_count_against_the_task(fake: FakeEngine, tmp_path: Path) -> None:
    fake.at_once = JobStatus(JobState.FORGOTTEN)
    fake.on_submit = lambda job: None
    result = lv.run(Made(name="a"), state=str(tmp_path / "state"), history=False)
    assert [failure.exit for failure in result.failures] == ["infra"]


def test_partial_outputs_get_their_names_at_a_good_end_and_go_at_a_bad_one(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    task = Made(name="deep")
    parts: list[Path] = []

    def written(job: object) -> None:
        parts.append(Path(job.argv[-1]))
        parts[-1].write_text("whole")

    monkeypatch.setattr(Made, "command", lambda self: ["make", self.partial(self.output())])
    fake.on_submit = written
    fake.at_once = JobStatus(JobState.FAILED, 1)
    with pytest.raises(JobFailed):
        HandOver(task).go()
    assert not parts[0].exists()
    assert not task.complete()
    fake.at_once = JobStatus(JobState.SUCCEEDED, 0)
    HandOver(task).go()
    assert task.output().read_text() == "whole"
    assert not parts[1].exists()
    assert parts[0] != parts[1]


def test_a_target_elsewhere_has_no_partial_path(fake: FakeEngine) -> None:
    with pytest.raises(EngineError, match="only local files have a partial path"):
        Made(name="a").partial(lv.FileTarget("memory://x/y"))


def test_the_book_may_be_in_any_store(fake: FakeEngine) -> None:
    shared = Book("memory://book/jobs")
    task = Made(name="a")
    enter_in = Entry("lv-1", "fake", "", "1.1", "Made()", 1.5)
    shared.write(task.key.hex(), enter_in)
    assert list(shared.entries()) == [(task.key.hex(), enter_in)]
    shared.strike(task.key.hex(), "another")
    assert shared.read(task.key.hex()) == enter_in
    shared.strike(task.key.hex(), "lv-1")
    assert shared.read(task.key.hex()) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 2}', '{"version": 1, "submission": "x"}'])
def test_a_file_that_is_no_entry_is_told_and_nothing_is_submitted(fake: FakeEngine, tmp_path: Path, text: str) -> None:
    task = Made(name="a")
    place = tmp_path / "state" / "jobs" / f"{task.key.hex()}.json"
    place.parent.mkdir(parents=True)
    place.write_text(text)
    with pytest.raises(EngineError, match="is no entry of the book of jobs"):
        HandOver(task).go()
    assert fake.verbs() == []


def test_entries_are_json_for_people(fake: FakeEngine, tmp_path: Path) -> None:
    enter(Made(name="a"), handle="h")
    [file] = (tmp_path / "state" / "jobs").iterdir()
    assert json.loads(file.read_text())["engine"] == "fake"


def test_an_unknown_engine_is_told_with_those_that_there_are(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Made, "engine", "slurn://x")
    with pytest.raises(EngineError, match=r"no engine 'slurn'(.|\n)*slurm"):
        HandOver(Made(name="a")).go()


def test_one_job_that_cannot_be_asked_for_leaves_the_others_alone(
    fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = fake.poll

    def poll(handles: list[str]) -> object:
        if any(fake.specs[handle].argv[-1] == "3" for handle in handles):
            raise EngineError("that one is of another host")
        return asked(handles)

    monkeypatch.setattr(fake, "poll", poll)
    result = lv.run([Made(name=f"{number}") for number in range(6)], state=str(tmp_path / "state"), history=False)
    assert (result.done, result.failed) == (5, 1)


def test_an_intent_of_another_host_is_not_taken_for_nothing_where_only_that_host_knows(
    fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake, "of_one_host", True, raising=False)
    task = Made(name="a")
    Book().write(task.key.hex(), Entry("lv-1", "fake", "", "1.1", str(task), time.time(), "elsewhere:/state"))
    with pytest.raises(EngineError, match="known there only"):
        HandOver(task).go()
    assert fake.verbs() == []


def test_a_job_that_is_refused_is_not_tried_again(fake: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Made, "retry", lv.Retry(attempts=3, first=0.01))
    fake.refuse = "no such queue"
    result = lv.run(Made(name="a"), state=str(tmp_path / "state"), history=False)
    assert (result.failed, result.attempts) == (1, 1)


def test_a_job_whose_task_cannot_finish_is_not_gone_on_with_for_ever(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def finished(self: Made, status: JobStatus) -> None:
        raise ValueError("too few rows")

    monkeypatch.setattr(Made, "finished", finished)
    with pytest.raises(ValueError, match="too few rows"):
        HandOver(Made(name="a")).go()
    assert book() == {}
    monkeypatch.undo()


def test_an_output_that_another_made_leaves_no_job_in_the_book(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    task = Made(name="a")
    monkeypatch.setattr(Made, "command", lambda self: ["make", self.partial(self.output())])

    def written(job: object) -> None:
        Path(job.argv[-1]).write_text("late")
        task.output().write_text("first")

    fake.on_submit = written
    with pytest.raises(TargetExists):
        HandOver(task).go()
    assert book() == {}
    assert task.output().read_text() == "first"
    assert list(Made.folder_of_outputs.glob(".*.job")) == []


def test_a_damaged_entry_hides_no_other(fake: FakeEngine, tmp_path: Path) -> None:
    enter(Made(name="a"), handle="h")
    (tmp_path / "state" / "jobs" / "0badcafe.json").write_text("{")
    assert len(list(Book().entries())) == 1


def test_a_job_that_ends_well_without_its_output_is_told_with_its_last_words(fake: FakeEngine, tmp_path: Path) -> None:
    fake.on_submit = lambda job: None
    result = lv.run(Made(name="absent"))
    (failure,) = result.failures
    assert failure.exit.value == "no-output"
    assert "absent" in failure.error
    assert failure.error.endswith("did not make them.\n  The end of what its job said:\nwhat it said\n")


def test_the_last_words_of_a_job_tell_no_secret(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Login(Made):
        password: str = lv.param(secret=True, significant=False)

    fake.on_submit = lambda job: None
    monkeypatch.setattr(fake, "logs", lambda handle, most: "cannot log in by hunter22")
    (failure,) = lv.run(Login(name="absent", password="hunter22")).failures
    assert failure.error.endswith("cannot log in by ***\n")
