"""What is kept so that something happens once: requests with a key, console forms, e-mails."""

from django.db import models

from partner_platform.core import clock
from partner_platform.core.fields import EncryptedField, UUIDPrimaryKey
from partners.models.partners import Partner


class IdempotencyKey(models.Model):
    """What an `Idempotency-Key` was used for (`partners.idempotency.records`).

    `id` is made of caller, method, path and key. `subject_id` is what the request made (a loan, a repayment); `answer`
    or `sealed_answer` is the JSON of the first answer, and `status_code` is 0 until there is one.
    """

    id = UUIDPrimaryKey()
    caller = models.CharField(max_length=80)  # partner:{id} or staff:{id}
    method = models.CharField(max_length=10)
    path = models.CharField(max_length=300)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)  # SHA-256 of the body
    subject_id = models.UUIDField(null=True, blank=True)
    status_code = models.PositiveSmallIntegerField(default=0)
    answer = models.TextField(blank=True, default="")
    sealed_answer = EncryptedField()  # in place of `answer` where that holds a secret
    headers = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="idempotency_expiry")]

    def __str__(self) -> str:
        return f"{self.key} of {self.caller}"


class SentForm(models.Model):
    """A console form that was submitted: each can be submitted once, and a secret it created is shown once.

    `id` is the random token that the form carried. `secret` is kept until it was shown or ten minutes have passed
    (`partners.console.sent_forms`).
    """

    id = UUIDPrimaryKey()
    sent_by = models.CharField(max_length=200)  # the user's name
    partner = models.ForeignKey(Partner, null=True, on_delete=models.PROTECT, related_name="+")
    what = models.CharField(max_length=300, blank=True, default="")  # a sentence about what was done
    kind = models.CharField(max_length=40, blank=True, default="")  # of secret, such as "API key"
    secret = EncryptedField()
    shown_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="sentform_time")]

    def __str__(self) -> str:
        return f"{self.id} by {self.sent_by}"


class OutgoingMail(models.Model):
    """An e-mail to a partner's contact, or without a partner to a member of staff, written in the transaction of what
    it tells of and sent afterwards.

    `once` is what it is about: the same is told once (`partners.notices.mail`).
    """

    id = UUIDPrimaryKey()
    partner = models.ForeignKey(Partner, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    once = models.CharField(max_length=120, unique=True)
    recipient = models.EmailField()
    subject = models.CharField(max_length=200)
    text = models.TextField()
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True, blank=True, default=clock.now)  # of the next try; None: sent or given up
    sent_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="mail_due")]

    def __str__(self) -> str:
        return f"{self.subject} to {self.recipient}"
