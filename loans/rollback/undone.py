"""Keeping what a rollback takes back of a loan, in its transaction: statements have it as two lines."""

import datetime as dt
from collections.abc import Mapping

from loans.models import LedgerEntry, LedgerEntryKind, PartnerLoan, UndoneMovement
from partner_platform.core import clock


def keep_undone_draw(entry: LedgerEntry, loan: PartnerLoan) -> None:
    """The loan's draw; `loan` is as it was before the rollback."""
    moved_at = loan.borrowed_at or clock.from_seconds(entry.moment)
    _keep(entry, loan, moved_at, principal=loan.principal_amount, fee=loan.platform_fee_charged)


def keep_undone_payment(entry: LedgerEntry, loan: PartnerLoan, before: Mapping[str, int]) -> None:
    """What a payment or a liquidation did to the loan: the difference of its figures to those from `before` it."""
    paid = loan.total_repaid - before["total_repaid"]
    interest = loan.interest_paid - before["interest_paid"]
    written_off = loan.written_off_principal - before["written_off_principal"]
    if paid or written_off:
        moved_at = clock.from_seconds(entry.moment)
        _keep(entry, loan, moved_at, principal=paid - interest, interest=interest, written_off=written_off)


def _keep(entry: LedgerEntry, loan: PartnerLoan, moved_at: dt.datetime, **figures: int) -> None:
    UndoneMovement.objects.create(
        partner_id=loan.partner_id,
        loan_id=loan.pk,
        kind=LedgerEntryKind(entry.kind),
        order=entry.order,
        tx_hash=entry.tx_hash,
        moved_at=moved_at,
        undone_at=max(clock.now(), moved_at),  # the chain's clock may be ahead of ours
        **figures,
    )
