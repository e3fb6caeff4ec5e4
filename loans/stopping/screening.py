"""Asking a screening service whether a wallet may borrow (`WALLET_SCREENING`); the outcome counts for hours.

The callable gets a wallet's address and returns a `Screening`; `loans.stopping.screening_service` is one that is ready
to use. It is called outside of any transaction, in a thread of its own, and waited for
`WALLET_SCREENING_TIMEOUT_SECONDS`: a service that hangs takes none of the server's threads. Each outcome is in the
audit trail. Only the owner of an OAID is asked about: the caller has checked that first.
"""

import datetime as dt
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.utils.module_loading import import_string

from audit.services import record_change
from loans.models import UserWallet
from loans.stopping.wallets import ensure_wallet, wallet_refused
from partner_platform.core import clock, metrics
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import ErrorCode, Unavailable
from partner_platform.core.text.wording import shown

logger = logging.getLogger(__name__)

ACTOR = "system:screening"
MAX_REFERENCE = 200
RETRY_SECONDS = 5
THREADS = 16  # of a process: as many wallets are asked about at once

screenings = metrics.counter("wallet_screenings_total", "Wallets the screening service was asked about", ["outcome"])


@dataclass(frozen=True)
class Screening:
    """What the service says of a wallet; `reference` is its own id of the answer, for those who ask it why."""

    is_refused: bool
    reference: str = ""


def require_screened(user_wallet: str) -> None:
    """Raise 403 `wallet_refused` where the service refuses the wallet, 503 `screening_unavailable` where it cannot be
    asked and `WALLET_SCREENING_REQUIRED`. Does nothing where no service is set.
    """
    if not settings.WALLET_SCREENING:
        return
    outcome = _kept(user_wallet) or _asked(user_wallet)
    if outcome is not None and outcome.is_refused:
        raise wallet_refused()


def _kept(user_wallet: str) -> Screening | None:
    """The last outcome, where it still counts."""
    since = clock.now() - dt.timedelta(hours=settings.WALLET_SCREENING_HOURS)
    row = UserWallet.objects.filter(address=user_wallet, screened_at__gt=since).first()
    return None if row is None else Screening(row.screening_refused, row.screening_reference)


def _asked(user_wallet: str) -> Screening | None:
    """The service's outcome, kept; None where it cannot be asked and the borrow may go on."""
    try:
        outcome = _ask(user_wallet)
    except Exception as error:
        screenings.labels(outcome="failed").inc()
        logger.warning("wallet %s could not be screened: %s", user_wallet, type(error).__name__, exc_info=error)
        if settings.WALLET_SCREENING_REQUIRED:
            message = "The wallet cannot be checked now; this request reserved nothing"
            raise Unavailable(ErrorCode.SCREENING_UNAVAILABLE, message, retry_after=RETRY_SECONDS) from error
        why: dict[str, object] = {"error": type(error).__name__}
        run_in_transaction(lambda: _record(user_wallet, "wallet.not_screened", why))
        return None
    screenings.labels(outcome="refused" if outcome.is_refused else "passed").inc()
    _keep(user_wallet, outcome)
    return outcome


def _ask(user_wallet: str) -> Screening:
    screen: Callable[[str], object] = import_string(settings.WALLET_SCREENING)
    asking = _threads().submit(screen, user_wallet)
    try:
        answer = asking.result(timeout=settings.WALLET_SCREENING_TIMEOUT_SECONDS)
    finally:
        asking.cancel()  # one that still waits for a thread: else those that are awaited queue behind it
    if not isinstance(answer, Screening):
        raise TypeError(f"{settings.WALLET_SCREENING} returned no Screening")
    return Screening(bool(answer.is_refused), shown(answer.reference, MAX_REFERENCE))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="screening")


def _keep(user_wallet: str, outcome: Screening) -> None:
    def write() -> None:
        UserWallet.objects.filter(address=user_wallet).update(
            screened_at=clock.now(), screening_refused=outcome.is_refused, screening_reference=outcome.reference
        )
        _record(user_wallet, "wallet.screened", {"isRefused": outcome.is_refused, "reference": outcome.reference})

    ensure_wallet(user_wallet)
    run_in_transaction(write)


def _record(user_wallet: str, action: str, after: dict[str, object]) -> None:
    record_change(actor=ACTOR, action=action, target=f"userWallet:{user_wallet}", after=after)
