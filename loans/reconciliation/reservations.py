"""What is reserved of each OAID's credit against its loans in flight (M1)."""

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

from loans.models import LoanStatus, OaidCredit, PartnerLoan
from loans.reconciliation.findings import BooksFinding, column, differs
from partner_platform.core.database.batches import batched

ROWS_AT_ONCE = 5_000


def check_reservations(chosen: Collection[int] | None = None) -> Iterator[list[BooksFinding]]:
    """Every OAID's reservation, a number of rows at a time; of the `chosen` and those with loans in flight only."""
    in_flight: Counter[int] = Counter()
    pending = PartnerLoan.objects.filter(status=LoanStatus.PENDING)
    for oaid, amount in pending.values_list("oaid_token_id", "principal_amount"):
        in_flight[oaid] += amount
    unseen = set(in_flight)
    for rows in _rows(None if chosen is None else {*chosen, *in_flight}):
        yield [
            finding
            for pk, oaid, reserved in rows
            for finding in column(f"oaid:{oaid}", OaidCredit, pk, "reserved", reserved, in_flight[oaid])
        ]
        unseen -= {oaid for _, oaid, _ in rows}
    yield [finding for oaid in sorted(unseen) for finding in differs(f"oaid:{oaid}", "reserved", 0, in_flight[oaid])]


def _rows(chosen: Collection[int] | None) -> Iterator[list[Any]]:
    query = OaidCredit.objects.values_list("pk", "oaid_token_id", "reserved")
    if chosen is not None:
        for some in batched(sorted(chosen)):
            yield list(query.filter(oaid_token_id__in=some))
        return
    rows = list(query.order_by("oaid_token_id")[:ROWS_AT_ONCE])
    while rows:
        yield rows
        rows = list(query.filter(oaid_token_id__gt=rows[-1][1]).order_by("oaid_token_id")[:ROWS_AT_ONCE])
