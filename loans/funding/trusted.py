"""Repayments that the platform account pays on trust (TRUSTED): never with what another partner could claim (M3).

A partner may spend what the account holds, less what each other partner could still claim of its own transfers (or what
its repayments in flight will spend, where that is more), less its own repayments in flight. Everything is read as of
one block, the newest that the watcher has read: otherwise a transfer that is in the balance and not yet among the
events would look free. What remains is the platform's fees and the partner's own transfers.

1. Repayments in flight are read before the sums of the settled ones, so that one that settles in between is counted
   twice rather than not at all. Where one settled above the block (`settled_block`), the judgement starts over.
2. Each acceptance increments `PlatformAccount.judgements` from the value that its judgement read: of two at once one
   is judged again, on what the other left.
3. The operation begins with `requireBlock`: it reverts on a chain without the block of the judgement.
4. A partner that was paid for on trust may have spent its own transfers without naming one. So what it claims by
   `repaymentTxHash` from then on is judged in the same way. The same holds for a partner one of whose addresses had
   sent something before it was the partner's: another may have spent that on trust (`early_deposits`).
5. The block is read before the owners of the addresses: `early_deposits` relies on this order.

Only these partners' repayments cost any of these readings. Not considered: withdrawals, which are the owner's decision,
and the seconds of interest that the platform covers of a payoff by transfer (docs/loans.md).
"""

import uuid
from collections import Counter
from dataclasses import dataclass

from django.db import IntegrityError
from django.db.models import F, QuerySet

from chain import selectors as chain_selectors
from chain.events import watcher
from chain.lending import funding
from chain.models import Operation
from chain.rpc.clients import ChainUnavailable, RpcError
from chain.rpc.reading import read_from_chain
from loans.debt import payoffs
from loans.funding import deposits
from loans.models import FundingSource, PartnerSpending, PlatformAccount, Repayment, RepaymentStatus
from partner_platform.core.ethereum import parse_address
from partner_platform.core.invariants import InvariantViolation
from partners import settlement_addresses
from partners.models import Partner, RepaymentFunding

MAX_JUDGEMENT_READS = 8
MAX_BLOCKS_BEHIND = 200  # with more, a request leaves the reading to the periodic task
FROM_ACCOUNT = (FundingSource.TRANSFER, FundingSource.TRUSTED)


class JudgementOutdated(Exception):
    """Another repayment was accepted by the same figures: judge again."""


@dataclass(frozen=True)
class Judgement:
    """What a partner's next repayment may spend (`left`, in base units), as of one block."""

    account: str
    block_number: int
    block_hash: str
    judgements: int
    left: int


def spending_of(partner_id: uuid.UUID) -> PartnerSpending:
    """The row of what the partner's repayments spent of the account, created where there is none.

    Call it outside a transaction.
    """
    mine = {"partner_id": partner_id, "account": deposits.platform_account()}
    row = PartnerSpending.objects.filter(**mine).first()
    if row is not None:
        return row
    try:
        return PartnerSpending.objects.create(**mine)
    except IntegrityError:
        return PartnerSpending.objects.get(**mine)  # another request created it at the same moment


def must_be_judged(partner: Partner, spending: PartnerSpending) -> bool:
    """Whether a transfer that the partner claims may have been spent on trust already.

    Its addresses must have been examined by then (`early_deposits`).
    """
    return spending.on_trust or partner.repayment_funding == RepaymentFunding.TRUSTED


def judge_account(partner: Partner) -> Judgement:
    """What is left of the account for the partner. Raises `ChainUnavailable`."""
    _require_near_head()
    for _ in range(MAX_JUDGEMENT_READS):
        _catch_up()
        found = _judge_once(partner)
        if found is not None:
            return found
    raise ChainUnavailable("The chain is read more slowly than it grows")


def accept(judgement: Judgement, partner: Partner, *, on_trust: bool) -> None:
    """Spend by the judgement, in the transaction that accepts the repayment.

    Raises `JudgementOutdated`, which must roll that transaction back.
    """
    if not PlatformAccount.objects.count_judgement(judgement.account, seen=judgement.judgements):
        raise JudgementOutdated
    if on_trust:
        PartnerSpending.objects.filter(partner_id=partner.pk, account=judgement.account).mark_on_trust()


