"""Luigi's `DatadogMetricsCollector`: what happens to a scheduler's tasks, as events and metrics of Datadog."""

from __future__ import annotations

from typing import Any

from levada.luigi.metrics import MetricsCollector
from levada.params import IntParameter, Parameter
from levada.task import Config

from ._clients import client as needed


class datadog(Config):
    """Where metrics and events go, and what all of them are marked with. default_tags: with commas between them."""

    api_key = Parameter(default="dummy_api_key")
    app_key = Parameter(default="dummy_app_key")
    default_tags = Parameter(default="application:luigi")
    environment = Parameter(default="development")
    metric_namespace = Parameter(default="luigi")
    statsd_host = Parameter(default="localhost")
    statsd_port = IntParameter(default=8125)


class DatadogMetricsCollector(MetricsCollector):
    """An event and a count for each task that starts, fails, is disabled or done. Arguments: those of ``[datadog]``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        config: Any = datadog(**kwargs)
        self._config = config
        self._client = needed("datadog", wanted="luigi.contrib.datadog_metric", install="datadog")
        self._client.initialize(
            api_key=config.api_key, app_key=config.app_key, statsd_host=config.statsd_host, statsd_port=config.statsd_port
        )

    def handle_task_started(self, task: Any) -> None:
        """Tell it."""
        self._tell(task, "started", f"A task has been started in the pipeline named: {task.family}", "info", "low")

    def handle_task_failed(self, task: Any) -> None:
        """Tell it."""
        self._tell(task, "failed", f"A task has failed in the pipeline named: {task.family}", "error", "normal")

    def handle_task_disabled(self, task: Any, config: Any) -> None:
        """Tell it, and why."""
        text = (
            f"A task has been disabled in the pipeline named: {task.family}. The task has failed {config.retry_count} times "
            f"in the last {config.disable_window} seconds, so it is being disabled for {config.disable_persist} seconds."
        )
        self._tell(task, "disabled", text, "error", "normal")

    def handle_task_done(self, task: Any) -> None:
        """Tell it, and how long it took; nothing of one that was complete before."""
        if task.time_running is None:
            return
        self._send_gauge("task.execution_time", task.updated - task.time_running, tags=self._tags_of(task))
        self._tell(task, "done", f"A task has completed in the pipeline named: {task.family}", "info", "low")

    def _tell(self, task: Any, what: str, text: str, alert_type: str, priority: str) -> None:
        done = {"started": "been started", "failed": "failed", "disabled": "been disabled", "done": "been completed"}[what]
        tags = self._tags_of(task)
        self._send_increment(f"task.{what}", tags=tags)
        state = f"task_state:{what.upper()}"
        self._send_event(title=f"Luigi: A task has {done}!", text=text, tags=[*tags, state], alert_type=alert_type, priority=priority)

    def _send_event(self, *, tags: list[str], **params: Any) -> None:
        self._client.api.Event.create(tags=tags + self.default_tags, **params)

    def _send_gauge(self, metric_name: str, value: float, tags: list[str]) -> None:
        self._client.statsd.gauge(f"{self._config.metric_namespace}.{metric_name}", value, tags=tags + self.default_tags)

    def _send_increment(self, metric_name: str, value: int = 1, *, tags: list[str]) -> None:
        self._client.statsd.increment(f"{self._config.metric_namespace}.{metric_name}", value, tags=tags + self.default_tags)

    def _tags_of(self, task: Any) -> list[str]:
        return [f"task_name:{task.family}", *(f"{name}:{value}" for name, value in task.params.items())]

    @property
    def default_tags(self) -> list[str]:
        """What each event and metric is marked with."""
        more = self._config.default_tags
        return [f"environment:{self._config.environment}", *(more.split(",") if more else [])]
