"""The page of figures: each metric declared once and documented, read once in a while, none that takes others along."""

import logging
import re
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY
from prometheus_client.metrics_core import GaugeMetricFamily

from partner_platform.core import metrics
from partner_platform.core.instrumentation.metric_files import Places

pytestmark = pytest.mark.django_db  # the page reads all that the apps have registered

DOCUMENTATION = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([^|]*)\| [^|]+ \|$", re.MULTILINE)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What a test declares is gone after it."""
    declared, at_scrape = list(metrics.declared), list(metrics._at_scrape)
    collectors = set(REGISTRY._collector_to_names)
    yield
    metrics.declared[:], metrics._at_scrape[:] = declared, at_scrape
    for collector in set(REGISTRY._collector_to_names) - collectors:
        REGISTRY.unregister(collector)
    metrics._Guarded.deadline = float("inf")


def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time as this module alone reads it, in a list to be moved on; drivers' threads live by the real one."""
    now = [1000.0]
    monkeypatch.setattr(metrics, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def lines(name: str) -> list[str]:
    return [line for line in metrics.build().decode().splitlines() if name in line]


def test_every_metric_is_documented_with_its_type_and_labels_and_none_besides() -> None:
    rows = ROW.findall(DOCUMENTATION.read_text())
    documented = {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    declared = {metric.name: (metric.kind, metric.labels) for metric in metrics.declared}
    collected = {
        family.name: family.type
        for guarded in metrics._at_scrape
        for family in guarded.collect()
        if family.name not in declared
    }

    assert len(rows) == len(documented)
    assert {name: documented.get(name) for name in declared} == declared
    assert {name: documented.get(name, ("",))[0] for name in collected} == collected
    assert set(documented) == {*declared, *collected}
    assert collected


def test_a_counter_and_a_gauge_are_a_line_each() -> None:
    metrics.counter("test_refusals_total", "Refusals", ["meaning"]).labels("UNKNOWN").inc(3)
    metrics.gauge("test_head", "The head", mode="mostrecent").set(7)

    assert lines("test_refusals_total") == [
        "# HELP test_refusals_total Refusals",
        "# TYPE test_refusals_total counter",
        'test_refusals_total{meaning="UNKNOWN"} 3.0',
    ]
    assert "test_head 7.0" in lines("test_head")


def test_figures_are_read_when_the_page_is_built_by_one_label_or_more_or_none() -> None:
    metrics.read_at_scrape("test_open", "Open ones", lambda: {"B": 2, "A": 1}, ["state"])
    metrics.read_at_scrape("test_pairs", "Pairs", lambda: {("x", "y"): 5}, ["left", "right"])
    metrics.read_at_scrape("test_sum_total", "A sum", lambda: 9, kind="counter")

    assert lines("test_open")[1:] == ["# TYPE test_open gauge", 'test_open{state="A"} 1.0', 'test_open{state="B"} 2.0']
    assert 'test_pairs{left="x",right="y"} 5.0' in lines("test_pairs")
    assert lines("test_sum_total")[1:] == ["# TYPE test_sum_total counter", "test_sum_total 9.0"]


def test_one_name_is_declared_once_and_a_counter_says_so() -> None:
    metrics.read_at_scrape("test_twice", "Once", lambda: 1)
    with pytest.raises(ValueError, match="test_twice is declared already"):
        metrics.gauge("test_twice", "Twice", mode="mostrecent")
    with pytest.raises(ValueError, match="ends with _total"):
        metrics.counter("test_count", "No such name")


def failing(name: str) -> float:
    return float(metrics.failures.labels(collector=name)._value.get())


def test_a_reading_that_raises_is_missing_logged_once_and_counted_and_the_rest_is_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers: list[Callable[[], float]] = []

    def read() -> float:
        return answers.pop(0)()

    metrics.read_at_scrape("test_broken", "Broken", read)
    metrics.read_at_scrape("test_after", "After it", lambda: 1)

    def fails() -> float:
        raise ConnectionError("the database is gone")

    answers += [fails, fails, lambda: 4, fails]
    with caplog.at_level(logging.ERROR, logger=metrics.__name__):
        for count in (1, 2):
            page = metrics.build().decode()
            assert "test_broken " not in page
            assert "test_after 1.0\n" in page
            assert (failing("test_broken"), len(caplog.records)) == (count, 1)
        assert lines("test_broken ")[-1] == "test_broken 4.0"
        assert lines("test_broken ") == []

    assert (failing("test_broken"), len(caplog.records)) == (3, 2)  # it had worked in between
    assert "the metrics of test_broken cannot be read" in caplog.records[0].getMessage()
    assert "the database is gone" in caplog.text


def test_a_collector_of_its_own_kind_is_called_and_kept_from_harm_too() -> None:
    class Kinds:
        def collect(self) -> Iterator[GaugeMetricFamily]:
            found = GaugeMetricFamily("test_kinds", "By kind", labels=["kind"])
            found.add_metric(["a"], 1)
            yield found
            raise RuntimeError("half way")

    metrics.register_collector(Kinds())

    assert lines("test_kinds") == []  # all of it or nothing
    assert failing("Kinds") == 1


def test_a_file_of_the_processes_that_cannot_be_read_leaves_what_the_database_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    too_long = struct.pack("=iii", 80, 0, 5_000)  # an entry that ends behind the end of the file
    (tmp_path / "counter_0.db").write_bytes(too_long.ljust(100, b"\0"))
    monkeypatch.setattr(metrics, "_processes", metrics._Guarded("processes", Places(tmp_path)))

    with caplog.at_level(logging.ERROR, logger=metrics.__name__):
        pages = [metrics.build().decode() for _ in range(2)]

    assert all("# TYPE settlement_operations gauge" in page for page in pages)
    assert [record.getMessage() for record in caplog.records] == [
        "the metrics of processes cannot be read; they are missing until they can"
    ]


def test_what_hangs_takes_only_its_time_and_the_rest_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock(monkeypatch)
    read: list[str] = []

    def hangs() -> float:
        now[0] += 5.1
        read.append("first")
        return 1

    metrics.read_at_scrape("test_hangs", "Slow", hangs)

    def comes_late() -> float:
        read.append("second")
        return 2

    metrics.read_at_scrape("test_late", "Late", comes_late)

    page = metrics.build().decode()

    assert "test_hangs 1.0" in page
    assert "test_late 2.0" not in page
    assert (read, failing("test_late")) == (["first"], 1)


def test_a_storm_of_scrapes_costs_one_reading_and_the_next_moment_another(monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock(monkeypatch)
    builds: list[int] = []
    first_builds, all_wait = threading.Event(), threading.Event()

    def build() -> bytes:
        builds.append(1)
        first_builds.set()
        all_wait.wait(10)
        return b"page %d" % len(builds)

    monkeypatch.setattr(metrics, "_page", metrics._Page())
    monkeypatch.setattr(metrics, "build", build)
    with ThreadPoolExecutor(16) as callers:
        pages = [callers.submit(metrics.cached_page) for _ in range(16)]
        first_builds.wait(10)
        all_wait.set()
        assert {page.result() for page in pages} == {b"page 1"}
    assert len(builds) == 1

    now[0] += metrics.CACHE_SECONDS - 0.01
    assert metrics.cached_page() == b"page 1"
    now[0] += 0.02
    assert metrics.cached_page() == b"page 2"
