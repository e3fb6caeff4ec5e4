"""What the loans do when another app tells them something; connected when Django starts (`apps`)."""

from django.dispatch import receiver

from chain.signals import operations_final, rollback_begins
from loans.funding import deposits, incoming
from loans.rollback.positions import rollback_positions
from loans.tasks import settle_loans


@receiver(operations_final)
def settle_soon(**_: object) -> None:
    """Have a worker settle what became final."""
    settle_loans.delay()


@receiver(rollback_begins)
def roll_back_books(*, block: int, **_: object) -> None:
    """Roll back in the books what was applied from this block on."""
    rollback_positions(block)
    deposits.forget_from(block)
    incoming.read_again_from(block)
