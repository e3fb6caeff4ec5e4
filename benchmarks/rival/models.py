"""A partner, its keys (the package's documented way to tie a key to something), and a loan with the fields of ours."""

from django.db import models
from rest_framework_api_key.models import AbstractAPIKey


class RivalPartner(models.Model):
    name = models.CharField(max_length=200)

    class Meta:
        app_label = "rival"

    def __str__(self) -> str:
        return self.name


class PartnerAPIKey(AbstractAPIKey):
    partner = models.ForeignKey(RivalPartner, on_delete=models.CASCADE, related_name="api_keys")

    class Meta(AbstractAPIKey.Meta):
        app_label = "rival"


class RivalLoan(models.Model):
    partner = models.ForeignKey(RivalPartner, on_delete=models.CASCADE, related_name="loans")
    partner_loan_id = models.CharField(max_length=64)
    internal_loan_id = models.UUIDField()
    user_wallet = models.CharField(max_length=42)
    oaid_token_id = models.BigIntegerField()
    oaid_token_id_string = models.CharField(max_length=78)
    principal_amount = models.BigIntegerField()
    outstanding_principal = models.BigIntegerField()
    accrued_interest = models.BigIntegerField()
    remaining_debt = models.BigIntegerField()
    total_repaid = models.BigIntegerField()
    interest_paid = models.BigIntegerField()
    interest_rate = models.IntegerField()
    platform_fee = models.BigIntegerField()
    net_amount_transferred = models.BigIntegerField()
    status = models.CharField(max_length=10)
    borrowed_at = models.DateTimeField(null=True)
    borrow_tx_hash = models.CharField(max_length=66, null=True)
    borrow_evidence = models.JSONField(null=True)
    repay_tx_hash = models.CharField(max_length=66, null=True)
    failure_reason = models.CharField(max_length=300, null=True)
    repayment_in_flight = models.BooleanField()
    repayment_history = models.JSONField()
    loan_duration = models.IntegerField(null=True)
    number_of_installments = models.IntegerField(null=True)
    schedule = models.JSONField()
    defaulted_at = models.DateTimeField(null=True)
    default_reason = models.CharField(max_length=300, null=True)
    written_off = models.BigIntegerField()
    metadata = models.JSONField(null=True)
    evidence = models.JSONField(null=True)

    class Meta:
        app_label = "rival"
        constraints = [models.UniqueConstraint(fields=["partner", "partner_loan_id"], name="loan_once")]

    def __str__(self) -> str:
        return self.partner_loan_id
