"""What the webhooks count, and what the database knows of them (docs/metrics.md)."""

from events.models import Event
from partner_platform.core import clock, metrics
from webhooks.delivery.schedule import FAILURES_TO_OPEN
from webhooks.models import Endpoint, EndpointStatus, FanOut
from webhooks.selectors import pending_query

deliveries = metrics.counter("webhook_deliveries_total", "Deliveries that are finished, by outcome", ["outcome"])
attempts = metrics.counter("webhook_attempts_total", "Tries of deliveries")


def oldest_undelivered_seconds() -> float:
    """The age of the oldest pending delivery, or event that is not fanned out yet; 0 where there is none."""
    until = FanOut.objects.values_list("until", flat=True).first() or 0
    moments = [
        Event.objects.filter(number=None).order_by("created_at").values_list("created_at", flat=True).first(),
        Event.objects.filter(number__gt=until).order_by("number").values_list("created_at", flat=True).first(),
        pending_query().order_by("created_at").values_list("created_at", flat=True).first(),
    ]
    oldest = min((moment for moment in moments if moment is not None), default=None)
    return 0.0 if oldest is None else max((clock.now() - oldest).total_seconds(), 0.0)


def open_breakers() -> float:
    """Endpoints that failed so often in a row that only one try at a time is sent to them."""
    rows = Endpoint.objects.filter(status=EndpointStatus.ENABLED, failures_in_a_row__gte=FAILURES_TO_OPEN)
    return rows.filter(deleted_at=None).count()


def register_webhook_metrics() -> None:
    """Put the metrics on the page."""
    metrics.read_at_scrape(
        "webhook_oldest_undelivered_seconds",
        "The age of the oldest event that an endpoint has not received and is still sent",
        oldest_undelivered_seconds,
    )
    metrics.read_at_scrape("webhook_breaker_open", "Endpoints that fail and get one try at a time", open_breakers)
