"""Second factors of staff. What is once only is a guarded update or a unique constraint.

TotpDevice        an authenticator app: one for each user; a time step is taken once, and none before it
Passkey           a WebAuthn credential: any number for each user
PasskeyChallenge  what a browser is asked to sign; deleted when it is used
RecoveryCode      a code on paper, for who has lost the others; only its hash is stored
"""

from django.conf import settings
from django.db import models

from partner_platform.core import clock
from partner_platform.core.fields import EncryptedField, UUIDPrimaryKey

MAX_CREDENTIAL_ID = 1368  # base64url of the 1,023 bytes that WebAuthn allows


class TotpDevice(models.Model):
    """The secret that a user's authenticator app shares with us."""

    id = UUIDPrimaryKey()
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="totp_device")
    secret = EncryptedField()
    last_step = models.BigIntegerField(default=0)  # the newest time step whose code was taken, in periods of 30 s
    created_at = models.DateTimeField(default=clock.now, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)

    def __str__(self) -> str:
        return "authenticator app"


class Passkey(models.Model):
    """A credential that a browser, a phone or a security key keeps for one user."""

    id = UUIDPrimaryKey()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="passkeys")
    credential_id = models.CharField(max_length=MAX_CREDENTIAL_ID, unique=True, editable=False)  # base64url
    public_key = models.TextField(editable=False)  # base64url of the COSE key
    sign_count = models.BigIntegerField(default=0, editable=False)
    label = models.CharField(max_length=60)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)

    def __str__(self) -> str:
        return f"passkey {self.label}"


class PasskeyChallenge(models.Model):
    """A challenge that was given out and not used yet."""

    id = UUIDPrimaryKey()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="passkey_challenges")
    challenge = models.CharField(max_length=100, unique=True, editable=False)  # base64url
    is_registration = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    def __str__(self) -> str:
        return f"challenge of {self.created_at:%H:%M:%S}"


class RecoveryCode(models.Model):
    """One of the ten codes of a user."""

    id = UUIDPrimaryKey()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="recovery_codes")
    code_hash = models.CharField(max_length=64, editable=False)
    used_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "code_hash"], name="recovery_code_once")]

    def __str__(self) -> str:
        return "used recovery code" if self.used_at else "recovery code"
