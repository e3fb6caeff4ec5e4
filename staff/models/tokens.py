"""Sign-ins to the API. What is once only is a guarded update or a unique constraint.

ApiSession     one sign-in: the family of its refresh tokens; access tokens name it, so that ending it ends them too
RefreshToken   a token that is exchanged once for the next one; only its hash is stored
StaffWallet    an Ethereum address that a superuser linked to a user, for Sign-In with Ethereum
UsedNonce      a nonce of a signed message that was taken; nonces that were only given out are not stored
"""

from django.conf import settings
from django.db import models

from partner_platform.core import clock
from partner_platform.core.fields import AddressField, UUIDPrimaryKey


class ApiSession(models.Model):
    """One sign-in to the API. `ended_at` is set where it ended before `ends_at`, its absolute end."""

    id = UUIDPrimaryKey()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_sessions")
    means = models.CharField(max_length=20, editable=False)  # the first factor: password or wallet
    with_factor = models.BooleanField(default=False, editable=False)  # a second factor was given
    address = models.CharField(max_length=64, blank=True, editable=False)
    user_agent = models.CharField(max_length=300, blank=True, editable=False)
    # Django's hash of the password at the sign-in: another password ends the session.
    password_mark = models.CharField(max_length=64, editable=False)
    opened_at = models.DateTimeField(default=clock.now, editable=False)
    last_refreshed_at = models.DateTimeField(default=clock.now, editable=False)
    ends_at = models.DateTimeField(editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)
    ended_because = models.CharField(max_length=40, blank=True, editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["user", "ended_at", "ends_at"], name="api_session_open"),
            models.Index(fields=["ends_at"], name="api_session_end"),
        ]

    def __str__(self) -> str:
        return f"API session of {self.opened_at:%Y-%m-%d %H:%M}"


class RefreshToken(models.Model):
    """A refresh token, stored as its SHA-256 (hex); `used_at` is set once, when it is exchanged."""

    id = UUIDPrimaryKey()
    session = models.ForeignKey(ApiSession, on_delete=models.CASCADE, related_name="refresh_tokens")
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    expires_at = models.DateTimeField(editable=False)
    used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="refresh_token_expiry")]

    def __str__(self) -> str:
        return "used refresh token" if self.used_at else "refresh token"


class StaffWallet(models.Model):
    """A wallet that a user may sign in with; an address belongs to one user."""

    id = UUIDPrimaryKey()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="wallets")
    address = AddressField(unique=True)
    linked_by = models.CharField(max_length=200, editable=False)  # the actor
    linked_at = models.DateTimeField(default=clock.now, editable=False)

    def __str__(self) -> str:
        return self.address


class UsedNonce(models.Model):
    """A nonce of a message that signed somebody in; kept longer than a nonce is valid."""

    id = UUIDPrimaryKey()
    nonce = models.CharField(max_length=64, unique=True, editable=False)
    used_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        indexes = [models.Index(fields=["used_at"], name="used_nonce_time")]

    def __str__(self) -> str:
        return self.nonce[:8]
