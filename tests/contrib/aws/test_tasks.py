"""Tasks whose work is done in AWS."""

from __future__ import annotations

from pathlib import Path

from levada.contrib.aws import BatchTask, ECSTask
from tests.faults.command import Command, ended, soon

from .conftest import Aws

FLOW = """
import os
import levada as lv
from levada.contrib.aws import BatchTask

HERE = os.path.dirname(os.path.abspath(__file__))

class Made(BatchTask):
    job_queue, job_definition = "short", "busybox"
    def output(self):
        return lv.LocalTarget(f"{HERE}/made.txt")
    def command(self):
        return ["sh", "-c", "sleep 3; echo told-by-the-job"]
    def finished(self, status):
        self.output().write_text("made")
"""


def test_a_job_outlives_its_worker_and_the_next_one_goes_on_with_it(aws: Aws, queue: str, tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    command, batch = Command(tmp_path, **aws.environment), aws.client("batch")

    def ours() -> list[str]:
        everything = [{"name": "JOB_NAME", "values": ["lv-*"]}]
        return [job["jobId"] for job in batch.list_jobs(jobQueue=queue, filters=everything)["jobSummaryList"]]

    before = set(ours())
    first = command.start("run", "flow:Made")
    assert soon(lambda: set(ours()) - before, 90, 0.1)
    first.kill()
    first.communicate()
    told = ended(command.start("run", "flow:Made"), 150)
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "made.txt").read_text() == "made"
    assert len(set(ours()) - before) == 1


def test_tasks_say_where_their_work_is_done_and_what_it_is() -> None:
    class Counted(BatchTask):
        job_queue, job_definition, job_parameters = "short", "count:3", {"day": "1"}

    class Summed(ECSTask):
        cluster, task_def_arn, launch_type = "here", "sum", "FARGATE"

    assert (Counted().engine_address(), Counted().job("a").options) == (
        "batch://short",
        {"job_definition": "count:3", "parameters": {"day": "1"}},
    )
    assert (Summed().engine_address(), Summed().job("a").options) == (
        "ecs://here",
        {"task_definition": "sum", "launch_type": "FARGATE", "network": {}},
    )
