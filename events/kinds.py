"""The types of events, by the name that the contract gives them."""

from django.db.models import TextChoices


class EventType(TextChoices):
    LOAN_BORROWED = "loan.borrowed"
    LOAN_REPAYMENT = "loan.repayment"
    LOAN_REPAID = "loan.repaid"
    LOAN_FAILED = "loan.failed"
    LOAN_DEFAULTED = "loan.defaulted"
    LOAN_CURED = "loan.cured"
    LOAN_LIQUIDATED = "loan.liquidated"
    LOAN_UNDONE = "loan.undone"
    REPAYMENT_FAILED = "repayment.failed"
    PAYMENT_DUE_SOON = "payment.due_soon"
    PAYMENT_MISSED = "payment.missed"
    POSITION_HEALTH_WARNING = "position.health_warning"
    PARTNER_SUSPENDED = "partner.suspended"
    PARTNER_LIMIT_WARNING = "partner.limit_warning"
    API_KEY_EXPIRING = "api_key.expiring"
    TRANSFER_UNCLAIMED = "transfer.unclaimed"
    WEBHOOK_TEST = "webhook.test"
