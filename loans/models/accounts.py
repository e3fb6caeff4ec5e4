"""Whose the USDC of the platform account is: `loans.funding.trusted` judges repayments on trust by these rows.

Beside what partners sent to it, the account holds the platform's fees. A partner may still claim by `repaymentTxHash`
what it sent and no repayment of its own has spent yet (M3): `AccountDeposit.received` less `PartnerSpending.spent`.
Both are running sums, so that a judgement costs the same however old the account is.
"""

from django.db import models
from django.db.models import F

from partner_platform.core.fields import AddressField, BaseUnitsField, UUIDPrimaryKey
from partners.models import Partner


class PlatformAccountQuerySet(models.QuerySet["PlatformAccount"]):
    """The guarded updates: each moves its figure only from what the caller read."""

    def move_deposits(self, row: "PlatformAccount", *, to: int) -> bool:
        """Set the account's `deposits_block`; False where another worker moved it since `row` was read."""
        return self.filter(pk=row.pk, deposits_block=row.deposits_block).update(deposits_block=to) == 1

    def move_transfers(self, row: "PlatformAccount", *, to: int) -> bool:
        """Set the account's `transfers_block`; False where another worker moved it since `row` was read."""
        return self.filter(pk=row.pk, transfers_block=row.transfers_block).update(transfers_block=to) == 1

    def count_judgement(self, address: str, *, seen: int) -> bool:
        """Count one more of the account's `judgements`; False where there are no longer `seen` of them."""
        return self.filter(address=address, judgements=seen).update(judgements=F("judgements") + 1) == 1


class PlatformAccount(models.Model):
    """An executor, as an account of USDC.

    `judgements` counts the repayments that were accepted by what the account holds: of two judged at once on the same
    figures the database lets one through. Deposits of blocks up to `deposits_block` are in `AccountDeposit`.
    """

    id = UUIDPrimaryKey()
    address = AddressField(unique=True)
    judgements = models.PositiveBigIntegerField(default=0)
    deposits_block = models.PositiveBigIntegerField(default=0)
    transfers_block = models.PositiveBigIntegerField(default=0)  # up to it, unclaimed transfers were told of

    objects = PlatformAccountQuerySet.as_manager()

    def __str__(self) -> str:
        return self.address


class AccountDeposit(models.Model):
    """What a sender brought to an account by transfers of its own, up to the account's `deposits_block`."""

    id = UUIDPrimaryKey()
    account = AddressField()
    sender = AddressField()
    received = BaseUnitsField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "sender"], name="account_deposit_once")]

    def __str__(self) -> str:
        return f"{self.received} from {self.sender}"


class NotedAddress(models.Model):
    """A settlement address that was checked once: whether it had sent something to the account before.

    Before an address was a partner's, what it sent counted as the platform's and could be spent on trust
    (`loans.funding.early_deposits`).
    """

    id = UUIDPrimaryKey()
    account = AddressField()
    address = AddressField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "address"], name="noted_address_once")]

    def __str__(self) -> str:
        return self.address


class PartnerSpendingQuerySet(models.QuerySet["PartnerSpending"]):
    """Updates of what partners spent of an account."""

    def mark_on_trust(self) -> None:
        """Mark those that are not marked yet: what these partners claim by a transfer is judged from now on."""
        self.filter(on_trust__in=[False]).update(on_trust=True)


class PartnerSpending(models.Model):
    """What a partner's settled repayments took from an account.

    `settled_block` is the newest block in which one of them was mined: an older balance still holds what it took.
    `on_trust`: what the partner sent may have been spent without naming the transfer: one of its repayments was, or is
    to be, paid without one, or an address brought something before it was the partner's (`NotedAddress`). From then on
    what the partner claims by a transfer is judged by what the account holds, too.
    """

    id = UUIDPrimaryKey()
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    account = AddressField()
    spent = BaseUnitsField(default=0)
    settled_block = models.PositiveBigIntegerField(default=0)
    on_trust = models.BooleanField(default=False)

    objects = PartnerSpendingQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["partner", "account"], name="partner_spending_once"),
            models.CheckConstraint(condition=models.Q(spent__gte=0), name="partner_spending_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.spent} of {self.partner_id}"
