"""How an accepted borrow or repayment becomes exactly one effect on the chain.

An `Operation` is what somebody wants done once: its calls, its uid and the effect that proves it. Up to ~10 operations
are a bundle. A `ChainTransaction` sends one bundle to the `PlatformExecutor` under one nonce of a `PlatformWallet`;
each `TransactionAttempt` is a signed form of it, stored before it is sent and never altered. Two lines of defence
(docs/settlement.md):

1. Off chain: a payload never gets a second nonce, unless finalized chain state shows that its first one was consumed
   by a hash that is not ours. From the moment the bytes are stored we only resend them, bump the same nonce, or adopt
   what was mined.
2. On chain: the executor runs a uid at most once ever; a second send of the same operation does nothing.

This app knows no loans: it takes calls and an expected effect, and returns a state. Amounts of gas are in wei.
Invariants (M2, M7): a nonce is used once per wallet; an operation has at most one live transaction; whatever is QUEUED
reaches a final state after any crash, or NEEDS_REVIEW. The states and their edges are in `chain.states`.
"""

from typing import Self

from django.db import models
from django.db.models import F

from partner_platform.core import clock
from partner_platform.core.fields import AddressField, BaseUnitsField, HashField, UUIDPrimaryKey


class WalletStatus(models.TextChoices):
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"  # no gas money; resumes by itself
    FROZEN = "FROZEN"  # needs a person


class OperationState(models.TextChoices):
    QUEUED = "QUEUED"
    BUNDLED = "BUNDLED"
    EXECUTED = "EXECUTED"  # mined, not yet k deep
    CONFIRMED = "CONFIRMED"
    REFUSED = "REFUSED"  # the simulation said no: nothing was spent
    FAILED = "FAILED"  # OperationFailed, k deep
    NEEDS_REVIEW = "NEEDS_REVIEW"


class TransactionState(models.TextChoices):
    SIGNED = "SIGNED"
    BROADCAST = "BROADCAST"
    MINED = "MINED"
    CONFIRMED = "CONFIRMED"
    REVERTED = "REVERTED"
    CANCELLED = "CANCELLED"  # a noop took its nonce
    NEEDS_REVIEW = "NEEDS_REVIEW"


class AttemptKind(models.TextChoices):
    PAYLOAD = "PAYLOAD"
    NOOP = "NOOP"


class PlatformWalletQuerySet(models.QuerySet["PlatformWallet"]):
    """Guarded updates of a wallet's status, each of which counts."""

    def unchanged_since(self, shown: "PlatformWallet") -> Self:
        """The row of this wallet, unless its status, its reasons or its incident changed since `shown` was read."""
        return self.filter(pk=shown.pk, status_changes=shown.status_changes)

    def change_status(self, **changes: object) -> int:
        """Write status, reason or incident and count the change; returns how many rows matched."""
        return self.update(status_changes=F("status_changes") + 1, **changes)


