"""The figures of the platform for Prometheus, and the page that shows them (`GET /metrics`; docs/metrics.md).

Two kinds:

- What processes count and see. Declare it in one line where it is counted, and use it as prometheus-client's own:

      refusals = metrics.counter("chain_send_refusals_total", "Refused sends, by what the refusal means", ["meaning"])
      refusals.labels(meaning="UNKNOWN").inc()

  Where `PROMETHEUS_MULTIPROC_DIR` is set, the page of any web process shows what all processes with that folder counted
  together: web, worker, beat and commands (`metric_files`). Else it shows its own process.

- What the database knows. Register a function that is called when the page is built, from an app's `ready`:

      metrics.read_at_scrape("loans_open", "Loans that are not paid back, by status", count_open, ["status"])

  or a `Collector` of prometheus-client's with `register_collector`. One that raises is left out of the page, logged
  once until it works again, and counted; so are those whose turn comes after `READ_SECONDS` (the database hangs). The
  page is kept for `CACHE_SECONDS`: however often it is asked for, each web process reads once in that time.

Labels are few and bounded: nothing that a caller can choose freely (a path, a method) is a label.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.conf import settings
from prometheus_client import REGISTRY, Counter, Gauge, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from partner_platform.core.instrumentation import metric_files

logger = logging.getLogger(__name__)

CACHE_SECONDS = 5.0
READ_SECONDS = 5.0  # Prometheus itself waits 10

# How a gauge that several processes set becomes one figure. `mostrecent`: the last one set, by a process that lives or
# not. `live…`: of the living only.
GaugeMode = Literal["mostrecent", "livemostrecent", "livesum", "livemax"]
Value = float | Mapping[Any, float]  # by the value of the label, or by a tuple of the labels' values

_places = metric_files.use(settings.PROMETHEUS_MULTIPROC_DIR)


@dataclass(frozen=True)
class Declared:
    """A metric of ours, as docs/metrics.md lists it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


declared: list[Declared] = []
_at_scrape: list["_Guarded"] = []


def counter(name: str, help: str, labels: Sequence[str] = ()) -> Counter:  # noqa: A002 - Prometheus's own word
    """A count that never falls; `name` ends with `_total`."""
    if not name.endswith("_total"):
        raise ValueError(f"a counter's name ends with _total: {name}")
    _declare(name, "counter", labels, help)
    return Counter(name, help, labels)


def gauge(name: str, help: str, labels: Sequence[str] = (), *, mode: GaugeMode) -> Gauge:  # noqa: A002
    """A figure that rises and falls."""
    _declare(name, "gauge", labels, help)
    return Gauge(name, help, labels, multiprocess_mode=mode)


def read_at_scrape(
    name: str,
    help: str,  # noqa: A002
    read: Callable[[], Value],
    labels: Sequence[str] = (),
    *,
    kind: Literal["counter", "gauge"] = "gauge",
) -> None:
    """A figure that `read` returns when the page is built: a number, or numbers by the value or values of `labels`."""
    _declare(name, kind, labels, help)
    _register(name, _Reading(name, help, tuple(labels), kind, read))


def register_collector(collector: Collector) -> None:
    """Have `collector.collect()` called when the page is built."""
    _register(type(collector).__name__, collector)


def cached_page() -> bytes:
    """The page in the text format 0.0.4, at most `CACHE_SECONDS` old."""
    return _page.text()


def build() -> bytes:
    """The page as of now."""
    _Guarded.deadline = time.monotonic() + READ_SECONDS
    try:
        if _processes is None:
            return generate_latest(REGISTRY)
        # The processes' own counts come first: they need no database.
        found = [metric for guarded in (_processes, *_at_scrape) for metric in guarded.collect()]
        return generate_latest(_Families(found))
    finally:
        _Guarded.deadline = math.inf


def _declare(name: str, kind: str, labels: Sequence[str], text: str) -> None:
    if any(metric.name == name for metric in declared):
        raise ValueError(f"{name} is declared already")
    declared.append(Declared(name, kind, tuple(labels), text))


def _register(name: str, collector: Collector) -> None:
    guarded = _Guarded(name, collector)
    _at_scrape.append(guarded)
    REGISTRY.register(guarded)  # the page of a process that counts for itself


@dataclass(frozen=True)
class _Families:
    """Metrics that are collected already."""

    families: Sequence[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.families


@dataclass(frozen=True)
class _Reading:
    """A collector of one function."""

    name: str
    help: str
    labels: tuple[str, ...]
    kind: str
    read: Callable[[], Value]

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        metric = family(self.name, self.help, labels=self.labels)
        value = self.read()
        if isinstance(value, Mapping):
            for key, figure in sorted(value.items()):
                metric.add_metric([key] if isinstance(key, str) else list(key), figure)
        else:
            metric.add_metric([], value)
        return [metric]


class _Guarded:
    """A collector whose failure, or missed deadline, removes only its own metrics from the page."""

    deadline = math.inf

    def __init__(self, name: str, collector: Collector) -> None:
        self._name, self._collector = name, collector
        self._is_failing = False

    def describe(self) -> list[Metric]:
        """Nothing is read when it is registered."""
        return []

    def collect(self) -> list[Metric]:
        try:
            found = self._read()
        except Exception:  # the other metrics must stay on the page
            failures.labels(collector=self._name).inc()
            if not self._is_failing:
                logger.exception("the metrics of %s cannot be read; they are missing until they can", self._name)
            self._is_failing = True
            return []
        self._is_failing = False
        return found

    def _read(self) -> list[Metric]:
        if time.monotonic() > self.deadline:
            raise TimeoutError(f"not read: the metrics before it took {READ_SECONDS:g} s")
        return list(self._collector.collect())


class _Page:
    """The page, cached for a moment; requests that come while it is built wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._text = b""
        self._until = 0.0

    def text(self) -> bytes:
        with self._lock:
            if time.monotonic() >= self._until:
                self._text = build()
                self._until = time.monotonic() + CACHE_SECONDS
            return self._text


_processes = None if _places is None else _Guarded("processes", _places)
_page = _Page()
failures = counter("metrics_collector_failures_total", "Readings for this page that raised", ["collector"])
