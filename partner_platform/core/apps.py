"""The shared kernel as a Django app: it has no models, but checks and commands."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "partner_platform.core"
    label = "core"

    def ready(self) -> None:
        from partner_platform.core import checks  # noqa: F401 - registers them
