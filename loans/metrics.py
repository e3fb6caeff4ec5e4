"""What the last reconciliation found, for Prometheus. Read from the database, for another process ran it."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from loans.models import ReconciliationRun
from partner_platform.core import metrics


class ReconciliationCollector(Collector):
    """Discrepancies by kind, and when the last run was."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        found = GaugeMetricFamily(
            "reconciliation_discrepancies", "Figures that disagreed in the last reconciliation", labels=["kind"]
        )
        when = GaugeMetricFamily("reconciliation_last_run_timestamp_seconds", "When the last reconciliation ended")
        run = ReconciliationRun.objects.order_by("-created_at").first()
        if run is not None:
            counts: dict[str, int] = dict.fromkeys(("partner", "position", "wallet", "account"), 0)
            for finding in [] if run.repaired else run.findings:
                kind = finding["subject"].partition(":")[0]
                counts[kind] = counts.get(kind, 0) + 1
            for kind, count in sorted(counts.items()):
                found.add_metric([kind], count)
            when.add_metric([], run.created_at.timestamp())
        yield found
        yield when


def register() -> None:
    """Put the metrics on the page."""
    metrics.register(ReconciliationCollector())
