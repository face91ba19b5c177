"""``luigi.contrib.kubernetes``: jobs of Kubernetes, handed over as `levada.contrib.kubernetes` does: run once, with one try of one pod."""

# pyright: reportIncompatibleVariableOverride=false
# What the house has as values are properties here, as in Luigi: programs override them as such.

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from levada._model.engines import JobSpec, JobStatus
from levada.contrib import kubernetes as house
from levada.errors import EngineError
from levada.params import IntParameter, OptionalParameter, StrParameter
from levada.task import Config, repr_of

logger = logging.getLogger("luigi-interface")

_DEFAULT = "~/.kube/config"


class kubernetes(Config):
    """The section ``[kubernetes]``."""

    auth_method = StrParameter(default="kubeconfig", description="kubeconfig or service-account.")
    kubeconfig_path = StrParameter(default=_DEFAULT, description="the configuration of the cluster.")
    max_retrials = IntParameter(default=0, description="not used: the task's retries are Levada's.")
    kubernetes_namespace = OptionalParameter(default=None, description="namespace of the jobs.")


class KubernetesJobTask(house.KubernetesJobTask):
    """Define ``name`` and ``spec_schema``, the spec of the job's pod."""

    @property
    def auth_method(self) -> str:
        """How the cluster is reached."""
        return kubernetes().auth_method

    @property
    def kubeconfig_path(self) -> str:
        """The configuration of the cluster."""
        return kubernetes().kubeconfig_path

    @property
    def kubernetes_namespace(self) -> str | None:
        """Namespace; None: the one of the configuration."""
        return kubernetes().kubernetes_namespace

    @property
    def name(self) -> str:
        """A name for people, which the job has as the label ``luigi/name``."""
        raise NotImplementedError(f"{type(self).__name__} has to define name")

    @property
    def labels(self) -> Mapping[str, str]:
        """Further labels of the job."""
        return {}

    @property
    def spec_schema(self) -> Mapping[str, Any]:
        """The spec of the pod."""
        raise NotImplementedError(f"{type(self).__name__} has to define spec_schema")

    @property
    def active_deadline_seconds(self) -> int | None:
        """Seconds after which the cluster ends the job."""
        return None

    def signal_complete(self) -> None:
        """Called when the job has ended well, for those who make their output here."""

    def output(self) -> Any:
        """What tells that it is done."""
        return None

    # -- handed over

    def engine_address(self) -> str:
        """The namespace. Raises EngineError for a configuration that is not the one in use here."""
        wanted = os.path.expanduser(self.kubeconfig_path)
        used = os.path.expanduser(os.environ.get("KUBECONFIG") or _DEFAULT)
        if self.auth_method == "kubeconfig" and wanted not in (used, os.path.expanduser(_DEFAULT)):
            raise EngineError(
                f"{self}: names the configuration {wanted}, and {used} is in use", hint=f"Start the worker with KUBECONFIG={wanted}."
            )
        return f"k8s:///{self.kubernetes_namespace}" if self.kubernetes_namespace else "k8s://"

    def job(self, submission: str) -> JobSpec:
        """What the cluster is to run."""
        labels = {"spawned_by": "luigi", "luigi/name": self.name, **{name: str(value) for name, value in self.labels.items()}}
        options = {"labels": labels, "pod_template": {"spec": dict(self.spec_schema)}}
        return JobSpec(submission, repr_of(self), (), self._own_environment(), seconds=self.active_deadline_seconds, options=options)

    def finished(self, status: JobStatus) -> None:
        """Let the task say so."""
        self.signal_complete()
