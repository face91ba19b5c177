"""Luigi's ``luigi.metrics``: collectors that luigid told of what its tasks do. A Levada server has ``/metrics`` by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from importlib import import_module
from typing import Any


class MetricsCollectors(Enum):
    """Which collector ``[scheduler] metrics_collector`` asks for."""

    custom = -1
    default = 1
    none = 1  # noqa: PIE796 - Luigi's two names of one
    datadog = 2
    prometheus = 3

    @classmethod
    def get(cls, which: MetricsCollectors, custom_import: str | None = None) -> MetricsCollector:
        """A new collector. custom_import: dotted name of its class, for ``custom``. Raises ValueError."""
        if which is cls.none:
            return NoMetricsCollector()
        if which is cls.custom and custom_import is None:
            raise ValueError("metrics_collector is custom, and metrics_custom_import names no class")
        homes = {cls.datadog: "datadog_metric.DatadogMetricsCollector", cls.prometheus: "prometheus_metric.PrometheusMetricsCollector"}
        if which not in (cls.custom, *homes):
            raise ValueError(f"MetricsCollectors value {which!r} isn't supported; expected one of {', '.join(cls.__members__)}")
        name = str(custom_import) if which is cls.custom else f"{__package__}.contrib.{homes[which]}"
        module, _, label = name.rpartition(".")
        found: Any = getattr(import_module(module), label)
        if not issubclass(found, MetricsCollector):
            raise ValueError(f"{name} is not a subclass of MetricsCollector")
        collector: MetricsCollector = found()
        return collector


class MetricsCollector(ABC):
    """What a scheduler tells of its tasks. A subclass defines the first five methods."""

    @abstractmethod
    def __init__(self) -> None: ...

    @abstractmethod
    def handle_task_started(self, task: Any) -> Any:
        """A worker runs it."""

    @abstractmethod
    def handle_task_failed(self, task: Any) -> Any:
        """It failed."""

    @abstractmethod
    def handle_task_disabled(self, task: Any, config: Any) -> Any:
        """It failed too often."""

    @abstractmethod
    def handle_task_done(self, task: Any) -> Any:
        """It is complete."""

    def handle_task_statistics(self, task: Any, statistics: Any) -> Any:  # noqa: B027 - optional
        """What a run told of itself."""

    def generate_latest(self) -> Any:  # noqa: B027
        """What ``/metrics`` shows."""

    def configure_http_handler(self, http_handler: Any) -> Any:  # noqa: B027
        """Set headers of that answer."""


class NoMetricsCollector(MetricsCollector):
    """Collects nothing."""

    def __init__(self) -> None: ...

    def handle_task_started(self, task: Any) -> Any:
        """Nothing."""

    def handle_task_failed(self, task: Any) -> Any:
        """Nothing."""

    def handle_task_disabled(self, task: Any, config: Any) -> Any:
        """Nothing."""

    def handle_task_done(self, task: Any) -> Any:
        """Nothing."""
