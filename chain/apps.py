"""The app's entry in Django."""

from django.apps import AppConfig
from django.core import checks


class ChainConfig(AppConfig):
    name = "chain"
    verbose_name = "Chain settlement"

    def ready(self) -> None:
        from audit.trail import anchors
        from chain import scraped_metrics
        from chain.anchoring import read_anchors
        from chain.checks import check_chain_settings

        anchors.register(read_anchors)
        checks.register(check_chain_settings)
        scraped_metrics.register_settlement_metrics()
