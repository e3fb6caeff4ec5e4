"""The app's entry in Django."""

from django.apps import AppConfig


class WebhooksConfig(AppConfig):
    name = "webhooks"
    verbose_name = "Webhooks"

    def ready(self) -> None:
        from webhooks import metrics, receivers  # noqa: F401 - receivers connect themselves

        metrics.register_webhook_metrics()
