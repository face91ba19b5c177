"""Jobs of Kubernetes as tasks, in Luigi's spelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from levada.handover.task import JobTask


class KubernetesJobTask(JobTask):
    """Runs a job of Kubernetes in the cluster and namespace that ``engine`` names, else the current ones; once.

    spec_schema: the spec of its pod, whose first container is the job's. image, labels: laid over that. `command` gives arguments for the
    image's entrypoint; none: what the spec or the image says.
    """

    engine: ClassVar[Any] = "k8s://"
    spec_schema: ClassVar[Any] = {}
    image: ClassVar[Any] = ""
    labels: ClassVar[Any] = {}

    def command(self) -> Sequence[str]:
        """None: what the spec or the image itself runs."""
        return ()

    def options(self) -> Mapping[str, object]:
        """Image, labels and the spec of the pod."""
        return {"image": str(self.image), "labels": dict(self.labels), "pod_template": {"spec": dict(self.spec_schema)}}
