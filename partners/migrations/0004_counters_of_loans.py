from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("partners", "0003_idempotency_keys"),
    ]

    operations = [
        migrations.AddField(
            model_name="partner",
            name="active_loans",
            field=models.PositiveIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name="partner",
            name="repaid_loans",
            field=models.PositiveIntegerField(default=0, editable=False),
        ),
    ]