class PlatformWallet(models.Model):
    """A signing key of the platform on one chain: its nonce counter, its health, and who may drive it."""

    id = UUIDPrimaryKey()
    address = AddressField()
    chain_id = models.PositiveBigIntegerField()
    next_nonce = models.PositiveBigIntegerField(default=0)  # moved on final evidence only (`chain.settlement.nonces`)
    # Nonces below it were used before this database knew of them: before the wallet's row was made, or after the backup
    # that it was restored from.
    nonces_from = models.PositiveBigIntegerField(default=0)
    # The database may be older than the chain: nothing is sent until `executed(uid)` was read for all that is open
    # (F12).
    scan_pending = models.BooleanField(default=False)
    max_in_flight = models.PositiveSmallIntegerField(default=12)
    fee_cap_wei = models.PositiveBigIntegerField(help_text="Highest max fee per gas that is ever bid, wei")
    status = models.CharField(max_length=10, choices=WalletStatus, default=WalletStatus.ACTIVE)
    status_reason = models.CharField(max_length=300, blank=True, default="")
    status_changes = models.PositiveBigIntegerField(
        default=0
    )  # counted, so that an update can require that nothing changed
    incident = models.CharField(
        max_length=300, blank=True, default=""
    )  # what a reorg undid, until a person has read it
    incident_at = models.DateTimeField(null=True, blank=True)
    lease_epoch = models.PositiveBigIntegerField(default=0)  # fencing token: a driver with an older one writes nothing
    lease_holder = models.CharField(max_length=64, blank=True, default="")
    lease_until = models.DateTimeField(null=True, blank=True)
    # Counted at every renewal: on MongoDB an update that changes nothing (the same millisecond) conflicts with no
    # other.
    lease_holds = models.PositiveBigIntegerField(default=0)
    # The newest block whose chain everything settled was compared with, and the newest of these that every endpoint
    # called final: a comparison starts there (`chain.settlement.reorgs`).
    verified_block = models.PositiveBigIntegerField(null=True, blank=True)
    verified_hash = HashField(blank=True, default="")
    final_block = models.PositiveBigIntegerField(null=True, blank=True)
    final_hash = HashField(blank=True, default="")
    # The block whose count of nonces `next_nonce` and `nonces_from` were last set by.
    nonces_block = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(default=clock.now)

    objects = PlatformWalletQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["address", "chain_id"], name="wallet_once_per_chain")]

    def __str__(self) -> str:
        return f"{self.address} on {self.chain_id}"


class ChainTransaction(models.Model):
    """A transaction: one nonce of one wallet, used for a bundle of up to ~10 operations, or for a noop."""

    id = UUIDPrimaryKey()
    wallet = models.ForeignKey(PlatformWallet, on_delete=models.PROTECT, related_name="transactions")
    nonce = models.PositiveBigIntegerField()
    executor = AddressField(blank=True, default="")  # the contract that it calls; empty for a noop without operations
    state = models.CharField(max_length=12, choices=TransactionState, default=TransactionState.SIGNED)
    gas_limit = models.PositiveBigIntegerField()
    mined_hash = HashField(blank=True, default="")
    block_number = models.PositiveBigIntegerField(null=True, blank=True)
    block_hash = HashField(blank=True, default="")
    gas_used = models.PositiveBigIntegerField(null=True, blank=True)
    last_sent_block = models.PositiveBigIntegerField(null=True, blank=True)  # pacing of resends, in blocks not seconds
    last_bump_block = models.PositiveBigIntegerField(null=True, blank=True)
    open_since_block = models.PositiveBigIntegerField(
        null=True, blank=True
    )  # signed at this head (`chain.settlement.overdue`)
    overdue_told = models.BooleanField(default=False)
    note = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["wallet", "nonce"], name="transaction_nonce_once")]
        indexes = [
            models.Index(fields=["wallet", "state", "nonce"], name="transaction_live"),
            models.Index(fields=["wallet", "block_number"], name="transaction_mined"),
        ]

    def __str__(self) -> str:
        return f"nonce {self.nonce} ({self.state})"


class TransactionAttempt(models.Model):
    """One signed form of a transaction. The bytes are committed before the first send and never change."""

    id = UUIDPrimaryKey()
    transaction = models.ForeignKey(ChainTransaction, on_delete=models.PROTECT, related_name="attempts")
    kind = models.CharField(max_length=8, choices=AttemptKind, default=AttemptKind.PAYLOAD)
    raw = models.TextField()  # 0x-hex of the signed transaction
    tx_hash = HashField(unique=True)
    max_fee_per_gas_wei = models.PositiveBigIntegerField()
    max_priority_fee_per_gas_wei = models.PositiveBigIntegerField()
    send_count = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True, default="")
    last_error_class = models.CharField(max_length=30, blank=True, default="")
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        indexes = [models.Index(fields=["transaction", "created_at"], name="attempt_transaction")]

    def __str__(self) -> str:
        return self.tx_hash


