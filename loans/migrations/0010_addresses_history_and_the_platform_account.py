import uuid

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.core.management import CommandError
from django.db import migrations, models
from django.db.models import F, Max, Min, Sum
from eth_utils.address import to_checksum_address

import partner_platform.core.fields

ADVICE = """
A settlement address is one partner's, for ever: what the other sent from there it cannot claim any more. Nothing was changed
by this migration. Say for each address whose it is to be,

  manage.py set_settlement_address PARTNER_ID ADDRESS --former --as USER

and migrate again."""


def claim_former_addresses(apps, schema_editor):
    """Addresses that loans were paid to, or repayments sent from, stay their partner's.

    One that is claimed already is left as it is: by who uses it now, or by who a person says. One that several partners
    used and none uses now is for a person. May run again after it was stopped anywhere.
    """
    loans = apps.get_model("loans", "PartnerLoan").objects
    repayments = apps.get_model("loans", "Repayment").objects
    claimed = apps.get_model("partners", "SettlementAddress").objects
    names = dict(apps.get_model("partners", "Partner").objects.values_list("pk", "partner_id"))
    used = {}
    paid_out = loans.order_by().values("partner_id", "settlement_address").annotate(since=Min("created_at"))
    sent = repayments.filter(funding_transfer__isnull=False).order_by()
    sent = sent.values("partner_id", "funding_transfer__sender").annotate(since=Min("created_at"))
    for row, address in [
        *((row, row["settlement_address"]) for row in paid_out),
        *((row, row["funding_transfer__sender"]) for row in sent),
    ]:
        since = used.setdefault(to_checksum_address(address.lower()), {})
        since[row["partner_id"]] = min(row["since"], since.get(row["partner_id"], row["since"]))
    known = dict(claimed.values_list("address", "partner_id"))
    conflicts = {address: users for address, users in used.items() if address not in known and len(users) > 1}
    if conflicts:
        lines = [f"  {address}: {', '.join(sorted(map(names.get, conflicts[address])))}" for address in sorted(conflicts)]
        raise CommandError("\n".join(["Several partners used a settlement address formerly:", *lines, ADVICE]))
    for address, users in sorted(used.items()):
        if address not in known:
            [(partner_id, since)] = users.items()
            claimed.create(address=address, partner_id=partner_id, since=since)


def sum_up_spending(apps, schema_editor):
    """What the repayments settled so far took from each account. May run again after it was stopped anywhere.

    What a transfer paid is the spending of the partner whose the transfer's sender is now, for that partner's is what
    the sender brought: at an address that was shared formerly the repayment may have been another's.
    """
    repayments = apps.get_model("loans", "Repayment").objects
    spending = apps.get_model("loans", "PartnerSpending").objects
    owners = dict(apps.get_model("partners", "SettlementAddress").objects.values_list("address", "partner_id"))
    spending.all().delete()
    paid = repayments.filter(funding__in=["TRANSFER", "TRUSTED"], status__in=["SETTLED", "PENDING"]).order_by()
    settled = paid.filter(status="SETTLED").values("partner_id", "operation__executor", "funding_transfer__sender")
    settled = settled.annotate(spent=Sum(F("amount") - F("platform_covered")), block=Max("operation__block_number"))
    present = settings.PLATFORM_EXECUTOR_ADDRESS
    trusting = {
        (partner_id, _checksummed(executor or present))
        for partner_id, executor in paid.filter(funding="TRUSTED").values_list("partner_id", "operation__executor")
    }
    rows = dict.fromkeys(trusting, (0, 0))
    for row in settled:
        spender = owners.get(_checksummed(row["funding_transfer__sender"]), row["partner_id"])
        key = (spender, _checksummed(row["operation__executor"] or present))
        spent, block = rows.get(key, (0, 0))
        rows[key] = (spent + row["spent"], max(block, row["block"] or 0))
    for key, (spent, block) in rows.items():
        partner_id, account = key
        spending.create(
            partner_id=partner_id, account=account, spent=max(spent, 0), settled_block=block, on_trust=key in trusting
        )


def note_known_addresses(apps, schema_editor):
    """The addresses of now were their partners' as long as this was known of any. May run again after it was stopped."""
    noted = apps.get_model("loans", "NotedAddress").objects
    account = _checksummed(settings.PLATFORM_EXECUTOR_ADDRESS)
    known = set(noted.filter(account=account).values_list("address", flat=True))
    for address in apps.get_model("partners", "SettlementAddress").objects.order_by("address").values_list("address", flat=True):
        if account and address not in known:
            noted.create(account=account, address=address)


def _checksummed(address):
    return to_checksum_address(address.lower()) if address else ""


class Migration(migrations.Migration):
    """`repayment_history` was a copy of what the rows of `Repayment` say: the reconciliation held the two equal."""

    dependencies = [
        ("loans", "0009_held_positions"),
        ("chain", "0005_evidence_and_authority"),
        ("partners", "0007_one_partner_per_settlement_address"),
    ]

    operations = [
        migrations.RunPython(claim_former_addresses, migrations.RunPython.noop),
        migrations.CreateModel(
            name="AccountDeposit",
            fields=[
                (
                    "id",
                    partner_platform.core.fields.UUIDPrimaryKey(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("account", partner_platform.core.fields.AddressField(max_length=42)),
                ("sender", partner_platform.core.fields.AddressField(max_length=42)),
                (
                    "received",
                    partner_platform.core.fields.BaseUnitsField(
                        default=0, validators=[django.core.validators.MinValueValidator(0)]
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("account", "sender"), name="account_deposit_once")],
            },
        ),
        migrations.CreateModel(
            name="NotedAddress",
            fields=[
                (
                    "id",
                    partner_platform.core.fields.UUIDPrimaryKey(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("account", partner_platform.core.fields.AddressField(max_length=42)),
                ("address", partner_platform.core.fields.AddressField(max_length=42)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("account", "address"), name="noted_address_once")],
            },
        ),
        migrations.CreateModel(
            name="PlatformAccount",
            fields=[
                (
                    "id",
                    partner_platform.core.fields.UUIDPrimaryKey(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("address", partner_platform.core.fields.AddressField(max_length=42, unique=True)),
                ("judgements", models.PositiveBigIntegerField(default=0)),
                ("deposits_block", models.PositiveBigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="PartnerSpending",
            fields=[
                (
                    "id",
                    partner_platform.core.fields.UUIDPrimaryKey(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("account", partner_platform.core.fields.AddressField(max_length=42)),
                (
                    "spent",
                    partner_platform.core.fields.BaseUnitsField(
                        default=0, validators=[django.core.validators.MinValueValidator(0)]
                    ),
                ),
                ("settled_block", models.PositiveBigIntegerField(default=0)),
                ("on_trust", models.BooleanField(default=False)),
                (
                    "partner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="partners.partner"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("partner", "account"), name="partner_spending_once"),
                    models.CheckConstraint(
                        condition=models.Q(("spent__gte", 0)), name="partner_spending_not_negative"
                    ),
                ],
            },
        ),
        migrations.RunPython(sum_up_spending, migrations.RunPython.noop),
        migrations.RunPython(note_known_addresses, migrations.RunPython.noop),
        migrations.RemoveField(
            model_name="partnerloan",
            name="repayment_history",
        ),
        migrations.AddIndex(
            model_name="repayment",
            index=models.Index(fields=["status", "funding"], name="repayment_in_flight"),
        ),
    ]
