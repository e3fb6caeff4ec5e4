

import django.db.models.deletion
import partner_platform.core.clock
import partner_platform.core.fields
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('partners', '0009_signature_versions'),
    ]

    operations = [
        migrations.CreateModel(
            name='SentForm',
            fields=[
                ('id', partner_platform.core.fields.UUIDPrimaryKey(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('sent_by', models.CharField(max_length=200)),
                ('what', models.CharField(blank=True, default='', max_length=300)),
                ('kind', models.CharField(blank=True, default='', max_length=40)),
                ('secret', partner_platform.core.fields.EncryptedField(blank=True, default='', editable=False)),
                ('shown_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(default=partner_platform.core.clock.now)),
                ('partner', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='partners.partner')),
            ],
            options={
                'indexes': [models.Index(fields=['created_at'], name='sentform_time')],
            },
        ),
    ]
