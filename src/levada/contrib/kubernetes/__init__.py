"""Jobs of Kubernetes (``batch/v1``): ``k8s://``, ``k8s://context``, ``k8s://context/namespace``, ``k8s:///namespace``."""

from __future__ import annotations

from .engine import KubernetesEngine, open_engine
from .tasks import KubernetesJobTask

__all__ = ["KubernetesEngine", "KubernetesJobTask", "open_engine"]
