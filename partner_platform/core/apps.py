"""The shared kernel as a Django app: it has no models, but checks and commands."""

from django.apps import AppConfig

from partner_platform.core import metrics  # noqa: F401 - first of all apps: where metrics are kept, it says before any is made


class CoreConfig(AppConfig):
    name = "partner_platform.core"
    label = "core"

    def ready(self) -> None:
        from partner_platform.core import interpreter
        from partner_platform.core.instrumentation import task_metrics  # noqa: F401 - registers them

        interpreter.bound_recursion()
