from django.db import migrations, models

import partners.models


class Migration(migrations.Migration):
    """Partners that are there may have signed version 1, and may go on; for new ones the model's default decides."""

    dependencies = [("partners", "0008_status_reasons")]

    operations = [
        migrations.AddField(
            model_name="partner",
            name="signature_v1_allowed",
            field=models.BooleanField(default=True, editable=False),
        ),
        migrations.AlterField(
            model_name="partner",
            name="signature_v1_allowed",
            field=models.BooleanField(default=partners.models.signature_v1_by_default, editable=False),
        ),
    ]
