"""Events and their place in the feed.

An `Event` is inserted in the transaction of the change that it tells of, without a number: transactions commit in any
order, so a number taken inside one could become visible after a higher one, and a reader would miss it. `numbering`
gives committed events the next numbers, one pass at a time, and a reader that goes on from the last number it saw gets
each event exactly once. Events hold ids and no foreign keys, because they outlive the rows that they are about.

Invariants (M6): every change of a loan has its event in the same transaction; a loan's `sequence` counts its events
from 1, without a gap; numbers count the feed from 1, without a gap.
"""

from django.db import models

from events.kinds import EventType
from partner_platform.core import clock
from partner_platform.core.fields import UUIDPrimaryKey

FEED = "feed"  # the name of the only row of `FeedState`


class Event(models.Model):
    """What happened, as the feed and the webhooks send it: `body` is the JSON text, byte for byte."""

    id = UUIDPrimaryKey()
    number = models.PositiveBigIntegerField(null=True, blank=True)  # in the feed of all partners; set after the commit
    type = models.CharField(max_length=40, choices=EventType)
    partner_key = models.UUIDField()  # the partner's primary key
    partner_loan_id = models.CharField(max_length=64, blank=True, default="")
    loan_id = models.UUIDField(null=True, blank=True)  # the loan's internal id
    sequence = models.PositiveIntegerField(default=0)  # of the loan's events, from 1; 0 where it is about no loan
    body = models.TextField()
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["loan_id", "sequence"], name="event_sequence_once")]
        indexes = [
            models.Index(fields=["number", "created_at"], name="event_number"),
            models.Index(fields=["partner_key", "number"], name="event_partner_number"),
            models.Index(fields=["partner_key", "type", "number"], name="event_partner_type"),
            models.Index(fields=["partner_key", "partner_loan_id", "number"], name="event_partner_loan"),
            models.Index(fields=["created_at"], name="event_time"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class FeedState(models.Model):
    """How far the feed is numbered, and up to which number its events were deleted by age."""

    id = UUIDPrimaryKey()
    name = models.CharField(max_length=10, unique=True, default=FEED)
    numbered = models.PositiveBigIntegerField(default=0)
    pruned = models.PositiveBigIntegerField(default=0)
    passes = models.PositiveBigIntegerField(default=0)  # each pass writes it first, so that two conflict

    def __str__(self) -> str:
        return f"numbered {self.numbered}, pruned {self.pruned}"
