"""API keys and what each may do."""

from django.db import models

from partner_platform.core import clock
from partner_platform.core.fields import UUIDPrimaryKey
from partners.models.partners import Partner


class Scope(models.TextChoices):
    """What an API key may do."""

    READ = "read"
    BORROW = "borrow"
    REPAY = "repay"
    WEBHOOKS = "webhooks"  # write endpoints, rotate their secrets, send events again
    MANAGE = "manage"  # rotate the partner's own keys and signing secret


def all_scopes() -> list[str]:
    """The scopes of a key that was not narrowed; `manage` is given on purpose only."""
    return [scope for scope in Scope.values if scope != Scope.MANAGE]


class ApiKey(models.Model):
    """An API key, stored as its SHA-256 (hex); `prefix`, its first 16 characters, is shown to people."""

    id = UUIDPrimaryKey()
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="api_keys")
    key_hash = models.CharField(max_length=64, unique=True)
    prefix = models.CharField(max_length=16)
    created_at = models.DateTimeField(default=clock.now)
    scopes = models.JSONField(default=all_scopes)
    expires_at = models.DateTimeField(null=True, blank=True)  # set when made, or by a rotation with grace
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["partner", "created_at"], name="apikey_partner"),
            models.Index(fields=["revoked_at", "expires_at"], name="apikey_expiry"),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}…"
