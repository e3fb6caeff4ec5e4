"""The wallet's nonce counter: raised and lowered on finalized evidence only.

The counter is the first nonce that the database has not used. Where any endpoint shows a higher nonce used, in a block
or in the pool, something unknown was signed with our key: before a backup was restored, or by somebody else. That
endpoint may be wrong, or a reorg may undo it, so nothing new is sent (`Engine.suspended`) until no endpoint shows it
any more, or until it is final at every endpoint; then the counter is raised and the database is compared with the chain
(`chain.settlement.restoring`). A counter above the final count, with no transaction of ours in between, was raised on
wrong evidence: it is lowered.
"""

import logging
from dataclasses import dataclass
from typing import Any

from django.db.models import Max

from audit.services import record_change
from chain.models import ChainTransaction, PlatformWallet
from chain.rpc.clients import ChainUnavailable, RpcError
from chain.settlement import restoring
from chain.settlement.engine import Engine

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NonceCounts:
    """How many nonces of a wallet are used: the highest count of any endpoint, in blocks (`mined`) and with the pool
    (`used`); and the lowest count that is final, as of the block `final_block`.
    """

    mined: int
    used: int
    final: int
    final_block: int


def check_counter(engine: Engine) -> NonceCounts | None:
    """Compare the counter with the chain's counts: raise it, lower it, or suspend sending. None where an endpoint does
    not answer now; nothing is sent before the first check succeeded.
    """
    try:
        counts = count_nonces(engine)
    except ChainUnavailable as error:
        engine.suspended = engine.suspended or f"the chain's nonces are not known: {error}"
        logger.warning("nothing new is sent: %s", engine.suspended)
        return None
    wallet = engine.wallet
    if counts.final > wallet.next_nonce:
        restoring.raise_counter(engine, final=counts.final, final_block=counts.final_block)
    elif _is_too_high(engine, counts):
        _lower(engine, counts)
    _suspend_if_in_doubt(engine, counts)
    return counts


def count_nonces(engine: Engine) -> NonceCounts:
    """Count at every endpoint, each in one post with its final block. Raises `ChainUnavailable`."""
    address = engine.wallet.address
    calls: list[tuple[str, list[Any]]] = [
        ("eth_getTransactionCount", [address, "latest"]),
        ("eth_getTransactionCount", [address, "pending"]),
        ("eth_getTransactionCount", [address, "finalized"]),
        ("eth_getBlockByNumber", ["finalized", False]),
    ]
    found = engine.client.everyone(calls)
    if any(isinstance(mined, RpcError) for mined, *_ in found):
        raise ChainUnavailable("A node does not count nonces")
    finals = [
        (int(final, 16), int(block["number"], 16))
        for _, _, final, block in found
        if isinstance(final, str) and isinstance(block, dict)
    ]
    mined = max(int(count, 16) for count, *_ in found)
    pooled = max((int(count, 16) for _, count, *_ in found if isinstance(count, str)), default=0)
    # A node that names no final block gives no evidence of what is final.
    final, final_block = min(finals) if len(finals) == len(found) else (0, 0)
    return NonceCounts(mined=mined, used=max(mined, pooled), final=final, final_block=final_block)


def _suspend_if_in_doubt(engine: Engine, counts: NonceCounts) -> None:
    reason = _doubt(engine.wallet, counts)
    if reason and engine.suspended != reason:
        logger.warning("%s: nothing new is sent until no endpoint shows that any more, or it is final", reason)
    elif engine.suspended and not reason:
        logger.info("wallet %s sends again", engine.wallet.address)
    engine.suspended = reason


def _doubt(wallet: PlatformWallet, counts: NonceCounts) -> str:
    """Why the counter may be wrong; empty where it is not in doubt."""
    if counts.used <= wallet.next_nonce:
        return ""
    known = f"the database knows those below {wallet.next_nonce}"
    return f"the chain shows {counts.used} nonces of {wallet.address} used, {known}"


def _is_too_high(engine: Engine, counts: NonceCounts) -> bool:
    """True where a newer final block shows that nonces which the database has as used are not, and no endpoint does."""
    wallet = engine.wallet
    return (
        wallet.nonces_block < counts.final_block
        and counts.final < wallet.nonces_from
        and counts.used < wallet.nonces_from
    )


def _lower(engine: Engine, counts: NonceCounts) -> None:
    """Lower `nonces_from` to the final count, and the counter to the highest nonce that we signed."""
    wallet = engine.wallet
    signed = ChainTransaction.objects.filter(wallet=wallet.pk).aggregate(highest=Max("nonce"))["highest"]
    lowered = max(counts.used, counts.final, 0 if signed is None else signed + 1)
    counter = min(wallet.next_nonce, lowered)

    def write() -> None:
        mine = PlatformWallet.objects.filter(pk=wallet.pk, next_nonce=wallet.next_nonce)
        mine.update(next_nonce=counter, nonces_from=counts.final, nonces_block=counts.final_block)
        record_change(
            actor="system:settlement",
            action="settlement.counter_lowered",
            target=f"wallet:{wallet.address}",
            before={"nextNonce": wallet.next_nonce, "noncesFrom": wallet.nonces_from},
            after={"nextNonce": counter, "noncesFrom": counts.final, "finalBlock": counts.final_block},
        )

    engine.lease.write(write)
    logger.error(
        "wallet %s: its nonce counter was %d; block %d, which is final, shows %d nonces used: it is %d now",
        *(wallet.address, wallet.next_nonce, counts.final_block, counts.final, counter),
    )
    engine.wallet.refresh_from_db()
