"""How much each sender transferred to the platform account, by the events that the watcher read.

Blocks whose events are final are added up once (`advance`, after each pass of the watcher); newer blocks are read each
time. So a reorg of the newest blocks leaves nothing to undo, and a judgement reads at most a few hundred blocks.
Transfers inside our own operations are not counted: they have paid for a repayment already.
"""

import logging
from collections import Counter
from collections.abc import Collection

from django.conf import settings
from django.db import IntegrityError

from chain import selectors as chain_selectors
from loans.models import AccountDeposit, PlatformAccount
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.ethereum import parse_address
from partner_platform.core.money import MAX_BASE_UNITS

logger = logging.getLogger(__name__)

EVENTS_PER_STEP = 10_000
STEPS_PER_PASS = 20
SENDERS_PER_QUERY = 500
MAX_BLOCKS_UNREAD = 20_000  # with more new blocks than this a judgement waits for `advance`
MAX_DEPOSIT_READS = 5


class DepositsBehind(Exception):
    """The sums of old blocks are not made yet, or are changing at this moment: try again later."""


class _DepositsMoved(Exception):
    """Another worker added these blocks up first."""


def platform_account() -> str:
    """The account that repayments are sent to and paid from now."""
    return parse_address(settings.PLATFORM_EXECUTOR_ADDRESS)


def account_row(account: str) -> PlatformAccount:
    """The account's row, created where there is none; call it outside a transaction."""
    row = PlatformAccount.objects.filter(address=account).first()
    if row is not None:
        return row
    try:
        return PlatformAccount.objects.create(address=account, deposits_block=_first_block())
    except IntegrityError:
        return PlatformAccount.objects.get(address=account)


def advance(account: str | None = None) -> None:
    """Add up the blocks that became final, a bounded number of them; safe to run twice at once."""
    row = account_row(account or platform_account())
    until = chain_selectors.verified_until()
    for _ in range(STEPS_PER_PASS):
        if row.deposits_block >= until:
            return
        last, received = _read_step(row, until)
        try:
            run_in_transaction(lambda row=row, last=last, received=received: _store(row, last, received))  # type: ignore[misc]
        except _DepositsMoved:
            return
        row.deposits_block = last


def received(account: str, until: int, senders: Collection[str]) -> Counter[str]:
    """What each of these senders transferred in blocks up to `until`; raises `DepositsBehind`.

    Only these senders' sums are read, however many others sent something.
    """
    wanted = sorted(senders)
    for _ in range(MAX_DEPOSIT_READS):
        row = account_row(account)
        if not row.deposits_block <= until <= row.deposits_block + MAX_BLOCKS_UNREAD:
            break
        found = _added_up(account, wanted)
        newest = _sums(account, chain_selectors.transfers_between(row.deposits_block + 1, until))
        found.update({sender: newest[sender] for sender in wanted if sender in newest})
        if account_row(account).deposits_block == row.deposits_block:
            return found
    raise DepositsBehind


def forget_from(block: int) -> None:
    """Blocks from this one on are gone: start over for each account that had added some of them up. Idempotent."""
    for row in PlatformAccount.objects.filter(deposits_block__gte=block):
        logger.error("a reorg below block %d: the deposits of %s are added up again", row.deposits_block, row.address)
        run_in_transaction(lambda row=row: _forget(row))  # type: ignore[misc]


def _added_up(account: str, senders: list[str]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for start in range(0, len(senders), SENDERS_PER_QUERY):
        chosen = senders[start : start + SENDERS_PER_QUERY]
        rows = AccountDeposit.objects.filter(account=account, sender__in=chosen)
        sums.update(dict(rows.values_list("sender", "received")))
    return sums


def _read_step(row: PlatformAccount, until: int) -> tuple[int, Counter[str]]:
    first = row.deposits_block + 1
    last = chain_selectors.last_block_of(EVENTS_PER_STEP, first=first, until=until)
    return last, _sums(row.address, chain_selectors.transfers_between(first, last))


def _sums(account: str, transfers: list[tuple[str, str, int]]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for sender, recipient, value in transfers:
        if recipient == account and value:
            sums[sender] += value
    return sums


def _store(row: PlatformAccount, last: int, received: Counter[str]) -> None:
    if not PlatformAccount.objects.move_deposits(row, to=last):
        raise _DepositsMoved
    for sender in sorted(received):
        known = AccountDeposit.objects.filter(account=row.address, sender=sender)
        before = known.values_list("received", flat=True).first()
        total = min((before or 0) + received[sender], MAX_BASE_UNITS)
        if before is None:
            AccountDeposit.objects.create(account=row.address, sender=sender, received=total)
        else:
            known.update(received=total)


def _forget(row: PlatformAccount) -> None:
    if PlatformAccount.objects.move_deposits(row, to=_first_block()):
        AccountDeposit.objects.filter(account=row.address).delete()


def _first_block() -> int:
    """The block before the first one that the watcher reads."""
    return max(settings.WATCH_FROM_BLOCK - 1, 0)
