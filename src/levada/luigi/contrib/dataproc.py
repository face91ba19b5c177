"""``luigi.contrib.dataproc``: clusters of Google's Dataproc and jobs on them, by Google's own client.

There is no wing for Dataproc: a job is asked for and followed over its REST interface, by the attempt. google-api-python-client is
imported when first used; credentials are those of ``google.auth``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from levada._model.control import listening
from levada.errors import EngineError, JobFailed
from levada.params import StrParameter
from levada.task import Task

logger = logging.getLogger("luigi-interface")

POLL = 5.0  # seconds between two looks at a job; a cluster is looked at half as often
_COMPUTE = "https://www.googleapis.com/compute/v1/projects"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_client: Any = None


def get_dataproc_client() -> Any:
    """Google's client, made when it is first asked for. Raises EngineError where its packages are not there."""
    if _client is None:
        try:
            import google.auth  # type: ignore[import-not-found, import-untyped, unused-ignore]
            from googleapiclient import discovery  # type: ignore[import-not-found, import-untyped, unused-ignore]
        except ImportError as cause:
            hint = "pip install google-api-python-client google-auth"
            raise EngineError(f"Dataproc is spoken to by Google's own client, which is not there ({cause})", hint=hint) from cause
        credentials, _ = google.auth.default()
        set_dataproc_client(discovery.build("dataproc", "v1", cache_discovery=False, credentials=credentials))
    return _client


def set_dataproc_client(client: Any) -> None:
    """Use this client from now on."""
    global _client
    _client = client


class _DataprocBaseTask(Task):
    """What jobs and clusters have in common."""

    gcloud_project_id = StrParameter(significant=False, positional=False)
    dataproc_cluster_name = StrParameter(significant=False, positional=False)
    dataproc_region = StrParameter(default="global", significant=False, positional=False)

    @property
    def dataproc_client(self) -> Any:
        """Google's client."""
        return get_dataproc_client()

    def _ask(self, kind: str, verb: str, **words: Any) -> Any:
        """The answer to a question about this project and region."""
        region = self.dataproc_client.projects().regions()
        asked = getattr(getattr(region, kind)(), verb)(projectId=self.gcloud_project_id, region=self.dataproc_region, **words)
        return asked.execute()

    def _cluster(self) -> Any:
        """What is known of the cluster; None where there is none."""
        try:
            return self._ask("clusters", "get", clusterName=self.dataproc_cluster_name)
        except Exception as error:
            if str(getattr(getattr(error, "resp", None), "status", "")) == "404":
                return None
            raise


def _until(ended: Callable[[], bool], seconds: float) -> None:
    """Look again and again; what ends the attempt is raised."""
    control = listening()
    while not ended():
        control.wait(seconds)


class DataprocBaseTask(_DataprocBaseTask):
    """A job of a cluster: `submit_job` and its kin in ``run``, then `wait_for_job`."""

    _job: ClassVar[Any] = None
    _job_id: ClassVar[Any] = None
    _job_name: ClassVar[Any] = None

    def submit_job(self, job_config: dict[str, Any]) -> Any:
        """Submit a job as Dataproc describes it."""
        made = vars(self)
        made["_job"] = self._ask("jobs", "submit", body=job_config)
        made["_job_id"] = self._job["reference"]["jobId"]
        return self._job

    def submit_spark_job(self, jars: Sequence[str], main_class: str, job_args: Sequence[str] | None = None) -> Any:
        """Submit a class of some jars."""
        return self._submit("sparkJob", main_class, {"mainClass": main_class, "jarFileUris": list(jars), "args": list(job_args or ())})

    def submit_pyspark_job(self, job_file: str, extra_files: Sequence[str] = (), job_args: Sequence[str] | None = None) -> Any:
        """Submit a Python file."""
        described = {"mainPythonFileUri": job_file, "pythonFileUris": list(extra_files), "args": list(job_args or ())}
        return self._submit("pysparkJob", job_file, described)

    def wait_for_job(self) -> None:
        """Wait until it has ended well. Raises JobFailed, EngineError where none was submitted."""
        if self._job is None:
            raise EngineError(f"{self}: no job was submitted that could be waited for")
        _until(self._has_ended, POLL)

    def _submit(self, kind: str, name: str, described: dict[str, Any]) -> Any:
        self.submit_job({"job": {"placement": {"clusterName": self.dataproc_cluster_name}, kind: described}})
        vars(self)["_job_name"] = os.path.basename(name)
        logger.info("%s: Dataproc has taken job %s as %s", self, self._job_name, self._job_id)
        return self._job

    def _has_ended(self) -> bool:
        status = self._ask("jobs", "get", jobId=self._job_id)["status"]
        logger.info("%s: job %s is %s", self, self._job_id, status["state"])
        if status["state"] in ("ERROR", "CANCELLED", "ATTEMPT_FAILURE"):
            raise JobFailed(f"{self}: job {self._job_id} ended as {status['state']}: {status.get('details', 'without a reason')}")
        return bool(status["state"] == "DONE")


