"""Where on the chain a status can be checked."""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers

from loans.api.common import EXAMPLE_BORROW_TX, EXAMPLE_REPAY_TX
from partner_platform.core.openapi.fields import Count, Hash


class ChainEvidence(serializers.Serializer):
    """A transaction that any node shows: its block, and the pool's log in it."""

    txHash = Hash()
    blockNumber = Count()
    blockHash = Hash()
    logIndex = Count(allow_null=True, help_text="In the block; null where the operation failed and left no log.")
    depth = Count(help_text="Blocks that are known from this one on, itself included, as of this answer.")
    finalized = serializers.BooleanField(help_text="Every endpoint of the platform called the block final.")


EVIDENCE_OF_BORROW_EXAMPLE = {
    "txHash": EXAMPLE_BORROW_TX,
    "blockNumber": 84210331,
    "blockHash": "0x" + "c3" * 32,
    "logIndex": 7,
    "depth": 900,
    "finalized": True,
}
EVIDENCE_OF_REPAYMENT_EXAMPLE = {
    **EVIDENCE_OF_BORROW_EXAMPLE,
    "txHash": EXAMPLE_REPAY_TX,
    "blockNumber": 84210942,
    "blockHash": "0x" + "d4" * 32,
    "logIndex": 3,
    "depth": 289,
    "finalized": False,
}
