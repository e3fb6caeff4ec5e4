"""The audit records: every API call, and every change with its proof.

`ApiLog` has a row for every call to the partner API, sanitized; of refused calls that nobody was authenticated for it
has a bounded number, and `RefusedCalls` the count of the others. `AuditEntry` has one for every change of a partner,
key, limit, loan or setting, written in the same transaction as the change. Both are append-only: `save()` on an
existing row, `update()` and `delete()` raise. They hold ids as text and no foreign keys, because they outlive the rows
that they are about.

The trail of entries is tamper-evident. An entry is written with its mac and unsealed (`block` 0), so that writers never
wait for one another; within seconds the sealer (`audit.trail.sealing`) puts it into the next `AuditBlock`, which holds
the digest of each of its entries and the hash of the block before. `audit.trail.verification` reads it all again; the
newest hash is put on the chain once a day. An entry's sequence number is its place in all blocks: `first_sequence` of
its block and on.

`ApiLog` and `RefusedCalls` are kept as long as the configuration says; then `audit.calls.archiving` moves them into
files that `ApiLogArchive` lists.
"""

from typing import Any, NoReturn

from django.db import models

from audit.fields import CanonicalJSONField
from partner_platform.core import clock
from partner_platform.core.fields import AddressField, UUIDPrimaryKey


class AppendOnlyError(TypeError):
    """An attempt to change or delete an append-only record."""


class AppendOnlyQuerySet(models.QuerySet[Any]):
    """A queryset that can add and read, nothing else."""

    def update(self, **kwargs: object) -> NoReturn:
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

    def delete(self, *args: object, **kwargs: object) -> NoReturn:
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
    request_id = models.CharField(max_length=64)  # ours
    client_request_id = models.CharField(max_length=64, blank=True, default="")  # the caller's, which it may use again
    timestamp = models.DateTimeField(default=clock.now)

    class Meta:
        indexes = [
            models.Index(fields=["partner_id", "-timestamp", "-id"], name="apilog_partner_place"),
            models.Index(fields=["partner_id", "status_code", "-timestamp", "-id"], name="apilog_partner_status"),
            models.Index(fields=["partner_id", "endpoint", "-timestamp", "-id"], name="apilog_partner_endpoint"),
            models.Index(fields=["partner_id", "success", "-timestamp", "-id"], name="apilog_partner_success"),
            models.Index(fields=["success", "-timestamp", "-id"], name="apilog_success_place"),
            models.Index(fields=["status_code", "-timestamp", "-id"], name="apilog_status_place"),
            models.Index(fields=["endpoint", "-timestamp", "-id"], name="apilog_endpoint_place"),
            models.Index(fields=["-timestamp", "-id"], name="apilog_place"),
            models.Index(fields=["request_id"], name="apilog_request"),
            # A caller may use one id again and again, and others may use the same one.
            models.Index(fields=["client_request_id", "partner_id", "-timestamp", "-id"], name="apilog_client_place"),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.endpoint} {self.status_code}"


class RefusedCalls(AppendOnlyModel):
    """How many calls of an address in a minute were refused without a row in `ApiLog` (`audit.calls.refused_calls`).

    Calls of one address and minute may be in two rows. `timestamp` is the minute's begin.
    """

    id = UUIDPrimaryKey()
    timestamp = models.DateTimeField()
    address = models.CharField(max_length=45, blank=True)  # IPv4, the begin of an IPv6 /64, "unknown"; empty: others
    calls = models.PositiveBigIntegerField()

    class Meta:
        verbose_name_plural = "refused calls"
        indexes = [
            models.Index(fields=["-timestamp"], name="refusedcalls_time"),
            models.Index(fields=["address", "-timestamp"], name="refusedcalls_address_time"),
        ]

    def __str__(self) -> str:
        return f"{self.calls} of {self.address or 'others'}"


class AuditEntry(AppendOnlyModel):
    """One change: who (`actor`), what (`action`, dotted), to which (`target`), from what to what."""

    id = UUIDPrimaryKey()
    actor = models.CharField(max_length=200)
    action = models.CharField(max_length=60)
    target = models.CharField(max_length=120)
    before: "models.Field[Any, Any]" = CanonicalJSONField(null=True)
    after: "models.Field[Any, Any]" = CanonicalJSONField(null=True)
    request_id = models.CharField(max_length=64, blank=True, default="")
    timestamp = models.DateTimeField(default=clock.now)
    mac = models.CharField(max_length=64, editable=False)
    block = models.PositiveBigIntegerField(default=0, editable=False)  # 0: not sealed yet; written once, by the sealer

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["target", "-timestamp"], name="audit_target_time"),
            models.Index(fields=["-timestamp"], name="audit_time"),
            models.Index(fields=["block", "timestamp"], name="audit_block_time"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target} by {self.actor}"


class AuditBlock(AppendOnlyModel):
    """A link of the chain: some entries in their order, sealed together."""

    id = UUIDPrimaryKey()
    number = models.PositiveBigIntegerField(unique=True)  # 1, 2, 3 ...; unique, so that of two sealers one is refused
    first_sequence = models.PositiveBigIntegerField(unique=True)  # 1 in the first block
    size = models.PositiveIntegerField()
    members = CanonicalJSONField()  # [[id as hex, digest], ...] in order
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)
    sealed_at = models.DateTimeField(default=clock.now)

    def __str__(self) -> str:
        return f"block {self.number}"

    @property
    def last_sequence(self) -> int:
        """The sequence number of its last entry."""
        return self.first_sequence + self.size - 1


# Every column of an entry but its mac (made of these) and its block (which holds the digest of these).
HASHED_COLUMNS = ("id", "actor", "action", "target", "before", "after", "request_id", "timestamp")
# Every column of a block but its hash.
CHAINED_COLUMNS = ("id", "number", "first_sequence", "size", "members", "previous_hash", "sealed_at")


class ApiLogArchive(models.Model):
    """A file that rows of `ApiLog` or `RefusedCalls` were moved into; they are deleted only once it is written."""

    id = UUIDPrimaryKey()
    file_name = models.CharField(max_length=120, unique=True)
    sha256 = models.CharField(max_length=64)
    rows = models.PositiveIntegerField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    is_deleted = models.BooleanField(default=False)  # the rows are no longer in the table
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name = "API log archive"
        indexes = [models.Index(fields=["is_deleted", "created_at"], name="apilogarchive_due")]

    def __str__(self) -> str:
        return self.file_name
