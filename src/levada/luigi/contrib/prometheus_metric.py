"""Luigi's `PrometheusMetricsCollector`: counts of a scheduler's tasks, for prometheus_client."""

from __future__ import annotations

from typing import Any

from levada.luigi.metrics import MetricsCollector
from levada.params import BoolParameter, ListParameter
from levada.task import Config

from ._clients import client as needed


class prometheus(Config):
    """What the counts are told apart by: the family of the task, and parameters."""

    use_task_family_in_labels = BoolParameter(default=True, parsing=BoolParameter.EXPLICIT_PARSING)
    task_parameters_to_use_in_labels = ListParameter(default=())


class PrometheusMetricsCollector(MetricsCollector):
    """Counters of started, failed, disabled and done tasks, and the time that each took. Arguments: those of ``[prometheus]``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        client = needed("prometheus_client", wanted="luigi.contrib.prometheus_metric", install="prometheus-client")
        config: Any = prometheus(**kwargs)
        self.labels = [*config.task_parameters_to_use_in_labels, *(["family"] if config.use_task_family_in_labels else [])]
        if not self.labels:
            raise ValueError(
                "[prometheus] tells tasks apart by nothing: give task_parameters_to_use_in_labels, or use_task_family_in_labels"
            )
        self.registry = client.CollectorRegistry()

        def counter(what: str) -> Any:
            return client.Counter(f"luigi_task_{what}_total", f"tasks that were {what}", self.labels, registry=self.registry)

        self.task_started_counter, self.task_failed_counter = counter("started"), counter("failed")
        self.task_disabled_counter, self.task_done_counter = counter("disabled"), counter("done")
        self.task_execution_time = client.Gauge(
            "luigi_task_execution_time_seconds", "seconds that a task took", self.labels, registry=self.registry
        )

    def _labels_of(self, task: Any) -> dict[str, Any]:
        return {label: task.family if label == "family" else task.params.get(label) for label in self.labels}

    def handle_task_started(self, task: Any) -> None:
        """Count it."""
        labels = self._labels_of(task)
        self.task_started_counter.labels(**labels).inc()
        self.task_execution_time.labels(**labels)

    def handle_task_failed(self, task: Any) -> None:
        """Count it, and its time."""
        self._ended(task, self.task_failed_counter)

    def handle_task_disabled(self, task: Any, config: Any) -> None:
        """Count it, and its time."""
        self._ended(task, self.task_disabled_counter)

    def handle_task_done(self, task: Any) -> None:
        """Count it, and its time, unless it was complete before."""
        self._ended(task, self.task_done_counter)

    def _ended(self, task: Any, counter: Any) -> None:
        labels = self._labels_of(task)
        counter.labels(**labels).inc()
        if task.time_running is not None:
            self.task_execution_time.labels(**labels).set(task.updated - task.time_running)

    def generate_latest(self) -> bytes:
        """All of it, as Prometheus reads it."""
        client = needed("prometheus_client", wanted="luigi.contrib.prometheus_metric", install="prometheus-client")
        found: bytes = client.generate_latest(self.registry)
        return found

    def configure_http_handler(self, http_handler: Any) -> None:
        """Say what kind of text it is."""
        client = needed("prometheus_client", wanted="luigi.contrib.prometheus_metric", install="prometheus-client")
        http_handler.set_header("Content-Type", client.CONTENT_TYPE_LATEST)
