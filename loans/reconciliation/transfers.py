"""USDC that others moved to and from the platform accounts, and the transfers that fund repayments (M3).

The watcher stores each such movement as an event without a position. They are read once, a bounded number at a time:
they add up to what reached the accounts from outside, and each transaction that a `FundingTransfer` names is compared
with it. Transfers that no event was found for are checked one by one at the end.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from django.db.models.fields.json import KT

from chain.models import ChainEvent, FundingTransfer
from chain.reconciling import ReferenceBlock
from chain.rpc.clients import get_client
from loans.models import Repayment, RepaymentSource, RepaymentStatus
from loans.reconciliation.findings import BooksFinding, column, differs
from partner_platform.core.database.batches import batched
from partner_platform.core.database.rows import as_uuid, stored_rows
from partner_platform.core.money import MAX_BASE_UNITS

NAME = "MockUSDC.Transfer"
ROWS_AT_ONCE = 5_000  # of movements in memory; a block's are read together, however many it has
IDS_PER_QUERY = 500


class Transfer(NamedTuple):
    """A `FundingTransfer` row, its columns by their names; the key is as it is stored."""

    pk: Any
    tx_hash: str
    sender: str
    recipient: str
    value: int
    used: int
    block_number: int
    block_hash: str

    @property
    def subject(self) -> str:
        return f"transfer:{self.tx_hash}"

    @property
    def movement(self) -> tuple[str, str, str]:
        return self.tx_hash, self.sender, self.recipient


Movement = tuple[str, str, str, int]  # transaction, from, to, value
Received = Counter[tuple[str, str, str]]  # by transaction, from, to


class OutsideTransfers:
    """What others moved, in blocks above `since` and up to the moment."""

    def __init__(self, moment: ReferenceBlock, *, since: int) -> None:
        self._moment, self._since = moment, since
        self.flows: Counter[str] = Counter()  # by account, what came in less what went out
        self.checked = 0

    def check(self, accounts: Collection[str]) -> Iterator[list[BooksFinding]]:
        """Add it up; and hold every transfer that funds repayments against it."""
        for movements in self.movements(accounts):
            received = _received(movements)
            for hashes in batched(sorted({tx_hash for tx_hash, _, _ in received}), IDS_PER_QUERY):
                transfers = read_transfers(tx_hash__in=hashes)
                self.checked += len(transfers)
                yield [
                    *(finding for transfer in transfers for finding in _value(transfer, received)),
                    *check_used(transfers),
                ]

    def movements(self, accounts: Collection[str]) -> Iterator[list[Movement]]:
        """Add it up only; the movements, whole transactions at a time."""
        for movements in _movements(self._since, self._moment.block_number):
            for _, sender, recipient, value in movements:
                if recipient in accounts:
                    self.flows[recipient] += value
                if sender in accounts:
                    self.flows[sender] -= value
            yield movements

    def check_rest(self) -> Iterator[tuple[list[BooksFinding], dict[str, int]]]:
        """The transfers younger than the moment; and, where some had no event, which. Also what is in motion."""
        later = read_transfers(block_number__gt=self._moment.block_number)
        total = FundingTransfer.objects.count()
        is_complete = total - len(later) == self.checked
        self.checked = total
        yield check_used(later), {}
        for transfers in () if is_complete else _all_transfers():
            yield _check_missing(transfers, self._moment)


def _movements(since: int, until: int) -> Iterator[list[Movement]]:
    """In ranges of blocks, as wide as the number of rows allows: a transaction is in one block, so it is whole."""
    first = _first_block(since)
    while first <= until:
        last, rows = _read_range(first, until)
        yield rows
        first = last + 1


def _read_range(first: int, until: int) -> tuple[int, list[Movement]]:
    """The movements from block `first` on, and the last block of which all are among them."""
    events = _events("block_number").filter(block_number__gte=first, block_number__lte=until)
    rows = list(stored_rows(events.order_by("block_number", "log_index")[: ROWS_AT_ONCE + 1]))
    if len(rows) <= ROWS_AT_ONCE:
        return until, _movements_of(row[1:] for row in rows)
    last = rows[-1][0] - 1
    whole = [row[1:] for row in rows if row[0] <= last]
    if whole:
        return last, _movements_of(whole)
    return last + 1, _movements_of(stored_rows(_events().filter(block_number=last + 1)))


def _movements_of(rows: Iterable[Any]) -> list[Movement]:
    return [(tx_hash, sender, to, int(value)) for tx_hash, sender, to, value in rows]


def _first_block(since: int) -> int:
    if since >= 0:
        return since + 1
    oldest = ChainEvent.objects.order_by("block_number", "log_index").values_list("block_number", flat=True).first()
    return oldest or 0


def _events(*before: str) -> Any:
    """The movements of others as rows: these columns, then transaction, from, to and value."""
    query = ChainEvent.objects.filter(position_id__isnull=True, name=NAME, operation_uid="")
    return query.values_list(*before, "tx_hash", KT("args__from"), KT("args__to"), KT("args__value"))


def _received(movements: Iterable[Movement]) -> Received:
    received: Received = Counter()
    for tx_hash, sender, recipient, value in movements:
        received[tx_hash, sender, recipient] += value
    return received


def _value(transfer: Transfer, received: Received) -> list[BooksFinding]:
    """The transfer's value against what its transaction moved."""
    value = min(received[transfer.movement], MAX_BASE_UNITS)
    return differs(transfer.subject, "value", transfer.value, value)


