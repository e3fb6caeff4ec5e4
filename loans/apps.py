from django.apps import AppConfig


class LoansConfig(AppConfig):
    name = "loans"

    def ready(self) -> None:
        from chain import hooks
        from loans import metrics
        from loans.api import waiting_threads  # noqa: F401 - its metric is on every process's page
        from loans.funding import deposits
        from loans.rollback.positions import rollback_positions
        from loans.tasks import nudge_settlement

        hooks.on_settled(nudge_settlement)
        hooks.on_rollback(rollback_positions)
        hooks.on_rollback(deposits.forget_from)
        metrics.register()
