"""A movement that does not follow the last one of its position: an earlier event is missing and is searched for.

The blocks between the position's last event and the one that does not fit are compared with what every endpoint shows;
what was missed is read then, and applied in its order (`chain.events.watcher.recheck_blocks`).
"""

import logging
from collections.abc import Mapping

from chain.events import watcher
from chain.rpc.clients import ChainUnavailable
from loans.chain_order import block_of
from loans.models import SolvencyPosition

logger = logging.getLogger(__name__)


def find_missing(gaps: Mapping[int, int]) -> bool:
    """`gaps`: position -> the block of the movement that does not fit. True where events were missed, or were not the
    chain's: what was read there is rolled back, and the next `follow_chain` reads it again.

    False too where the chain does not answer: the caller retries later.
    """
    rows = SolvencyPosition.objects.filter(position_id__in=sorted(gaps)).values_list("position_id", "ledger_order")
    last_known = {position_id: block_of(order) for position_id, order in rows}
    ranges = [(last_known[position_id], block) for position_id, block in gaps.items() if position_id in last_known]
    if not ranges:
        return False
    try:
        return watcher.recheck_blocks(min(first for first, _ in ranges), max(last for _, last in ranges))
    except ChainUnavailable as error:
        logger.warning("missing events are searched for later: %s", error)
        return False
