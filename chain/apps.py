"""The app's entry in Django."""

from django.apps import AppConfig
from django.core import checks


class ChainConfig(AppConfig):
    name = "chain"
    verbose_name = "Chain settlement"

    def ready(self) -> None:
        from chain import receivers, scraped_metrics  # noqa: F401 - receivers connect themselves
        from chain.checks import check_chain_settings
        from chain.operators.approved import register_unfreezing

        checks.register(check_chain_settings)
        register_unfreezing()
        scraped_metrics.register_settlement_metrics()
