"""manage.py sync_positions: read the chain's events up to its head and apply them, as the beat does."""

from django.core.management.base import CommandError

from authority.commands import StaffCommand
from chain.rpc.clients import ChainUnavailable
from loans.reconciliation.by_staff import follow_chain_by_staff


class Command(StaffCommand):
    help = "Mirror positions, credit lines and repayments from the chain's events, from where the last run ended."

    def act(self, **options: object) -> None:
        try:
            watched, applied = follow_chain_by_staff(actor=self.actor)
        except ChainUnavailable as error:
            raise CommandError(str(error)) from error
        waiting = sorted(applied.waiting)
        self.show(
            {
                "firstBlock": watched.first_block,
                "lastBlock": watched.next_block - 1,
                "eventsRead": watched.events,
                "eventsApplied": applied.applied,
                "blocksUndone": watched.rolled_back,
                "waitingPositions": [str(position_id) for position_id in waiting],
            },
            f"Blocks {watched.first_block} to {watched.next_block - 1}: {watched.events} events read,"
            f" {applied.applied} applied, {watched.rolled_back} blocks undone by reorgs.",
            *(f"Position {position_id} waits for the settlement of an operation of ours." for position_id in waiting),
        )
