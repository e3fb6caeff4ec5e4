import uuid

import django.db.models.deletion
from django.db import migrations, models

import partner_platform.core.clock
import partner_platform.core.fields


class Migration(migrations.Migration):
    """The table; the next migration fills it. Between the two `manage.py set_settlement_address` can be used already."""

    dependencies = [
        ("partners", "0005_key_changes"),
    ]

    operations = [
        migrations.CreateModel(
            name="SettlementAddress",
            fields=[
                (
                    "id",
                    partner_platform.core.fields.UUIDPrimaryKey(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("address", partner_platform.core.fields.AddressField(max_length=42, unique=True)),
                ("since", models.DateTimeField(default=partner_platform.core.clock.now)),
                (
                    "partner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="settlement_addresses",
                        to="partners.partner",
                    ),
                ),
            ],
            options={"verbose_name_plural": "settlement addresses"},
        ),
    ]
