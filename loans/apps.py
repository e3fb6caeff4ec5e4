from django.apps import AppConfig


class LoansConfig(AppConfig):
    name = "loans"

    def ready(self) -> None:
        from chain import hooks
        from loans.tasks import nudge_settlement

        hooks.on_settled(nudge_settlement)
