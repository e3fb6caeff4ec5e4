"""The time that interest is counted to: the chain's, for it is the pool that counts."""

from collections.abc import Iterable

from chain.lending import readings
from chain.rpc.clients import ChainUnavailable
from loans.models import PartnerLoan
from partner_platform.core import clock


def interest_moment(loans: Iterable[PartnerLoan]) -> int:
    """The newest block's time, in seconds since the epoch, where one of the loans bears interest; else 0: nobody asks.

    Without the chain it is this machine's time: reads go on.
    """
    if not any(loan.interest_rate_bps for loan in loans):
        return 0
    try:
        return readings.newest_block_time()
    except ChainUnavailable:
        return int(clock.now().timestamp())
