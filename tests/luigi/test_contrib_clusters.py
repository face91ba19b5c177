"""Tasks that a batch system or a cluster runs, by Luigi's names: SGE and LSF played by shells, the others by what they are asked for."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from levada.errors import EngineError, JobFailed, JobRefused
from levada.luigi.contrib import dataproc
from levada.luigi.contrib.batch import BatchTask
from levada.luigi.contrib.docker_runner import DockerTask
from levada.luigi.contrib.ecs import ECSTask
from levada.luigi.contrib.kubernetes import KubernetesJobTask
from levada.luigi.contrib.lsf import LSFJobTask
from levada.luigi.contrib.sge import SGEJobTask
from levada.targets import LocalTarget

SUBMISSION = "a1"


class Sge(SGEJobTask):
    into: str

    def init_local(self) -> None:
        self.most = {"words": 2}

    def work(self) -> None:
        assert self.into != "fail", "no such folder"
        with self.output().open("w") as out:
            out.write(f"{self.into} {self.most} {os.getpid()}")

    def output(self) -> LocalTarget:
        return LocalTarget(self.into)


class Lsf(LSFJobTask):
    into: str

    def work(self) -> None:
        assert self.into != "fail", "no such folder"
        self.output().write_text("made")

    def output(self) -> LocalTarget:
        return LocalTarget(self.into)


class InDocker(DockerTask):
    image = "busybox"
    command = "sh -c 'echo $WHO'"
    environment = {"WHO": "me"}
    container_options = {"user": "nobody"}


class InKubernetes(KubernetesJobTask):
    name = "flights"
    spec_schema = {"containers": [{"image": "busybox", "command": ["true"]}]}
    kubernetes_namespace = "night"
    labels = {"team": "data"}


class InEcs(ECSTask):
    @property
    def command(self) -> Any:
        return [{"name": "main", "command": ["sleep", "1"]}, {"name": "side", "command": ["true"]}]

    @property
    def run_task_kwargs(self) -> dict[str, Any]:
        return {
            "launchType": "FARGATE",
            "propagateTags": "TASK_DEFINITION",
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
            "overrides": {"containerOverrides": [{"name": "side", "command": ["false"], "cpu": 1}]},
        }


class InBatch(BatchTask):
    parameters = {"day": "2024-02-29"}


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs on the path; the jobs that they take run at once, here."""
    folder = tmp_path / "bin"
    folder.mkdir()
    paths = [str(folder), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(paths))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    program(folder / "python", f'exec {sys.executable} "$@"')
    program(
        folder / "qsub", f'echo "$@" > {folder}/asked; sh > "$(echo "$2" | cut -c2-)" 2> "$(echo "$4" | cut -c2-)"; echo Your job 7 is in'
    )
    program(folder / "qstat", "true")
    program(folder / "bjobs", f"if [ -e {folder}/ended ]; then cat {folder}/ended; else echo PEND; fi")
    return folder


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


class Unplain(Sge):
    def init_local(self) -> None:
        self.lock = object()


def test_what_init_local_sets_must_be_plain(commands: Path, tmp_path: Path) -> None:
    with pytest.raises(JobRefused, match="init_local set 'lock', which cannot travel"):
        Unplain(into="x", shared_tmp_dir=str(tmp_path), poll_time=0).run()
    assert not (commands / "asked").exists()


