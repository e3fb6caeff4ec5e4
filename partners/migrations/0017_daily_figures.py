"""Columns for what analytics add up by day; loans 0017 fills those of the past."""

import partner_platform.core.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("partners", "0016_onboarding")]

    operations = [
        *(
            migrations.AddField(
                model_name="partnerdailyusage",
                name=name,
                field=partner_platform.core.fields.BaseUnitsField(default=0),
            )
            for name in ("drawn", "fees", "repaid")
        ),
        *(
            migrations.AddField(
                model_name="partnerdailyusage", name=name, field=models.PositiveIntegerField(default=0)
            )
            for name in ("drawn_loans", "repaid_loans", "defaulted_loans")
        ),
        migrations.AddIndex(
            model_name="partnerdailyusage", index=models.Index(fields=["day"], name="partner_daily_usage_day")
        ),
        migrations.AddConstraint(
            model_name="partnerdailyusage",
            constraint=models.CheckConstraint(
                condition=models.Q(drawn__gte=0, fees__gte=0, repaid__gte=0), name="partner_daily_figures_not_negative"
            ),
        ),
    ]
