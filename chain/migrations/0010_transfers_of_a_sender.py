"""A sender's transfers are found by an index, the newest first."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("chain", "0009_bundles_and_transactions")]

    operations = [
        migrations.AddIndex(
            model_name="fundingtransfer",
            index=models.Index(fields=["sender", "-created_at", "-id"], name="funding_sender_time"),
        ),
    ]
