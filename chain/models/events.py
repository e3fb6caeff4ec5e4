"""What the watcher knows: how far it has read the chain, the blocks it may have to compare again, and the events."""

import datetime as dt
from typing import Self

from django.db import models

from partner_platform.core.fields import HashField, Uint256Field, UUIDPrimaryKey

SYSTEM_CURSOR = "system"  # the watcher's cursor: it follows the contracts of the lending system


class WatchCursor(models.Model):
    """How far the watcher has read the chain: the next block to read. Moves by a guarded update."""

    id = UUIDPrimaryKey()
    name = models.CharField(max_length=40, unique=True)
    next_block = models.PositiveBigIntegerField()
    verified_block = models.PositiveBigIntegerField(default=0)  # up to it, every endpoint gave the same events, final
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.name} at {self.next_block}"


class WatchedBlock(models.Model):
    """A block that the watcher has read and that was not final: where the chain has another one, it is rolled back."""

    id = UUIDPrimaryKey()
    number = models.PositiveBigIntegerField(unique=True)
    hash = HashField()

    def __str__(self) -> str:
        return f"{self.number} {self.hash}"


class ChainEventQuerySet(models.QuerySet["ChainEvent"]):
    """Guarded updates of events that their consumer has not applied."""

    def unapplied(self) -> Self:
        """Those that no consumer has acted on."""
        return self.filter(applied__in=[False])  # __in: no index serves the NOT that `applied=False` becomes on SQLite

    def put_off(self, until: dt.datetime | None) -> int:
        """Do not apply those that are not applied before `until` (None: apply them at once); returns how many."""
        return self.unapplied().update(follow_after=until)


class ChainEvent(models.Model):
    """An event of one of the system's contracts, in a canonical block; `applied` by the consumer that acted on it.

    `name` is `{Contract}.{Event}`, `args` its arguments by name (numbers as strings), `operation_uid` the operation of
    ours that caused it, empty for anybody else's transaction.
    """

    id = UUIDPrimaryKey()
    block_number = models.PositiveBigIntegerField()
    log_index = models.PositiveIntegerField()
    block_hash = HashField()
    block_time = models.PositiveBigIntegerField()  # seconds since the epoch
    tx_hash = HashField()
    name = models.CharField(max_length=60)
    position_id = Uint256Field(null=True, blank=True)
    operation_uid = HashField(blank=True, default="")
    args = models.JSONField()
    applied = models.BooleanField(default=False)
    follow_after = models.DateTimeField(null=True, blank=True)  # the consumer could not apply it: not tried before

    objects = ChainEventQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["block_number", "log_index"], name="chain_event_once")]
        indexes = [
            models.Index(fields=["applied", "follow_after", "block_number", "log_index"], name="chain_event_due"),
            models.Index(fields=["position_id", "block_number", "log_index"], name="chain_event_position"),
        ]

    def __str__(self) -> str:
        return f"{self.name} in {self.block_number}"
