"""Sessions of the console. Django's session holds the id of its row; the row says whether the session may go on."""

from django.conf import settings
from django.db import models

from partner_platform.core import clock
from partner_platform.core.fields import UUIDPrimaryKey


class ConsoleSession(models.Model):
    """One sign-in to the console, from a browser."""

    id = UUIDPrimaryKey()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="console_sessions")
    address = models.CharField(max_length=64, blank=True, editable=False)
    user_agent = models.CharField(max_length=300, blank=True, editable=False)
    with_factor = models.BooleanField(default=False, editable=False)  # a second factor was given
    opened_at = models.DateTimeField(default=clock.now, editable=False)
    last_seen_at = models.DateTimeField(default=clock.now, editable=False)  # to the minute
    proved_at = models.DateTimeField(default=clock.now, editable=False)  # the last factor, or password where no factor
    ended_at = models.DateTimeField(null=True, editable=False)
    ended_because = models.CharField(max_length=40, blank=True, editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["user", "ended_at", "last_seen_at"], name="console_session_open"),
            models.Index(fields=["-opened_at"], name="console_session_opened"),
        ]

    def __str__(self) -> str:
        return f"session of {self.opened_at:%Y-%m-%d %H:%M}"
