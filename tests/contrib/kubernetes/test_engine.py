"""Jobs in a real cluster (its server and controllers), whose node is played."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from levada.contrib.kubernetes import KubernetesEngine, api, open_engine
from levada.errors import EngineError, EngineUnreachable, JobRefused
from levada.handover import JobSpec, JobState, JobStatus
from levada.testing.engines import EngineLaws

from .cluster import NOBODY, Cluster

# An engine lasts as long as its process, and nobody closes its connections; here there is one a test.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
Job = Callable[..., JobSpec]


class TestLaws(EngineLaws):
    patience = 120.0
    options = {"image": "busybox:1"}

    @pytest.fixture(autouse=True)
    def _cluster(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KUBECONFIG", str(cluster.config))

    def make_engine(self) -> KubernetesEngine:
        return open_engine("tests/default")


def until(engine: KubernetesEngine, handle: str, wanted: Callable[[JobStatus], bool]) -> JobStatus:
    deadline = time.monotonic() + 120
    while True:
        (status,) = engine.poll([handle])
        if wanted(status):
            return status
        assert time.monotonic() < deadline, status
        time.sleep(0.1)


def end_of(engine: KubernetesEngine, handle: str) -> JobStatus:
    return until(engine, handle, lambda status: status.state.is_ended)


def container(state: dict[str, object]) -> dict[str, object]:
    return {"name": "job", "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": state}


def quota(cluster: Cluster, namespace: str, of: str) -> None:
    """A namespace in which there may be none of something."""
    cluster.ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    cluster.ask("POST", f"/api/v1/namespaces/{namespace}/resourcequotas", {"metadata": {"name": "none"}, "spec": {"hard": {of: "0"}}})
    deadline = time.monotonic() + 120
    while not cluster.ask("GET", f"/api/v1/namespaces/{namespace}/resourcequotas/none").get("status", {}).get("used"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


# -- what the cluster is sent -------------------------------------------------------------------------


def test_a_job_arrives_as_it_is_described(cluster: Cluster, engine: KubernetesEngine, job: Job) -> None:
    wanted = job(
        "sh", "-c", "true", held=True, cpus=0.5, memory=64 << 20, seconds=99.5, env={"A": "b"}, folder="/tmp",
        options={
            "service_account": "robot", "image_pull_secrets": ["door"], "labels": {"team": "data"}, "annotations": {"who": "ana"},
            "tolerations": [{"key": "spot", "operator": "Exists"}], "volumes": [{"name": "v", "emptyDir": {}}],
            "volume_mounts": [{"name": "v", "mountPath": "/v"}], "ttl_seconds": 60, "entrypoint": "tini --",
        },
    )  # fmt: skip
    handle = engine.submit(wanted)
    assert handle == f"default/{wanted.submission}"
    found = cluster.ask("GET", f"/apis/batch/v1/namespaces/default/jobs/{wanted.submission}")
    assert (found["spec"]["backoffLimit"], found["spec"]["activeDeadlineSeconds"], found["spec"]["ttlSecondsAfterFinished"]) == (0, 100, 60)
    assert found["metadata"]["annotations"]["levada/title"] == wanted.title
    pod = cluster.pod_of(handle)
    (only,) = pod["spec"]["containers"]
    assert only["resources"] == {kind: {"cpu": "500m", "memory": str(64 << 20)} for kind in ("limits", "requests")}
    assert (only["command"], only["args"], only["workingDir"]) == (["tini", "--"], ["sh", "-c", "true"], "/tmp")
    assert only["env"] == [{"name": "A", "value": "b"}]
    assert only["volumeMounts"] == [{"name": "v", "mountPath": "/v"}]
    assert pod["spec"]["serviceAccountName"] == "robot"
    assert pod["spec"]["imagePullSecrets"] == [{"name": "door"}]
    assert pod["spec"]["restartPolicy"] == "Never"
    assert {"key": "spot", "operator": "Exists"} in pod["spec"]["tolerations"]
    assert pod["metadata"]["labels"]["team"] == "data"
    assert pod["metadata"]["annotations"]["who"] == "ana"


def test_a_template_of_a_pod_lies_under_what_the_job_says(cluster: Cluster, engine: KubernetesEngine, job: Job) -> None:
    template = {
        "metadata": {"labels": {"app": "etl"}},
        "spec": {
            "priorityClassName": "system-node-critical",
            "restartPolicy": "OnFailure",
            "containers": [
                {"name": "main", "image": "theirs:1", "env": [{"name": "A", "value": "theirs"}, {"name": "B", "value": "theirs"}]},
                {"name": "side", "image": "side:1"},
            ],
        },
    }
    wanted = job("true", held=True, env={"A": "ours"})
    handle = engine.submit(wanted._replace(options={**wanted.options, "pod_template": template}))
    pod = cluster.pod_of(handle)
    main, side = pod["spec"]["containers"]
    assert (main["name"], main["image"], main["args"], side["image"]) == ("main", "busybox:1", ["true"], "side:1")
    assert {one["name"]: one["value"] for one in main["env"]} == {"A": "ours", "B": "theirs"}
    assert (pod["spec"]["restartPolicy"], pod["spec"]["priorityClassName"]) == ("Never", "system-node-critical")
    assert pod["metadata"]["labels"]["app"] == "etl"
    assert template["spec"]["restartPolicy"] == "OnFailure", "the template is the user's"


# -- how it stands ------------------------------------------------------------------------------------


def test_a_job_whose_image_cannot_be_pulled_waits_and_says_so(engine: KubernetesEngine, job: Job) -> None:
    handle = engine.submit(job("true", options={"image": "nosuch:1"}))
    status = until(engine, handle, lambda status: bool(status.message) and "pod" not in status.message)
    assert (status.state, status.message) == (JobState.PENDING, "ImagePullBackOff: Back-off pulling image")
    engine.cancel(handle)


def test_a_job_that_no_node_takes_says_why(cluster: Cluster, engine: KubernetesEngine, job: Job) -> None:
    handle = engine.submit(job("true", held=True))
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}
    cluster.say_of(cluster.pod_of(handle), conditions=[condition])
    status = until(engine, handle, lambda status: "0/3" in status.message)
    assert status.state is JobState.PENDING


def test_a_job_whose_pod_the_cluster_does_not_admit_says_why(cluster: Cluster, engine: KubernetesEngine, job: Job) -> None:
    quota(cluster, "podless", "pods")
    engine = open_engine("/podless")
    handle = engine.submit(job("true"))
    status = until(engine, handle, lambda status: "FailedCreate" in status.message)
    assert status.state is JobState.PENDING
    assert "exceeded quota: none" in status.message


def test_a_job_that_runs_too_long_is_killed_by_its_cluster(engine: KubernetesEngine, job: Job) -> None:
    status = end_of(engine, engine.submit(job("sleep", "600", seconds=1.0)))
    assert (status.state, status.exit) == (JobState.KILLED, None)
    assert "DeadlineExceeded" in status.message


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"containerStatuses": [container({"terminated": {"exitCode": 137, "reason": "OOMKilled"}})]}, "OOMKilled: out of memory"),
        ({"containerStatuses": [container({"terminated": {"exitCode": 137, "reason": "Error"}})]}, "ended by SIGKILL"),
        ({"reason": "Evicted", "message": "The node was low on resource: memory."}, "Evicted: The node was low"),
        (
            {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "a greater one"}]},
            "PreemptionByScheduler: a greater one",
        ),
    ],
)
def test_a_job_that_was_ended_from_outside_says_by_what(
    cluster: Cluster, engine: KubernetesEngine, job: Job, told: dict[str, Any], says: str
) -> None:
    handle = engine.submit(job("true", held=True))
    cluster.say_of(cluster.pod_of(handle), phase="Failed", **told)
    status = end_of(engine, handle)
    assert (status.state, status.exit) == (JobState.KILLED, None)
    assert says in status.message


def test_a_job_whose_pod_somebody_removed_was_killed(cluster: Cluster, engine: KubernetesEngine, job: Job) -> None:
    handle = engine.submit(job("true", held=True))
    cluster.ask("DELETE", f"/api/v1/namespaces/default/pods/{cluster.pod_of(handle)['metadata']['name']}")
    status = end_of(engine, handle)
    assert status.state is JobState.KILLED
    assert "its pod was removed" in status.message


def test_a_job_that_somebody_removed_is_forgotten(cluster: Cluster, engine: KubernetesEngine, job: Job) -> None:
    handle = engine.submit(job("true", held=True))
    cluster.ask("DELETE", f"/apis/batch/v1/namespaces/{handle.replace('/', '/jobs/')}?propagationPolicy=Background")
    assert end_of(engine, handle).state is JobState.FORGOTTEN


def test_the_cluster_removes_a_job_by_itself_when_its_time_is_over(engine: KubernetesEngine, job: Job) -> None:
    handle = engine.submit(job("true", options={"ttl_seconds": 0}))
    until(engine, handle, lambda status: status.state is JobState.FORGOTTEN)


def test_a_cancelled_job_leaves_nothing_behind(cluster: Cluster, engine: KubernetesEngine, job: Job) -> None:
    wanted = job("sleep", "600")
    handle = engine.submit(wanted)
    until(engine, handle, lambda status: status.state is JobState.RUNNING)
    engine.cancel(handle)
    assert end_of(engine, handle).state is JobState.FORGOTTEN
    assert engine.find(wanted.submission) is None
    assert not cluster.ask("GET", f"/api/v1/namespaces/default/pods?labelSelector=levada/submission%3D{wanted.submission}")["items"]


def test_many_jobs_are_polled_by_two_listings(engine: KubernetesEngine, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    handles = [engine.submit(job("true", held=True)) for _ in range(3)]
    asked: list[str] = []
    ask = engine._api.ask
    monkeypatch.setattr(engine._api, "ask", lambda method, path, params=None: asked.append(path) or ask(method, path, params))
    assert len(engine.poll([*handles, *(f"default/nobody-{number}" for number in range(100))])) == 103
    assert [path.rpartition("/")[2] for path in asked] == ["jobs", "pods"]


def test_a_listing_of_several_pages_is_read_to_its_end(engine: KubernetesEngine, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "PAGE", 2)
    handles = [engine.submit(job("true", held=True)) for _ in range(5)]
    assert {status.state for status in engine.poll(handles)} == {JobState.PENDING}


# -- once, whatever happens ---------------------------------------------------------------------------


def test_a_submission_that_is_repeated_runs_once(engine: KubernetesEngine, job: Job, tmp_path: Path) -> None:
    wanted = job("sh", "-c", f"echo once >> {tmp_path}/marks")
    first = engine.submit(wanted)
    assert engine.submit(wanted) == first
    assert end_of(engine, first) == JobStatus(JobState.SUCCEEDED, 0)
    assert engine.submit(wanted) == first
    assert (tmp_path / "marks").read_text() == "once\n"


SUBMIT_AND_DIE = """\
import os, signal, sys
from levada.handover import JobSpec, open_engine
open_engine("k8s://").submit(JobSpec(sys.argv[1], "Dies()", ("sh", "-c", "sleep 1; echo outlived; exit 4"), options={"image": "busybox:1"}))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_job_outlives_the_process_that_submitted_it_and_is_found_by_another(engine: KubernetesEngine, job: Job) -> None:
    name = job().submission
    died = subprocess.run([sys.executable, "-c", SUBMIT_AND_DIE, name], timeout=100)
    assert died.returncode == -signal.SIGKILL
    handle = engine.find(name)
    assert handle is not None
    assert end_of(engine, handle).exit == 4
    assert engine.logs(handle, most=100) == "outlived\n"


