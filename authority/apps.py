"""The app's entry in Django."""

from django.apps import AppConfig


class AuthorityConfig(AppConfig):
    name = "authority"
    verbose_name = "Authority"

    def ready(self) -> None:
        from authority import selectors
        from partner_platform.core import metrics

        metrics.read_at_scrape("approvals_waiting", "Changes that wait for a second person", selectors.count_waiting)
        metrics.read_at_scrape(
            "break_glass_unreviewed",
            "Changes made without a second person that nobody reviewed: in time still, or overdue",
            selectors.count_unreviewed,
            labels=["age"],
        )
