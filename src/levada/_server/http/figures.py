"""What is counted of requests, and the metrics page (Prometheus' text format)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .port import Sample

EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)  # seconds
PREFIX = "levada_"


class Figures:
    """Plain counters; one thread writes them."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.seconds: dict[str, list[int]] = {}
        self.sums: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.gauges: dict[str, Callable[[], float]] = {}

    def note(self, name: str, status: int, seconds: float) -> None:
        """One request is answered. name: of its route."""
        self.requests[name, status] += 1
        buckets = self.seconds.get(name)
        if buckets is None:
            buckets = self.seconds[name] = [0] * (len(EDGES) + 1)
        buckets[bisect_left(EDGES, seconds)] += 1
        self.sums[name] += seconds  # type: ignore[assignment]  # Counter adds floats as well


def metrics_page(figures: Figures, samples: Iterable[Sample]) -> tuple[bytes, bytes]:
    """(content type, text) of the metrics page."""
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(figures, list(samples)))
    return CONTENT_TYPE_LATEST.encode(), generate_latest(registry)


class _Collector:
    def __init__(self, figures: Figures, samples: list[Sample]) -> None:
        self._figures, self._samples = figures, samples

    def collect(self) -> Iterator[Any]:
        yield from self._requests()
        yield from self._others()

    def _requests(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        requests = CounterMetricFamily(PREFIX + "http_requests", "Requests answered.", labels=("route", "status"))
        for (name, status), count in sorted(self._figures.requests.items()):
            requests.add_metric((name, str(status)), count)
        refused = CounterMetricFamily(PREFIX + "http_refused", "Requests refused, by the code of their problem.", labels=("code",))
        for code, count in sorted(self._figures.refused.items()):
            refused.add_metric((code,), count)
        seconds = HistogramMetricFamily(PREFIX + "http_seconds", "Time from the head of a request to its answer.", labels=("route",))
        for name, buckets in sorted(self._figures.seconds.items()):
            seconds.add_metric((name,), _running(buckets), self._figures.sums[name])
        yield from (requests, refused, seconds)
        for name, value in sorted(self._figures.gauges.items()):
            yield GaugeMetricFamily(PREFIX + name, name.replace("_", " ").capitalize() + ".", value=value())

    def _others(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        families: dict[str, Any] = {}
        for sample in self._samples:
            family = families.get(sample.name)
            if family is None:
                kind = CounterMetricFamily if sample.kind == "counter" else GaugeMetricFamily
                family = families[sample.name] = kind(PREFIX + sample.name, sample.help, labels=[name for name, _ in sample.labels])
            family.add_metric([value for _, value in sample.labels], sample.value)
        yield from families.values()


def _running(buckets: list[int]) -> list[tuple[str, float]]:
    """Counts up to each edge, as Prometheus wants them."""
    edges = [*map(str, EDGES), "+Inf"]
    return [(edge, float(sum(buckets[: at + 1]))) for at, edge in enumerate(edges)]
