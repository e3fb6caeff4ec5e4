"""Celery's way in. A task carries no news: the sweep finds what is due."""

import logging
from collections.abc import Callable

from celery import shared_task
from django.conf import settings

from chain.lending import readings
from chain.rpc.clients import ChainUnavailable
from loans.funding import deposits, early_deposits, incoming
from loans.positions.health import check_positions
from loans.reconciliation.run import due_run, reconcile
from loans.services import follow
from loans.services.due_soon import tell_due_soon
from loans.services.lifecycle import mark_overdue
from loans.services.settle import settle_due
from partner_platform.core import clock
from partner_platform.core.database.isolation import alone
from partner_platform.core.redis import lock

logger = logging.getLogger(__name__)

FOLLOWING = "loans:following"
FOLLOWING_SECONDS = 120
SETTLING = "loans:settling"
RECONCILING = "loans:reconciling"
RECONCILING_SECONDS = 600
SETTLING_SECONDS = 6  # a killed sweep is missed after this; a running one keeps its lock


@shared_task(name="loans.tasks.settle_loans")
def settle_loans() -> int:
    """Settle the loans and repayments whose operations are final; leaves at once where another sweep is at it.

    Two sweeps at once settle nothing twice, they only take turns at finding each other's work done; several of them
    would also take the worker's threads from the driver. A sweep goes on until nothing is due; what becomes due in its
    last moment is the next beat's.
    """
    with lock.held(SETTLING, seconds=SETTLING_SECONDS, without_redis=False) as mine:
        try:
            return settle_due(at_each_step=mine.keep) if mine else 0
        except lock.LockLost as error:
            logger.info("another sweep goes on: %s", error)
            return 0


@shared_task(name="loans.tasks.follow_chain")
def follow_chain() -> int:
    """Read the chain's events and apply them; leaves at once where another worker is at it."""
    return _alone(FOLLOWING, FOLLOWING_SECONDS, follow_now)


def _alone(name: str, seconds: int, work: Callable[[], int]) -> int:
    """Do the work unless another worker holds its lock; without Redis, later."""
    with lock.held(name, seconds=seconds, without_redis=False) as mine:
        return work() if mine else 0


def follow_now() -> int:
    """The same without asking who else is at it; answers how many events were applied."""
    alone(early_deposits.note_new, "noting settlement addresses")
    try:
        _, report = follow.follow_chain()
        deposits.advance()
    except ChainUnavailable as error:
        logger.warning("the chain is followed later: %s", error)
        return 0
    return report.applied


@shared_task(name="loans.tasks.watch_loans")
def watch_loans() -> None:
    """Due dates that passed or are near, and positions near liquidation, by the chain's clock."""
    try:
        moment = readings.newest_block_time()
    except ChainUnavailable as error:
        logger.warning("loans are watched later: %s", error)
        return
    now = clock.from_seconds(moment)
    alone(lambda: mark_overdue(now=now), "marking overdue loans")
    alone(lambda: tell_due_soon(now=now), "telling what is due soon")
    alone(lambda: check_positions(moment=moment), "checking positions")


@shared_task(name="loans.tasks.tell_unclaimed_transfers")
def tell_unclaimed_transfers() -> int:
    """Tell partners of USDC that they sent and that no repayment has claimed; returns how many transfers."""
    return incoming.tell_unclaimed()


@shared_task(name="loans.tasks.reconcile")
def reconcile_books() -> None:
    """Run the reconciliation that is due, if one is; what it confirms is frozen where the settings say so."""
    _alone(RECONCILING, RECONCILING_SECONDS, _reconcile_due)


def _reconcile_due() -> int:
    which = due_run()
    try:
        return reconcile(freeze=settings.RECONCILE_FREEZES, quick=which == "quick").finding_count if which else 0
    except ChainUnavailable as error:
        logger.warning("the reconciliation waits for the chain: %s", error)
        return 0
