"""The app's entry in Django."""

from django.apps import AppConfig


class PartnersConfig(AppConfig):
    name = "partners"
    verbose_name = "Partners"

    def ready(self) -> None:
        from partner_platform.core import turning_away
        from partners import concurrency, door  # noqa: F401 - its metrics are on every process's page

        turning_away.decided_by(door.refusal_unread)
