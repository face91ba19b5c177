"""What every engine that runs jobs elsewhere must keep to; outsiders run these for theirs too.

class TestMyEngine(EngineLaws):
    def make_engine(self) -> Engine:
        return MyEngine("queue-for-tests")
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from levada._model.engines import JobSpec, JobState, JobStatus
from levada.errors import JobRefused

from .conformance import must, must_raise

if TYPE_CHECKING:
    from levada._model.engines import Engine

HOSTILE_WORDS = ("with space", "quote'\"`$HOME;&|", "ümläut-日本語-🌊", "*", "%s%%", "-rf", "a\\nb\\", "new\nline", "", "{x:y}", "#!")


class EngineLaws:
    """The laws of `levada.handover.Engine`.

    patience: seconds that a job may take from its submission to its end. options: what each job is given.
    """

    patience = 60.0
    options: Mapping[str, object] = {}

    def make_engine(self) -> Engine:
        """An engine that accepts jobs."""
        raise NotImplementedError

    def argv(self, script: str, *words: str) -> tuple[str, ...]:
        """What to hand over to have a POSIX shell run a script with arguments."""
        return ("sh", "-c", script, "sh", *words)

    def spec(self, script: str, *words: str, **more: Any) -> JobSpec:
        """A new job that runs a script."""
        name = f"lv-{os.urandom(8).hex()}-1-1-{os.urandom(3).hex()}"
        spec = JobSpec(name, "Law(of=engines)", self.argv(script, *words), {"LEVADA_SUBMISSION": name}, options=self.options)
        return spec._replace(**more)

    def ended(self, engine: Engine, handle: str) -> JobStatus:
        """How it ended; AssertionError when it does not."""
        until = time.monotonic() + self.patience
        while not (status := engine.poll([handle])[0]).state.is_ended:
            must(time.monotonic() < until, f"a job ends within {self.patience} s; it is {status}")
            time.sleep(min(0.1, engine.poll_seconds))
        return status

    def running(self, engine: Engine, handle: str) -> None:
        """Wait until it runs."""
        until = time.monotonic() + self.patience
        while (status := engine.poll([handle])[0]).state is not JobState.RUNNING:
            must(not status.state.is_ended and time.monotonic() < until, f"a job runs within {self.patience} s; it is {status}")
            time.sleep(min(0.1, engine.poll_seconds))

    def test_a_job_that_ends_well_succeeds_and_says_what_it_said(self) -> None:
        engine = self.make_engine()
        handle = engine.submit(self.spec("echo said-to-stdout; echo said-to-stderr >&2"))
        status = self.ended(engine, handle)
        must(status.state is JobState.SUCCEEDED and status.exit in (0, None), f"exit status 0 is success: {status}")
        said = engine.logs(handle, most=10_000)
        must("said-to-stdout" in said and "said-to-stderr" in said, f"its log holds what it said: {said!r}")
        must(len(engine.logs(handle, most=5).encode()) <= 5, "no more of a log is given than was asked for")
        engine.forget(handle)
        engine.forget(handle)

    def test_an_exit_status_is_a_failure(self) -> None:
        engine = self.make_engine()
        status = self.ended(engine, engine.submit(self.spec("exit 3")))
        must(status.state is JobState.FAILED and status.exit == 3, f"exit status 3 is a failure with 3: {status}")

    def test_a_job_is_found_by_its_submission(self) -> None:
        engine = self.make_engine()
        spec = self.spec("sleep 2")
        must(engine.find(spec.submission) is None, "what was never submitted is not found")
        handle = engine.submit(spec)
        must(engine.find(spec.submission) == handle, "a job is found by its submission while it runs")
        again = self.make_engine()
        must(again.find(spec.submission) == handle, "and by another process")
        self.ended(engine, handle)
        must(engine.find(spec.submission) == handle, "and when it has ended")

    def test_many_jobs_are_told_apart(self) -> None:
        engine = self.make_engine()
        wanted = [0, 4, 0, 5, 0]
        handles = [engine.submit(self.spec(f"exit {code}")) for code in wanted]
        for handle in handles:
            self.ended(engine, handle)
        statuses = engine.poll([*handles, handles[1]])
        must([status.exit or 0 for status in statuses] == [*wanted, 4], f"answers come in the order of the handles: {statuses}")
        must(list(engine.poll([])) == [], "no handles, no answers")

    def test_a_cancelled_job_is_killed_with_all_that_it_started(self) -> None:
        engine = self.make_engine()
        handle = engine.submit(self.spec("sleep 600 & sleep 600; wait"))
        self.running(engine, handle)
        engine.cancel(handle)
        status = self.ended(engine, handle)
        must(status.state in (JobState.KILLED, JobState.FORGOTTEN), f"a cancelled job is killed: {status}")
        engine.cancel(handle)

    def test_cancelling_what_has_ended_is_harmless(self) -> None:
        engine = self.make_engine()
        handle = engine.submit(self.spec("exit 0"))
        self.ended(engine, handle)
        engine.cancel(handle)
        must(self.ended(engine, handle).state is JobState.SUCCEEDED, "it has ended as it has")

    def test_words_and_variables_arrive_as_they_are(self) -> None:
        engine = self.make_engine()
        script = 'for word in "$@"; do printf "<%s>" "$word"; done; printf "[%s]" "$LEVADA_ODD"'
        spec = self.spec(script, *HOSTILE_WORDS)
        handle = engine.submit(spec._replace(env={**spec.env, "LEVADA_ODD": "quote'\"`$HOME; ü🌊\nline"}))
        status = self.ended(engine, handle)
        said = engine.logs(handle, most=10_000)
        must(status.state is JobState.SUCCEEDED, f"odd words are no reason to fail: {status}, {said!r}")
        expected = "".join(f"<{word}>" for word in HOSTILE_WORDS) + "[quote'\"`$HOME; ü🌊\nline]"
        must(expected in said, f"words arrive as they are: expected {expected!r} in {said!r}")

    def test_what_cannot_run_fails(self) -> None:
        engine = self.make_engine()
        try:
            handle = engine.submit(self.spec("true")._replace(argv=("/no/such/program-of-levada",)))
        except JobRefused:
            return
        status = self.ended(engine, handle)
        must(status.state in (JobState.FAILED, JobState.KILLED), f"a program that is not there is a failure: {status}")

    def test_an_unknown_option_is_refused(self) -> None:
        engine = self.make_engine()
        spec = self.spec("true", options={**self.options, "no_such_option_of_levada": "1"})
        must_raise(JobRefused, lambda: engine.submit(spec), "an option that the engine does not know")
        must(engine.find(spec.submission) is None, "a job that was refused is not there")

    def test_several_answers_at_once_from_threads(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        engine = self.make_engine()
        with ThreadPoolExecutor(4) as threads:
            handles = list(threads.map(lambda number: engine.submit(self.spec(f"exit {number}")), range(4)))
            statuses: Sequence[JobStatus] = list(threads.map(lambda handle: self.ended(engine, handle), handles))
        must([status.exit or 0 for status in statuses] == [0, 1, 2, 3], f"an engine is safe for threads: {statuses}")
