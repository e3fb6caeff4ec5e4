"""The app's entry in Django."""

from django.apps import AppConfig


class PartnersConfig(AppConfig):
    name = "partners"
    verbose_name = "Partners"

    def ready(self) -> None:
        from partners import concurrency, door  # noqa: F401 - their metrics are on every process's page
