"""How far transfers to the platform account were looked at, for those that no repayment claims."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("loans", "0015_evidence_and_due_dates"), ("chain", "0010_transfers_of_a_sender")]

    operations = [
        migrations.AddField(
            model_name="platformaccount",
            name="transfers_block",
            field=models.PositiveBigIntegerField(default=0),
        ),
    ]
