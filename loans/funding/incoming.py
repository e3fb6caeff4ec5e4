"""USDC that a partner sent to the platform account: listed, and told of where no repayment has claimed it.

Each transfer that the watcher read from an address of a partner's, present or former, becomes a `FundingTransfer`,
which a repayment claims by its hash. After `GRACE_SECONDS` in which none did, `transfer.unclaimed` is told, once a
transfer. Transfers inside our own operations have paid for a repayment already and are no such transfers. Where a reorg
replaces a block, its transfers are not listed, and the blocks from there on are read again.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from django.conf import settings
from django.db.models import F, QuerySet

from chain import selectors as chain_selectors
from chain.lending import funding
from chain.lending.funding import ProvenTransfer
from chain.models import FundingTransfer
from chain.selectors import IncomingTransfer
from events.kinds import EventType
from events.selectors import recorded_among
from events.services import NewEvent, event_id_of, record_events
from loans.funding import deposits
from loans.models import PlatformAccount
from loans.objects.transfer import present_transfer
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.money import MAX_BASE_UNITS
from partner_platform.core.web.pagination import NEWEST_FIRST
from partners import settlement_addresses
from partners.models import Partner

GRACE_SECONDS = 300  # a repayment that names the transfer may be on its way
EVENTS_PER_STEP = 2_000
STEPS_PER_PASS = 20


class _Moved(Exception):
    """Another worker has read these blocks."""


def tell_unclaimed() -> int:
    """Read the blocks that are deep enough and old enough, a bounded number; returns how many transfers were told."""
    if not settings.PLATFORM_EXECUTOR_ADDRESS:
        return 0
    account = deposits.account_row(deposits.platform_account())
    told = 0
    for _ in range(STEPS_PER_PASS):
        last, transfers = _read_step(account)
        if last <= account.transfers_block:
            break
        owners = settlement_addresses.owners() if transfers else {}
        rows = _rows(transfers, owners)
        try:
            told += run_in_transaction(lambda last=last, rows=rows, owners=owners: _tell(account, last, rows, owners))  # type: ignore[misc]
        except _Moved:
            break
        account.transfers_block = last
    return told


def read_again_from(block: int) -> None:
    """Blocks from this one on are gone: they are read again. Idempotent."""
    PlatformAccount.objects.filter(transfers_block__gte=block).update(transfers_block=max(block - 1, 0))


def transfer_streams(partner: Partner, *, is_claimed: bool | None) -> list[QuerySet[FundingTransfer]]:
    """What came from each address of the partner's, newest first; of what is used up (True), is left, or both."""
    return [sent_query(sender, is_claimed) for sender in settlement_addresses.addresses_of(partner)]


def sent_query(sender: str, is_claimed: bool | None) -> QuerySet[FundingTransfer]:
    """One of the `transfer_streams`, for the index tests too."""
    found = FundingTransfer.objects.filter(sender=sender)
    if is_claimed is not None:
        found = found.filter(used__gte=F("value")) if is_claimed else found.filter(used__lt=F("value"))
    return found.order_by(*NEWEST_FIRST)


def on_the_chain(rows: Sequence[FundingTransfer]) -> list[FundingTransfer]:
    """Those whose block was not replaced, as far as the watcher knows."""
    gone = chain_selectors.replaced_blocks([(row.block_number, row.block_hash) for row in rows])
    return [row for row in rows if (row.block_number, row.block_hash) not in gone]


def _read_step(account: PlatformAccount) -> tuple[int, list[IncomingTransfer]]:
    """The last block of the step, and what came in until then; the step ends before a block that is too young."""
    first = account.transfers_block + 1
    until = chain_selectors.watched_until() - settings.CHAIN_CONFIRMATIONS + 1
    if until < first:
        return account.transfers_block, []
    last = chain_selectors.last_block_of(EVENTS_PER_STEP, first=first, until=until)
    transfers = chain_selectors.incoming_transfers(first, last, account.address)
    old = int(clock.now().timestamp()) - GRACE_SECONDS
    last = min([last, *(found.block_number - 1 for found in transfers if found.block_time > old)])
    return last, [found for found in transfers if found.block_number <= last]


def _rows(transfers: Iterable[IncomingTransfer], owners: Mapping[str, UUID]) -> list[FundingTransfer]:
    """The rows of what partners sent, each transaction's together."""
    together: dict[tuple[str, str], list[IncomingTransfer]] = defaultdict(list)
    for found in transfers:
        if found.sender in owners and found.value:
            together[found.tx_hash, found.sender].append(found)
    return [
        funding.record(
            ProvenTransfer(
                tx_hash=tx_hash,
                sender=sender,
                value=min(sum(one.value for one in found), MAX_BASE_UNITS),
                block_number=found[0].block_number,
                block_hash=found[0].block_hash,
            )
        )
        for (tx_hash, sender), found in together.items()
    ]


def _tell(account: PlatformAccount, last: int, rows: Sequence[FundingTransfer], owners: Mapping[str, UUID]) -> int:
    if not PlatformAccount.objects.move_transfers(account, to=last):
        raise _Moved
    unclaimed = FundingTransfer.objects.filter(pk__in=[row.pk for row in rows], used=0).order_by("pk") if rows else ()
    new = [
        NewEvent(
            type=EventType.TRANSFER_UNCLAIMED,
            partner_key=owners[row.sender],
            data=present_transfer(row),
            once=f"{EventType.TRANSFER_UNCLAIMED}:{row.tx_hash}:{row.sender}",
        )
        for row in unclaimed
    ]
    known = recorded_among(event_id_of(event.once or "") for event in new) if new else set()
    new = [event for event in new if event_id_of(event.once or "") not in known]
    if new:
        record_events(new)
    return len(new)
