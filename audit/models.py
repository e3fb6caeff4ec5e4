"""What happened, kept for those who must prove it.

`ApiLog` has a row for every call to the partner API, authenticated or refused, sanitized. `AuditEntry` has one for
every change of a partner, key, limit or loan, written in the same transaction as the change. Both are append-only:
`save()` on an existing row, `update()` and `delete()` raise. They hold ids as text and no foreign keys: they outlive
what they tell of.
"""

from typing import Any, NoReturn

from django.db import models

from partner_platform.core import clock
from partner_platform.core.fields import AddressField, UUIDPrimaryKey


class AppendOnlyError(TypeError):
    """Somebody tried to change or delete history."""


class AppendOnlyQuerySet(models.QuerySet[Any]):
    """A queryset that can add and read, nothing else."""

    def update(self, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError(f"{self.model.__name__} is append-only")

    def delete(self) -> NoReturn:
        raise AppendOnlyError(f"{self.model.__name__} is append-only")


class AppendOnlyModel(models.Model):
    """Base of the records that are only ever inserted."""

    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnlyError(f"{type(self).__name__} is append-only")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError(f"{type(self).__name__} is append-only")


class ApiLog(AppendOnlyModel):
    """One call to the partner API (plan, PartnerApiLog). `response_time` is in milliseconds."""

    id = UUIDPrimaryKey()
    partner_id = models.CharField(max_length=64, blank=True, default="")  # empty where nobody was authenticated
    partner_name = models.CharField(max_length=200, blank=True, default="")
    endpoint = models.CharField(max_length=300)
    method = models.CharField(max_length=10)
    ip_address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=300, blank=True, default="")
    request_payload = models.JSONField(null=True)
    status_code = models.PositiveSmallIntegerField()
    response_time = models.PositiveIntegerField()
    success = models.BooleanField()
    error_message = models.CharField(max_length=500, blank=True, default="")
    error_code = models.CharField(max_length=50, blank=True, default="")
    user_wallet = AddressField(blank=True, default="")
    oaid_token_id = models.CharField(max_length=78, blank=True, default="")
    loan_id = models.CharField(max_length=64, blank=True, default="")
    request_id = models.CharField(max_length=64)
    timestamp = models.DateTimeField(default=clock.now)

    class Meta:
        indexes = [
            models.Index(fields=["partner_id", "-timestamp"], name="apilog_partner_time"),
            models.Index(fields=["success", "-timestamp"], name="apilog_success_time"),
            models.Index(fields=["-timestamp"], name="apilog_time"),
            models.Index(fields=["request_id"], name="apilog_request"),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.endpoint} {self.status_code}"


class AuditEntry(AppendOnlyModel):
    """One change: who (`actor`), what (`action`, dotted), to which (`target`), from what to what."""

    id = UUIDPrimaryKey()
    actor = models.CharField(max_length=200)
    action = models.CharField(max_length=60)
    target = models.CharField(max_length=120)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    request_id = models.CharField(max_length=64, blank=True, default="")
    timestamp = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["target", "-timestamp"], name="audit_target_time"),
            models.Index(fields=["-timestamp"], name="audit_time"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target} by {self.actor}"