# -- refused, or not answered -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pod_template": {"spec": {"nodeSelektor": {}}}}, 'unknown field "spec.template.spec.nodeSelektor"'),
        ({"volume_mounts": [{"name": "a", "mountPath": "/a"}]}, r'volumeMounts\[0\].name: Not found: "a"'),
        ({"labels": {"a b": "c"}}, 'metadata.labels: Invalid value: "a b"'),
        ({"pod_template": {"spec": 3}}, "is no template of a pod"),
        ({"pod_template": {"spec": {"containers": {"name": "x"}}}}, "is no template of a pod"),
        ({"pod_template": {"metadata": ["x"]}}, "is no template of a pod"),
        ({"entrypoint": "sh -c 'x"}, "quotes that close"),
        ({"namespace": "x"}, "no option 'namespace'"),
        ({"image": ""}, "no image is named"),
        ({"ttl_seconds": -1}, "is -1: expected a whole number"),
        ({"tolerations": {"key": "x"}}, "expected a list of mappings"),
    ],
)
def test_a_wrong_option_is_refused_in_the_clusters_words_or_ours(
    engine: KubernetesEngine, job: Job, options: dict[str, object], says: str
) -> None:
    wanted = job("true", options=options)
    with pytest.raises(JobRefused, match=says):
        engine.submit(wanted)
    assert engine.find(wanted.submission) is None


