"""Repayments that the platform account pays on a partner's word (TRUSTED): never with what another could claim (M3).

What a partner may spend is what the account holds, less what each other partner could claim of what it sent there (or
what its repayments in flight will spend, where that is more), less its own repayments in flight. All of it is of one
block, the newest that the watcher has read: a transfer that is in the balance and not among the events cannot look
free. The rest are the platform's fees and the partner's own transfers, and may serve.

1. Repayments in flight are read before what the settled ones spent, so that one that settles in between is counted
   twice rather than not at all; one that settled above the block (`settled_block`) sends the judgement back.
2. Each acceptance counts up `PlatformAccount.judgements` from what its judgement read: of two at once one is judged
   again, on what the other left.
3. The operation begins with `requireBlock`: on a chain without the block that was judged by it reverts.
4. A partner that was paid for on trust has spent its own transfers, perhaps, without naming one. So what it claims by
   `repaymentTxHash` from then on is judged in the same way. So is what a partner claims one of whose addresses had
   sent something before it was the partner's: another may have spent that on trust (`early_deposits`).
5. The block is read before whose the addresses are: `early_deposits` relies on it.

Only these partners pay for any of this. Withdrawals are the owner's to judge, and the seconds of
interest that the platform covers of a payoff by transfer (docs/loans.md) are not looked for beforehand.
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
from chain.rpc.reading import read
from loans.debt import payoffs
from loans.funding import deposits
from loans.models import FundingSource, PartnerSpending, PlatformAccount, Repayment, RepaymentStatus
from partner_platform.core.ethereum import parse_address
from partner_platform.core.invariants import InvariantViolation
from partners import settlement_addresses
from partners.models import Partner, RepaymentFunding

MAX_LOOKS = 8
MAX_BLOCKS_BEHIND = 200  # above that a request does not read them itself: the beat does
FROM_ACCOUNT = (FundingSource.TRANSFER, FundingSource.TRUSTED)


class JudgedAnew(Exception):
    """Another repayment was accepted on the same figures: judge again."""


@dataclass(frozen=True)
class Judgement:
    """What a partner may have its next repayment spend, in base units, as of one block."""

    account: str
    block_number: int
    block_hash: str
    judgements: int
    left: int


def spending_of(partner_id: uuid.UUID) -> PartnerSpending:
    """What the partner's repayments took from the account, its row made where there is none; outside a transaction."""
    mine = {"partner_id": partner_id, "account": deposits.platform_account()}
    row = PartnerSpending.objects.filter(**mine).first()
    if row is not None:
        return row
    try:
        return PartnerSpending.objects.create(**mine)
    except IntegrityError:
        return PartnerSpending.objects.get(**mine)  # another request made it at the same moment


def must_be_judged(partner: Partner, spending: PartnerSpending) -> bool:
    """Whether what the partner claims by a transfer may be spent on trust already. Its addresses are noted by then."""
    return spending.on_trust or partner.repayment_funding == RepaymentFunding.TRUSTED


def judge(partner: Partner) -> Judgement:
    """What is left for the partner. Raises `ChainUnavailable`."""
    _require_near_head()
    for _ in range(MAX_LOOKS):
        _catch_up()
        found = _judge_once(partner)
        if found is not None:
            return found
    raise ChainUnavailable("The chain is read more slowly than it grows")


def accept(judgement: Judgement, partner: Partner, *, on_trust: bool) -> None:
    """Spend by the judgement, in the transaction that accepts the repayment; `JudgedAnew` must leave it."""
    as_read = PlatformAccount.objects.filter(address=judgement.account, judgements=judgement.judgements)
    if as_read.update(judgements=F("judgements") + 1) != 1:
        raise JudgedAnew
    if on_trust:
        mine = PartnerSpending.objects.filter(partner_id=partner.pk, account=judgement.account, on_trust__in=[False])
        mine.update(on_trust=True)


def settled(repayment: Repayment, operation: Operation, amount: int, block_number: int) -> None:
    """A repayment of the account's landed and took `amount` of what is its partner's, in the caller's transaction."""
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


def undone(repayment: Repayment, operation: Operation, amount: int) -> None:
    """A reorg took the landing back: the repayment is in flight again."""
    if repayment.funding not in FROM_ACCOUNT:
        return
    mine = PartnerSpending.objects.filter(
        partner_id=_spender_of(repayment), account=_account_of(operation), spent__gte=amount
    )
    if mine.update(spent=F("spent") - amount) != 1:
        raise InvariantViolation(f"M3: repayment {repayment.pk} never spent {amount} of the account")


def note_trusted(partner_id: uuid.UUID) -> None:
    """What the partner sent may be spent without its transfer: its claims are judged from now on."""
    PartnerSpending.objects.filter(partner_id=partner_id, on_trust__in=[False]).update(on_trust=True)


def in_flight_query() -> QuerySet[Repayment]:
    """Repayments that the account will pay; for the index tests too."""
    return Repayment.objects.filter(status=RepaymentStatus.PENDING, funding__in=FROM_ACCOUNT)


def _require_near_head() -> None:
    (head,) = read(("eth_blockNumber", []))
    behind = int(head, 16) - chain_selectors.watched_until()
    if behind > MAX_BLOCKS_BEHIND:
        raise ChainUnavailable(f"The watcher is {behind} blocks behind the chain")


def _catch_up() -> None:
    try:
        watcher.read_new_blocks()
    except RpcError as error:
        raise ChainUnavailable(f"The chain refused a reading: {error.message[:100]}") from error


def _judge_once(partner: Partner) -> Judgement | None:
    """None where the figures are not all of one block yet."""
    account = deposits.platform_account()
    judgements = deposits.account_row(account).judgements  # before the rest: what is accepted from here on is seen
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
    """What came from the addresses that are or were a partner's. What others sent is the platform's."""
    owners = settlement_addresses.owners()
    sums: Counter[uuid.UUID] = Counter()
    for sender, amount in deposits.received(account, block_number, owners).items():
        sums[owners[sender]] += amount
    return sums


def _spender_of(repayment: Repayment) -> uuid.UUID:
    """Whose deposits paid for it: its partner's; a transfer those of the partner to whom its sender counts.

    They differ where a transfer came from an address that partners shared before each had its own.
    """
    sender = repayment.funding_transfer.sender if repayment.funding_transfer is not None else None
    owner = settlement_addresses.owner_of(sender) if sender is not None else None
    return owner or repayment.partner_id


def _account_of(operation: Operation) -> str:
    return parse_address(operation.executor) if operation.executor else deposits.platform_account()
