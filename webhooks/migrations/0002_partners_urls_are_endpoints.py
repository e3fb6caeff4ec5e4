import base64
import secrets

from django.db import migrations, models

from partner_platform.core.secrets import crypto


def make_endpoints(apps, schema_editor):
    """The `webhookUrl` of each partner that has one becomes its first endpoint, with the secret that it has.

    Without one it gets a new secret, which nobody was shown: the partner rotates it. May run again after it was stopped
    anywhere.
    """
    endpoints = apps.get_model("webhooks", "Endpoint").objects
    partners = apps.get_model("partners", "Partner").objects.exclude(webhook_url="").order_by("pk")
    done = set(endpoints.filter(is_partners_url__in=[True], deleted_at=None).values_list("partner_id", flat=True))
    for pk, url, secret in list(partners.values_list("pk", "webhook_url", "webhook_secret")):
        if pk not in done:
            new = crypto.encrypt("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
            endpoints.create(
                partner_id=pk, url=url, event_types=["*"], is_partners_url=True, secret=secret or new
            )


class Migration(migrations.Migration):
    dependencies = [
        ("webhooks", "0001_initial"),
        ("partners", "0013_webhooks_scope"),
    ]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="url",
            field=models.CharField(blank=True, default="", max_length=500),
        ),
        migrations.RunPython(make_endpoints, migrations.RunPython.noop),
    ]
