"""Endpoints and deliveries.

An `Endpoint` is an address of a partner with a secret of its own. The fan-out reads the feed (`events`) behind
`FanOut.until` and makes one `Delivery` for each endpoint that asks for the event's type; each try is an `Attempt`, with
what was sent and what came back. Order is kept per endpoint and loan: a delivery waits for those of the same loan with
a lower number. `Endpoint.due_at` says when an endpoint may have something to send; a sender claims an endpoint, not a
delivery, so that one endpoint's deliveries are counted against its own concurrency.
"""

from django.db import models

from partner_platform.core import clock
from partner_platform.core.fields import EncryptedField, UUIDPrimaryKey
from partners.models import Partner

ALL_TYPES = "*"


class EndpointStatus(models.TextChoices):
    ENABLED = "ENABLED"
    DISABLED = "DISABLED"


class DeliveryStatus(models.TextChoices):
    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"  # every try of the schedule failed, or the endpoint was disabled or deleted


class Endpoint(models.Model):
    """Where a partner wants its events. A deleted one stays, for its deliveries, and is shown to nobody."""

    id = UUIDPrimaryKey()
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="webhook_endpoints")
    url = models.URLField(max_length=500)
    event_types = models.JSONField(default=list)  # of `EventType`, or ["*"]
    description = models.CharField(max_length=200, blank=True, default="")
    status = models.CharField(max_length=10, choices=EndpointStatus, default=EndpointStatus.ENABLED)
    disabled_reason = models.CharField(max_length=300, blank=True, default="")
    is_partners_url = models.BooleanField(default=False)  # the plan's `webhookUrl`: the partner's first endpoint
    secret = EncryptedField()  # whsec_…
    # After a rotation both secrets sign until then.
    previous_secret = EncryptedField()
    previous_secret_until = models.DateTimeField(null=True, blank=True, editable=False)
    from_number = models.PositiveBigIntegerField(default=0)  # the newest of the feed when it was made
    due_at = models.DateTimeField(null=True, blank=True)  # when there may be something to send
    wakes = models.PositiveBigIntegerField(default=0)  # counts writes of `due_at` by others than who claimed it
    claimed_until = models.DateTimeField(null=True, blank=True)
    claimed_by = models.CharField(max_length=64, blank=True, default="")
    # The circuit breaker: after failures in a row nothing but one try is sent before `resume_at`.
    failures_in_a_row = models.PositiveIntegerField(default=0)
    resume_at = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)  # every try since then failed
    last_failed_at = models.DateTimeField(null=True, blank=True)  # the newest failed try
    delivered_at = models.DateTimeField(null=True, blank=True)  # the newest success
    deleted_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [
            models.Index(fields=["partner", "created_at"], name="endpoint_partner"),
            models.Index(fields=["status", "due_at"], name="endpoint_due"),
        ]

    def __str__(self) -> str:
        return self.url


class Delivery(models.Model):
    """An event for an endpoint. Type, loan and number are the event's, which is deleted by age before its delivery."""

    id = UUIDPrimaryKey()
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="deliveries")
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    event_id = models.UUIDField()
    event_type = models.CharField(max_length=40)
    partner_loan_id = models.CharField(max_length=64, blank=True, default="")
    loan_id = models.UUIDField(null=True, blank=True)
    number = models.PositiveBigIntegerField()  # the event's in the feed
    status = models.CharField(max_length=10, choices=DeliveryStatus, default=DeliveryStatus.PENDING)
    attempts = models.PositiveIntegerField(default=0)  # all tries
    step = models.PositiveIntegerField(default=0)  # failed tries that count for the schedule: not those by hand
    by_hand = models.BooleanField(default=False)  # somebody asked for the next try
    due_at = models.DateTimeField(default=clock.now)  # of the next try, while it is PENDING
    resend = models.PositiveIntegerField(default=0)  # 0: the first delivery of the event; counts those asked for again
    last_status_code = models.PositiveSmallIntegerField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(default=clock.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(fields=["endpoint", "event_id", "resend"], name="delivery_once")]
        indexes = [
            models.Index(fields=["endpoint", "status", "due_at", "number"], name="delivery_due"),
            models.Index(fields=["endpoint", "status", "loan_id", "number"], name="delivery_order"),
            models.Index(fields=["status", "created_at"], name="delivery_oldest"),
            models.Index(fields=["partner", "-created_at", "-id"], name="delivery_partner_time"),
            models.Index(fields=["partner", "status", "-created_at", "-id"], name="delivery_partner_status"),
            models.Index(fields=["partner", "event_type", "-created_at", "-id"], name="delivery_partner_type"),
            models.Index(fields=["partner", "partner_loan_id", "-created_at", "-id"], name="delivery_partner_loan"),
            models.Index(fields=["endpoint", "-created_at", "-id"], name="delivery_endpoint_time"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} to {self.endpoint_id}: {self.status}"


class Attempt(models.Model):
    """One try of a delivery: what was sent, and what came back, cut to what is kept."""

    id = UUIDPrimaryKey()
    delivery = models.ForeignKey(Delivery, on_delete=models.PROTECT, related_name="tries")
    number = models.PositiveIntegerField()  # of the delivery's tries, from 1
    url = models.CharField(max_length=500, blank=True, default="")  # that it was sent to: the endpoint's may change
    request_headers = models.JSONField(default=dict)
    status_code = models.PositiveSmallIntegerField(null=True, blank=True)  # None where no response came
    response_headers = models.JSONField(default=dict)
    response_body = models.TextField(blank=True, default="")
    error = models.CharField(max_length=300, blank=True, default="")
    duration_ms = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=clock.now)  # when it began

    class Meta:
        indexes = [
            models.Index(fields=["delivery", "created_at"], name="attempt_delivery"),
            models.Index(fields=["created_at"], name="attempt_time"),
        ]

    def __str__(self) -> str:
        return f"{self.delivery_id} #{self.number}: {self.status_code or self.error}"


class FanOut(models.Model):
    """Up to which number of the feed deliveries were made; one row."""

    id = UUIDPrimaryKey()
    name = models.CharField(max_length=10, unique=True, default="feed")
    until = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"until {self.until}"