def check_used(transfers: Sequence[Transfer]) -> list[BooksFinding]:
    """What each transfer says is used of it against the repayments that it funds."""
    claimed: Counter[Any] = Counter()
    for chosen in batched([transfer.pk for transfer in transfers], IDS_PER_QUERY):
        funded = Repayment.objects.filter(funding_transfer_id__stored_in=chosen, repaid_by=RepaymentSource.PARTNER)
        rows = funded.exclude(status=RepaymentStatus.FAILED)
        for key, amount, covered in stored_rows(rows.values_list("funding_transfer_id", "amount", "platform_covered")):
            claimed[key] += amount - covered
    found = []
    for transfer in transfers:
        used = claimed[transfer.pk]
        if used != transfer.used:
            key = as_uuid(transfer.pk)
            found += column(transfer.subject, FundingTransfer, key, "used", transfer.used, used)
        if used > transfer.value:
            found += differs(transfer.subject, "value", transfer.value, f"repayments of {used}")
    return found


def all_used() -> Iterator[list[BooksFinding]]:
    """`check_used` of every transfer, a number at a time: the books alone, without the chain."""
    for transfers in _all_transfers():
        yield check_used(transfers)


def read_transfers(**chosen: object) -> list[Transfer]:
    """The transfers of these columns."""
    rows = FundingTransfer.objects.filter(**chosen).values_list(*Transfer._fields)
    return [Transfer._make(row) for row in stored_rows(rows)]


def _all_transfers() -> Iterator[list[Transfer]]:
    query = FundingTransfer.objects.order_by("pk").values_list(*Transfer._fields)
    rows = [Transfer._make(row) for row in stored_rows(query[:IDS_PER_QUERY])]
    while rows:
        yield rows
        following = query.filter(pk__gt=as_uuid(rows[-1].pk))
        rows = [Transfer._make(row) for row in stored_rows(following[:IDS_PER_QUERY])]


# --- One by one ---------------------------------------------------------------------------------------------


def check_each(transfers: Sequence[Transfer], moment: ReferenceBlock) -> tuple[list[BooksFinding], dict[str, int]]:
    """Each transfer's value and use, by itself; what is in motion, since which block."""
    received = _received_in({transfer.block_number for transfer in transfers})
    found = check_used([transfer for transfer in transfers if transfer.movement in received])
    found += [f for transfer in transfers if transfer.movement in received for f in _value(transfer, received)]
    missing, motions = _check_missing(transfers, moment, with_moved=True)
    return found + missing, motions


def _check_missing(
    transfers: Sequence[Transfer], moment: ReferenceBlock, *, with_moved: bool = False
) -> tuple[list[BooksFinding], dict[str, int]]:
    """Those that have no event in their block; `with_moved`: also those that a reorg moved to another block since."""
    received = _received_in({transfer.block_number for transfer in transfers})
    missing = [transfer for transfer in transfers if transfer.movement not in received]
    found: list[BooksFinding] = []
    motions: dict[str, int] = {}
    for transfer in missing:
        elsewhere = _received_elsewhere(transfer, moment)
        if transfer.movement in elsewhere and not with_moved:
            continue  # it was checked with the events
        found += check_used([transfer])
        if transfer.block_number > moment.block_number and transfer.movement not in elsewhere:
            continue
        if transfer.movement not in elsewhere and moment.is_orphan(transfer.block_number, transfer.block_hash):
            motions[transfer.subject] = transfer.block_number  # its block was replaced
        else:
            found += _value(transfer, elsewhere)
    return found, motions


def _received_in(blocks: Iterable[int]) -> Received:
    rows: list[Movement] = []
    for chosen in batched(sorted(blocks), IDS_PER_QUERY):
        rows += _movements_of(stored_rows(_events().filter(block_number__in=chosen)))
    return _received(rows)


def _received_elsewhere(transfer: Transfer, moment: ReferenceBlock) -> Received:
    """A reorg may have moved its transaction to another block since it was proven: where the chain has it now."""
    receipt = get_client().call("eth_getTransactionReceipt", [transfer.tx_hash])
    block = None if receipt is None or receipt.get("blockNumber") is None else int(receipt["blockNumber"], 16)
    return Counter() if block is None or block > moment.block_number else _received_in({block})
