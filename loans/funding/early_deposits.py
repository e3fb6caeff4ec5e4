"""What an address sent to the platform account before it was a partner's.

Until then it counted as the platform's, and a repayment on trust may have spent it (`funding.trusted`). If the partner
then claimed it by its hash too, the claim would be paid with what others could claim (M3). So each settlement address
is examined once for each account. Where it had sent something by then, everything that its partner claims by a transfer
is judged from then on (`PartnerSpending.on_trust`): later transfers as well, for the partner could name them in any
order.

An address is examined up to the newest block that the watcher has read, after its owner was read. A judgement by a
newer block reads the owner later still, so it counts what the address sent as its partner's.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError
from django.db.models import QuerySet

from chain import selectors as chain_selectors
from loans.funding import deposits, trusted
from loans.models import NotedAddress
from partner_platform.core.database.transactions import run_in_transaction
from partners import settlement_addresses


def note_new() -> int:
    """Examine the addresses that were not examined yet; returns how many. Call it before the watcher reads on."""
    if not settings.PLATFORM_EXECUTOR_ADDRESS or settlement_addresses.count() == _noted().count():
        return 0
    owners = settlement_addresses.owners()
    return _note(owners, set(owners) - set(_noted().values_list("address", flat=True)))


def are_noted(addresses: Collection[str], partner_id: UUID) -> bool:
    """Examine those of the partner's addresses that were not examined yet; False where that is not possible now."""
    new = set(addresses) - set(_noted().filter(address__in=addresses).values_list("address", flat=True))
    return _note(dict.fromkeys(new, partner_id), new) == len(new)


def _noted() -> QuerySet[NotedAddress]:
    return NotedAddress.objects.filter(account=deposits.platform_account())


def _note(owners: Mapping[str, UUID], new: Collection[str]) -> int:
    """Returns how many of them were noted: all, or none where old deposits are not added up yet."""
    if not new:
        return 0
    try:
        sums = _received(new)
    except deposits.DepositsBehind:
        return 0
    for address in sorted(new):
        _note_one(address, owners[address], has_sent=sums[address] > 0)
    return len(new)


def _received(addresses: Collection[str]) -> Counter[str]:
    until = chain_selectors.watched_until()
    return deposits.received(deposits.platform_account(), until, addresses) if until >= 0 else Counter()


def _note_one(address: str, partner_id: UUID, *, has_sent: bool) -> None:
    if has_sent:
        trusted.spending_of(partner_id)  # creates the row, outside the transaction

    def note() -> None:
        NotedAddress.objects.create(account=deposits.platform_account(), address=address)
        if has_sent:
            trusted.note_trusted(partner_id)

    with suppress(IntegrityError):  # another worker noted it at the same moment
        run_in_transaction(note)
