"""What the last reconciliation found, and which positions wait. Read from the database, for other processes know it."""

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from loans.models import ReconciliationRun
from loans.reconciliation.findings import KINDS
from partner_platform.core import metrics

COLUMNS = (
    *("is_full", "found_by_kind", "unconfirmed_count", "in_motion_count", "overdue_count"),
    *("duration_ms", "created_at"),
)


class ReconciliationCollector(Collector):
    """Discrepancies by kind, what is in motion by its age, when the last runs were and how long they took."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        found = _gauge("reconciliation_discrepancies", "Figures that disagreed in the last reconciliation", "kind")
        seen_once = _gauge("reconciliation_unconfirmed", "Of these, how many no earlier reconciliation saw")
        moving = _gauge("reconciliation_in_motion", "What the last reconciliation found under way", "age")
        when = _gauge("reconciliation_last_run_timestamp_seconds", "When the last reconciliation ended", "run")
        took = _gauge("reconciliation_duration_seconds", "How long the last reconciliation took", "run")
        newest = _newest()
        if newest is not None:
            for kind in KINDS:
                found.add_metric([kind], (newest["found_by_kind"] or {}).get(kind, 0))
            seen_once.add_metric([], newest["unconfirmed_count"])
            moving.add_metric(["young"], newest["in_motion_count"] - newest["overdue_count"])
            moving.add_metric(["overdue"], newest["overdue_count"])
        for run, row in (("any", newest), ("full", _newest(is_full__in=[True]))):
            if row is not None:
                when.add_metric([run], row["created_at"].timestamp())
                took.add_metric([run], row["duration_ms"] / 1000)
        yield from (found, seen_once, moving, when, took)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=labels)


def _newest(**chosen: object) -> dict[str, Any] | None:
    return ReconciliationRun.objects.filter(**chosen).order_by("-created_at").values(*COLUMNS).first()


def register_loan_metrics() -> None:
    """Put the metrics on the page."""
    from loans.positions.overdue import count_held_positions

    metrics.register_collector(ReconciliationCollector())
    metrics.read_at_scrape(
        "positions_held",
        "Positions whose next event or operation cannot be applied: waiting, or overdue by CHAIN_OVERDUE_BLOCKS",
        count_held_positions,
        labels=["age"],
    )
