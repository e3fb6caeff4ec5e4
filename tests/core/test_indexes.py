"""Every query of a hot path and every list finds its rows by an index, says the engine's own planner."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import QuerySet

import audit.selectors
import audit.trail.reading
import authority.selectors
import chain.selectors
import chain.settlement.overdue
import chain.settlement.reorgs
import loans.selectors
import loans.transactions
import partner_platform.core.web.pagination
import partners.idempotency.records
import partners.notices.events
import partners.notices.mail
from audit.models import ApiLog, AuditBlock, AuditEntry
from chain.models import (
    ChainTransaction,
    FundingTransfer,
    Operation,
    OperationState,
    PlatformWallet,
    TransactionAttempt,
)
from loans.models import LoanStatus, OaidCredit, PartnerLoan, Repayment, RepaymentStatus, SolvencyPosition
from loans.transactions import Selection
from partner_platform.core import clock
from partners.models import ApiKey, IdempotencyKey, Partner, PartnerDailyUsage
from tests.support.planner import assert_uses_index

pytestmark = pytest.mark.django_db

WALLET = "0x" + "1" * 40
HASH = "0x" + "2" * 64
KEY = uuid.uuid4()
PLACE = partner_platform.core.web.pagination.Place(clock.now(), KEY)


def a_partner() -> Partner:
    return Partner(id=KEY, partner_id="partner_1")


def user_loans(status: str | None) -> QuerySet[PartnerLoan]:
    found: QuerySet[PartnerLoan] = loans.selectors.user_loans_query(
        partner=a_partner(), user_wallet=WALLET, status=status
    )
    return found


def transactions(stream: int, status: str | None = None) -> QuerySet[Any]:
    selection = Selection(partner=a_partner(), start=clock.today(), end=clock.today(), status=status)
    return partner_platform.core.web.pagination.behind(loans.transactions.streams(selection)[stream], PLACE)


LOOKUPS: dict[str, Callable[[], QuerySet[Any]]] = {
    "authentication": lambda: ApiKey.objects.filter(key_hash="ab" * 32),
    "partner by its public id": lambda: Partner.objects.filter(partner_id="partner_1"),
    "partner by its key": lambda: Partner.objects.filter(pk=KEY),
    "limits, the guarded update": lambda: Partner.objects.filter(pk=KEY, current_outstanding__lte=5),
    "limits, the day": lambda: PartnerDailyUsage.objects.filter(partner_id=KEY, day=clock.today(), borrowed__lte=5),
    "credit of an OAID": lambda: OaidCredit.objects.filter(oaid_token_id=7),
    "loan by partner and partnerLoanId": lambda: PartnerLoan.objects.filter(partner_id=KEY, partner_loan_id="L-1"),
    "loan by the consent it was drawn on": lambda: PartnerLoan.objects.filter(user_wallet=WALLET, consent_nonce=7),
    "loan by its operation": lambda: PartnerLoan.objects.filter(borrow_operation_id=KEY),
    "a user's loans": lambda: user_loans(None)[:10],
    "a user's loans of one status": lambda: user_loans(LoanStatus.ACTIVE)[:10],
    "a user's loans, a deep page": lambda: partner_platform.core.web.pagination.behind(user_loans(None), PLACE)[:10],
    "a partner's borrows, a deep page": lambda: transactions(0)[:10],
    "a partner's repayments, a deep page": lambda: transactions(1)[:10],
    "a partner's borrows of one status, a deep page": lambda: transactions(0, "SUCCESS")[:10],
    "a partner's repayments of one status, a deep page": lambda: transactions(-1, "SUCCESS")[:10],
    "loans in flight of an OAID": lambda: PartnerLoan.objects.filter(oaid_token_id=7, status=LoanStatus.PENDING),
    "position by its id": lambda: SolvencyPosition.objects.filter(position_id=7),
    "repayment by its operation": lambda: Repayment.objects.filter(operation_id=KEY),
    "repayments of a loan": lambda: Repayment.objects.filter(loan_id=KEY).order_by("created_at"),
    "a partner's repayments": lambda: Repayment.objects.filter(partner_id=KEY, status=RepaymentStatus.SETTLED).order_by(
        "created_at"
    )[:10],
    "funding by transfer": lambda: FundingTransfer.objects.filter(tx_hash=HASH, sender=WALLET),
    "funding of a transaction": lambda: FundingTransfer.objects.filter(tx_hash=HASH),
    "idempotency key": lambda: IdempotencyKey.objects.filter(pk=KEY),
    "operation by key": lambda: Operation.objects.filter(key="borrow:1"),
    "operation by uid": lambda: Operation.objects.filter(uid=HASH),
    "operations of a transaction": lambda: Operation.objects.filter(transaction_id=KEY).order_by("position_in_bundle"),
    "wallet by address": lambda: PlatformWallet.objects.filter(address=WALLET, chain_id=5003),
    "transaction by nonce": lambda: ChainTransaction.objects.filter(wallet_id=KEY, nonce=5),
    "attempts of a transaction": lambda: TransactionAttempt.objects.filter(transaction_id=KEY).order_by("created_at"),
    "attempt by hash": lambda: TransactionAttempt.objects.filter(tx_hash=HASH),
    "API calls of a partner, newest first": lambda: ApiLog.objects.filter(partner_id="partner_1").order_by(
        "-timestamp"
    )[:10],
    "API calls of a partner since": lambda: ApiLog.objects.filter(
        partner_id="partner_1", timestamp__gte=clock.now()
    ).order_by("-timestamp")[:10],
    "API calls that failed": lambda: ApiLog.objects.filter(success__in=[False]).order_by("-timestamp")[:10],
    "API call by request id": lambda: ApiLog.objects.filter(request_id="abc"),
    "API calls by the caller's request id": lambda: ApiLog.objects.filter(client_request_id="abc"),
    "changes of a target": lambda: audit.selectors.changes_of("loan:1")[:10],
    "audit entries that wait for their seal": lambda: AuditEntry.objects.filter(block=0).order_by("timestamp")[:500],
    "audit entries of some blocks": lambda: audit.trail.reading.entries_query(5, 9),
    "audit entries beyond the last block": lambda: AuditEntry.objects.filter(block__gt=7),
    "audit blocks in order": lambda: AuditBlock.objects.filter(number__gte=5, number__lte=9).order_by("number"),
    "audit block of a sequence number": lambda: AuditBlock.objects.filter(first_sequence__lte=7).order_by(
        "-first_sequence"
    )[:1],
    "API calls to archive": lambda: audit.selectors.calls_before(clock.now())[:10],
    "refused API calls to archive": lambda: audit.selectors.refused_before(clock.now())[:10],
    "counts of refused calls to archive": lambda: audit.selectors.refused_counts_before(clock.now())[:10],
    "approvals of a status": lambda: authority.selectors.approvals_query(status="WAITING")[:10],
    "approvals of a kind": lambda: authority.selectors.approvals_query(kind="partner.terms")[:10],
    "approvals of a status and a kind": lambda: authority.selectors.approvals_query(status="WAITING", kind="k")[:10],
    "approvals of a status, a deep page": lambda: partner_platform.core.web.pagination.behind(
        authority.selectors.approvals_query(status="WAITING"), PLACE
    )[:10],
    "approvals to expire": lambda: authority.selectors.expired_approvals_query()[:10],
    "reviews that are overdue": lambda: authority.selectors.overdue_reviews_query()[:10],
    "API log archives to finish": audit.selectors.undeleted_archives_query,
}

SWEEPS: dict[str, tuple[Callable[[], QuerySet[Any]], str]] = {
    "unacknowledged operations": (
        lambda: chain.selectors.unacknowledged_query(("borrow", "repay"))[:100],
        "operation_unacknowledged",
    ),
    "operations that a reorg undid": (
        lambda: chain.selectors.reopened_query(("borrow", "repay"))[:100],
        "operation_reopened",
    ),
    "operations that a reorg undid, put off": (
        lambda: chain.selectors.reopened_again_query(("borrow", "repay"), clock.now())[:100],
        "operation_reopened",
    ),
    "open operations that nobody dated": (
        lambda: chain.settlement.overdue.undated_operations_query()[:1],
        "operation_open",
    ),
    "operations open for long": (
        lambda: chain.settlement.overdue.overdue_operations_query(500)[:500],
        "operation_open",
    ),
    "operations open for long, for the operator": (
        lambda: chain.settlement.overdue.overdue_operations_query(500, told=(False, True))[:20],
        "operation_open",
    ),
    "operations that somebody was told of": (
        lambda: chain.settlement.overdue.reported_operations_query()[:20],
        "operation_open",
    ),
    "operations queue": (
        lambda: Operation.objects.filter(state=OperationState.QUEUED).order_by("created_at", "id")[:10],
        "operation_queue",
    ),
    "expired idempotency keys": (lambda: partners.idempotency.records.expired_query()[:500], "idempotency_expiry"),
    "keys that expire soon": (lambda: partners.notices.events.expiring_query(clock.now()), "apikey_expiry"),
    "transactions that a reorg may undo": (
        lambda: chain.settlement.reorgs.watched_transactions(KEY, 7),
        "transaction_mined",
    ),
    "adopted operations that a reorg may undo": (
        lambda: chain.settlement.reorgs.adopted_operations(7),
        "operation_mined",
    ),
    "live transactions": (lambda: chain.selectors.live_transactions_query(KEY), "transaction_live"),
}


# The same, and in order: what they pass by would be thousands of rows, and they are asked every two seconds.
SWEEPS_IN_ORDER: dict[str, tuple[Callable[[], QuerySet[Any]], str]] = {
    "operations put off that are due": (
        lambda: chain.selectors.due_again_query(("borrow", "repay"), clock.now())[:20],
        "operation_put_off",
    ),
    "mails that are due": (lambda: partners.notices.mail.due_query()[:50], "mail_due"),
}


@pytest.mark.parametrize("name", SWEEPS_IN_ORDER)
def test_a_sweep_finds_what_is_due_in_order_by_an_index(name: str) -> None:
    query, index = SWEEPS_IN_ORDER[name]
    assert_uses_index(query(), index=index)


@pytest.mark.parametrize("name", LOOKUPS)
def test_a_query_finds_its_rows_and_their_order_by_an_index(name: str) -> None:
    assert_uses_index(LOOKUPS[name]())


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_finds_what_is_due_by_an_index(name: str) -> None:
    """By the very index made for it: another would lead it through all that is done already, every two seconds."""
    query, index = SWEEPS[name]
    assert_uses_index(query(), sorts=True, index=index)


def test_the_planner_check_itself_fails_on_a_scan() -> None:
    with pytest.raises(AssertionError, match="scan"):
        assert_uses_index(Partner.objects.filter(partner_name="x"))


def test_the_planner_check_itself_fails_on_a_sort() -> None:
    with pytest.raises(AssertionError, match="sort"):
        assert_uses_index(ApiKey.objects.filter(partner_id=KEY).order_by("prefix"))
