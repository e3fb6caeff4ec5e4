from django.db import migrations, models

import partner_platform.core.web.api_versions


class Migration(migrations.Migration):
    """Partners that are there keep the version that there was, whichever is current when this runs."""

    dependencies = [
        ("partners", "0010_sent_forms"),
    ]

    operations = [
        migrations.AddField(
            model_name="partner",
            name="api_version",
            field=models.CharField(
                default="2026-01-05",
                help_text="The version of the HTTP contract that its calls get where they name none",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="partner",
            name="api_version",
            field=models.CharField(
                default=partner_platform.core.web.api_versions.current,
                help_text="The version of the HTTP contract that its calls get where they name none",
                max_length=10,
            ),
        ),
    ]