def test_work_is_done_by_another_process_with_what_init_local_set(commands: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    task = Sge(into=str(made), shared_tmp_dir=str(tmp_path), poll_time=0, n_cpu=3, job_name_format="{task_family}-{n_cpu}")
    task.run()
    path, words, number, pid = made.read_text().split()
    assert (path, words, number) == (str(made), "{'words':", "2}")
    assert int(pid) != os.getpid()
    assert (commands / "asked").read_text().endswith("-V -r y -pe orte 3 -N Sge-3\n")
    assert not os.path.exists(task.tmp_dir)


def test_a_job_of_sge_that_fails_is_a_failure(commands: Path, tmp_path: Path) -> None:
    with pytest.raises(JobFailed) as caught:
        Sge(into="fail", shared_tmp_dir=str(tmp_path), poll_time=0).run()
    assert "no such folder" in str(caught.value)


def test_a_job_of_lsf_is_followed_to_its_end(commands: Path, tmp_path: Path) -> None:
    program(
        commands / "bsub",
        f'echo "$@" > {commands}/asked; while [ "$1" != python ]; do shift; done\n'
        f'if "$@" > /dev/null 2> job.err; then echo DONE; else echo EXIT; fi > {commands}/ended\n'
        'echo "Job <8> is submitted to queue <night>."',
    )
    made = tmp_path / "made"
    Lsf(into=str(made), shared_tmp_dir=str(tmp_path), poll_time=0.01, queue_flag="night", job_name_flag="flights").run()
    assert made.read_text() == "made"
    assert (commands / "asked").read_text().startswith("-q night -n 2 -M 8192 -R rusage[mem=8192] -W 60 -J flights -o ")
    with pytest.raises(JobFailed) as caught:
        Lsf(into="fail", shared_tmp_dir=str(tmp_path), poll_time=0.01).run()
    assert "no such folder" in str(caught.value)


def test_a_container_is_asked_for_as_the_class_says() -> None:
    task = InDocker()
    spec = task.job(SUBMISSION)
    try:
        assert spec.argv == ("sh", "-c", "echo $WHO")
        assert {**spec.options, "volumes": []} == {
            "image": "busybox:latest", "volumes": [], "network": "", "pull": "missing", "host_config": {}, "user": "nobody",
        }  # fmt: skip
        (volume,) = spec.options["volumes"]  # type: ignore[misc]
        assert volume.endswith(":/tmp/luigi")
        assert os.path.isdir(volume.partition(":")[0])
        assert (spec.env["WHO"], spec.env["LUIGI_TMP_DIR"]) == ("me", "/tmp/luigi")
    finally:
        os.rmdir(task._mounted(SUBMISSION))


def test_a_job_of_kubernetes_is_asked_for_as_the_class_says(monkeypatch: pytest.MonkeyPatch) -> None:
    task = InKubernetes()
    spec = task.job(SUBMISSION)
    assert task.engine_address() == "k8s:///night"
    assert spec.options["pod_template"] == {"spec": {"containers": [{"image": "busybox", "command": ["true"]}]}}
    assert spec.options["labels"] == {"spawned_by": "luigi", "luigi/name": "flights", "team": "data"}


def test_another_configuration_of_kubernetes_than_that_in_use_is_refused() -> None:
    class There(InKubernetes):
        kubeconfig_path = "/etc/other"

    with pytest.raises(EngineError, match="/etc/other"):
        There().engine_address()


def test_a_task_of_ecs_is_asked_for_as_the_class_says() -> None:
    spec = InEcs(task_def_arn="arn:flights", cluster="night").job(SUBMISSION)
    assert spec.argv == ("true",)
    assert spec.options == {
        "overrides": {"containerOverrides": [{"name": "side", "cpu": 1}, {"name": "main", "command": ["sleep", "1"]}]},
        "launch_type": "FARGATE",
        "network": {"subnets": ["subnet-1"]},
        "request": {"propagateTags": "TASK_DEFINITION"},
        "container": "side",
        "task_definition": "arn:flights",
    }
    with pytest.raises(JobRefused):
        InEcs().job(SUBMISSION)


def test_a_job_of_batch_is_asked_for_as_the_class_says() -> None:
    task = InBatch(job_definition="flights:3", job_queue="night")
    assert task.engine_address() == "batch://night"
    assert task.job(SUBMISSION).options == {"job_definition": "flights:3", "parameters": {"day": "2024-02-29"}}


class FakeDataproc:
    """Google's client, as far as it is asked: chains of calls that end with execute()."""

    def __init__(self, *states: str) -> None:
        self.states, self.asked = list(states), []  # type: ignore[var-annotated]

    def __getattr__(self, name: str) -> Any:
        def call(**words: Any) -> Any:
            if words:
                self.asked.append((name, words))
            return self

        return call

    def execute(self) -> Any:
        return {"reference": {"jobId": "7"}, "status": {"state": self.states.pop(0), "details": "no room"}}


def test_a_job_of_dataproc_is_followed_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataproc, "POLL", 0.0)
    task = dataproc.DataprocSparkTask(
        gcloud_project_id="flights", dataproc_cluster_name="night", main_class="org.example.Delays", jars="a.jar,b.jar", job_args="2024"
    )
    fake = FakeDataproc("PENDING", "RUNNING", "DONE")
    monkeypatch.setattr(dataproc, "_client", fake)
    task.run()
    verb, words = fake.asked[0]
    assert (verb, words["projectId"], words["region"]) == ("submit", "flights", "global")
    assert words["body"]["job"] == {
        "placement": {"clusterName": "night"},
        "sparkJob": {"mainClass": "org.example.Delays", "jarFileUris": ["a.jar", "b.jar"], "args": ["2024"]},
    }
    monkeypatch.setattr(dataproc, "_client", FakeDataproc("PENDING", "ERROR"))
    with pytest.raises(JobFailed, match="no room"):
        task.run()
