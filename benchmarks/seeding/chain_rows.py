"""What a history leaves on the chain, as rows: operations in their transactions, transfers, events.

Keys and hashes come from one seeded source, in the order of the calls: the same history makes the same rows.
"""

import datetime as dt
import random
import uuid
from collections import Counter
from typing import Any

from benchmarks.seeding.bulk import BATCH, Row, Table
from benchmarks.seeding.facts import OAID_LIMIT, seeded_block_hash, time_at
from benchmarks.seeding.history import ChainPlace, SeededPayment, SeededPosition
from chain.models import (
    ChainEvent,
    ChainTransaction,
    FundingTransfer,
    Operation,
    OperationState,
    PlatformWallet,
    TransactionState,
)

OPERATIONS_PER_TRANSACTION = 10


class ChainRows:
    """Writes the rows of the chain's tables, a batch of a table at a time; `count` is how many, by model."""

    def __init__(self, wallet: PlatformWallet, addresses: dict[str, str]) -> None:
        self.wallet, self.addresses = wallet, addresses
        self.count: Counter[str] = Counter()
        self.balance = 0  # of the platform account, base units
        self.nonces = 0
        self._random = random.Random(11)  # noqa: S311 - keys of rows
        self._transaction: uuid.UUID | None = None
        self._carried = 0
        self._waiting: dict[Table, list[Row]] = {}
        chain_id, executor = wallet.chain_id, addresses["executor"]
        done = {"state": OperationState.CONFIRMED, "acknowledged": True, "chain_id": chain_id, "executor": executor}
        self._operations = Table(Operation, calls=[], effect=[], outcome_logs=[], **done)
        self._queued = Table(Operation, calls=[], effect=[], kind="borrow", chain_id=chain_id, executor=executor)
        self._transactions = Table(
            ChainTransaction, wallet=wallet, executor=executor, state=TransactionState.CONFIRMED, gas_limit=5_000_000
        )
        self._transfers = Table(FundingTransfer, recipient=executor)
        self._events = Table(ChainEvent, applied=True)

    def _transfer(self, payment: SeededPayment, sender: str, *, number: int) -> uuid.UUID:
        """The USDC that a partner sent for it; every tenth sent more than was needed."""
        pk, tx_hash = self._key(), self._hash()
        value = payment.amount + (number % 10 == 0) * 5_000_000
        self.balance += value - payment.amount
        place = ChainPlace(payment.place.block - 1, payment.place.log + 100_000, payment.place.moment - 2)
        self._put(
            self._transfers,
            self._transfers.row(
                id=pk,
                tx_hash=tx_hash,
                sender=sender,
                value=value,
                used=payment.amount,
                block_number=place.block,
                block_hash=seeded_block_hash(place.block),
                created_at=time_at(place),
            ),
        )
        args = {"from": sender, "to": self.addresses["executor"], "value": str(value)}
        self._event(place, 0, "MockUSDC.Transfer", None, tx_hash=tx_hash, **args)
        return pk

    def _operate(
        self, pk: uuid.UUID, key: str, uid: str, kind: str, place: ChainPlace | None, created: dt.datetime
    ) -> str:
        """The operation's row, in a transaction where it was executed; returns the transaction's hash."""
        if place is None:
            self._put(self._queued, self._queued.row(id=pk, key=key, uid=uid, created_at=created, updated_at=created))
            return ""
        if self._carried % OPERATIONS_PER_TRANSACTION == 0:
            self._transaction = self._new_transaction(place)
        self._carried += 1
        tx_hash = self._hash()
        self._put(
            self._operations,
            self._operations.row(
                id=pk,
                key=key,
                uid=uid,
                kind=kind,
                transaction_id=self._transaction,
                tx_hash=tx_hash,
                block_number=place.block,
                block_hash=seeded_block_hash(place.block),
                block_time=time_at(place),
                created_at=created,
                updated_at=created,
            ),
        )
        return tx_hash

    def _new_transaction(self, place: ChainPlace) -> uuid.UUID:
        pk = self._key()
        self._put(
            self._transactions,
            self._transactions.row(
                id=pk,
                nonce=self.nonces,
                mined_hash=self._hash(),
                block_number=place.block,
                block_hash=seeded_block_hash(place.block),
                gas_used=2_500_000,
                created_at=time_at(place),
                updated_at=time_at(place),
            ),
        )
        self.nonces += 1
        return pk

    def _movement(
        self,
        place: ChainPlace,
        position: SeededPosition,
        debt: int,
        kind: str,
        *,
        uid: str = "",
        tx_hash: str = "",
        **args: str,
    ) -> None:
        """The pool's event, the OAID's, and the vault's that names it."""
        same = {"uid": uid, "tx_hash": tx_hash or self._hash()}
        self._event(place, 0, "SeniorPool.DebtUpdated", position, **same, principal=str(debt), accrued="0", rateBps="0")
        line: dict[str, Any] = {"tokenId": str(position.number), "limit": str(OAID_LIMIT), "used": str(debt)}
        self._event(place, 1, "OAID.CreditLineUpdated", None, **same, **line, active=True)
        self._event(place, 2, f"SolvencyVault.{kind}", position, **same, **args)

    def _event(
        self,
        place: ChainPlace,
        offset: int,
        name: str,
        position: SeededPosition | None,
        *,
        uid: str = "",
        tx_hash: str = "",
        **args: object,
    ) -> None:
        number = {} if position is None else {"positionId": str(position.number)}
        self._put(
            self._events,
            self._events.row(
                id=self._key(),
                block_number=place.block,
                log_index=place.log + offset,
                block_hash=seeded_block_hash(place.block),
                block_time=place.moment,
                tx_hash=tx_hash or self._hash(),
                name=name,
                position_id=None if position is None else position.number,
                operation_uid=uid,
                args={**number, **args},
            ),
        )

    def _put(self, table: Table, row: Row) -> None:
        waiting = self._waiting.setdefault(table, [])
        waiting.append(row)
        if len(waiting) == BATCH:
            self._flush(table)

    def _flush(self, table: Table) -> None:
        rows = self._waiting[table]
        self.count[table.model.__name__] += table.insert(rows)
        rows.clear()

    def _key(self) -> uuid.UUID:
        return uuid.UUID(int=self._random.getrandbits(128))

    def _hash(self) -> str:
        return f"0x{self._random.getrandbits(256):064x}"
