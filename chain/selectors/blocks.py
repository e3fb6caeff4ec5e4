"""How far the chain is known, by the database alone: for whoever shows how deep a block is."""

from dataclasses import dataclass

from django.conf import settings
from django.db.models import Max

from chain.models import SYSTEM_CURSOR, PlatformWallet, WatchCursor


@dataclass(frozen=True)
class KnownBlocks:
    """The newest block that was read, and the newest final one with which everything was compared; -1: none."""

    head: int = -1
    final: int = -1

    def depth_of(self, block: int) -> int:
        """How many blocks are known from this one on, itself included."""
        return max(self.head - block + 1, 1)

    def is_final(self, block: int) -> bool:
        """Whether every endpoint called the block final, and settlement and the watcher compared it after that."""
        return block <= self.final


def known_blocks() -> KnownBlocks:
    """Two queries, of a row each; no node is asked."""
    cursor = WatchCursor.objects.filter(name=SYSTEM_CURSOR).values_list("next_block", "verified_block").first()
    wallets = PlatformWallet.objects.filter(chain_id=settings.CHAIN_ID)
    wallet = wallets.aggregate(head=Max("verified_block"), final=Max("final_block"))
    next_block, verified = cursor or (0, -1)
    final = -1 if wallet["final"] is None else min(wallet["final"], verified)
    return KnownBlocks(head=max(next_block - 1, wallet["head"] or -1), final=final)
