"""The feed of one type of event is found by an index."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial")]

    operations = [
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["partner_key", "type", "number"], name="event_partner_type"),
        ),
    ]
