"""manage.py sync_positions: read the chain's events up to its head and apply them, as the beat does."""

from django.core.management.base import BaseCommand, CommandError

from chain.rpc.clients import ChainUnavailable
from loans.services import follow


class Command(BaseCommand):
    help = "Mirror positions, credit lines and repayments from the chain's events, from where the last run ended."

    def handle(self, *args: object, **options: object) -> None:
        try:
            watched, applied = follow.follow_chain()
        except ChainUnavailable as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"Blocks {watched.first_block} to {watched.next_block - 1}: {watched.events} events read,"
            f" {applied.applied} applied, {watched.rolled_back} blocks undone by reorgs."
        )
        for position_id in sorted(applied.waiting):
            self.stdout.write(f"Position {position_id} waits for the settlement of an operation of ours.")