class Operation(models.Model):
    """Something to be done on the chain at most once, ever.

    `calls` is `[{"to", "value", "data"}]`; `effect` lists the logs that prove it, `[{"address", "topics", "data"}]` (a
    null or missing `data`, or a null topic, matches anything); `outcome_logs` are the logs that did. `acknowledged` is
    set by the owner (the app that enqueued it) in the database transaction in which it acted on a final state: where
    the signal was lost, its sweep finds the operation. `reopened`: a reorg undid a state that the owner acted on; the
    owner undoes that before it acts again (F40).
    """

    id = UUIDPrimaryKey()
    key = models.CharField(max_length=120, unique=True)  # idempotency key; uid = keccak(key)
    uid = HashField(unique=True)
    kind = models.CharField(max_length=20)
    # The chain and the executor that it was made for: the settings may name others later.
    chain_id = models.PositiveBigIntegerField(default=0)
    executor = AddressField(blank=True, default="")
    calls = models.JSONField()
    effect = models.JSONField()
    state = models.CharField(max_length=12, choices=OperationState, default=OperationState.QUEUED)
    transaction = models.ForeignKey(
        ChainTransaction, null=True, blank=True, on_delete=models.PROTECT, related_name="operations"
    )
    position_in_bundle = models.PositiveSmallIntegerField(default=0)
    # Keys of the transactions it was in before it was queued again: until their blocks are final, one may still run it.
    former_transactions = models.JSONField(default=list, blank=True)
    group_size_limit = models.PositiveSmallIntegerField(
        default=0
    )  # smaller after a transaction reverted as a whole; 0: no limit
    reason = models.CharField(max_length=300, blank=True, default="")
    tx_hash = HashField(blank=True, default="")
    block_number = models.PositiveBigIntegerField(null=True, blank=True)
    block_hash = HashField(blank=True, default="")
    block_time = models.DateTimeField(null=True, blank=True)
    outcome_logs = models.JSONField(null=True, blank=True)
    acknowledged = models.BooleanField(default=False)
    reopened = models.BooleanField(default=False)
    # The owner could not act on it: how often, why, and when it is tried again (`services.put_off`; null: at once).
    settle_failures = models.PositiveIntegerField(default=0)
    settle_after = models.DateTimeField(null=True, blank=True)
    settle_error = models.CharField(max_length=300, blank=True, default="")
    # The head when a driver first saw it open, and whether it was reported as overdue (`chain.settlement.overdue`).
    open_since_block = models.PositiveBigIntegerField(null=True, blank=True)
    overdue_told = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [
            models.Index(fields=["state", "created_at"], name="operation_queue"),
            models.Index(fields=["acknowledged", "state", "kind", "settle_after"], name="operation_unacknowledged"),
            models.Index(fields=["acknowledged", "settle_after"], name="operation_put_off"),
            models.Index(fields=["transaction", "position_in_bundle"], name="operation_transaction"),
            models.Index(fields=["reopened", "kind", "settle_after"], name="operation_reopened"),
            models.Index(fields=["acknowledged", "overdue_told", "state", "open_since_block"], name="operation_open"),
            models.Index(fields=["state", "block_number"], name="operation_mined"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key} ({self.state})"


class Executor(models.Model):
    """An executor that operations were made for; its events are followed for good."""

    id = UUIDPrimaryKey()
    address = AddressField()
    chain_id = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["address", "chain_id"], name="executor_once_per_chain")]

    def __str__(self) -> str:
        return f"{self.address} on {self.chain_id}"


class FundingTransfer(models.Model):
    """USDC that one transaction brought from `sender` to the platform account; funds repayments up to its value (M3).

    One row however many logs there are: a log's index changes where a reorg moves the transaction, its hash does not.
    """

    id = UUIDPrimaryKey()
    tx_hash = HashField()
    sender = AddressField()
    recipient = AddressField()
    value = BaseUnitsField()  # base units; a larger transfer is recorded as the largest amount
    used = BaseUnitsField(default=0)  # moves by a guarded update: used + amount <= value
    block_number = models.PositiveBigIntegerField()  # where it was proven last
    block_hash = HashField()
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tx_hash", "sender"], name="funding_once_per_sender"),
            models.CheckConstraint(condition=models.Q(used__gte=0), name="funding_used_not_negative"),
        ]
        indexes = [models.Index(fields=["sender", "-created_at", "-id"], name="funding_sender_time")]

    def __str__(self) -> str:
        return f"{self.value} by {self.tx_hash}"
