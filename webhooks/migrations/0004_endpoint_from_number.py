from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("webhooks", "0003_tries_by_hand"),
    ]

    operations = [
        migrations.AddField(
            model_name="endpoint",
            name="from_number",
            field=models.PositiveBigIntegerField(default=0),
        ),
    ]