class DataprocSparkTask(DataprocBaseTask):
    """Runs a class of some jars (commas between) with some arguments (likewise)."""

    main_class = StrParameter()
    jars = StrParameter(default="")
    job_args = StrParameter(default="")

    def run(self) -> None:
        """Submit it, and wait."""
        self.submit_spark_job(_parts(self.jars), self.main_class, _parts(self.job_args))
        self.wait_for_job()


class DataprocPysparkTask(DataprocBaseTask):
    """Runs a Python file with further ones (commas between) and some arguments (likewise)."""

    job_file = StrParameter()
    extra_files = StrParameter(default="")
    job_args = StrParameter(default="")

    def run(self) -> None:
        """Submit it, and wait."""
        self.submit_pyspark_job(self.job_file, _parts(self.extra_files), _parts(self.job_args))
        self.wait_for_job()


class CreateDataprocClusterTask(_DataprocBaseTask):
    """Makes a cluster; complete while there is one of the name."""

    gcloud_zone = StrParameter(default="europe-west1-c")
    gcloud_network = StrParameter(default="default")
    master_node_type = StrParameter(default="n1-standard-2")
    master_disk_size = StrParameter(default="100")
    worker_node_type = StrParameter(default="n1-standard-2")
    worker_disk_size = StrParameter(default="100")
    worker_normal_count = StrParameter(default="2")
    worker_preemptible_count = StrParameter(default="0")
    image_version = StrParameter(default="")

    def complete(self) -> bool:
        """Whether it is there."""
        return self._cluster() is not None

    def run(self) -> None:
        """Make it, and wait until it runs. Raises JobFailed."""
        self._ask("clusters", "create", body=self._described())
        _until(self._runs, 2 * POLL)

    def _described(self) -> dict[str, Any]:
        place = f"{_COMPUTE}/{self.gcloud_project_id}"
        types = f"{place}/zones/{self.gcloud_zone}/machineTypes"
        return {
            "clusterName": self.dataproc_cluster_name,
            "projectId": self.gcloud_project_id,
            "config": {
                "configBucket": "",
                "gceClusterConfig": {
                    "networkUri": f"{place}/global/networks/{self.gcloud_network}",
                    "zoneUri": f"{place}/zones/{self.gcloud_zone}",
                    "serviceAccountScopes": [_SCOPE],
                },
                "masterConfig": _machines(1, f"{types}/{self.master_node_type}", self.master_disk_size),
                "workerConfig": _machines(self.worker_normal_count, f"{types}/{self.worker_node_type}", self.worker_disk_size),
                "secondaryWorkerConfig": {"numInstances": self.worker_preemptible_count, "isPreemptible": True},
                "softwareConfig": {"imageVersion": self.image_version} if self.image_version else {},
            },
        }

    def _runs(self) -> bool:
        status = (self._cluster() or {"status": {"state": "UNKNOWN"}})["status"]
        if status["state"] == "ERROR":
            raise JobFailed(f"{self}: the cluster could not be made: {status.get('details', 'without a reason')}")
        return bool(status["state"] == "RUNNING")


class DeleteDataprocClusterTask(_DataprocBaseTask):
    """Removes a cluster; complete while there is none of the name."""

    def complete(self) -> bool:
        """Whether it is gone."""
        return self._cluster() is None

    def run(self) -> None:
        """Remove it, and wait until it is gone."""
        self._ask("clusters", "delete", clusterName=self.dataproc_cluster_name)
        _until(self.complete, 2 * POLL)


def _machines(count: object, kind: str, disk: str) -> dict[str, Any]:
    return {"numInstances": count, "machineTypeUri": kind, "diskConfig": {"bootDiskSizeGb": disk, "numLocalSsds": 0}}


def _parts(text: str) -> list[str]:
    return text.split(",") if text else []
