"""The feed of one type of event is found by an index; none leads PostgreSQL by time through all events to new ones."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial")]

    operations = [
        migrations.RemoveIndex(model_name="event", name="event_time"),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["partner_key", "type", "number"], name="event_partner_type"),
        ),
    ]
