"""A transfer to the platform account as the contract shows it (`loans.api.transfers.TransferState`)."""

from chain.models import FundingTransfer


def present_transfer(transfer: FundingTransfer) -> dict[str, object]:
    """The transfer's fields; amounts are base units."""
    return {
        "txHash": transfer.tx_hash,
        "sender": transfer.sender,
        "value": str(transfer.value),
        "used": str(transfer.used),
        "unclaimed": str(max(transfer.value - transfer.used, 0)),
        "blockNumber": transfer.block_number,
        "blockHash": transfer.block_hash,
    }
