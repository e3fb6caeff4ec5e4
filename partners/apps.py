"""The app's entry in Django."""

from django.apps import AppConfig


class PartnersConfig(AppConfig):
    name = "partners"
    verbose_name = "Partners"

    def ready(self) -> None:
        from partner_platform.core import metrics
        from partner_platform.core.web import turning_away
        from partners import selectors
        from partners.notices import mail
        from partners.refusals import refusal_limits

        turning_away.decided_by(refusal_limits.refusal_from_memory)
        metrics.read_at_scrape(
            "mail_oldest_unsent_seconds", "How long the oldest e-mail waits to be sent", mail.oldest_unsent_seconds
        )
        metrics.read_at_scrape("borrowing_paused", "1 while new borrows are paused", selectors.is_borrowing_paused)