def test_a_namespace_that_is_not_there_is_refused(engine: KubernetesEngine, job: Job) -> None:
    with pytest.raises(JobRefused, match="Is there a namespace nowhere"):
        open_engine("/nowhere").submit(job("true"))


def test_a_quota_that_is_used_up_is_refused_in_the_clusters_words(cluster: Cluster, engine: KubernetesEngine, job: Job) -> None:
    quota(cluster, "poor", "count/jobs.batch")
    with pytest.raises(JobRefused, match="exceeded quota: none"):
        open_engine("tests/poor").submit(job("true"))


def test_who_may_not_make_jobs_is_refused_and_a_question_that_may_not_be_asked_says_nothing_of_a_job(
    cluster: Cluster, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.write_config("nobody", NOBODY)))
    engine = open_engine("")
    with pytest.raises(JobRefused, match='User "nobody" cannot create resource "jobs"'):
        engine.submit(job("true"))
    for ask in (lambda: engine.poll(["default/a"]), lambda: engine.find("a"), lambda: engine.cancel("default/a")):
        with pytest.raises(EngineUnreachable, match='User "nobody" cannot'):
            ask()


def test_credentials_that_ran_out_say_nothing_of_a_job(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.write_config("old", "token-of-yesterday")))
    with pytest.raises(EngineUnreachable, match="Unauthorized"):
        open_engine("").poll(["default/a"])


