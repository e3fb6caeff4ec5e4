"""The trail becomes a chain: JSON as canonical text, a mac for each entry, blocks; and archives of the API log.

Entries from before get their mac here and are sealed like new ones: the chain vouches for them from now on.
"""

import uuid

from django.db import migrations, models

import audit.fields
import partner_platform.core.clock
import partner_platform.core.fields
from audit.trail.canonical import canonical_json, entry_digest, entry_mac
from audit.trail.keys import signing_key


def rewrite_entries(apps, schema_editor):
    entries = apps.get_model("audit", "AuditEntry")._base_manager
    for entry in entries.iterator(chunk_size=500):
        before, after = (None if value is None else canonical_json(value) for value in (entry.before, entry.after))
        digest = entry_digest(
            [entry.pk, entry.actor, entry.action, entry.target, before, after, entry.request_id, entry.timestamp]
        )
        entries.filter(pk=entry.pk).update(
            before_text=entry.before, after_text=entry.after, mac=entry_mac(digest, signing_key())
        )


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="AuditBlock",
            fields=[
                (
                    "id",
                    partner_platform.core.fields.UUIDPrimaryKey(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.PositiveBigIntegerField(unique=True)),
                ("first_sequence", models.PositiveBigIntegerField(unique=True)),
                ("size", models.PositiveIntegerField()),
                ("members", audit.fields.CanonicalJSONField()),
                ("previous_hash", models.CharField(max_length=64)),
                ("hash", models.CharField(max_length=64)),
                ("sealed_at", models.DateTimeField(default=partner_platform.core.clock.now)),
            ],
            options={"abstract": False},
        ),
        migrations.CreateModel(
            name="ApiLogArchive",
            fields=[
                (
                    "id",
                    partner_platform.core.fields.UUIDPrimaryKey(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("file_name", models.CharField(max_length=120, unique=True)),
                ("sha256", models.CharField(max_length=64)),
                ("rows", models.PositiveIntegerField()),
                ("first_at", models.DateTimeField()),
                ("last_at", models.DateTimeField()),
                ("is_deleted", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(default=partner_platform.core.clock.now)),
            ],
            options={
                "verbose_name": "API log archive",
                "indexes": [models.Index(fields=["is_deleted", "created_at"], name="apilogarchive_due")],
            },
        ),
        migrations.AddField("auditentry", "mac", models.CharField(default="", editable=False, max_length=64)),
        migrations.AddField("auditentry", "block", models.PositiveBigIntegerField(default=0, editable=False)),
        migrations.AddField("auditentry", "before_text", audit.fields.CanonicalJSONField(null=True)),
        migrations.AddField("auditentry", "after_text", audit.fields.CanonicalJSONField(null=True)),
        migrations.RunPython(rewrite_entries, migrations.RunPython.noop),
        migrations.RemoveField("auditentry", "before"),
        migrations.RemoveField("auditentry", "after"),
        migrations.RenameField("auditentry", "before_text", "before"),
        migrations.RenameField("auditentry", "after_text", "after"),
        migrations.AlterField("auditentry", "mac", models.CharField(editable=False, max_length=64)),
        migrations.AddIndex("auditentry", models.Index(fields=["block", "timestamp"], name="audit_block_time")),
    ]
