"""Fields that hold basis points, or what the pool scales, say so in Python; the columns keep their names."""

import partner_platform.core.fields
from django.db import migrations, models

POSITION, LOAN = "solvencyposition", "partnerloan"


class Migration(migrations.Migration):

    dependencies = [
        ("loans", "0011_reconciliation_at_one_moment"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[],
            state_operations=[
                migrations.RemoveIndex(POSITION, "position_health"),
                migrations.RenameField(POSITION, "health_factor", "health_factor_bps"),
                migrations.AlterField(
                    POSITION,
                    "health_factor_bps",
                    models.PositiveBigIntegerField(blank=True, db_column="health_factor", null=True),
                ),
                migrations.AddIndex(POSITION, models.Index(fields=["health_factor_bps"], name="position_health")),
                migrations.RenameField(POSITION, "pool_rate", "pool_rate_bps"),
                migrations.AlterField(
                    POSITION, "pool_rate_bps", models.PositiveIntegerField(db_column="pool_rate", default=0)
                ),
                migrations.RenameField(POSITION, "pool_accrued", "pool_accrued_scaled"),
                migrations.AlterField(
                    POSITION,
                    "pool_accrued_scaled",
                    partner_platform.core.fields.Uint256Field(db_column="pool_accrued", default=0),
                ),
                migrations.RenameField(POSITION, "loans_accrued", "loans_accrued_scaled"),
                migrations.AlterField(
                    POSITION,
                    "loans_accrued_scaled",
                    partner_platform.core.fields.Uint256Field(db_column="loans_accrued", default=0),
                ),
                migrations.RenameField(LOAN, "interest_rate", "interest_rate_bps"),
                migrations.AlterField(
                    LOAN, "interest_rate_bps", models.PositiveIntegerField(db_column="interest_rate", default=0)
                ),
                migrations.RenameField(LOAN, "prior_accrued", "prior_accrued_scaled"),
                migrations.AlterField(
                    LOAN,
                    "prior_accrued_scaled",
                    partner_platform.core.fields.Uint256Field(db_column="prior_accrued", default=0),
                ),
            ],
        ),
    ]