def test_a_server_that_is_away_is_unreachable(cluster: Cluster, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.write_config("away", port=9)))
    engine = open_engine("")
    for ask in (lambda: engine.submit(job("true")), lambda: engine.find("a"), lambda: engine.logs("default/a", most=9)):
        with pytest.raises(EngineUnreachable, match="no answer"):
            ask()


def test_a_server_that_never_answers_is_given_up(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "ANSWER", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("KUBECONFIG", str(cluster.write_config("silent", port=silent.getsockname()[1])))
        with pytest.raises(EngineUnreachable, match="no answer"):
            open_engine("").poll(["default/a"])


# -- addresses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "namespace"),
    [("", "default"), ("tests", "default"), ("tests/etl", "etl"), ("/etl", "etl"), ("arn:c/prod", "default"), ("arn:c/prod/etl", "etl")],
)
def test_an_address_names_a_context_and_a_namespace(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, address: str, namespace: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.write_config("several", contexts=("tests", "arn:c/prod"))))
    assert open_engine(address)._api.namespace == namespace


def test_a_context_that_is_not_there_is_said_with_those_that_are(engine: KubernetesEngine) -> None:
    with pytest.raises(EngineError, match="no context 'tset'\n  It has tests"):
        open_engine("tset/default")


def test_no_configuration_is_said() -> None:
    with pytest.raises(EngineError, match="KUBECONFIG names its file"):
        open_engine("")
