from django.apps import AppConfig


class LoansConfig(AppConfig):
    name = "loans"

    def ready(self) -> None:
        from loans import metrics, receivers  # noqa: F401 - receivers connect themselves
        from loans.api.waiting import waiting_threads  # noqa: F401 - its metric is on every process's page
        from loans.stopping import screening  # noqa: F401 - so is its

        metrics.register_loan_metrics()
