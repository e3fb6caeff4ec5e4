"""The tables of settlement (`settlement`) and of the watcher (`events`)."""

from chain.models.events import (
    SYSTEM_CURSOR,
    ChainEvent,
    WatchCursor,
    WatchedBlock,
)
from chain.models.settlement import (
    AttemptKind,
    ChainTransaction,
    Executor,
    FundingTransfer,
    Operation,
    OperationState,
    PlatformWallet,
    PlatformWalletQuerySet,
    TransactionAttempt,
    TransactionState,
    WalletStatus,
)

__all__ = [
    "SYSTEM_CURSOR",
    "AttemptKind",
    "ChainEvent",
    "ChainTransaction",
    "Executor",
    "FundingTransfer",
    "Operation",
    "OperationState",
    "PlatformWallet",
    "PlatformWalletQuerySet",
    "TransactionAttempt",
    "TransactionState",
    "WalletStatus",
    "WatchCursor",
    "WatchedBlock",
]
