from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("webhooks", "0002_partners_urls_are_endpoints"),
    ]

    operations = [
        migrations.AddField(
            model_name="endpoint",
            name="from_number",
            field=models.PositiveBigIntegerField(default=0),
        ),
    ]