def count_spent(repayment: Repayment, operation: Operation, amount: int, block_number: int) -> None:
    """Count `amount` that a settled repayment took from the account, in the caller's transaction."""
    if repayment.funding not in FROM_ACCOUNT:
        return
    spender = _spender_of(repayment)
    mine = PartnerSpending.objects.filter(partner_id=spender, account=_account_of(operation))
    more = {"spent": F("spent") + amount}
    moved = mine.filter(settled_block__lt=block_number).update(**more, settled_block=block_number) or mine.filter(
        settled_block__gte=block_number
    ).update(**more)
    if not moved:
        PartnerSpending.objects.create(
            partner_id=spender,
            account=_account_of(operation),
            spent=amount,
            settled_block=block_number,
            on_trust=repayment.funding == FundingSource.TRUSTED,
        )


def uncount_spent(repayment: Repayment, operation: Operation, amount: int) -> None:
    """Take back what `count_spent` counted: a reorg undid the repayment, which is in flight again."""
    if repayment.funding not in FROM_ACCOUNT:
        return
    mine = PartnerSpending.objects.filter(
        partner_id=_spender_of(repayment), account=_account_of(operation), spent__gte=amount
    )
    if mine.update(spent=F("spent") - amount) != 1:
        raise InvariantViolation(f"M3: repayment {repayment.pk} never spent {amount} of the account")


def note_trusted(partner_id: uuid.UUID) -> None:
    """What the partner sent may be spent without naming its transfer: its claims are judged from now on."""
    PartnerSpending.objects.filter(partner_id=partner_id).mark_on_trust()


def in_flight_query() -> QuerySet[Repayment]:
    """Repayments in flight that the account will pay; for the index tests too."""
    return Repayment.objects.filter(status=RepaymentStatus.PENDING, funding__in=FROM_ACCOUNT)


def _require_near_head() -> None:
    (head,) = read_from_chain(("eth_blockNumber", []))
    behind = int(head, 16) - chain_selectors.watched_until()
    if behind > MAX_BLOCKS_BEHIND:
        raise ChainUnavailable(f"The watcher is {behind} blocks behind the chain")


def _catch_up() -> None:
    try:
        watcher.read_new_blocks()
    except RpcError as error:
        raise ChainUnavailable(f"The chain refused a reading: {error.message[:100]}") from error


def _judge_once(partner: Partner) -> Judgement | None:
    """One judgement; None where the figures are not all of one block yet."""
    account = deposits.platform_account()
    judgements = deposits.account_row(account).judgements  # first: an acceptance from here on is noticed
    block = chain_selectors.watched_block()
    if block is None:
        return None
    coming = _in_flight()
    spendings = list(PartnerSpending.objects.filter(account=account))
    if any(row.settled_block > block.number for row in spendings):
        return None
    try:
        received = _received(account, block.number)
    except deposits.DepositsBehind:
        return None
    spent = {row.partner_id: row.spent for row in spendings}
    held = funding.balance_at(account, block_number=block.number, block_hash=block.hash)
    others = (set(received) | set(coming)) - {partner.pk}
    bound = sum(max(received[other] - spent.get(other, 0), coming[other], 0) for other in others)
    return Judgement(account, block.number, block.hash, judgements, held - bound - coming[partner.pk])


def _in_flight() -> Counter[uuid.UUID]:
    coming: Counter[uuid.UUID] = Counter()
    for partner_id, amount, terms in in_flight_query().values_list("partner_id", "amount", "payoff_terms"):
        coming[partner_id] += max(amount, payoffs.most_of(terms))
    return coming


def _received(account: str, block_number: int) -> Counter[uuid.UUID]:
    """What each partner sent, from all addresses that are or were its own. What others sent is the platform's."""
    owners = settlement_addresses.owners()
    sums: Counter[uuid.UUID] = Counter()
    for sender, amount in deposits.received(account, block_number, owners).items():
        sums[owners[sender]] += amount
    return sums


def _spender_of(repayment: Repayment) -> uuid.UUID:
    """The partner whose deposits paid for it: the owner of the address that sent its transfer, else its own partner.

    They differ where a transfer came from an address that partners shared before each had its own.
    """
    sender = repayment.funding_transfer.sender if repayment.funding_transfer is not None else None
    owner = settlement_addresses.owner_of(sender) if sender is not None else None
    return owner or repayment.partner_id


def _account_of(operation: Operation) -> str:
    return parse_address(operation.executor) if operation.executor else deposits.platform_account()
